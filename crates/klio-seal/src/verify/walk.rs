//! Goes through entries and checkpoints side by side: at each size that a checkpoint speaks of, the entries so
//! far must lead to its root, and it must be signed by the key in charge there.

use std::path::Path as FsPath;

use super::{
    TOLERANCE,
    keys::{By, Keys},
    report::{Evidence, Fact, LogReport, Problem, Witnessed},
    story::Story,
    tiles::{self, Leaves},
};
use crate::{
    hash::{Hash, leaf_hash},
    key::Verifier,
    manifest::{Entry, Statement},
    note::{Checkpoint, Note, NoteError},
    reader::{History, LogReader, read_tile},
    tile::{self, Row, WIDTH},
    tree::RowTree,
    witness::Policy,
};

struct Walk<'a> {
    directory: &'a FsPath,
    policy: &'a Policy,
    report: LogReport,
    keys: Keys,
    /// The size up to which checkpoints and entries agree.
    agrees: u64,
    /// Whether a fork was named; a rewritten log disagrees with each later checkpoint of its history.
    forked: bool,
    /// Most witnesses that signed one checkpoint.
    most: usize,
}

/// A checkpoint that was read.
struct Claim {
    at: Evidence,
    checkpoint: Checkpoint,
    note: Note,
}

/// Verifies the log in `directory`.
///
/// `trusted` are the keys that may have signed its first checkpoints; keys that took over later are followed.
/// `outside` are signed checkpoints that were kept elsewhere: without them, or the cosignatures that `policy`
/// asks for, nobody can tell a log from one that was rewritten with its own key.
pub fn log(directory: &FsPath, trusted: &[Verifier], outside: &[String], policy: &Policy) -> LogReport {
    let mut walk = Walk {
        directory,
        policy,
        report: LogReport::default(),
        keys: Keys::new(trusted),
        agrees: 0,
        forked: false,
        most: 0,
    };
    let current = walk.current();
    let (size, root) =
        current.as_ref().map_or((0, Hash::empty()), |claim| (claim.checkpoint.size, claim.checkpoint.root));
    walk.report.size = size;
    walk.report.root = root;
    walk.report.origin = current.as_ref().map(|claim| claim.checkpoint.origin.clone());
    let leaves = tiles::leaves(directory, size, &root, &mut walk.report);
    tiles::files(directory, size, &leaves, &mut walk.report);
    let claims = walk.outside(outside);
    walk.through(&leaves, current, claims);
    walk.finish()
}

