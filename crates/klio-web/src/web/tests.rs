//! An API over an archive that never answers.

use std::io::Write;
use std::ops::ControlFlow;

use async_trait::async_trait;
use klio_desk::{Action, Cost, Ledger, LedgerError, Place};
use klio_model::{FieldRef, TimeRange, Timestamp};

use super::*;
use crate::archive::{
    ArchiveError, ExportFormat, Followed, Page, Patience, Position, Question, Record, Slice, SqlPart, Survey,
    Surveyed, Verdict, VerdictKind, Wanted,
};
use crate::view::{Bar, DeadLetterView, IntegrityView, ReplayView, RuleHits, SourceView, Top};
use crate::{Access, AuditError, Sight};

pub(crate) struct Nothing;

type Answer<T> = Result<T, ArchiveError>;

#[rustfmt::skip]
impl Archive for Nothing {
    fn events(&self, _: &Sight, _: &Patience, _: &Question, _: &Slice) -> Answer<Page<Record>> { Err(ArchiveError::NotFound) }
    fn count(&self, _: &Sight, _: &Patience, _: &Question) -> Answer<u64> { Err(ArchiveError::NotFound) }
    fn top(&self, _: &Sight, _: &Patience, _: &Question, _: &FieldRef, _: usize) -> Answer<Top> { Err(ArchiveError::NotFound) }
    fn survey(&self, _: &Sight, _: &Patience, _: &Question, _: &Survey) -> Answer<Surveyed> { Err(ArchiveError::NotFound) }
    fn histogram(&self, _: &Sight, _: &Patience, _: &Question, _: i64) -> Answer<Vec<Bar>> { Err(ArchiveError::NotFound) }
    fn span(&self, _: &Sight, _: &Patience, _: &Question) -> Answer<Option<(Timestamp, Timestamp)>> { Err(ArchiveError::NotFound) }
    fn event(&self, _: &Sight, _: &Patience, _: &str, _: usize) -> Answer<Vec<Record>> { Err(ArchiveError::NotFound) }
    fn proofs(&self, _: &Sight, _: &Patience, _: &str) -> Answer<Vec<String>> { Err(ArchiveError::NotFound) }
    fn export(&self, _: &Sight, _: &Patience, _: &Question, _: ExportFormat, _: &mut (dyn Write + Send)) -> Answer<u64> { Err(ArchiveError::NotFound) }
    fn follow(&self, _: &Sight, _: &Patience, _: &Question, _: Option<&Position>, _: usize) -> Answer<Followed> { Err(ArchiveError::NotFound) }
    fn sql(&self, _: &Sight, _: &Patience, _: &str, _: u64, _: &mut dyn FnMut(SqlPart) -> ControlFlow<()>) -> Answer<bool> { Err(ArchiveError::NotFound) }
    fn verdicts(&self, _: &Sight, _: &Patience, _: VerdictKind, _: &Wanted, _: &Slice) -> Answer<Page<Verdict>> { Err(ArchiveError::NotFound) }
    fn verdict(&self, _: &Sight, _: &Patience, _: VerdictKind, _: &str) -> Answer<Verdict> { Err(ArchiveError::NotFound) }
    fn rule_hits(&self, _: &Sight, _: &Patience, _: TimeRange) -> Answer<Vec<RuleHits>> { Err(ArchiveError::NotFound) }
    fn sources(&self, _: &Sight) -> Answer<Vec<SourceView>> { Err(ArchiveError::NotFound) }
    fn integrity(&self, _: &Sight) -> Answer<IntegrityView> { Err(ArchiveError::NotFound) }
    fn verify(&self, _: &Sight) -> Answer<IntegrityView> { Err(ArchiveError::NotFound) }
    fn dead_letters(&self, _: &Sight, _: &Slice) -> Answer<Page<DeadLetterView>> { Err(ArchiveError::NotFound) }
    fn dead_letter(&self, _: &Sight, _: u64) -> Answer<DeadLetterView> { Err(ArchiveError::NotFound) }
    fn replay_dead_letter(&self, _: &Sight, _: u64) -> Answer<ReplayView> { Err(ArchiveError::NotFound) }
    fn remove_dead_letter(&self, _: &Sight, _: u64) -> Answer<()> { Err(ArchiveError::NotFound) }
}

struct Deaf;

#[async_trait]
impl Ledger for Deaf {
    async fn keep(&self, _: &Action) -> Result<(), LedgerError> {
        Ok(())
    }
}

#[async_trait]
impl OwnAudit for Deaf {
    async fn record(&self, _: &Access) -> Result<(), AuditError> {
        Ok(())
    }
}

pub(crate) async fn web() -> Web {
    let dir = tempfile::tempdir().unwrap();
    let options = klio_desk::Options { cost: Cost::for_tests(), ..klio_desk::Options::default() };
    let place = Place::File(dir.path().join("desk.db"));
    let desk = Desk::open(&place, Arc::new(Deaf), options).await.unwrap();
    Web::new(Arc::new(Nothing), desk, Arc::new(Deaf), Options::default())
}
