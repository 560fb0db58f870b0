//! How far a file was read, and how a place remembers it for the files that lay there. Written as JSON that
//! `klio ingest` reads too; it knows events only, so both count them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Bytes before the offset of which the hash is remembered.
pub(crate) const TAIL: usize = 1024;
/// Files that are gone which a place remembers.
pub(crate) const GONE: usize = 32;

/// How far one file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Stands for its begin ([`crate::head`]).
    pub id: u64,
    /// Events before the offset.
    pub events: u64,
    /// Lines before the offset.
    pub lines: u64,
    /// The offset, in inflated bytes. `klio ingest` does not write one.
    pub bytes: Option<u64>,
    /// The hash of the bytes before the offset, at most [`TAIL`]: tells files that begin alike apart.
    pub end: Option<u64>,
    /// Bytes of a compressed file that was read to its end.
    pub packed: Option<u64>,
}

impl Mark {
    pub(crate) fn offset(&self) -> u64 {
        self.bytes.unwrap_or(0)
    }

    /// Whether anything was read.
    pub(crate) fn is_begun(&self) -> bool {
        self.events > 0 || self.offset() > 0
    }
}

/// The part of a mark beside id and events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Spot {
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// As it is written: the file that lies there, and those that did before, the latest first.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    id: String,
    events: u64,
    #[serde(flatten)]
    spot: Spot,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<(String, u64)>,
    /// One for each in `before`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spots: Vec<Spot>,
}

fn spot(mark: &Mark) -> Spot {
    let end = mark.end.map(|hash| format!("{hash:016x}"));
    Spot { bytes: mark.bytes, lines: mark.lines, end, packed: mark.packed }
}

fn mark(id: &str, events: u64, spot: Spot) -> Option<Mark> {
    let hash = |text: &str| u64::from_str_radix(text, 16).ok();
    let end = spot.end.as_deref().and_then(hash);
    Some(Mark { id: hash(id)?, events, lines: spot.lines, bytes: spot.bytes, end, packed: spot.packed })
}

/// Writes the marks, of which the last is the file that lies there.
pub(crate) fn write(marks: &[Mark]) -> String {
    let mut all: VecDeque<&Mark> = marks.iter().rev().collect();
    let last = all.pop_front().cloned().unwrap_or_default();
    let id = |mark: &Mark| format!("{:016x}", mark.id);
    let written = Written {
        id: id(&last),
        events: last.events,
        spot: spot(&last),
        before: all.iter().map(|mark| (id(mark), mark.events)).collect(),
        spots: all.iter().map(|mark| spot(mark)).collect(),
    };
    serde_json::to_string(&written).unwrap_or_default()
}

/// Reads what [`write()`] or `klio ingest` wrote, in the order of [`write()`]. Nothing if it is neither.
pub(crate) fn read(text: &str) -> Vec<Mark> {
    let Ok(written) = serde_json::from_str::<Written>(text) else { return Vec::new() };
    let spots = written.spots.into_iter().chain(std::iter::repeat_with(Spot::default));
    let before = written.before.iter().zip(spots);
    let mut marks: Vec<Mark> = before.filter_map(|((id, events), spot)| mark(id, *events, spot)).collect();
    marks.reverse();
    marks.extend(mark(&written.id, written.events, written.spot));
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let a = Mark { id: 1, events: 2, lines: 3, bytes: Some(4), end: Some(u64::MAX), packed: Some(6) };
        let b = Mark { id: u64::MAX, events: 9, lines: 9, bytes: Some(99), end: Some(5), packed: None };
        for marks in [vec![a.clone()], vec![a.clone(), b.clone()], vec![b, a]] {
            assert_eq!(read(&write(&marks)), marks);
        }
    }

    #[test]
    fn positions_of_ingest_are_read() {
        let marks = read(r#"{"id":"00000000000000ff","events":7,"before":[["000000000000000a",3]]}"#);
        assert_eq!(
            marks,
            [Mark { id: 10, events: 3, ..Mark::default() }, Mark { id: 255, events: 7, ..Mark::default() }]
        );
        assert!(read("").is_empty() && read("{}").is_empty() && read(r#"{"id":"x","events":1}"#).is_empty());
    }
}
