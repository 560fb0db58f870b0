//! Container runtimes cut a long line into parts of 16 KiB and write each as a line of its own. Which lines are parts
//! of one line is decided here, where their order is known; `decode` puts them together.
//! Sources: kubernetes `pkg/kubelet/kuberuntime/logs/logs.go` (CRI: the tags `P` and `F`), moby
//! `daemon/logger/copier.go` and `daemon/logger/jsonfilelog/jsonlog` (Docker: a part's `log` ends without line feed).

use crate::Reason;
use crate::chunk::{Kind, Piece};
use crate::scan::{skip_string, skip_value, trim, unescape};
use crate::split::Pieces;
use crate::text::{TIME_CAP, begins_with_date};

/// How Docker's json-file driver begins every line.
pub(crate) const DOCKER: &[u8] = br#"{"log":""#;
/// Bytes of every part but the last.
const FULL: usize = 16 << 10;
/// Streams that are told apart: stdout and stderr, of CRI and of Docker.
pub(crate) const STREAMS: usize = 4;

/// One line of a container runtime's log file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Of which stream, below [`STREAMS`].
    pub stream: u8,
    /// The runtime went on in the next line of this stream.
    pub more: bool,
    /// What stands before the content.
    pub head: &'a [u8],
    /// What the container wrote; escaped if Docker's.
    pub content: &'a [u8],
    /// What stands after it.
    pub tail: &'a [u8],
}

/// A line of a CRI log: `time stream tags content`.
pub(crate) fn cri(b: &[u8]) -> Option<Part<'_>> {
    if !begins_with_date(b) {
        return None;
    }
    let mut at = memchr::memchr(b' ', b.get(..TIME_CAP).unwrap_or(b))? + 1;
    let stream = match b.get(at..at + 7)? {
        b"stdout " => 0,
        b"stderr " => 1,
        _ => return None,
    };
    at += 7;
    let rest = b.get(at..)?;
    // Tags are separated by colons; the first says whether the line is whole.
    let end = memchr::memchr(b' ', rest.get(..64).unwrap_or(rest)).unwrap_or(rest.len());
    let more = match rest.get(..end)?.split(|c| *c == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let (head, content) = b.split_at((at + end + 1).min(b.len()));
    Some(Part { stream, more, head, content, tail: b"" })
}

/// A line of Docker's json-file driver.
pub(crate) fn docker(b: &[u8]) -> Option<Part<'_>> {
    if !b.starts_with(DOCKER) {
        return None;
    }
    let end = skip_string(b, DOCKER.len() - 1).ok()? - 1;
    let tail = b.get(end..)?;
    let stream = [&br#"","stream":"stdout""#[..], br#"","stream":"stderr""#];
    let stream = 2 + stream.iter().position(|s| tail.starts_with(s))? as u8;
    let (head, content) = b.get(..end)?.split_at(DOCKER.len());
    let more = !content.strip_suffix(b"n").is_some_and(ends_in_escape);
    Some(Part { stream, more, head, content, tail })
}

/// True if a line of Docker's begins like this, of which little may have come.
pub(crate) fn may_be_docker(b: &[u8]) -> bool {
    DOCKER.starts_with(b.get(..DOCKER.len()).unwrap_or(b))
}

/// An odd number of backslashes at the end.
fn ends_in_escape(b: &[u8]) -> bool {
    b.iter().rev().take_while(|c| **c == b'\\').count() % 2 == 1
}

impl Part<'_> {
    fn is_docker(&self) -> bool {
        self.stream > 1
    }

    /// True if the content begins a line that goes on. Shippers that write as Docker does, but take the line feed
    /// off, are told by their events being whole.
    fn begins(&self) -> bool {
        if !self.is_docker() {
            return self.more;
        }
        self.more && self.content.starts_with(b"{") && {
            let text = self.text();
            skip_value(&text, 0).is_err()
        }
    }

    /// The content without Docker's escapes.
    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        unescape(&[b"\"", self.content, b"\""].concat(), &mut text);
        text
    }

    /// The runtime filled its buffer with it.
    fn is_full(&self) -> bool {
        !self.is_docker() || (self.content.len() >= FULL && self.text().len() >= FULL)
    }
}

/// True if the text is the end of an event whose beginning is lost: more brackets are closed than opened, with members
/// between them.
pub(crate) fn is_rest(text: &[u8]) -> bool {
    let text = trim(text);
    let count = |of: [u8; 2]| memchr::memchr2_iter(of[0], of[1], text).count();
    text.ends_with(b"}")
        && memchr::memmem::find(text, b"\":").is_some()
        && count([b'}', b']']) > count([b'{', b'['])
}

/// Parts of one line, as long as its end has not come.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Index of the first piece.
    piece: usize,
    line: u64,
    /// Bytes so far.
    bytes: usize,
    /// The last part was as long as parts are.
    full: bool,
}

