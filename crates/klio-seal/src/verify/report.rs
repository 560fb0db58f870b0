//! What a verification found, in words.

use std::fmt;

use crate::{hash::Hash, key::Verifier, note::NoteError};

/// The outcome of [`super::log`].
#[derive(Debug, Clone, Default)]
pub struct LogReport {
    /// The log's name, if its checkpoint could be read.
    pub origin: Option<String>,
    /// How many entries its checkpoint speaks of.
    pub size: u64,
    /// The root that its checkpoint states.
    pub root: Hash,
    /// What is wrong. Empty means: nothing was altered, as far as signatures, witnesses and outside
    /// checkpoints reach.
    pub problems: Vec<Problem>,
    /// What is not wrong but should be known.
    pub facts: Vec<Fact>,
    /// The largest checkpoint that a quorum of witnesses cosigned.
    pub witnessed: Option<Witnessed>,
    /// The keys that sign the log now.
    pub keys: Vec<Verifier>,
    /// How many checkpoints the history held.
    pub checkpoints: u64,
}

/// What a quorum of witnesses has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witnessed {
    /// So many entries.
    pub size: u64,
    /// When the quorum was reached, in seconds since 1970.
    pub time: u64,
}

/// Where a checkpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The log's own `checkpoint`.
    Current,
    /// The log's history.
    History {
        /// The file.
        file: String,
        /// The line on which the note begins.
        line: u64,
    },
    /// One that was kept elsewhere, by its place in the list, from 0.
    Outside(usize),
}

/// Something is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no checkpoint or it cannot be read.
    #[error("the log's checkpoint cannot be read: {0}")]
    NoCheckpoint(String),
    /// A checkpoint is not signed by the key that was in charge.
    #[error("{at} is not signed by the log's key: {why}")]
    BadSignature {
        /// Which.
        at: Evidence,
        /// Why.
        why: NoteError,
    },
    /// A checkpoint is signed by a key that had handed the log over.
    #[error("{at}, of {size} entries, is signed by {key}, which handed the log over before")]
    RetiredKey {
        /// Which.
        at: Evidence,
        /// Its size.
        size: u64,
        /// The key.
        key: String,
    },
    /// A checkpoint belongs to another log.
    #[error("{at} is of the log {origin}")]
    OtherOrigin {
        /// Which.
        at: Evidence,
        /// Whose it is.
        origin: String,
    },
    /// A note cannot be read.
    #[error("{at} cannot be read: {why}")]
    Unreadable {
        /// Which.
        at: Evidence,
        /// Why.
        why: String,
    },
    /// A file of the log cannot be read.
    #[error("{file} cannot be read: {why}")]
    File {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// A file that the checkpoint speaks of does not exist.
    #[error("{file} is missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A file of hashes is not what the entries lead to.
    #[error("{file} was altered: hash {at} in it is wrong")]
    Tile {
        /// The file.
        file: String,
        /// The first hash in it that is wrong, lacking or too many, from 0.
        at: u64,
    },
    /// An entry is not the one whose hash the log holds.
    #[error("entry {index} was altered (in {file})")]
    Entry {
        /// Which.
        index: u64,
        /// Where.
        file: String,
    },
    /// A bundle cannot be cut into entries.
    #[error("{file} was altered: from entry {index} on it cannot be cut into entries")]
    Bundle {
        /// The file.
        file: String,
        /// The first entry that cannot be read.
        index: u64,
    },
    /// The entries do not lead to the root that was signed.
    #[error("the entries lead to the root {computed}, the checkpoint says {signed}")]
    Root {
        /// Where they lead.
        computed: Hash,
        /// What was signed.
        signed: Hash,
    },
    /// A checkpoint speaks of more entries than there are.
    #[error("the log has {size} entries, {at} proves that it had {had}: truncated")]
    Truncated {
        /// Which checkpoint.
        at: Evidence,
        /// What it says.
        had: u64,
        /// What is there.
        size: u64,
    },
    /// The log's checkpoint is older than its data: an old one was put back.
    #[error(
        "the checkpoint speaks of {size} entries, {at} proves that there were {had}, and they are there: an old checkpoint was put back"
    )]
    Replayed {
        /// Which checkpoint is newer.
        at: Evidence,
        /// What it says.
        had: u64,
        /// What the log's checkpoint says.
        size: u64,
    },
    /// A signed checkpoint does not lie on this log's history: it was rewritten, or there are two.
    #[error("fork: {at} signs other first {size} entries than the log holds (it agrees up to {agrees})")]
    Fork {
        /// Which checkpoint.
        at: Evidence,
        /// Its size.
        size: u64,
        /// The largest older checkpoint on which both agree; an entry between the two was altered.
        agrees: u64,
    },
    /// The history is not in order.
    #[error("{at} stands after a checkpoint of more entries")]
    HistoryOrder {
        /// Which.
        at: Evidence,
    },
    /// The history does not begin with the checkpoint of the empty log.
    #[error("the checkpoints before the one of {from} entries are missing from the history")]
    HistoryCut {
        /// The first that is there; the present size if there is none.
        from: u64,
    },
    /// The checkpoint that attested an idle minute is not in the history.
    #[error("the checkpoint that attested the idle minute of entry {index} is missing from the history")]
    TickUnattested {
        /// The tick.
        index: u64,
    },
    /// A key took over, but no checkpoint of the old key over just that entry was kept.
    #[error("entry {index} hands the log over to {key}, but no checkpoint of the key before attests it")]
    RotationUnattested {
        /// The entry.
        index: u64,
        /// The key that would take over.
        key: String,
    },
    /// A witness's signature is wrong.
    #[error("a witness's signature at {at} is wrong: {why}")]
    BadCosignature {
        /// Where.
        at: Evidence,
        /// Whose.
        why: NoteError,
    },
    /// Fewer witnesses than the policy asks for cosigned any checkpoint.
    #[error("no checkpoint is cosigned by {quorum} witnesses, at most by {most}")]
    NotWitnessed {
        /// What the policy asks for.
        quorum: usize,
        /// The most that cosigned one checkpoint.
        most: usize,
    },
    /// An entry claims a later time than that at which a witness had seen it already.
    #[error("entry {index} claims a time {late} s after a witness had seen it")]
    AheadOfWitness {
        /// Which.
        index: u64,
        /// By how much.
        late: u64,
    },
    /// The log does not begin with `opened`.
    #[error("the log does not begin with a statement of who opened it")]
    NoGenesis,
    /// An authentic entry cannot be read.
    #[error("entry {index} cannot be read: {why}")]
    Manifest {
        /// Which.
        index: u64,
        /// Why.
        why: String,
    },
    /// An entry is older than one before it: back-dated, or a clock was set back.
    #[error("entry {index} is dated {back} s before an earlier one: back-dated, or the clock was set back")]
    BackDated {
        /// Which.
        index: u64,
        /// By how much.
        back: u64,
    },
    /// A segment holds events that were received after it was sealed.
    #[error("entry {index} states events received {late} s after it was made")]
    ReceivedLater {
        /// Which.
        index: u64,
        /// By how much.
        late: u64,
    },
    /// Flushes do not count up.
    #[error("entry {index} is flush {flush} of {table} after flush {before}")]
    Flush {
        /// Which.
        index: u64,
        /// The table.
        table: String,
        /// Its number.
        flush: u64,
        /// The one before it.
        before: u64,
    },
    /// A compaction or expiry names a leaf that states no file of its table and partition, or none any more.
    #[error("entry {index} takes the file of entry {source_index} away, but {why}")]
    Source {
        /// Which.
        index: u64,
        /// What it names.
        source_index: u64,
        /// Why that cannot be.
        why: &'static str,
    },
    /// A compaction holds more or fewer events than what it replaces.
    #[error("entry {index} replaces files of {before} events by one of {after}")]
    Rows {
        /// Which.
        index: u64,
        /// What there was.
        before: u64,
        /// What there is.
        after: u64,
    },
    /// Two files that exist at the same time have one path.
    #[error("entry {index} states a file at {file}, where entry {earlier} has one")]
    SamePath {
        /// Which.
        index: u64,
        /// The earlier one.
        earlier: u64,
        /// The path.
        file: String,
    },
}

