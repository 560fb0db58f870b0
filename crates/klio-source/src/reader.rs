//! Reads one input from start to end as chunks. Sequential; the chunks it gives may be decoded anywhere.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use crate::chunk::{Buffers, Kind, Pool};
use crate::inflate::Inflated;
use crate::scan::{skip_value, trim};
use crate::split::{Limits, Pieces, Splitter};
use crate::{
    Chunk, Input, Item, Options, Reason, Rejected, SkipReason, Skipped, Source, decode, parts, text,
};

/// The chunks of one input, in order. Memory: the chunks not yet dropped, one buffer here, and the decompressor.
pub struct Chunks {
    input: Input,
    options: Options,
    pool: Pool,
    stage: Stage,
    carry: Vec<u8>,
    splitter: Splitter,
    /// Nothing but foreign content was met so far in a file that was merely found: the first of it, and how much.
    foreign: Option<Foreign>,
    blank: bool,
    /// No chunk was handed out yet.
    fresh: bool,
}

enum Stage {
    Closed(Option<Box<dyn Read + Send>>),
    Open(Inflated),
    Done,
}

#[derive(Default)]
struct Foreign {
    first: Option<Rejected>,
    count: u64,
}

impl Chunks {
    /// A reader of `input`. The file is opened at the first [`Iterator::next`]; trouble arrives as rejected items.
    pub fn new(input: &Input, options: &Options, pool: &Pool) -> Self {
        Self::with(input, options, pool, None)
    }

    /// The same over any stream; `input` gives only the name.
    pub fn from_reader(source: Box<dyn Read + Send>, input: &Input, options: &Options, pool: &Pool) -> Self {
        Self::with(input, options, pool, Some(source))
    }

    /// A stretch of lines from the middle of an input, of which the first has this number. It is not inflated.
    pub(crate) fn lines(source: Box<dyn Read + Send>, input: &Input, options: &Options, line: u64) -> Self {
        let mut chunks = Self::with(input, options, &Pool::default(), None);
        chunks.stage = Stage::Open(Inflated::plain(source));
        chunks.splitter.line = line;
        chunks
    }

    fn with(input: &Input, options: &Options, pool: &Pool, source: Option<Box<dyn Read + Send>>) -> Self {
        let mut options = options.clone();
        options.record_cap = options.record_cap.clamp(1, 1 << 30);
        options.chunk = options.chunk.clamp(1, 256 << 20);
        let limits = Limits { record_cap: options.record_cap, chunk: options.chunk };
        Self {
            foreign: input.found.then(Foreign::default),
            input: input.clone(),
            options,
            pool: pool.clone(),
            stage: Stage::Closed(source),
            carry: Vec::new(),
            splitter: Splitter::new(limits),
            blank: true,
            fresh: true,
        }
    }

    fn open(&self, given: Option<Box<dyn Read + Send>>) -> Result<Inflated, Reason> {
        let source: Box<dyn Read + Send> = match (given, &self.input.source) {
            (Some(given), _) => given,
            (None, Source::Stdin) => Box::new(std::io::stdin()),
            (None, Source::File(path)) => {
                Box::new(File::open(path).map_err(|e| Reason::Unreadable { why: e.to_string() })?)
            }
        };
        Inflated::open(source, &self.options)
    }

    /// The next stretch that has something to tell.
    fn stretch(&mut self) -> Option<Chunk> {
        let mut open = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Open(open) => open,
            Stage::Closed(given) => match self.open(given) {
                Ok(open) => open,
                Err(reason) => {
                    self.blank = false;
                    return Some(self.telling(vec![self.whole(reason)], Vec::new()));
                }
            },
            Stage::Done => return None,
        };
        let Buffers { mut bytes, pieces, .. } = self.pool.take();
        let mut filled = self.carry.len();
        if bytes.len() < filled {
            bytes.resize(filled, 0);
        }
        bytes[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut out = Pieces {
            list: pieces,
            rejected: Vec::new(),
            heads: Vec::new(),
            first_line: self.splitter.line,
            file: self.input.name.clone(),
        };
        let (mut end, mut trouble): (bool, Option<Reason>);
        let mut skipped = Vec::new();
        let grows = self.options.grows && open.is_plain() && matches!(self.input.source, Source::File(_));
        let keep = loop {
            let chunk = self.options.chunk;
            let want = chunk.saturating_sub(filled).max(chunk / 4).max(1);
            match open.fill(&mut bytes, &mut filled, want) {
                Ok(over) => (end, trouble) = (over, None),
                Err(reason) => (end, trouble) = (true, Some(reason)),
            }
            let open_end = end && grows && trouble.is_none();
            let keep = self.splitter.split(&bytes[..filled], end && !open_end, &mut out);
            if open_end && keep < filled {
                if !out.list.is_empty() {
                    // What is left is looked at by itself.
                    end = false;
                    break keep;
                }
                if is_unfinished(&bytes[keep..filled]) {
                    skipped.push(Skipped {
                        file: self.input.name.clone(),
                        line: self.splitter.line,
                        count: 1,
                        reason: SkipReason::Unfinished,
                    });
                    break filled;
                }
                bytes.copy_within(keep..filled, 0);
                filled -= keep;
                break self.splitter.split(&bytes[..filled], true, &mut out);
            }
            if end || !out.list.is_empty() {
                break keep;
            }
            if keep > 0 {
                bytes.copy_within(keep..filled, 0);
                filled -= keep;
            }
        };
        if let Some(reason) = trouble {
            out.reject(self.splitter.line, reason);
        }
        self.carry.extend_from_slice(bytes.get(keep..filled).unwrap_or_default());
        let mut chunk = self.telling(out.rejected, skipped);
        chunk.consumed = open.packed();
        chunk.heads = out.heads;
        chunk.first_line = out.first_line;
        chunk.buffers = Buffers { bytes, used: keep, pieces: out.list };
        if !end {
            self.stage = Stage::Open(open);
        }
        Some(chunk)
    }

