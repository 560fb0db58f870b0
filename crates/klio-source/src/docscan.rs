//! Follows one JSON value across lines and buffers: a pretty-printed object, a list too large to be held (its items
//! are handed on in runs), or a line that was cut. Where a cut is noticed, scanning goes on at the next record.
//!
//! How a cut is told from a pretty-printed value: inside a value every line is indented deeper than the line that
//! opened it, closing brackets apart; and no JSON string contains a line feed. Printers that do not indent at all are
//! told by their second line.

mod hold;

use std::sync::Arc;

use memchr::{memchr, memchr3};

use crate::Reason;
use crate::chunk::Kind;
use crate::split::{Limits, Pieces};

/// Members whose array holds the records, in the envelopes we know.
const LISTS: [&[u8]; 9] = [
    b"items",
    b"records",
    b"Records",
    b"logEvents",
    b"events",
    b"results",
    b"entries",
    b"value",
    b"messages",
];
/// The head of a list that is kept beside its items.
const HEAD_CAP: usize = 256 << 10;

/// What the splitter does next.
pub(crate) enum Flow {
    /// Bring more bytes; those from `keep` on must come again.
    Need { keep: usize },
    /// The value is over; go on at `at`, which is on line `line`.
    Lines { at: usize, line: u64 },
}

/// The state of one value being followed.
#[derive(Debug)]
pub(crate) struct DocScan {
    start: usize,
    line: u64,
    align: usize,
    at: usize,
    depth: u32,
    string: bool,
    escape: bool,
    newlines: u64,
    /// Indentation met since the last line feed, while nothing else was.
    fresh: Option<usize>,
    /// Indentation of the current character if it is the first of its line.
    leads: Option<usize>,
    style: Style,
    key: (usize, usize),
    list: Option<List>,
    /// Too long or cut: nothing is held any more.
    discard: bool,
    /// A string was cut in a many-line record: skip to the next line that starts a record.
    lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Unknown,
    Indented,
    Flush,
}

#[derive(Debug)]
struct List {
    depth: u32,
    /// Complete items not yet handed on: start, end, line.
    run: Option<(usize, usize, u64)>,
    item: Option<Item>,
    /// Set once items were handed on: everything before the first item.
    head: Option<Arc<[u8]>>,
    first: Option<usize>,
    comma: bool,
    closed: bool,
}

#[derive(Debug)]
struct Item {
    start: usize,
    line: u64,
    align: Option<usize>,
    discard: bool,
}

impl DocScan {
    /// A value that starts at `start` in a line indented by `align`.
    pub(crate) fn new(start: usize, line: u64, align: usize) -> Self {
        Self {
            start,
            line,
            align,
            at: start,
            depth: 0,
            string: false,
            escape: false,
            newlines: 0,
            fresh: None,
            leads: None,
            style: Style::Unknown,
            key: (0, 0),
            list: None,
            discard: false,
            lost: false,
        }
    }

    /// Goes on through `buf`.
    pub(crate) fn run(&mut self, buf: &[u8], eof: bool, limits: Limits, out: &mut Pieces) -> Flow {
        while let Some(&c) = buf.get(self.at) {
            if self.string {
                if let Some(flow) = self.in_string(buf, out) {
                    return flow;
                }
                continue;
            }
            if let Some(indent) = self.fresh {
                match c {
                    b' ' | b'\t' => {
                        self.fresh = Some(indent + 1);
                        self.at += 1;
                        continue;
                    }
                    b'\n' | b'\r' => {}
                    _ => {
                        let next = buf.get(self.at + 1).copied();
                        if next.is_none() && !eof {
                            break; // one more byte is needed to judge this line
                        }
                        self.fresh = None;
                        self.leads = Some(indent);
                        if self.starts_anew(c, next, indent)
                            && let Some(flow) = self.cut(buf, indent, out)
                        {
                            return flow;
                        }
                    }
                }
            }
            if self.lost {
                match memchr(b'\n', buf.get(self.at..).unwrap_or_default()) {
                    Some(n) => {
                        self.at += n + 1;
                        self.newlines += 1;
                        self.fresh = Some(0);
                    }
                    None => self.at = buf.len(),
                }
                continue;
            }
            if let Some(flow) = self.structure(c, buf, out) {
                return flow;
            }
        }
        if eof { self.finish(buf, out) } else { self.hold(buf, limits, out) }
    }

    fn in_string(&mut self, buf: &[u8], out: &mut Pieces) -> Option<Flow> {
        let rest = buf.get(self.at..).unwrap_or_default();
        if std::mem::take(&mut self.escape) && rest.first() != Some(&b'\n') {
            self.at += 1;
            return None;
        }
        let Some(i) = memchr3(b'"', b'\\', b'\n', rest) else {
            self.at = buf.len();
            return None;
        };
        self.at += i;
        match rest.get(i) {
            Some(b'"') => {
                self.string = false;
                if self.depth == 1 {
                    self.key.1 = self.at;
                }
                self.at += 1;
            }
            Some(b'\\') => {
                self.escape = true;
                self.at += 1;
            }
            _ => return self.torn(buf, out),
        }
        None
    }