impl Walk<'_> {
    fn current(&mut self) -> Option<Claim> {
        let read = LogReader::open(self.directory);
        let read = read.map_err(|error| error.to_string()).and_then(|reader| {
            let read = Checkpoint::parse(reader.checkpoint());
            read.map_err(|error| error.to_string())
        });
        match read {
            Ok((checkpoint, note)) => Some(Claim { at: Evidence::Current, checkpoint, note }),
            Err(why) => {
                self.report.problem(Problem::NoCheckpoint(why));
                None
            }
        }
    }

    /// The checkpoints kept elsewhere, the smallest last.
    fn outside(&mut self, outside: &[String]) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (place, text) in outside.iter().enumerate() {
            let at = Evidence::Outside(place);
            match Checkpoint::parse(text) {
                Ok((checkpoint, note)) => claims.push(Claim { at, checkpoint, note }),
                Err(why) => self.report.problem(Problem::Unreadable { at, why: why.to_string() }),
            }
        }
        claims.sort_by_key(|claim| std::cmp::Reverse(claim.checkpoint.size));
        claims
    }

    fn through(&mut self, leaves: &Leaves, mut current: Option<Claim>, mut outside: Vec<Claim>) {
        let mut history = Notes::open(self);
        let mut tree = RowTree::new();
        let mut story = Story::default();
        let mut bundle = Vec::new();
        if self.report.size == 0 {
            self.report.problem(Problem::NoGenesis);
        }
        for size in 0..=leaves.hashes.len() as u64 {
            let mut entry = None;
            if let Some(index) = size.checked_sub(1) {
                let hash = leaves.hashes[index as usize];
                tree.push(hash);
                if index.is_multiple_of(WIDTH) {
                    let width = (self.report.size - index).min(WIDTH);
                    bundle =
                        read_tile(self.directory, Row::Entries, index / WIDTH, width).unwrap_or_default();
                }
                // An altered entry was named with its file; what it says does not count.
                let bytes = tile::entries(&bundle).nth((index % WIDTH) as usize);
                if let Some(bytes) = bytes.filter(|bytes| leaf_hash(bytes) == hash) {
                    entry = story.entry(index, bytes, &mut self.report);
                }
            }
            let root = tree.root();
            let mut attested = None;
            let time = story.newest();
            while let Some(claim) = history.next_at(size, self) {
                attested = self.judge(&claim, Some(root), time).or(attested);
            }
            if let Some(claim) = current.take_if(|claim| claim.checkpoint.size == size) {
                attested = self.judge(&claim, Some(root), time).or(attested);
            }
            while let Some(claim) = outside.pop_if(|claim| claim.checkpoint.size == size) {
                attested = self.judge(&claim, Some(root), time).or(attested);
            }
            if let Some(entry) = entry {
                self.consequences(size - 1, &entry, attested);
            }
        }
        // What speaks of more entries than there are.
        if let Some(claim) = current {
            self.judge(&claim, None, None);
        }
        for claim in outside.into_iter().rev() {
            self.newer(&claim);
        }
        while let Some(claim) = history.next_at(u64::MAX, self) {
            self.newer(&claim);
        }
        if !history.begun && self.report.size > 0 {
            self.report.problem(Problem::HistoryCut { from: self.report.size });
        }
    }

    /// A tick must have its own checkpoint; a rotation takes effect if the key before attests it.
    fn consequences(&mut self, index: u64, entry: &Entry, attested: Option<Verifier>) {
        if matches!(entry.statement(), Some(Statement::Tick)) && attested.is_none() {
            self.report.problem(Problem::TickUnattested { index });
        }
        if let Some(new) = entry.next_key() {
            let key = new.to_string();
            match attested {
                Some(old) => {
                    self.keys.rotate(&old, new);
                    self.report.fact(Fact::Rotated { index, key });
                }
                None => self.report.problem(Problem::RotationUnattested { index, key }),
            }
        }
    }

    /// Judges one checkpoint; returns the key that signed it if it counts as evidence and agrees.
    fn judge(&mut self, claim: &Claim, root: Option<Hash>, time: Option<i64>) -> Option<Verifier> {
        let by = self.believe(claim, time)?;
        let (at, size) = (claim.at.clone(), claim.checkpoint.size);
        let root = root?;
        if root == claim.checkpoint.root {
            self.agrees = size;
            return by;
        }
        if at == Evidence::Current {
            self.report.problem(Problem::Root { computed: root, signed: claim.checkpoint.root });
        } else if !self.forked || matches!(at, Evidence::Outside(_)) {
            self.report.problem(Problem::Fork { at, size, agrees: self.agrees });
            self.forked = true;
        }
        None
    }

    /// A checkpoint of more entries than the log's own speaks of, or than could be read.
    fn newer(&mut self, claim: &Claim) {
        let (had, size) = (claim.checkpoint.size, self.report.size);
        if had <= size || self.believe(claim, None).is_none() {
            return;
        }
        let at = claim.at.clone();
        // A writer may have been faster than this reading.
        let now = LogReader::open(self.directory).map_or(0, |reader| reader.size());
        if matches!(at, Evidence::History { .. }) && now >= had {
            return;
        }
        let last = (had - 1) / WIDTH;
        let there = read_tile(self.directory, Row::Level(0), last, had - last * WIDTH).is_ok();
        self.report.problem(if there {
            Problem::Replayed { at, had, size }
        } else {
            Problem::Truncated { at, had, size }
        });
    }

    /// Checks origin, signature and cosignatures. `Some` when the checkpoint is evidence, with the log's key
    /// that signed; a checkpoint kept elsewhere may instead be vouched for by witnesses.
    fn believe(&mut self, claim: &Claim, time: Option<i64>) -> Option<Option<Verifier>> {
        let (at, size) = (claim.at.clone(), claim.checkpoint.size);
        if self.report.origin.as_ref().is_some_and(|origin| *origin != claim.checkpoint.origin) {
            let origin = claim.checkpoint.origin.clone();
            self.report.problem(Problem::OtherOrigin { at, origin });
            return None;
        }
        let witnesses = match self.policy.count(&claim.note) {
            Ok((count, reached)) => {
                self.witnessed(size, count, reached, time);
                count
            }
            Err(why) => {
                self.report.problem(Problem::BadCosignature { at: at.clone(), why });
                0
            }
        };
        match self.keys.signed(&claim.note) {
            Ok(By::Active(key)) => return Some(Some(key)),
            Ok(By::Retired(key)) => {
                self.report.problem(Problem::RetiredKey { at, size, key: key.to_string() });
            }
            Err(NoteError::Unsigned) if witnesses > 0 && matches!(at, Evidence::Outside(_)) => {
                return Some(None);
            }
            Err(why) => self.report.problem(Problem::BadSignature { at, why }),
        }
        None
    }

    fn witnessed(&mut self, size: u64, count: usize, reached: Option<u64>, newest: Option<i64>) {
        self.most = self.most.max(count);
        let Some(time) = reached.filter(|_| self.policy.quorum > 0) else { return };
        if self.report.witnessed.is_none_or(|earlier| earlier.size < size) {
            self.report.witnessed = Some(Witnessed { size, time });
        }
        // Witnesses count in seconds: up to one more may have passed.
        let seen = i64::try_from(time).unwrap_or(i64::MAX).saturating_add(1).saturating_mul(1_000_000);
        if let Some(newest) = newest.filter(|newest| *newest > seen && newest.abs_diff(seen) > TOLERANCE) {
            let late = newest.abs_diff(seen) / 1_000_000;
            self.report.problem(Problem::AheadOfWitness { index: size.saturating_sub(1), late });
        }
    }

    fn finish(mut self) -> LogReport {
        if self.most < self.policy.quorum {
            let (quorum, most) = (self.policy.quorum, self.most);
            self.report.problem(Problem::NotWitnessed { quorum, most });
        }
        self.report.keys = self.keys.into_active();
        self.report
    }
}

