//! A chunk: a stretch of one input's inflated bytes, cut at record boundaries, ready to be decoded by any thread.
//! Its buffers go back to their pool when it is dropped, so that a long read allocates only a few.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{InputId, Rejected, Skipped};

/// Buffers kept for reuse.
const KEPT: usize = 16;

/// Where the buffers of dropped chunks wait. Share one among the readers of a run.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Buffers>>>);

/// A chunk's memory.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Room; what is left from earlier chunks stands behind `used`.
    pub bytes: Vec<u8>,
    pub used: usize,
    pub pieces: Vec<Piece>,
}

impl Pool {
    pub(crate) fn take(&self) -> Buffers {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, mut buffers: Buffers, usual: usize) {
        // A buffer that grew for one huge record is not kept.
        if buffers.bytes.len() > usual.saturating_mul(4) {
            return;
        }
        buffers.used = 0;
        buffers.pieces.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(buffers);
        }
    }
}

/// What a stretch of bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A line from `{` to `}`: most likely one record.
    Line,
    /// A JSON value, perhaps of many lines, whose brackets are balanced.
    Doc,
    /// One JSON value within a line, from its opening to its closing bracket.
    Value,
    /// Parts of one line of a container's log, by the number of their stream; see `parts.rs`.
    First(u8),
    Part(u8),
    Last(u8),
    /// No bytes: the end of what is open in a stream did not come.
    Over(u8),
    /// Elements of a list too large to be held; the number is that of the list's head in `heads`.
    Elements(u32),
    /// A line that does not begin like JSON.
    Text,
    /// No bytes: the number of an entry in `rejected`.
    Rejected(u32),
}

/// A stretch of a chunk's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub start: u32,
    pub end: u32,
    /// Lines after the chunk's first line.
    pub line: u32,
    pub kind: Kind,
}

/// A stretch of one input, cut at record boundaries.
#[derive(Debug)]
pub struct Chunk {
    /// Which input it is of.
    pub input: InputId,
    /// The input's name.
    pub file: Arc<str>,
    /// 1-based line at which it starts.
    pub first_line: u64,
    /// Whether it is the first chunk of its input.
    pub begins: bool,
    /// Bytes of the input (before inflation) read so far: for a progress bar.
    pub consumed: u64,
    pub(crate) buffers: Buffers,
    pub(crate) heads: Vec<Arc<[u8]>>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) usual: usize,
    pub(crate) pool: Pool,
}

impl Chunk {
    /// The inflated bytes.
    pub fn bytes(&self) -> &[u8] {
        self.buffers.bytes.get(..self.buffers.used).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.buffers), self.usual);
    }
}
