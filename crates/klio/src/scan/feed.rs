//! Hands out chunks of all inputs, numbered in the order they are to be taken in.
//!
//! A cluster with several API servers has several logs of the same hours. Bursts, sequences and stories are about
//! time, so inputs are read side by side, the one whose next chunk begins first. Rotated files follow each other
//! anyway: only inputs that overlap in time are open at once.

use std::collections::VecDeque;
use std::path::PathBuf;

use klio_model::Timestamp;
use klio_source::{Chunk, Chunks, Discovery, Input, Options, Pool, Rejected, Skipped, Source, discover};
use memchr::memmem;

use crate::failure::Failure;

/// Inputs that are open at once.
const OPEN: usize = 64;
/// Bytes in which a time is looked for before an input is opened.
const PEEK: usize = 64 << 10;

/// All inputs, some being read.
pub(super) struct Feed {
    /// Not open yet, with the time of their first event; the earliest first.
    waiting: VecDeque<(i64, Input)>,
    open: Vec<Opened>,
    pool: Pool,
    options: Options,
    next: u64,
    total: Option<u64>,
    /// Several inputs, whose events are to be taken in the order of time.
    several: bool,
    troubles: Troubles,
}

/// What is to be judged next.
pub(super) struct Next {
    /// In the order in which results are to be taken.
    pub number: u64,
    /// When it begins, if other inputs may hold events of the same time.
    pub begins: Option<i64>,
    pub chunk: Chunk,
}

/// An input being read, with the chunk that comes next.
struct Opened {
    time: i64,
    next: Chunk,
    rest: Chunks,
}

/// What is known to be unreadable before any byte was read.
#[derive(Default)]
pub(super) struct Troubles {
    pub rejected: Vec<Rejected>,
    pub skipped: Vec<Skipped>,
    pub files: u64,
    /// Paths that the user named and that cannot be read at all.
    pub named: Vec<String>,
}

impl Feed {
    /// Opens what can be read. `grows`: see [`Options::grows`].
    pub(super) fn open(paths: &[PathBuf], grows: bool) -> Result<Self, Failure> {
        let Discovery { inputs, rejected, skipped, .. } = discover(paths);
        if inputs.is_empty() {
            let why = rejected.iter().map(ToString::to_string).chain(skipped.iter().map(ToString::to_string));
            let why: Vec<String> = why.take(5).collect();
            let mut failure = Failure::world(if why.is_empty() {
                "nothing to read".to_owned()
            } else {
                why.join("\n      ")
            });
            failure = failure.hint(
                "give audit log files, directories, patterns such as 'audit*.log', or - for standard input",
            );
            return Err(failure);
        }
        let several = inputs.len() > 1;
        let total = inputs.iter().map(|i| i.size).sum::<Option<u64>>();
        let named = named(paths, &rejected);
        let troubles = Troubles { rejected, skipped, files: inputs.len() as u64, named };
        let (options, pool) = (Options { grows, ..Options::default() }, Pool::default());
        let mut waiting: VecDeque<(i64, Input)> = match <[Input; 1]>::try_from(inputs) {
            Ok([only]) => VecDeque::from([(i64::MIN, only)]),
            Err(many) => many.into_iter().map(|input| (peek(&input, &pool), input)).collect(),
        };
        // Inputs of the same time, and those that tell none, keep the order in which they were found.
        waiting.make_contiguous().sort_by_key(|(time, _)| *time);
        Ok(Self { waiting, open: Vec::new(), pool, options, next: 0, total, several, troubles })
    }

