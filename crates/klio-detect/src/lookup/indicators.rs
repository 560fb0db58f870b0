//! Indicators, many of them, and which of them an event meets.
//!
//! All values stand in one text, as they are compared, and one table finds them by their hash: a million addresses take
//! some 80 MB. An address is asked for once for each length of network that occurs.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use ipnet::IpNet;
use klio_model::field::Seen;
use klio_model::{Event, Field, FieldRef, Indicator, Met, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::image::Image;
use super::kind::{Key, Kind, address_key};
use super::wild::Wild;

/// Indicators of all lists together.
pub const MOST: usize = 3_000_000;
/// Patterns with wildcards of all lists together.
const MOST_PATTERNS: usize = 20_000;
/// Bytes of all values together, and of all notes: what positions can count.
const MOST_BYTES: usize = 1 << 30;
/// Indicators that one event is said to meet.
const MET: usize = 16;
/// Images of one event that are looked up.
const IMAGES: usize = 256;
/// No next one, and no end.
const NONE: u32 = u32::MAX;

/// One row of a list.
#[derive(Debug)]
struct Entry {
    /// From then on, in microseconds, it counts no more.
    until: i64,
    /// Where its value stands, in the form in which it is compared.
    at: u32,
    note: u32,
    /// Another one with the same value.
    next: u32,
    length: u16,
    list: u16,
    kind: Kind,
}

/// What is looked for.
#[derive(Debug)]
pub struct Indicators {
    entries: Vec<Entry>,
    values: Vec<u8>,
    lists: Vec<Arc<str>>,
    notes: Vec<Arc<str>>,
    /// The first entry of each value.
    table: HashTable<u32>,
    /// Lengths of networks that occur, of version 4 and 6, the longest first.
    lengths: [Vec<u8>; 2],
    wild: [Option<Wild>; 3],
    /// Kinds that occur.
    kinds: Vec<Kind>,
    image: FieldRef,
}

/// Indicators that are being read.
#[derive(Debug, Default)]
pub(super) struct Builder {
    entries: Vec<Entry>,
    values: Vec<u8>,
    lists: Vec<Arc<str>>,
    notes: Vec<Arc<str>>,
    note_of: HashMap<Arc<str>, u32, RandomState>,
    note_bytes: usize,
    table: HashTable<u32>,
    patterns: [Vec<(String, u32)>; 3],
}

/// One row, as a list says it.
pub(super) struct Row<'r> {
    pub kind: Kind,
    pub value: &'r str,
    pub list: &'r str,
    pub note: &'r str,
    pub until: Option<Timestamp>,
}

/// Why nothing more is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// This row alone is wrong.
    Row(String),
    /// There are too many.
    Full(String),
}

fn hash(kind: Kind, value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, kind as u64)
}

fn value_of<'v>(values: &'v [u8], entry: &Entry) -> &'v [u8] {
    let start = entry.at as usize;
    values.get(start..start + usize::from(entry.length)).unwrap_or_default()
}

/// Where the patterns of a kind stand.
fn place(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Agent => Some(0),
        Kind::User => Some(1),
        Kind::Object => Some(2),
        _ => None,
    }
}

