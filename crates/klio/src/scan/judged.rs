//! What a worker hands to the sequence: all that must be looked at in order, and no more.

use std::sync::Arc;

use klio_detect::Match;
use klio_detect::memory::Trace;
use klio_detect::story::Ending;
use klio_model::Stage;
use klio_source::{Rejected, Skipped};

use super::tally::Times;
use crate::keep::{Origin, Shelf};

/// Bytes of texts that a result keeps room for.
const ROOM: usize = 4 << 20;

/// One event.
pub(super) struct Seen {
    /// Stands for audit id and stage.
    pub key: u64,
    /// Stands for everything in it.
    pub content: u64,
    /// User, credential, client and address.
    pub session: u64,
    /// User and address.
    pub actor: u64,
    /// The same for all stages of a request.
    pub request: u64,
    /// Microseconds; `i64::MIN` if it has no time.
    pub time: i64,
    /// The line of its file on which it begins.
    pub line: u64,
    /// The user and his address, if the address is public; 0 for the control plane.
    pub stranger: u64,
    /// The credential that the response issued, hashed; 0 for none.
    pub issued: u64,
    /// Index into [`Judged::users`].
    pub user: u32,
    /// How it ended.
    pub ending: Ending,
    /// Where its audit id and words stand in [`Judged::texts`].
    pub text: (u32, u16, u16),
    /// Its hits.
    pub hits: (u32, u32),
    /// What the memory learns of it: index into [`Judged::traces`]; `u32::MAX` for nothing.
    pub trace: u32,
    pub stage: Stage,
    /// The control plane's own work.
    pub quiet: bool,
    /// Several stages of this request are judged.
    pub long: bool,
}

/// A rule's yes.
pub(super) struct Hit {
    pub rule: u32,
    pub proven: bool,
    /// No yes yet: the rule is to be asked again with the facts of the past.
    pub later: bool,
    /// The entry of the allow-list that excuses it; `u32::MAX` for none.
    pub allowed: u32,
    /// Index into [`Judged::scenes`].
    pub scene: u32,
    /// The finding's id.
    pub id: u64,
    /// The finding's JSON in [`Judged::listed`], if findings are listed.
    pub listed: (u32, u32),
    /// What correlations need to know.
    pub matched: Option<Box<Match>>,
}

/// An event with hits.
pub(super) struct Scene {
    /// Its text in [`Judged::kept`]: a sentence is written only if a story asks for it.
    pub json: (u32, u32),
    pub salvaged: bool,
    /// Who made it acted as somebody else.
    pub acting: bool,
    /// What it changed, as stories link objects.
    pub wrote: Option<u64>,
    /// What it read or entered.
    pub reached: Option<u64>,
    /// The binding that allowed it.
    pub binding: Option<u64>,
}

/// The result for one chunk. Used again for another chunk, so that a scan asks for its memory once.
#[derive(Default)]
pub(super) struct Judged {
    pub file: Arc<str>,
    /// When the chunk begins, if other inputs may hold events of the same time.
    pub begins: Option<i64>,
    pub seen: Vec<Seen>,
    pub texts: String,
    pub hits: Vec<Hit>,
    pub scenes: Vec<Scene>,
    pub traces: Vec<Trace>,
    pub kept: String,
    pub listed: Vec<u8>,
    /// The records are in the spool already, as a part of this batch.
    pub spooled: Option<(u64, Origin)>,
    /// Stands for the begin of the input ([`crate::keep::head`]), if this is its first chunk.
    pub head: Option<u64>,
    pub users: Vec<Box<str>>,
    /// The events' columns, if they are kept.
    pub shelf: Shelf,
    pub times: Times,
    pub rejected: Vec<Rejected>,
    pub skipped: Vec<Skipped>,
    /// Events outside `--where`, `--since` and `--until`.
    pub filtered: u64,
    pub bytes: u64,
    /// Which event of its file is the first, if events are kept.
    pub first: u64,
    /// Events that were cut on their way; of these, the lines of those that change something.
    pub salvaged: u64,
    pub salvaged_writes: Vec<u64>,
    /// Stages per format name.
    pub formats: Vec<(&'static str, u64)>,
}

impl Judged {
    /// Nothing but the room of what was in it before.
    pub(super) fn renewed(self, file: Arc<str>, bytes: u64, begins: Option<i64>) -> Self {
        let Self {
            mut seen,
            mut texts,
            mut hits,
            mut scenes,
            mut traces,
            mut kept,
            mut listed,
            mut users,
            mut shelf,
            ..
        } = self;
        shelf.clear();
        seen.clear();
        hits.clear();
        scenes.clear();
        traces.clear();
        users.clear();
        texts.clear();
        kept.clear();
        listed.clear();
        // A chunk with one huge event does not keep its room for ever.
        kept.shrink_to(ROOM);
        listed.shrink_to(ROOM);
        Self {
            file,
            begins,
            seen,
            texts,
            hits,
            scenes,
            traces,
            kept,
            listed,
            users,
            shelf,
            bytes,
            ..Self::default()
        }
    }
}
