//! Multiplies the recorded events into a corpus of any size: fresh audit ids, advancing times, varied
//! people, namespaces and object names, everything else byte for byte as the apiserver wrote it.
//!
//! The mix is 80 % Metadata, 12 % Request and 8 % RequestResponse by count with a mean of 1.5 KB an event.
//! The stages of one request stay together under one new audit id, and lines come in order of their stage
//! time as in a real log. The same seed gives the same bytes.

mod clock;
mod template;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::error::Error;
use crate::rng::Rng;
use clock::Stamp;
use template::{Request, Template, Variation};

/// What a corpus shall look like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Stop once this many bytes are written.
    pub bytes: u64,
    /// Seed of every choice.
    pub seed: u64,
}

/// What was written.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub struct Made {
    /// Lines, one event each.
    pub events: u64,
    /// Bytes, line ends included.
    pub bytes: u64,
    /// Events at level Metadata, Request and RequestResponse.
    pub levels: [u64; 3],
    /// Events that belong to the multiplied intrusion.
    pub hostile: u64,
}

/// Mean size of an event that the mix aims at.
const MEAN_BYTES: u64 = 1_500;
/// Parts in a hundred: Metadata, Request, RequestResponse.
const SHARES: [u64; 3] = [80, 12, 8];
/// Larger bodies are left out: they are the bulk lists that a sane policy does not record.
const LARGEST_BODY: usize = 24 * 1024;
/// One request in so many belongs to the recorded intrusion.
const HOSTILE_EVERY: u64 = 2_000;
/// Mean time between two requests, in microseconds: some fifty a second, a middling cluster.
const MEAN_GAP: u64 = 20_000;
/// 2026-11-02T00:00:00Z in microseconds: the corpus's first moment.
const START: i64 = 1_793_577_600_000_000;

/// The recorded requests, by the level they were recorded at.
struct Pools {
    levels: [Vec<Request>; 3],
    /// RequestResponse events with larger bodies, drawn when the mean is too low.
    bulky: Vec<Request>,
    hostile: Vec<Request>,
}

/// Writes a corpus to `out` from the recorded logs under `recorded`.
pub fn generate(recorded: &Path, plan: &Plan, out: &mut dyn Write) -> Result<Made, Error> {
    let pools = load(recorded)?;
    let mut rng = Rng::new(plan.seed);
    let mut made = Made::default();
    let mut stamp = Stamp::default();
    let mut cursors = [0usize; 5];
    let mut requests = 0u64;
    let mut clock = START;
    let mut pending: BinaryHeap<Reverse<Pending>> = BinaryHeap::new();
    let mut buffer = Vec::with_capacity(1 << 20);
    // Planned, not yet written events count too: otherwise long watches would skew the mix.
    let mut planned = [0u64; 3];
    let mut planned_bytes = 0u64;
    let mut sequence = 0u64;
    while made.bytes + buffer.len() as u64 <= plan.bytes {
        requests += 1;
        clock += i64::try_from(rng.below(2 * MEAN_GAP)).unwrap_or(0);
        let total: u64 = planned.iter().sum();
        let level = (0..3)
            .max_by_key(|&l| (SHARES[l] * (total + 1)).cast_signed() - (planned[l] * 100).cast_signed())
            .unwrap_or(0);
        let (pool, slot) = if requests.is_multiple_of(HOSTILE_EVERY) && !pools.hostile.is_empty() {
            (&pools.hostile, 4)
        } else if level == 2 && planned_bytes < total * MEAN_BYTES && !pools.bulky.is_empty() {
            (&pools.bulky, 3)
        } else {
            (&pools.levels[level], level)
        };
        let at = cursors[slot];
        cursors[slot] += 1;
        let request = &pool[at % pool.len()];
        let hostile = slot == 4;
        let variation = Variation::new(&mut rng, (at / pool.len()) as u64);
        for event in 0..request.events.len() {
            let template = &request.events[event];
            planned[template.level] += 1;
            planned_bytes += template.len() as u64;
            sequence += 1;
            pending.push(Reverse(Pending {
                due: clock + template.stage_after,
                sequence,
                received: clock,
                slot,
                request: at % pool.len(),
                event,
                variation: variation.clone(),
                hostile,
            }));
        }
        while let Some(Reverse(next)) = pending.peek() {
            if next.due > clock {
                break;
            }
            let Some(Reverse(next)) = pending.pop() else { break };
            let template = pools.at(next.slot, next.request, next.event);
            template.write(&next.variation, next.received, next.due, &mut stamp, &mut buffer);
            made.events += 1;
            made.levels[template.level] += 1;
            made.hostile += u64::from(next.hostile);
        }
        if buffer.len() >= 1 << 20 {
            made.bytes += buffer.len() as u64;
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    made.bytes += buffer.len() as u64;
    out.write_all(&buffer)?;
    Ok(made)
}

/// An event whose stage lies in the future of the corpus's clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    due: i64,
    sequence: u64,
    received: i64,
    slot: usize,
    request: usize,
    event: usize,
    variation: Variation,
    hostile: bool,
}

impl Pools {
    fn at(&self, slot: usize, request: usize, event: usize) -> &Template {
        let pool = match slot {
            4 => &self.hostile,
            3 => &self.bulky,
            level => &self.levels[level],
        };
        &pool[request].events[event]
    }
}

fn load(recorded: &Path) -> Result<Pools, Error> {
    let metadata = read_log(&recorded.join("benign/metadata.jsonl.zst"))?;
    let recommended = read_log(&recorded.join("benign/recommended.jsonl.zst"))?;
    let bodies = read_log(&recorded.join("benign/requestresponse.jsonl.zst"))?;
    let intrusion = [
        read_log(&recorded.join("killchain/metadata.jsonl.zst"))?,
        read_log(&recorded.join("killchain/recommended.jsonl.zst"))?,
    ];
    let labels = std::fs::read_to_string(recorded.join("killchain/labels.json"))?;

    let mut levels: [Vec<Request>; 3] = Default::default();
    levels[0] = template::requests(&metadata, |level, _| level == 0);
    levels[1] = template::requests(&recommended, |level, _| level == 1);
    levels[2] = template::requests(&recommended, |level, len| level == 2 && len <= LARGEST_BODY);
    let bulky = template::requests(&bodies, |level, len| level == 2 && (7_000..=LARGEST_BODY).contains(&len));
    if levels.iter().any(Vec::is_empty) {
        return Err(Error::Empty(recorded.to_path_buf()));
    }
    let mut hostile = Vec::new();
    for log in &intrusion {
        let all = template::requests(log, |_, len| len <= LARGEST_BODY);
        hostile.extend(all.into_iter().filter(|r| labels.contains(&format!("\"{}\"", r.audit_id))));
    }
    Ok(Pools { levels, bulky, hostile })
}

/// The lines of a zstd-compressed log.
fn read_log(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let file =
        std::fs::File::open(path).map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
    let reader = BufReader::with_capacity(1 << 18, zstd::Decoder::new(file)?);
    Ok(reader.split(b'\n').collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