impl Builder {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes a row; false if the same list had the same value before.
    pub fn add(&mut self, row: &Row<'_>) -> Result<bool, Stop> {
        let key = Key::of(row.kind, row.value).map_err(Stop::Row)?;
        let full = |what: String| Err(Stop::Full(what));
        if self.entries.len() >= MOST {
            return full(format!("more than {MOST} indicators"));
        }
        if self.values.len() >= MOST_BYTES || self.note_bytes >= MOST_BYTES {
            return full(format!("more than {} MiB of indicators", MOST_BYTES >> 20));
        }
        let list = match self.lists.iter().position(|list| **list == *row.list) {
            Some(known) => known,
            None if self.lists.len() >= usize::from(u16::MAX) => {
                return full("more than 65,535 lists".into());
            }
            None => {
                self.lists.push(row.list.into());
                self.lists.len() - 1
            }
        };
        let (kind, bytes, pattern) = match key {
            Key::Exact(kind, bytes) => (kind, bytes, None),
            Key::Wild(kind, text) => (kind, text.clone().into_bytes(), Some(text)),
        };
        let number = self.entries.len() as u32;
        let mut entry = Entry {
            until: row.until.map_or(i64::MAX, |until| until.micros()),
            at: self.values.len() as u32,
            note: self.note(row.note),
            next: NONE,
            length: bytes.len() as u16,
            list: list as u16,
            kind,
        };
        if let Some(text) = pattern {
            let Some(patterns) = place(kind).and_then(|place| self.patterns.get_mut(place)) else {
                return Ok(false);
            };
            if patterns.len() >= MOST_PATTERNS {
                return full(format!("more than {MOST_PATTERNS} patterns with wildcards"));
            }
            patterns.push((text, number));
        } else {
            let (entries, values) = (&mut self.entries, &self.values);
            let hash_of = |n: &u32| entries.get(*n as usize).map_or(0, |e| hash(e.kind, value_of(values, e)));
            let same = |n: &u32| {
                entries.get(*n as usize).is_some_and(|e| e.kind == kind && value_of(values, e) == bytes)
            };
            match self.table.entry(hash(kind, &bytes), same, hash_of) {
                hashbrown::hash_table::Entry::Vacant(room) => {
                    room.insert(number);
                }
                hashbrown::hash_table::Entry::Occupied(mut first) => {
                    let known = *first.get();
                    let mut at = known;
                    while let Some(other) = entries.get_mut(at as usize) {
                        if other.list == entry.list {
                            other.until = other.until.max(entry.until);
                            return Ok(false);
                        }
                        at = other.next;
                    }
                    *first.get_mut() = number;
                    // The value stands there already.
                    (entry.next, entry.at) = (known, entries.get(known as usize).map_or(0, |e| e.at));
                    entries.push(entry);
                    return Ok(true);
                }
            }
        }
        self.values.extend_from_slice(&bytes);
        self.entries.push(entry);
        Ok(true)
    }

    fn note(&mut self, text: &str) -> u32 {
        if let Some(known) = self.note_of.get(text) {
            return *known;
        }
        let (note, number) = (Arc::<str>::from(text), self.notes.len() as u32);
        self.note_bytes += text.len();
        self.notes.push(note.clone());
        self.note_of.insert(note, number);
        number
    }

    /// Ready to be asked.
    pub fn finish(self) -> Indicators {
        let Self { mut entries, mut values, lists, notes, table, patterns, .. } = self;
        entries.shrink_to_fit();
        values.shrink_to_fit();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut lengths: [Vec<u8>; 2] = Default::default();
        for entry in &entries {
            if !kinds.contains(&entry.kind) {
                kinds.push(entry.kind);
            }
            if entry.kind == Kind::Address
                && let Some((bits, six)) = bits_of(value_of(&values, entry))
                && !lengths[usize::from(six)].contains(&bits)
            {
                lengths[usize::from(six)].push(bits);
            }
        }
        for lengths in &mut lengths {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
        }
        let wild = patterns.map(Wild::of);
        let image = FieldRef::below(Field::Container, "image");
        Indicators { entries, values, lists, notes, table, lengths, wild, kinds, image }
    }
}

/// The address of a key with its length, and whether it is of version 6.
fn network(key: &[u8]) -> Option<(IpAddr, u8)> {
    let bytes: [u8; 16] = key.get(..16)?.try_into().ok()?;
    let bits = *key.get(16)?;
    let v6 = std::net::Ipv6Addr::from(bytes);
    Some(match v6.to_ipv4_mapped() {
        Some(v4) if bits >= 96 => (IpAddr::V4(v4), bits - 96),
        _ => (IpAddr::V6(v6), bits),
    })
}

fn bits_of(key: &[u8]) -> Option<(u8, bool)> {
    network(key).map(|(ip, bits)| (bits, ip.is_ipv6()))
}

impl Indicators {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes in use, but for what finds patterns.
    pub fn bytes(&self) -> usize {
        let notes: usize = self.notes.iter().map(|note| note.len() + 4 * size_of::<usize>()).sum();
        self.entries.capacity() * size_of::<Entry>()
            + self.values.capacity()
            + notes
            + self.table.allocation_size()
    }