/// Something that should be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fact {
    /// Nothing was attested for longer than two ticks.
    #[error("nothing is attested for {seconds} s before entry {index}{}", if *.restart { " (a restart)" } else { "" })]
    Unattested {
        /// The entry that ended the silence.
        index: u64,
        /// How long it lasted.
        seconds: u64,
        /// Whether the entry is `opened`.
        restart: bool,
    },
    /// An entry of a kind that a newer version wrote.
    #[error("entry {index} is of the newer kind {kind}")]
    NewerKind {
        /// Which.
        index: u64,
        /// Its kind.
        kind: String,
    },
    /// An entry has more fields than this version knows.
    #[error("entry {index} holds more than this version knows")]
    NewerFields {
        /// Which.
        index: u64,
    },
    /// The log was handed over to another key.
    #[error("entry {index} hands the log over to {key}")]
    Rotated {
        /// Which.
        index: u64,
        /// The new key.
        key: String,
    },
    /// A file was removed by retention while a hold was in force; whether it fell under the hold's filter
    /// only the lake can tell.
    #[error("entry {index} removed files while {holds} holds were in force")]
    ExpiryUnderHold {
        /// Which.
        index: u64,
        /// How many.
        holds: usize,
    },
    /// Bytes or files beyond the checkpoint, as a crash leaves them. Nothing attests them.
    #[error("{file} holds what the checkpoint does not speak of")]
    Beyond {
        /// The file.
        file: String,
    },
    /// The newest note of the history is incomplete: a write under way, or a crash.
    #[error("the newest note of the history is incomplete")]
    TornHistory,
    /// More problems of one kind than are listed.
    #[error("{0} more problems are not listed")]
    More(u64),
}

/// Most problems and facts that are listed.
const MOST: usize = 10_000;

impl LogReport {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        } else if let Some(Fact::More(more)) = self.facts.last_mut() {
            *more += 1;
        } else {
            self.facts.push(Fact::More(1));
        }
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        if self.facts.len() < MOST {
            self.facts.push(fact);
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => write!(f, "the log's checkpoint"),
            Self::History { file, line } => write!(f, "the checkpoint at {file}:{line}"),
            Self::Outside(place) => write!(f, "outside checkpoint {place}"),
        }
    }
}
