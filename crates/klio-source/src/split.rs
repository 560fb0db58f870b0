//! Cuts a stream into pieces. Lines that run from `{` to `}` pass at the speed of a line-feed search; everything else
//! is looked at more closely: blank lines, text, values of many lines, cut lines, lines beyond the cap.

use std::sync::Arc;

use memchr::memchr;

use crate::chunk::{Kind, Piece};
use crate::docscan::{DocScan, Flow};
use crate::parts::{self, Parts};
use crate::scan::skip_value;
use crate::{Reason, Rejected};

/// A container runtime's line is no longer, as its parts have 16 KiB before they are escaped.
const PART_CAP: usize = 128 << 10;
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
    /// Behind a value, on the same line.
    midline: bool,
    /// Bytes that come again and are known to hold no line feed.
    sought: usize,
    parts: Parts,
    /// NULs passed over and not yet told.
    nuls: u64,
}

enum Careful {
    Next(usize),
    Hold(usize),
}

impl Splitter {
    pub(crate) fn new(limits: Limits) -> Self {
        let parts = Parts::default();
        Self { limits, line: 1, doc: None, skipping: false, midline: false, sought: 0, parts, nuls: 0 }
    }

    /// Cuts `buf`; returns from where on the bytes must come again at the start of the next buffer.
    pub(crate) fn split(&mut self, buf: &[u8], eof: bool, out: &mut Pieces) -> usize {
        let from = self.parts.restore(out);
        let keep = self.cut(buf, from, eof, out);
        if eof { keep } else { self.parts.hold(keep, buf.len(), self.line, self.limits.record_cap, out) }
    }

    fn cut(&mut self, buf: &[u8], mut pos: usize, eof: bool, out: &mut Pieces) -> usize {
        // The next line feed, searched once however many values stand before it.
        let mut feed: Option<usize> = None;
        let mut sought = pos + std::mem::take(&mut self.sought);
        loop {
            if let Some(doc) = &mut self.doc {
                match doc.run(buf, eof, self.limits, out) {
                    Flow::Need { keep } => return keep,
                    Flow::Lines { at, line } => {
                        self.doc = None;
                        self.midline = at.checked_sub(1).and_then(|i| buf.get(i)) != Some(&b'\n');
                        self.line = line;
                        pos = at;
                    }
                }
            }
            if feed.is_none_or(|at| at < pos) {
                sought = sought.max(pos);
                feed = memchr(b'\n', buf.get(sought..).unwrap_or_default()).map(|n| sought + n);
                sought = feed.unwrap_or(buf.len());
            }
            if self.skipping {
                let Some(at) = feed else { return buf.len() };
                self.skipping = false;
                self.midline = false;
                self.line += 1;
                pos = at + 1;
                continue;
            }
            let rest = buf.get(pos..).unwrap_or_default();
            if rest.is_empty() {
                if eof {
                    self.tell_nuls(out);
                }
                return buf.len();
            }
            if self.midline
                && let Some(b'{' | b'[') = rest.first()
            {
                // Nothing tells a line here: records without line feeds between them.
                let line = buf.get(pos..feed.unwrap_or(buf.len())).unwrap_or_default();
                if let Ok(n) = skip_value(line, 0) {
                    out.push(pos, pos + n, self.line, Kind::Value);
                    pos += n;
                    continue;
                }
            }
            let end = match feed {
                Some(at) => Some(at),
                None if eof => Some(buf.len()),
                None if rest.len() < self.limits.chunk
                    || (rest.len() < PART_CAP && parts::may_be_docker(rest)) =>
                {
                    self.sought = rest.len();
                    return pos;
                }
                None => None,
            };
            if let Some(end) = end
                && let Some(line) = buf.get(pos..end)
                && is_line(line)
            {
                if line.starts_with(parts::DOCKER) {
                    self.parts.push(buf, (pos, end), self.line, Kind::Line, out);
                } else {
                    self.parts.break_off(self.line, out);
                    out.push(pos, end, self.line, Kind::Line);
                }
                pos = buf.len().min(end + 1);
                self.line += u64::from(end < buf.len());
                self.midline = false;
                continue;
            }
            match self.careful(buf, pos, feed, eof, out) {
                Careful::Next(at) => pos = at,
                Careful::Hold(at) => {
                    self.sought = if feed.is_none() { buf.len() - at } else { 0 };
                    return at;
                }
            }
        }
    }

    /// A file system that crashed leaves NULs where records were.
    fn tell_nuls(&mut self, out: &mut Pieces) {
        let bytes = std::mem::take(&mut self.nuls);
        if bytes > 0 {
            self.parts.break_off(self.line, out);
            out.reject(self.line, Reason::Nul { bytes });
        }
    }

    fn careful(
        &mut self,
        buf: &[u8],
        pos: usize,
        feed: Option<usize>,
        eof: bool,
        out: &mut Pieces,
    ) -> Careful {
        let mut p = pos;
        loop {
            match buf.get(p) {
                // A comma may stand between values.
                Some(b' ' | b'\t' | b'\r' | b',') => p += 1,
                Some(0) => {
                    self.nuls += 1;
                    p += 1;
                }
                Some(0xef) if buf.get(p..p + 3) == Some(b"\xef\xbb\xbf") => p += 3,
                Some(b'\n') => {
                    self.tell_nuls(out);
                    self.line += 1;
                    self.midline = false;
                    return Careful::Next(p + 1);
                }
                None if !eof => return Careful::Hold(p),
                None => {
                    self.tell_nuls(out);
                    return Careful::Next(p);
                }
                Some(_) => break,
            }
        }
        self.tell_nuls(out);
        let held = buf.len() - p;
        match buf.get(p) {
            Some(b'{') => {
                self.parts.break_off(self.line, out);
                self.doc = Some(DocScan::new(p, self.line, p - pos));
                return Careful::Next(p);
            }
            Some(b'[') => match buf.get(crate::scan::skip_ws(buf, p + 1)) {
                None if !eof && held < LOOKAHEAD => return Careful::Hold(p),
                Some(b'{' | b'[' | b']') | None => {
                    self.parts.break_off(self.line, out);
                    self.doc = Some(DocScan::new(p, self.line, p - pos));
                    return Careful::Next(p);
                }
                _ => {}
            },
            _ => {}
        }
        match feed {
            Some(end) => {
                self.parts.push(buf, (p, end), self.line, Kind::Text, out);
                self.line += 1;
                self.midline = false;
                Careful::Next(end + 1)
            }
            None if eof => {
                self.parts.push(buf, (p, buf.len()), self.line, Kind::Text, out);
                Careful::Next(buf.len())
            }
            None if held > self.limits.record_cap => {
                self.parts.break_off(self.line, out);
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