    /// The lists that they come from.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().map(|list| &**list)
    }

    /// Those that an event meets.
    pub fn meet(&self, event: &Event<'_>) -> Met {
        let mut found = Found { of: self, time: None, event, met: Met::default() };
        let has = |kind| self.kinds.contains(&kind);
        if has(Kind::Address)
            && let Some(ip) = event.source_ip().and_then(|ip| ip.parse::<IpAddr>().ok())
        {
            let ip = ip.to_canonical();
            for bits in &self.lengths[usize::from(ip.is_ipv6())] {
                found.exact(Kind::Address, &address_key(ip, *bits));
            }
        }
        if has(Kind::Agent) {
            found.text(Kind::Agent, event.text_of(Field::UserAgent));
        }
        if has(Kind::User) {
            found.text(Kind::User, event.text_of(Field::User));
            found.text(Kind::User, event.text_of(Field::Impersonated));
        }
        if has(Kind::Object)
            && let Some(name) = event.text_of(Field::Name)
        {
            found.text(Kind::Object, Some(name));
            let whole = event.text_of(Field::Namespace).map(|namespace| [namespace, "/", name].concat());
            found.text(Kind::Object, whole.as_deref());
        }
        if (has(Kind::Credential) || has(Kind::Hash))
            && let Some(credential) = event.credential()
        {
            found.exact(Kind::Credential, credential.as_bytes());
            if let Some(digits) = credential.strip_prefix("X509SHA256=") {
                found.exact(Kind::Hash, digits.to_ascii_lowercase().as_bytes());
            }
        }
        if has(Kind::Image) || has(Kind::Hash) {
            self.images(event, &mut found);
        }
        found.met
    }

    fn images(&self, event: &Event<'_>, found: &mut Found<'_, '_>) {
        let mut left = IMAGES;
        let seen = event.visit(&self.image, &mut |value| {
            let text = value.to_text();
            if let Some(image) = Image::parse(&text) {
                image.keys().for_each(|key| found.exact(Kind::Image, key.as_bytes()));
                if let Some(digest) = image.digest {
                    found.exact(Kind::Hash, digest.as_bytes());
                }
            }
            left -= 1;
            left == 0
        });
        found.met.open = seen == Seen::Unknown;
    }

    /// How an entry's value is shown.
    fn shown(&self, entry: &Entry) -> String {
        let value = value_of(&self.values, entry);
        match network(value).filter(|_| entry.kind == Kind::Address) {
            Some((ip, bits)) if bits == if ip.is_ipv6() { 128 } else { 32 } => ip.to_string(),
            Some((ip, bits)) => IpNet::new(ip, bits).map_or_else(|_| ip.to_string(), |net| net.to_string()),
            None => String::from_utf8_lossy(value).into_owned(),
        }
    }
}

/// What is found for one event.
struct Found<'f, 'e> {
    of: &'f Indicators,
    event: &'f Event<'e>,
    /// When it happened, once somebody asked.
    time: Option<i64>,
    met: Met,
}

impl Found<'_, '_> {
    fn text(&mut self, kind: Kind, text: Option<&str>) {
        let (Some(text), of) = (text, self.of) else { return };
        self.exact(kind, text.as_bytes());
        if let Some(wild) = place(kind).and_then(|place| of.wild[place].as_ref()) {
            wild.each(text, &mut |number| self.push(number));
        }
    }

    fn exact(&mut self, kind: Kind, value: &[u8]) {
        let of = self.of;
        let same = |n: &u32| {
            of.entries.get(*n as usize).is_some_and(|e| e.kind == kind && value_of(&of.values, e) == value)
        };
        let mut next = of.table.find(hash(kind, value), same).copied();
        while let Some(number) = next {
            self.push(number);
            next = of.entries.get(number as usize).map(|entry| entry.next).filter(|next| *next != NONE);
        }
    }

    fn push(&mut self, number: u32) {
        let of = self.of;
        let Some(entry) = of.entries.get(number as usize) else { return };
        let event = self.event;
        let time = *self.time.get_or_insert_with(|| event.time().map_or(i64::MIN, |time| time.micros()));
        if self.met.all.len() >= MET || time >= entry.until {
            return;
        }
        let text = |all: &[Arc<str>], at: usize| all.get(at).cloned().unwrap_or_default();
        let list = text(&of.lists, usize::from(entry.list));
        let one = Indicator { list, value: of.shown(entry), note: text(&of.notes, entry.note as usize) };
        if !self.met.all.contains(&one) {
            self.met.all.push(one);
        }
    }
}