    /// A line feed inside a string: the record was cut at the end of this line.
    fn torn(&mut self, buf: &[u8], out: &mut Pieces) -> Option<Flow> {
        self.string = false;
        let now = self.line + self.newlines;
        if let Some(list) = &mut self.list
            && !list.closed
            && let Some(item) = &mut list.item
        {
            let (line, told) = (item.line, std::mem::replace(&mut item.discard, true));
            self.flush(buf, out);
            if !told {
                out.reject(line, Reason::Truncated);
            }
            if self.newlines == 0 {
                return Some(Flow::Lines { at: self.at, line: now });
            }
            if line == now
                && let Some(list) = &mut self.list
            {
                list.item = None;
                list.comma = true;
                self.depth = list.depth;
            } else {
                self.lost = true;
            }
            return None;
        }
        if !std::mem::replace(&mut self.discard, true) {
            out.reject(self.line, Reason::Truncated);
        }
        if self.newlines == 0 {
            return Some(Flow::Lines { at: self.at, line: now });
        }
        self.lost = true;
        None
    }

    fn structure(&mut self, c: u8, buf: &[u8], out: &mut Pieces) -> Option<Flow> {
        let leads = self.leads.take();
        match c {
            b'\n' => {
                self.newlines += 1;
                self.fresh = Some(0);
            }
            b'"' => {
                self.string = true;
                if self.depth == 1 {
                    self.key.0 = self.at + 1;
                }
            }
            b'{' | b'[' => {
                self.open(c, leads, buf);
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if let Some(list) = &mut self.list {
                    if self.depth == list.depth
                        && let Some(item) = list.item.take()
                        && !item.discard
                    {
                        let (start, line) = list.run.map_or((item.start, item.line), |(s, _, l)| (s, l));
                        list.run = Some((start, self.at + 1, line));
                        list.comma = false;
                    } else if self.depth < list.depth {
                        list.closed = true;
                    }
                }
                if self.depth == 0 {
                    self.at += 1;
                    if self.list.as_ref().is_some_and(|l| l.head.is_some()) {
                        self.flush(buf, out);
                    } else if !self.discard {
                        out.push(self.start, self.at, self.line, Kind::Doc);
                    }
                    return Some(Flow::Lines { at: self.at, line: self.line + self.newlines });
                }
            }
            b',' => {
                if let Some(list) = &mut self.list
                    && self.depth == list.depth
                {
                    list.comma = true;
                }
            }
            _ => {}
        }
        self.at += 1;
        None
    }

    fn open(&mut self, c: u8, leads: Option<usize>, buf: &[u8]) {
        match &mut self.list {
            Some(list) if self.depth == list.depth && list.item.is_none() && !list.closed => {
                let line = self.line + self.newlines;
                list.first.get_or_insert(self.at);
                list.item = Some(Item { start: self.at, line, align: leads, discard: false });
                self.style = Style::Unknown;
            }
            None if c == b'[' => {
                let top = buf.get(self.start) == Some(&b'[');
                let key = buf.get(self.key.0..self.key.1).unwrap_or_default();
                if self.depth == 0 || (self.depth == 1 && !top && LISTS.contains(&key)) {
                    self.list = Some(List {
                        depth: self.depth + 1,
                        run: None,
                        item: None,
                        head: None,
                        first: None,
                        comma: true,
                        closed: false,
                    });
                }
            }
            _ => {}
        }
    }

    /// Does the line that begins with `c` start a new record although the present one is open?
    fn starts_anew(&mut self, c: u8, next: Option<u8>, indent: usize) -> bool {
        let mut align = self.align;
        if let Some(list) = &self.list
            && !list.closed
        {
            match &list.item {
                Some(item) => align = item.align.unwrap_or(self.align),
                None if self.lost => {}
                None => return c == b'{' && indent <= self.align && !list.comma,
            }
        }
        if self.lost {
            return c == b'{' && indent <= align;
        }
        if indent > align {
            if self.style == Style::Unknown {
                self.style = Style::Indented;
            }
            return false;
        }
        match c {
            b'}' | b']' | b',' | b':' => false,
            b'"' if self.style != Style::Indented => {
                self.style = Style::Flush;
                false
            }
            b'{' if self.style == Style::Flush => next == Some(b'"'),
            _ if self.style == Style::Flush => c.is_ascii_uppercase(),
            _ => true,
        }
    }

    /// The present record ends here without being complete.
    fn cut(&mut self, buf: &[u8], indent: usize, out: &mut Pieces) -> Option<Flow> {
        self.lost = false;
        let now = self.line + self.newlines;
        let over = Some(Flow::Lines { at: self.at - indent.min(self.at), line: now });
        if self.list.as_ref().is_some_and(|l| !l.closed) {
            self.flush(buf, out);
            let list = self.list.as_mut()?;
            let Some(item) = list.item.take() else {
                out.reject(self.line, Reason::Truncated);
                return over;
            };
            if !item.discard {
                out.reject(item.line, Reason::Truncated);
            }
            if item.align != Some(indent) {
                return over;
            }
            self.depth = list.depth;
            list.comma = true;
            return None;
        }
        if !self.discard {
            out.reject(self.line, Reason::Truncated);
        }
        over
    }

    /// Hands on the complete items.
    fn flush(&mut self, buf: &[u8], out: &mut Pieces) {
        let Some(list) = &mut self.list else { return };
        let head = list.head.get_or_insert_with(|| {
            let head = buf.get(self.start..list.first.unwrap_or(self.at)).unwrap_or_default();
            if head.len() > HEAD_CAP { b"["[..].into() } else { head.into() }
        });
        if let Some((start, end, line)) = list.run.take() {
            let head = out.head(head);
            out.push(start, end, line, Kind::Elements(head));
        }
    }
}
