//! A piece of a followed file: whole lines, and the position behind them.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use super::mark::{self, Mark};
use crate::{Chunks, Input, Item, Options, Rejected, decode};

/// Whole lines of a file that is followed. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The place whose position it moves: where the file lay when it was met first.
    pub path: Arc<str>,
    /// Where the file lies now, as far as is known.
    pub file: Arc<str>,
    /// The lines, inflated. Empty if only `rejected` is to be told.
    pub bytes: Arc<Vec<u8>>,
    /// Number of the first line in the file, from 1.
    pub line: u64,
    /// What was passed over before these lines.
    pub rejected: Vec<Rejected>,
    /// Which file of the follower it is of.
    pub(crate) of: usize,
    /// Where the file has been read to with it, but for its events.
    pub(crate) mark: Mark,
    /// Marks of other files with the same position: older, and newer.
    pub(crate) others: (Vec<Mark>, Vec<Mark>),
    pub(crate) options: Options,
}

/// Bytes that a reader shares.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Piece {
    /// Gives everything that the piece holds to `sink`, in order. Returns how many records there were.
    pub fn decode(&self, sink: &mut dyn FnMut(Item<'_>)) -> u64 {
        for rejected in &self.rejected {
            sink(Item::Rejected(rejected.clone()));
        }
        let input = Input { name: self.file.clone(), ..Input::file(Path::new("")) };
        let bytes = Box::new(Cursor::new(Shared(self.bytes.clone())));
        let mut records = 0;
        if self.bytes.is_empty() {
            return records;
        }
        for chunk in Chunks::lines(bytes, &input, &self.options, self.line) {
            decode(&chunk, &mut |item| {
                records += u64::from(matches!(item, Item::Record(_)));
                sink(item);
            });
        }
        records
    }

    /// The source whose position this is.
    pub fn source(&self) -> String {
        format!("file:{}", self.path)
    }

    /// The position behind the piece, as JSON, if it holds so many records: what [`Piece::decode`] returned. To be made
    /// durable together with them, in place of the one that the source has.
    pub fn position(&self, records: u64) -> String {
        let mut all = self.others.0.clone();
        all.push(self.after(records));
        all.extend_from_slice(&self.others.1);
        mark::write(&all)
    }

    pub(crate) fn after(&self, records: u64) -> Mark {
        Mark { events: self.mark.events + records, ..self.mark.clone() }
    }
}
