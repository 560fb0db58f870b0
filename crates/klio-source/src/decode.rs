//! Decodes one chunk: each piece becomes records, rejections or skips. Pure and without shared state, so that several
//! threads may decode several chunks. A native JSON line costs a prefix comparison; UTF-8 is validated for the whole
//! chunk at once.

use std::sync::Arc;

use crate::chunk::Kind;
use crate::scan::{Flaw, skip_value, skip_ws, trim};
use crate::top::Top;
use crate::{Chunk, Format, Item, Reason, Record, Rejected, SkipReason, Skipped};
use crate::{aks, eks, gke, native, parts, text, wrap};

/// Envelopes in envelopes that are opened.
const DEPTH: u8 = 8;

/// Gives everything the chunk holds to `sink`, in order.
pub fn decode(chunk: &Chunk, sink: &mut dyn FnMut(Item<'_>)) {
    let mut cx = Cx::new(chunk.file.clone(), sink);
    for skipped in &chunk.skipped {
        (cx.sink)(Item::Skipped(skipped.clone()));
    }
    let bytes = chunk.bytes();
    let text = simdutf8::basic::from_utf8(bytes).ok();
    let clean = text.is_some();
    // Two values on one line without a line feed between them.
    let joined = joined(bytes);
    // Lines of containers' logs of which a part has come.
    let mut open: [Option<Joined>; parts::STREAMS] = Default::default();
    for piece in &chunk.buffers.pieces {
        let b = bytes.get(piece.start as usize..piece.end as usize).unwrap_or_default();
        let b = b.strip_suffix(b"\r").unwrap_or(b);
        let line = chunk.first_line + u64::from(piece.line);
        if (piece.kind == Kind::Value || (piece.kind == Kind::Line && !joined))
            && b.starts_with(native::HEAD)
            && let Some(json) = text.and_then(|t| t.get(piece.start as usize..piece.start as usize + b.len()))
        {
            (cx.sink)(Item::Record(Record { json, raw: b, line, salvaged: false, format: Format::Native }));
            continue;
        }
        match piece.kind {
            Kind::Rejected(n) => {
                if let Some(rejected) = chunk.rejected.get(n as usize) {
                    cx.flush();
                    (cx.sink)(Item::Rejected(rejected.clone()));
                }
            }
            Kind::Elements(n) => {
                let head: &[u8] = chunk.heads.get(n as usize).map_or(b"[", |h| h);
                let close: &[u8] = if head.first() == Some(&b'[') { b"]" } else { b"]}" };
                let whole = [head, b, close].concat();
                let above = memchr::memchr_iter(b'\n', head).count() as u64;
                cx.stretch(&whole, line.wrapping_sub(above), false);
            }
            Kind::Line | Kind::Doc | Kind::Value => cx.stretch(b, line, clean),
            Kind::Text => cx.text_line(b, line, clean),
            Kind::First(stream) | Kind::Part(stream) | Kind::Last(stream) => {
                let Some(slot) = open.get_mut(usize::from(stream)) else { continue };
                slot.get_or_insert_with(|| Joined { line, ..Joined::default() }).add(b);
                if matches!(piece.kind, Kind::Last(_))
                    && let Some(whole) = slot.take()
                {
                    cx.joined(whole, true);
                }
            }
            Kind::Over(stream) => {
                if let Some(whole) = open.get_mut(usize::from(stream)).and_then(Option::take) {
                    cx.joined(whole, false);
                }
            }
        }
    }
    for whole in open.into_iter().flatten() {
        cx.joined(whole, false);
    }
    cx.finish();
}

/// The parts of a line of a container's log, put together: one line as the runtime would have written it.
#[derive(Default)]
struct Joined {
    line: u64,
    head: Vec<u8>,
    content: Vec<u8>,
    /// What stands behind the content, in Docker's logs.
    tail: Vec<u8>,
}

impl Joined {
    fn add(&mut self, b: &[u8]) {
        let Some(part) = parts::cri(b).or_else(|| parts::docker(b)) else { return };
        if self.head.is_empty() {
            self.head.extend_from_slice(part.head);
        }
        self.content.extend_from_slice(part.content);
        self.tail.clear();
        self.tail.extend_from_slice(part.tail);
    }
}

/// Whether `}{` occurs. A pass the compiler turns into vector code, several times as fast as a substring search here,
/// where braces are everywhere.
fn joined(b: &[u8]) -> bool {
    let next = b.get(1..).unwrap_or_default();
    b.iter().zip(next).fold(0, |seen, (&c, &n)| seen | (u8::from(c == b'}') & u8::from(n == b'{'))) != 0
}

/// Decodes bytes that are already complete in memory, such as a webhook body.
pub fn decode_bytes(file: &str, bytes: &[u8], sink: &mut dyn FnMut(Item<'_>)) {
    let mut cx = Cx::new(file.into(), sink);
    cx.stretch(trim(bytes), 1, false);
    cx.finish();
}

/// Where a value stands and what is known about it from outside.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub line: u64,
    pub depth: u8,
    pub format: Format,
    /// Its transport cut it.
    pub salvaged: bool,
    /// The record's bytes as received, if an envelope was taken off.
    pub raw: Option<&'a [u8]>,
    /// The delivery's own time, milliseconds since 1970, for events that were cut before theirs.
    pub millis: Option<i64>,
}

impl<'a> Place<'a> {
    /// At the top of the input.
    pub(crate) fn at(line: u64) -> Self {
        Self { line, depth: 0, format: Format::Native, salvaged: false, raw: None, millis: None }
    }

    /// One envelope further in.
    pub(crate) fn inside(self, format: Format, raw: &'a [u8]) -> Self {
        let format =
            if self.format == Format::Native || format != Format::Shipped { format } else { self.format };
        Self { depth: self.depth + 1, format, raw: Some(raw), ..self }
    }
}

/// What the decoders share: the sink, the file's name, spare buffers.
pub(crate) struct Cx<'s> {
    sink: &'s mut dyn FnMut(Item<'_>),
    file: Arc<str>,
    spare: Vec<Vec<u8>>,
    rejected: Option<Rejected>,
    skipped: Vec<Skipped>,
}

