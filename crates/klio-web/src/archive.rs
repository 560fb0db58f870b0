//! What has happened, as the API asks for it. `klio-store` answers in the program, memory in the tests.

mod question;

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

use klio_model::{FieldRef, People, TimeRange, Timestamp};

use crate::Sight;
use crate::view::{Bar, DeadLetterView, IntegrityView, ReplayView, RuleHits, SourceView, Top};

pub(crate) use question::Stop;
pub use question::{
    ExportFormat, Followed, Page, Patience, Position, Question, Record, Slice, SqlPart, Survey, Surveyed,
    Verdict, VerdictKind, Wanted,
};

/// The archive did not answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no such thing, or it is not visible: the asker does not learn which.
    #[error("not found")]
    NotFound,
    /// A position that this archive did not give out, or that has passed away.
    #[error("the position is not one")]
    BadPosition,
    /// What was asked is no question, such as wrong SQL or too many bars; said to the asker.
    #[error("{0}")]
    BadQuestion(String),
    /// The asker's patience was over.
    #[error("it took too long")]
    TooSlow,
    /// What was written to refused, since the reader has gone.
    #[error("the reader has gone")]
    ReaderGone,
    /// It cannot be read now; said to the log and not to the asker.
    #[error("{0}")]
    Unavailable(String),
}

/// What has happened. Methods block, and are called on threads that may.
///
/// The law of each: what it returns is made of nothing but what the [`Sight`] lets see. Nothing else is counted, shown, hinted at in a
/// message or a [`Position`], or told apart from what does not exist. Of events, [`Question::for_cluster`] is the filter that says
/// it. A finding or story is visible if each event that it names is. A method that looks at many events asks
/// [`Patience::check`] between files or batches.
pub trait Archive: Send + Sync + 'static {
    /// Who uses which accounts; nobody is known unless somebody says.
    fn people(&self) -> Arc<People> {
        Arc::default()
    }

    /// The events that match, the newest first; those without a time last. Of equal time in an order that never changes.
    fn events(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        slice: &Slice,
    ) -> Result<Page<Record>, ArchiveError>;

    /// How many events match.
    fn count(&self, sight: &Sight, patience: &Patience, question: &Question) -> Result<u64, ArchiveError>;

    /// The most frequent values of a field among the events that match, at most `most`.
    fn top(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        field: &FieldRef,
        most: usize,
    ) -> Result<Top, ArchiveError>;

    /// Several counts of the events that match, in one pass.
    fn survey(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        survey: &Survey,
    ) -> Result<Surveyed, ArchiveError>;

    /// How many events match in each step of so many microseconds, counted from 1970; steps without events are left out.
    fn histogram(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        step: i64,
    ) -> Result<Vec<Bar>, ArchiveError>;

    /// The times of the earliest and the latest event that match; `None` if there are none with a time.
    fn span(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
    ) -> Result<Option<(Timestamp, Timestamp)>, ArchiveError>;

    /// All events of an audit id, which clients choose, in all clusters: in the order of time, at most `most`.
    fn event(
        &self,
        sight: &Sight,
        patience: &Patience,
        audit_id: &str,
        most: usize,
    ) -> Result<Vec<Record>, ArchiveError>;

    /// For each event of an audit id the proof that it was sealed, as JSON. A proof holds the event itself, and sizes and hashes of
    /// the log, which tell how much all clusters together do.
    fn proofs(&self, sight: &Sight, patience: &Patience, audit_id: &str)
    -> Result<Vec<String>, ArchiveError>;

    /// Writes each event that matches and returns how many. An error of `out` is [`ArchiveError::ReaderGone`].
    fn export(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        format: ExportFormat,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, ArchiveError>;

    /// The matching events that came after a position, in the order in which they came; without one, none and where the end is. If
    /// there are none it may wait for some, as long as there is patience.
    fn follow(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        after: Option<&Position>,
        most: usize,
    ) -> Result<Followed, ArchiveError>;

    /// Answers SQL, for reading only: the columns, then at most `most` rows; returns whether there were more. Only asked for whom
    /// [`Sight::is_all`]; the tables are without [`crate::OWN_CLUSTER`] unless [`Sight::sees_audit`].
    fn sql(
        &self,
        sight: &Sight,
        patience: &Patience,
        query: &str,
        most: u64,
        take: &mut dyn FnMut(SqlPart) -> ControlFlow<()>,
    ) -> Result<bool, ArchiveError>;

    /// Findings or stories, the newest first.
    fn verdicts(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        wanted: &Wanted,
        slice: &Slice,
    ) -> Result<Page<Verdict>, ArchiveError>;

    /// One finding or story.
    fn verdict(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        id: &str,
    ) -> Result<Verdict, ArchiveError>;

    /// How often each rule fired. Rules that never did may be left out.
    fn rule_hits(
        &self,
        sight: &Sight,
        patience: &Patience,
        range: TimeRange,
    ) -> Result<Vec<RuleHits>, ArchiveError>;

    /// The sources of the clusters that are visible as a whole ([`Sight::sees_whole`]).
    fn sources(&self, sight: &Sight) -> Result<Vec<SourceView>, ArchiveError>;

    /// The state of the seal. Sizes and checkpoints only for whom [`Sight::is_all`], problems if he also
    /// [`Sight::sees_audit`]; the API leaves them out for others in any case.
    fn integrity(&self, sight: &Sight) -> Result<IntegrityView, ArchiveError>;

    /// Begins to verify everything, unless that is under way, and returns the state without waiting.
    fn verify(&self, sight: &Sight) -> Result<IntegrityView, ArchiveError>;

    /// Dead letters of the clusters that are visible as a whole, the newest first, without their bytes.
    fn dead_letters(&self, sight: &Sight, slice: &Slice) -> Result<Page<DeadLetterView>, ArchiveError>;

    /// One of them, with its bytes.
    fn dead_letter(&self, sight: &Sight, number: u64) -> Result<DeadLetterView, ArchiveError>;

    /// Decodes one anew and keeps what it holds.
    fn replay_dead_letter(&self, sight: &Sight, number: u64) -> Result<ReplayView, ArchiveError>;

    /// Removes one for ever.
    fn remove_dead_letter(&self, sight: &Sight, number: u64) -> Result<(), ArchiveError>;
}