/// The history, one checkpoint ahead.
struct Notes {
    history: Option<History>,
    ahead: Option<Claim>,
    /// The size of the last one.
    size: u64,
    /// Whether one was read.
    begun: bool,
    /// Whether the one before could not be read: one damage is named once.
    bad: bool,
}

impl Notes {
    fn open(walk: &mut Walk<'_>) -> Self {
        let history = match History::open(walk.directory) {
            Ok(history) => Some(history),
            Err(error) => {
                walk.report.problem(Problem::File { file: "checkpoints".into(), why: error.to_string() });
                None
            }
        };
        Self { history, ahead: None, size: 0, begun: false, bad: false }
    }

    /// The next checkpoint, if it is of at most `size` entries.
    fn next_at(&mut self, size: u64, walk: &mut Walk<'_>) -> Option<Claim> {
        while self.ahead.is_none() {
            let kept = match self.history.as_mut()?.next()? {
                Ok(kept) => kept,
                Err(error) => {
                    walk.report.problem(Problem::File { file: "checkpoints".into(), why: error.to_string() });
                    continue;
                }
            };
            walk.report.checkpoints += 1;
            let at = Evidence::History { file: kept.file, line: kept.line };
            let why = match &kept.note {
                Ok(text) => match Checkpoint::parse(text) {
                    Ok((checkpoint, note)) => {
                        self.bad = false;
                        if !self.begun && checkpoint.size > 0 {
                            walk.report.problem(Problem::HistoryCut { from: checkpoint.size });
                        }
                        self.begun = true;
                        if checkpoint.size < self.size {
                            walk.report.problem(Problem::HistoryOrder { at: at.clone() });
                        }
                        // One that is out of order is judged by its signature only.
                        if checkpoint.size >= self.size {
                            self.size = checkpoint.size;
                            self.ahead = Some(Claim { at, checkpoint, note });
                        }
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Err(torn) => {
                    let now = LogReader::open(walk.directory);
                    // The newest, being written: the present checkpoint, or one that came since this reading began.
                    let newer = |now: &LogReader| {
                        now.size() > walk.report.size && torn.starts_with(&format!("{}\n", now.origin()))
                    };
                    if now.is_ok_and(|now| now.checkpoint().starts_with(torn.as_str()) || newer(&now)) {
                        walk.report.fact(Fact::TornHistory);
                        continue;
                    }
                    "it is not complete".to_owned()
                }
            };
            if !self.bad {
                walk.report.problem(Problem::Unreadable { at, why });
            }
            self.bad = true;
        }
        self.ahead.take_if(|claim| claim.checkpoint.size <= size)
    }
}