impl<'s> Cx<'s> {
    fn new(file: Arc<str>, sink: &'s mut dyn FnMut(Item<'_>)) -> Self {
        Self { sink, file, spare: Vec::new(), rejected: None, skipped: Vec::new() }
    }

    /// A scratch buffer; hand it back with [`Cx::give`].
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.spare.len() < 8 && buffer.capacity() <= 4 << 20 {
            self.spare.push(buffer);
        }
    }

    /// A stretch of top-level values.
    fn stretch(&mut self, b: &[u8], line: u64, clean: bool) {
        let place = Place::at(line);
        if clean {
            return self.values(b, place);
        }
        match simdutf8::compat::from_utf8(b) {
            Ok(_) => self.values(b, place),
            Err(e) => {
                // The apiserver copies patch bodies byte for byte: dropping such an event would be a way to hide.
                let fixed = String::from_utf8_lossy(b);
                let mut repaired = false;
                let place = Place { raw: Some(b), ..place };
                {
                    let sink = &mut *self.sink;
                    let mut watch = |item: Item<'_>| {
                        repaired |= matches!(item, Item::Record(_));
                        sink(item);
                    };
                    let mut inner = Cx::new(self.file.clone(), &mut watch);
                    inner.values(fixed.as_bytes(), place);
                    inner.finish();
                }
                self.reject(line, Reason::InvalidUtf8 { at: e.valid_up_to(), repaired });
            }
        }
    }

    fn text_line(&mut self, b: &[u8], line: u64, clean: bool) {
        if clean || simdutf8::basic::from_utf8(b).is_ok() {
            return text::line(self, b, Place::at(line));
        }
        // A line that carries JSON behind a prefix is treated like one that is JSON.
        match text::payload(b) {
            Some(_) => {
                let fixed = String::from_utf8_lossy(b).into_owned();
                let at = simdutf8::compat::from_utf8(b).map_or_else(|e| e.valid_up_to(), str::len);
                let place = Place { raw: Some(b), ..Place::at(line) };
                text::line(self, fixed.as_bytes(), place);
                self.reject(line, Reason::InvalidUtf8 { at, repaired: true });
            }
            None => self.reject(line, Reason::NotJson { sample: sample(b) }),
        }
    }

    /// A line of a container's log that came in parts; `ended` if its last part came.
    fn joined(&mut self, whole: Joined, ended: bool) {
        let Joined { line, head, content, tail } = whole;
        if !tail.is_empty() {
            return self.stretch(&[head, content, tail].concat(), line, false);
        }
        // A runtime that was killed within a line goes on with the next event. Without the last part a client could
        // place an event of its own where a part ends.
        let next = native::recover_bytes(&content)
            .filter(|next| ended && next.starts_with(native::HEAD) && content.ends_with(next));
        let next = next.unwrap_or_default();
        let content = content.get(..content.len() - next.len()).unwrap_or_default();
        self.text_line(&[&head, content].concat(), line, false);
        if !next.is_empty() {
            self.record(next, Place::at(line).inside(Format::Shipped, next));
        }
    }

    /// One value after the other.
    pub(crate) fn values(&mut self, b: &[u8], place: Place<'_>) {
        let mut at = skip_ws(b, 0);
        let mut line = place.line;
        let mut counted = 0;
        while at < b.len() {
            match skip_value(b, at) {
                Ok(end) => {
                    line += newlines(b, counted, at);
                    counted = at;
                    self.value(b.get(at..end).unwrap_or_default(), Place { line, ..place });
                    at = skip_ws(b, end);
                    while b.get(at) == Some(&b',') {
                        at = skip_ws(b, at + 1);
                    }
                }
                Err(flaw) => {
                    line += newlines(b, counted, at);
                    counted = at;
                    self.reject(line, flaw.into());
                    // Stray brackets do not take a whole event behind them along.
                    let rest = b.get(at..).filter(|_| flaw != Flaw::Truncated);
                    match rest.and_then(native::recover_bytes) {
                        Some(event) => at = b.len() - event.len(),
                        None => return,
                    }
                }
            }
        }
    }

    /// One complete value.
    pub(crate) fn value(&mut self, b: &[u8], place: Place<'_>) {
        if place.depth > DEPTH {
            return self.reject(place.line, Reason::TooDeep);
        }
        match b.first() {
            Some(b'{') if b.starts_with(native::HEAD) => self.record(b, place),
            Some(b'{') => self.object(b, place),
            Some(b'[') => wrap::array(self, b, place),
            _ => self.reject(place.line, Reason::NotJson { sample: sample(b) }),
        }
    }

    fn object(&mut self, b: &[u8], place: Place<'_>) {
        let top = match Top::read(b) {
            Ok(top) => top,
            Err(flaw) => return self.reject(place.line, flaw.into()),
        };
        if !self.opened(b, &top, place) {
            self.reject(place.line, Reason::NotAudit { what: top.outline(b) });
        }
    }

    /// Takes the object if it is of a form known here.
    pub(crate) fn opened(&mut self, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
        native::object(self, b, top, place)
            || eks::object(self, b, top, place)
            || aks::object(self, b, top, place)
            || gke::object(self, b, top, place)
            || wrap::object(self, b, top, place)
    }

    /// The text a JSON string stands for: an event, another envelope, or a component's log line.
    /// False if `quoted` is no string.
    pub(crate) fn message(&mut self, quoted: &[u8], place: Place<'_>) -> bool {
        let mut text = self.take();
        let is = crate::scan::unescape(quoted, &mut text);
        if is {
            self.inner(trim(&text), place);
        }
        self.give(text);
        is
    }

    /// What an envelope held, as text.
    pub(crate) fn inner(&mut self, b: &[u8], place: Place<'_>) {
        if place.depth > DEPTH {
            return self.reject(place.line, Reason::TooDeep);
        }
        match b.first() {
            Some(b'{' | b'[') => match skip_value(b, 0) {
                Ok(end) if skip_ws(b, end) == b.len() => self.value(b, place),
                Ok(_) if b.first() == Some(&b'{') => self.values(b, place),
                Err(Flaw::Truncated) if b.first() == Some(&b'{') => {
                    match crate::salvage::salvage(b, place.millis) {
                        Some(event) => {
                            self.record(&event, Place { salvaged: true, ..place });
                        }
                        None => self.reject(place.line, Reason::Truncated),
                    }
                }
                _ => self.skip(place.line, SkipReason::ComponentLog),
            },
            _ if parts::is_rest(b) && !text::is_component(b) => self.reject(place.line, Reason::NoBeginning),
            _ => self.skip(place.line, SkipReason::ComponentLog),
        }
    }

    /// An audit event.
    pub(crate) fn record(&mut self, bytes: &[u8], place: Place<'_>) {
        let json = match simdutf8::compat::from_utf8(bytes) {
            Ok(json) => json,
            Err(e) => {
                let reason = Reason::InvalidUtf8 { at: e.valid_up_to(), repaired: false };
                return self.reject(place.line, reason);
            }
        };
        self.flush();
        (self.sink)(Item::Record(Record {
            json,
            raw: place.raw.unwrap_or(bytes),
            line: place.line,
            salvaged: place.salvaged,
            format: place.format,
        }));
    }

    /// Names what is wrong; neighbours with the same reason are told together.
    pub(crate) fn reject(&mut self, line: u64, reason: Reason) {
        if let Some(last) = &mut self.rejected
            && last.reason.merges(&reason)
        {
            last.count += 1;
            return;
        }
        self.flush();
        self.rejected = Some(Rejected { file: self.file.clone(), line, count: 1, reason });
    }

    /// Counts something that is no audit event and need not be.
    pub(crate) fn skip(&mut self, line: u64, reason: SkipReason) {
        match self.skipped.iter_mut().find(|s| s.reason == reason) {
            Some(same) => same.count += 1,
            None => self.skipped.push(Skipped { file: self.file.clone(), line, count: 1, reason }),
        }
    }

    fn flush(&mut self) {
        if let Some(rejected) = self.rejected.take() {
            (self.sink)(Item::Rejected(rejected));
        }
    }

    fn finish(&mut self) {
        self.flush();
        for skipped in self.skipped.drain(..) {
            (self.sink)(Item::Skipped(skipped));
        }
    }
}

impl From<Flaw> for Reason {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Truncated => Self::Truncated,
            Flaw::Malformed { at, expected } => Self::Malformed { at, expected },
        }
    }
}

/// Line feeds between two offsets.
pub(crate) fn newlines(b: &[u8], from: usize, to: usize) -> u64 {
    memchr::memchr_iter(b'\n', b.get(from..to).unwrap_or_default()).count() as u64
}

/// How something begins, fit to be shown.
pub(crate) fn sample(b: &[u8]) -> String {
    let head = b.get(..48).unwrap_or(b);
    let mut s: String = String::from_utf8_lossy(head).chars().take(40).collect();
    if s.len() < b.len() {
        s.push('…');
    }
    s
}