    fn whole(&self, reason: Reason) -> Rejected {
        Rejected { file: self.input.name.clone(), line: 0, count: 1, reason }
    }

    /// A chunk without bytes.
    fn telling(&self, rejected: Vec<Rejected>, skipped: Vec<Skipped>) -> Chunk {
        let pieces = (0..rejected.len() as u32)
            .map(|n| crate::chunk::Piece { start: 0, end: 0, line: 0, kind: Kind::Rejected(n) })
            .collect();
        Chunk {
            input: self.input.id,
            file: self.input.name.clone(),
            first_line: self.splitter.line,
            begins: false,
            consumed: 0,
            buffers: Buffers { pieces, ..Buffers::default() },
            heads: Vec::new(),
            rejected,
            skipped,
            usual: self.options.chunk,
            pool: self.pool.clone(),
        }
    }
}

/// Whether the end of a file, behind the last record that is surely whole, is the begin of one that is still being written.
/// A file that was written at once may lack its last line feed.
fn is_unfinished(rest: &[u8]) -> bool {
    let rest = trim(rest);
    let json = match rest.first() {
        None => return false,
        // The runtime ends each of its lines.
        Some(b'{') if rest.starts_with(parts::DOCKER) => return true,
        Some(b'{' | b'[') => rest,
        _ if rest.contains(&b'\n') => return true,
        _ => match text::payload(rest) {
            Some((_, json)) => json,
            None => return true,
        },
    };
    skip_value(json, 0) != Ok(json.len())
}

impl Iterator for Chunks {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        while let Some(mut chunk) = self.stretch() {
            if chunk.buffers.pieces.is_empty() && chunk.skipped.is_empty() {
                continue;
            }
            self.blank = false;
            if self.foreign.as_mut().is_some_and(|foreign| foreign.holds(&chunk)) {
                continue;
            }
            chunk.begins = !chunk.bytes().is_empty() && std::mem::take(&mut self.fresh);
            if self.foreign.is_none() {
                return Some(chunk);
            }
            let foreign = self.foreign.take().unwrap_or_default();
            if let Some(mut first) = foreign.first {
                first.count = foreign.count;
                let number = chunk.rejected.len() as u32;
                let piece = crate::chunk::Piece { start: 0, end: 0, line: 0, kind: Kind::Rejected(number) };
                chunk.rejected.push(first);
                chunk.buffers.pieces.insert(0, piece);
            }
            return Some(chunk);
        }
        // Over: a file without content, or without any audit event, is named once.
        let foreign = self.foreign.take();
        let reason = if std::mem::take(&mut self.blank) {
            SkipReason::Empty
        } else {
            foreign.filter(|f| f.count > 0).map(|_| SkipReason::NoAuditEvent)?
        };
        let skipped = Skipped { file: Arc::clone(&self.input.name), line: 0, count: 1, reason };
        Some(self.telling(Vec::new(), vec![skipped]))
    }
}

impl Foreign {
    /// True if there is nothing in the chunk that a log would hold.
    fn holds(&mut self, chunk: &Chunk) -> bool {
        let (mut foreign, mut count, mut first) = (true, 0, None);
        decode(chunk, &mut |item| match item {
            Item::Rejected(r) if r.reason.foreign() => {
                count += r.count;
                first.get_or_insert(r);
            }
            Item::Skipped(s) if s.reason == SkipReason::KubernetesEvent => count += s.count,
            _ => foreign = false,
        });
        if foreign {
            self.count += count;
            self.first = self.first.take().or(first);
        }
        foreign
    }
}