/// Follows the parts in the order of the input, and keeps those of a line together across buffers.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    open: [Option<Open>; STREAMS],
    /// Index of the first piece since which there was always something open: parts of two streams may overlap, and
    /// whatever ended meanwhile may have begun before what is open now.
    since: usize,
    /// What is left of a line that was given up.
    swallow: [bool; STREAMS],
    /// Pieces that come again, with the line they count from and the offset behind them.
    held: Vec<Piece>,
    first_line: u64,
    resume: usize,
}

impl Parts {
    /// Puts back what was held; returns from where on the buffer is new.
    pub(crate) fn restore(&mut self, out: &mut Pieces) -> usize {
        if !self.held.is_empty() {
            std::mem::swap(&mut self.held, &mut out.list);
            self.held.clear();
            out.first_line = self.first_line;
        }
        std::mem::take(&mut self.resume)
    }

    /// Adds a line that may be a part of a longer one.
    pub(crate) fn push(
        &mut self,
        buf: &[u8],
        (start, end): (usize, usize),
        line: u64,
        kind: Kind,
        out: &mut Pieces,
    ) {
        let b = buf.get(start..end).unwrap_or_default();
        let part = if kind == Kind::Text { cri(b) } else { docker(b) };
        let Some(part) = part else {
            self.break_off(line, out);
            return out.push(start, end, line, kind);
        };
        let stream = part.stream;
        let at = usize::from(stream);
        if self.swallow.get(at) == Some(&true) {
            if let Some(swallow) = self.swallow.get_mut(at) {
                *swallow = part.more;
            }
            return;
        }
        if self.open.iter().all(Option::is_none) {
            self.since = out.list.len();
        }
        let Some(slot) = self.open.get_mut(at) else { return };
        // A short part of Docker's has no continuation that begins like an event.
        if slot.is_some_and(|open| !open.full) && part.content.starts_with(b"{") {
            *slot = None;
            out.push(0, 0, line, Kind::Over(stream));
        }
        match slot {
            Some(open) if part.more => {
                open.bytes += end - start;
                open.full = part.is_full();
                out.push(start, end, line, Kind::Part(stream));
            }
            Some(_) => {
                *slot = None;
                out.push(start, end, line, Kind::Last(stream));
            }
            None if part.begins() => {
                *slot = Some(Open { piece: out.list.len(), line, bytes: end - start, full: part.is_full() });
                out.push(start, end, line, Kind::First(stream));
            }
            None => out.push(start, end, line, kind),
        }
    }

    /// Something else than a container's log follows: what is open stays as it is.
    pub(crate) fn break_off(&mut self, line: u64, out: &mut Pieces) {
        self.swallow = [false; STREAMS];
        for (stream, slot) in (0u8..).zip(&mut self.open) {
            if slot.take().is_some() {
                out.push(0, 0, line, Kind::Over(stream));
            }
        }
    }

    /// Holds back the parts whose end has not come. Of `len` bytes, those from `keep` on are not yet split; returns
    /// from where on the bytes must come again.
    pub(crate) fn hold(&mut self, keep: usize, len: usize, line: u64, cap: usize, out: &mut Pieces) -> usize {
        let first =
            (0u8..).zip(&self.open).filter_map(|(s, o)| Some((s, (*o)?))).min_by_key(|(_, o)| o.piece);
        let Some((stream, first)) = first else { return keep };
        let start_of = |piece: usize| out.list.get(piece).map_or(keep, |p| p.start as usize);
        let start = start_of(self.since);
        if len.saturating_sub(start) > cap {
            let own = start_of(first.piece);
            out.list.retain(|p| {
                !matches!(p.kind, Kind::First(s) | Kind::Part(s) if s == stream && p.start as usize >= own)
            });
            if let Some(slot) = self.open.get_mut(usize::from(stream)) {
                *slot = None;
            }
            self.break_off(line, out);
            if let Some(swallow) = self.swallow.get_mut(usize::from(stream)) {
                *swallow = true;
            }
            let long = first.bytes > cap / 2;
            out.reject(
                first.line,
                if long { Reason::TooLong { cap: cap as u64 } } else { Reason::Truncated },
            );
            return keep;
        }
        self.held = out.list.split_off(self.since.min(out.list.len()));
        let above = self.held.first().map_or(0, |p| p.line);
        for piece in &mut self.held {
            piece.start = piece.start.saturating_sub(start as u32);
            piece.end = piece.end.saturating_sub(start as u32);
            piece.line = piece.line.saturating_sub(above);
        }
        for open in self.open.iter_mut().flatten() {
            open.piece -= self.since;
        }
        self.since = 0;
        self.first_line = out.first_line + u64::from(above);
        self.resume = keep - start;
        start
    }
}