    /// Bytes on disk, if all inputs tell.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn next_chunk(&mut self) -> Option<Next> {
        loop {
            let first = (0..self.open.len()).min_by_key(|&i| self.open[i].time);
            let due = |time: i64| self.open.len() < OPEN && first.is_none_or(|i| time <= self.open[i].time);
            if let Some((time, input)) = self.waiting.pop_front_if(|(time, _)| due(*time)) {
                let mut rest = Chunks::new(&input, &self.options, &self.pool);
                if let Some(next) = rest.next() {
                    self.open.push(Opened { time: time_in(next.bytes()).unwrap_or(time), next, rest });
                }
                continue;
            }
            let at = first?;
            let opened = &mut self.open[at];
            let begins = self.several.then_some(opened.time);
            let chunk = match opened.rest.next() {
                Some(next) => {
                    // A chunk that tells no time comes right after the one before it.
                    opened.time = time_in(next.bytes()).unwrap_or(opened.time);
                    std::mem::replace(&mut opened.next, next)
                }
                None => self.open.remove(at).next,
            };
            self.next += 1;
            return Some(Next { number: self.next - 1, begins, chunk });
        }
    }

    pub(super) fn into_troubles(self) -> Troubles {
        self.troubles
    }
}

/// What of the unreadable was named by the user, and not merely found in a directory.
pub fn named(paths: &[PathBuf], rejected: &[Rejected]) -> Vec<String> {
    let given = |r: &&Rejected| paths.iter().any(|path| path.to_string_lossy() == *r.file);
    rejected.iter().filter(given).map(ToString::to_string).collect()
}

/// When an input's first event happened; the least number if it does not tell, so that it is read first.
fn peek(input: &Input, pool: &Pool) -> i64 {
    // Only files can be opened twice.
    let regular = matches!(&input.source, Source::File(path) if path.is_file());
    let options = Options { chunk: PEEK, ..Options::default() };
    let first = regular.then(|| Chunks::new(input, &options, pool).next()).flatten();
    first.and_then(|chunk| time_in(chunk.bytes())).unwrap_or(i64::MIN)
}

/// The first time in some bytes of a log, whatever envelope is around it.
fn time_in(bytes: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"requestReceivedTimestamp";
    let head = bytes.get(..PEEK).unwrap_or(bytes);
    let after = head.get(memmem::find(head, KEY)? + KEY.len()..)?;
    // `":"`, `\":\"`, `": "`
    let start = after.iter().take(12).position(u8::is_ascii_digit)?;
    let rest = after.get(start..)?;
    let end = rest.iter().take(40).position(|b| matches!(b, b'"' | b'\\'))?;
    Timestamp::parse(std::str::from_utf8(rest.get(..end)?).ok()?).map(Timestamp::micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(ids: std::ops::Range<u32>, step: u32) -> String {
        let line = |n: u32| {
            format!(
                "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"{n}\",\
                 \"requestReceivedTimestamp\":\"2026-11-21T{:02}:{:02}:00.000000Z\"}}\n",
                n * step / 60,
                n * step % 60
            )
        };
        ids.map(line).collect()
    }

    #[test]
    fn logs_of_the_same_hours_are_read_side_by_side() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("b.log"), log(0..3, 10)).unwrap();
        std::fs::write(path("a.log"), log(4..6, 10)).unwrap();
        std::fs::write(path("c.log"), "no time in here\n".repeat(3)).unwrap();
        let mut feed =
            Feed::open(&[path("a.log"), path("b.log"), path("c.log"), path("none.log")], false).unwrap();
        let mut order = Vec::new();
        while let Some(next) = feed.next_chunk() {
            order.push(next.chunk.file.rsplit('/').next().unwrap().to_owned());
        }
        assert_eq!(order, ["c.log", "b.log", "a.log"]);
        assert_eq!(feed.into_troubles().named.len(), 1);
    }

    #[test]
    fn times_are_found_in_envelopes() {
        for text in [
            r#"{"requestReceivedTimestamp":"2026-11-21T01:01:58.390059Z"}"#,
            r#"{"log":"{\"requestReceivedTimestamp\":\"2026-11-21T01:01:58.390059Z\"}"}"#,
            r#"{"requestReceivedTimestamp": "2026-11-21T01:01:58.390059Z"}"#,
        ] {
            assert!(time_in(text.as_bytes()).is_some(), "{text}");
        }
        assert!(time_in(b"requestReceivedTimestamp").is_none());
    }
}
