//! Cuts a stream into pieces. Lines that run from `{` to `}` pass at the speed of a line-feed search; everything else
//! is looked at more closely: blank lines, text, values of many lines, cut lines, lines beyond the cap.

use std::sync::Arc;

use memchr::memchr;

use crate::chunk::{Kind, Piece};
use crate::docscan::{DocScan, Flow};
use crate::{Reason, Rejected};

/// White space accepted between `[` and the first record, so that a list can be told from a text line.
const LOOKAHEAD: usize = 64 << 10;

/// The sizes the splitter heeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub record_cap: usize,
    pub chunk: usize,
}

/// What one buffer was cut into.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub list: Vec<Piece>,
    pub rejected: Vec<Rejected>,
    pub heads: Vec<Arc<[u8]>>,
    pub first_line: u64,
    pub file: Arc<str>,
}

impl Pieces {
    pub(crate) fn push(&mut self, start: usize, end: usize, line: u64, kind: Kind) {
        let line = line.saturating_sub(self.first_line) as u32;
        self.list.push(Piece { start: start as u32, end: end as u32, line, kind });
    }

    pub(crate) fn reject(&mut self, line: u64, reason: Reason) {
        let number = self.rejected.len() as u32;
        self.rejected.push(Rejected { file: self.file.clone(), line, count: 1, reason });
        self.push(0, 0, line, Kind::Rejected(number));
    }

    pub(crate) fn head(&mut self, head: &Arc<[u8]>) -> u32 {
        self.heads.push(head.clone());
        self.heads.len() as u32 - 1
    }
}

/// The state between buffers.
#[derive(Debug)]
pub(crate) struct Splitter {
    limits: Limits,
    /// Line (1-based) of the next byte, or of the start of the value being followed.
    pub line: u64,
    doc: Option<DocScan>,
    /// Inside a line that was rejected for its length.
    skipping: bool,
}

enum Careful {
    Next(usize),
    Hold(usize),
}

impl Splitter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, line: 1, doc: None, skipping: false }
    }

    /// Cuts `buf`; returns from where on the bytes must come again at the start of the next buffer.
    pub(crate) fn split(&mut self, buf: &[u8], eof: bool, out: &mut Pieces) -> usize {
        let mut pos = 0;
        loop {
            if let Some(doc) = &mut self.doc {
                match doc.run(buf, eof, self.limits, out) {
                    Flow::Need { keep } => return keep,
                    Flow::Lines { at, line } => {
                        self.doc = None;
                        self.line = line;
                        pos = at;
                    }
                }
            }
            if self.skipping {
                let Some(n) = memchr(b'\n', buf.get(pos..).unwrap_or_default()) else { return buf.len() };
                self.skipping = false;
                self.line += 1;
                pos += n + 1;
            }
            let rest = buf.get(pos..).unwrap_or_default();
            if rest.is_empty() {
                return buf.len();
            }
            let end = match memchr(b'\n', rest) {
                Some(n) => Some(n),
                None if eof => Some(rest.len()),
                None if rest.len() < self.limits.chunk => return pos,
                None => None,
            };
            if let Some(n) = end
                && is_line(rest.get(..n).unwrap_or_default())
            {
                out.push(pos, pos + n, self.line, Kind::Line);
                pos = buf.len().min(pos + n + 1);
                self.line += u64::from(n < rest.len());
                continue;
            }
            match self.careful(buf, pos, eof, out) {
                Careful::Next(at) => pos = at,
                Careful::Hold(at) => return at,
            }
        }
    }

    fn careful(&mut self, buf: &[u8], pos: usize, eof: bool, out: &mut Pieces) -> Careful {
        let mut p = pos;
        loop {
            match buf.get(p) {
                // NULs are what a crashed file system leaves; a comma may stand between values.
                Some(b' ' | b'\t' | b'\r' | 0 | b',') => p += 1,
                Some(0xef) if buf.get(p..p + 3) == Some(b"\xef\xbb\xbf") => p += 3,
                Some(b'\n') => {
                    self.line += 1;
                    return Careful::Next(p + 1);
                }
                None => return if eof { Careful::Next(p) } else { Careful::Hold(p) },
                Some(_) => break,
            }
        }
        let held = buf.len() - p;
        match buf.get(p) {
            Some(b'{') => {
                self.doc = Some(DocScan::new(p, self.line, p - pos));
                return Careful::Next(p);
            }
            Some(b'[') => match buf.get(crate::scan::skip_ws(buf, p + 1)) {
                None if !eof && held < LOOKAHEAD => return Careful::Hold(p),
                Some(b'{' | b'[' | b']') | None => {
                    self.doc = Some(DocScan::new(p, self.line, p - pos));
                    return Careful::Next(p);
                }
                _ => {}
            },
            _ => {}
        }
        let text = buf.get(p..).unwrap_or_default();
        match memchr(b'\n', text) {
            Some(n) => {
                out.push(p, p + n, self.line, Kind::Text);
                self.line += 1;
                Careful::Next(p + n + 1)
            }
            None if eof => {
                out.push(p, buf.len(), self.line, Kind::Text);
                Careful::Next(buf.len())
            }
            None if held > self.limits.record_cap => {
                out.reject(self.line, Reason::TooLong { cap: self.limits.record_cap as u64 });
                self.skipping = true;
                Careful::Next(buf.len())
            }
            None => Careful::Hold(p),
        }
    }
}

/// From `{` to `}`.
fn is_line(line: &[u8]) -> bool {
    matches!(line, [b'{', .., b'}'] | [b'{', .., b'}', b'\r'])
}
