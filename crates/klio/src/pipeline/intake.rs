//! From a body to its receipt: cut into items, read, cleared of secrets, made durable. Nothing is acknowledged before.

use std::collections::BTreeMap;
use std::sync::Arc;

use klio_model::Event;
use klio_source::follow::Piece;
use klio_source::{Item, Reason, Record, decode_bytes, diagnose, items, keyed_content_hash};
use klio_store::spool::{MAX_PAYLOAD, SpoolError};
use klio_store::{DeadLetter, DeadLetters, Origin, Records, StoreError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_secret};

use super::pulse::Pulse;
use super::recent::Recent;
use crate::keep::Terms;
use crate::traces::SPANS;

/// Bytes of records in a batch of the spool, about; a body with more becomes several.
const BATCH: usize = 8 << 20;

/// How far ahead of ours the clock of an API server may be to be counted by, in microseconds.
const SOON: i64 = 60 * 1_000_000;
/// Seconds of a batch whose events are counted, the latest: those of an hour ago are not compared any more.
const STAGES: usize = 2048;

/// Letters of one delivery; more bad items become one letter together.
const LETTERS: usize = 16;
/// Bytes of a line that is no event that are kept.
const LINE: usize = 1 << 20;
/// What happened before that, in microseconds, nobody delivers again: it need not be remembered.
const OLD: i64 = 15 * 60 * 1_000_000;

/// Takes what sources deliver, from many threads.
pub struct Intake {
    spool: klio_store::Intake,
    dead: DeadLetters,
    recent: Recent,
    pulse: Pulse,
    terms: Arc<Terms>,
    secret: Box<[u8; 192]>,
}

/// Who delivers.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'s> {
    /// The cluster, by path or credential.
    pub cluster: &'s str,
    /// The source, such as `webhook`.
    pub source: &'s str,
    /// When it was received, in microseconds since 1970.
    pub received: i64,
}

/// What became of a delivery: all of it is durable.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Events that are kept.
    pub kept: u64,
    /// Events that were kept before.
    pub known: u64,
    /// Items that are no events and lie with the dead letters.
    pub dead: u64,
    /// When the last of the events reached its stage, in microseconds since 1970.
    pub last: Option<i64>,
}

/// Why nothing of a delivery, or not all of it, is durable.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It never will be.
    #[error("the body is no JSON: {0}")]
    NotJson(Reason),
    /// It may be later.
    #[error("{0}")]
    Full(#[from] StoreError),
}

/// What was read of a delivery.
#[derive(Default)]
struct Read {
    ready: Vec<Ready>,
    /// Items that are no events, or not wholly, with the first reason of each.
    bad: Vec<(String, Vec<u8>)>,
}

/// A record on its way.
struct Ready {
    key: u64,
    json: String,
    salvaged: bool,
    /// Whether it may be delivered again.
    remember: bool,
    /// When its stage was reached, in microseconds since 1970.
    staged: Option<i64>,
}

impl Intake {
    /// An intake into the spool of a lake.
    pub fn new(
        spool: klio_store::Intake,
        dead: DeadLetters,
        terms: Arc<Terms>,
    ) -> Result<Self, getrandom::Error> {
        let mut secret = Box::new([0; 192]);
        getrandom::fill(secret.as_mut_slice())?;
        let (recent, pulse) = (Recent::default(), Pulse::default());
        Ok(Self { spool, dead, recent, pulse, terms, secret })
    }

    /// Takes a webhook's body. An error means that some of it is not durable; it is to be delivered again, and what is
    /// durable already will be known then.
    pub fn take(&self, from: Sender<'_>, body: &[u8]) -> Result<Receipt, Refusal> {
        let mut read = Read::default();
        items(body, &mut |item| self.item(from, item, &mut read)).map_err(Refusal::NotJson)?;
        Ok(self.keep(from, None, read)?)
    }

    /// Takes lines of a file, and makes durable with them how far the file has been read. Returns how many records there were
    /// besides, which the follower wants to know.
    pub fn take_piece(&self, from: Sender<'_>, piece: &Piece) -> Result<(Receipt, u64), StoreError> {
        let mut read = Read::default();
        let (mut bad, mut count) = (Vec::new(), 0);
        let records = piece.decode(&mut |decoded| {
            // Other lines are usual in logs: only what should have been an event is a letter.
            if matches!(decoded, Item::Skipped(_)) {
                return;
            }
            let line = match &decoded {
                Item::Record(record) => record.line,
                Item::Rejected(rejected) => rejected.line,
                Item::Skipped(_) => 0,
            };
            if let Some(reason) = self.decoded(from, &decoded, &mut read) {
                count += 1;
                if bad.len() < LETTERS {
                    bad.push((line.saturating_sub(piece.line) as usize, reason));
                }
            }
        });
        if count > bad.len() {
            let first = bad.first().map_or("", |(_, reason)| reason);
            read.bad.push((format!("{count} lines, the first: {first}"), piece.bytes.to_vec()));
        } else if !bad.is_empty() {
            let lines: Vec<&[u8]> = piece.bytes.split(|b| *b == b'\n').collect();
            for (number, reason) in bad {
                let line = lines.get(number).copied().unwrap_or_default();
                read.bad.push((reason, line.get(..LINE).unwrap_or(line).to_vec()));
            }
        }
        let receipt = self.keep(from, Some(piece.position(records)), read)?;
        Ok((receipt, records))
    }

    /// Takes a dead letter again, and says why it is still none if nothing in it is an event. Then nothing is kept.
    pub fn replay(&self, letter: &DeadLetter) -> Result<(Receipt, Option<String>), StoreError> {
        let from = Sender { cluster: &letter.cluster, source: &letter.source, received: letter.received };
        let mut read = Read::default();
        if items(&letter.bytes, &mut |item| self.item(from, item, &mut read)).is_err() {
            self.item(from, &letter.bytes, &mut read);
        }
        if read.ready.is_empty() {
            let reason = read.bad.first().map_or("there is nothing in it", |(reason, _)| reason);
            return Ok((Receipt::default(), Some(reason.to_owned())));
        }
        Ok((self.keep(from, None, read)?, None))
    }

    /// Makes what was read durable, and with it how far the source has been read.
    fn keep(&self, from: Sender<'_>, position: Option<String>, read: Read) -> Result<Receipt, StoreError> {
        let Read { ready, bad } = read;
        let last = ready.iter().filter_map(|ready| ready.staged).max();
        let mut receipt = Receipt { dead: bad.len() as u64, last, ..Receipt::default() };
        for letter in &Self::letters(from, bad) {
            let key = xxh3_64_with_secret(&letter.bytes, &*self.secret) ^ xxh3_64(from.cluster.as_bytes());
            let (claim, new) = self.recent.claim(&[key]);
            if new == [true] {
                self.dead.keep(letter)?;
            }
            claim.kept();
        }
        let mut rest = ready.as_slice();
        // A small spool takes small batches.
        let most = BATCH.min(self.spool.room().1 as usize / 8);
        loop {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|ready| {
                let before = bytes;
                bytes += ready.json.len();
                before < most
            });
            let (batch, after) = rest.split_at(fits.count());
            rest = after;
            // The source has been read so far only when the last of it is durable.
            let position = position.as_ref().filter(|_| rest.is_empty());
            let kept = self.batch(from, position, batch)?;
            receipt.kept += kept;
            receipt.known += batch.len() as u64 - kept;
            if rest.is_empty() {
                return Ok(receipt);
            }
        }
    }

    /// Keeps the records that are new; returns how many.
    fn batch(&self, from: Sender<'_>, position: Option<&String>, batch: &[Ready]) -> Result<u64, StoreError> {
        let keys: Vec<u64> = batch.iter().map(|ready| ready.key).collect();
        let (claim, new) = self.recent.claim(&keys);
        let mut records = Records::default();
        let mut stages: BTreeMap<i64, u64> = BTreeMap::new();
        for (ready, _) in batch.iter().zip(new).filter(|(_, new)| *new) {
            records.push_as(&ready.json, ready.salvaged);
            if let Some(staged) = ready.staged.filter(|staged| *staged <= from.received + SOON) {
                *stages.entry(staged.div_euclid(1_000_000)).or_default() += 1;
            }
        }
        while stages.len() > STAGES {
            stages.pop_first();
        }
        if !records.is_empty() || position.is_some() {
            let origin = Origin {
                cluster: from.cluster.to_owned(),
                source: from.source.to_owned(),
                received: from.received,
                position: position.cloned(),
                stages,
            };
            tracing::info_span!(target: SPANS, "sync").in_scope(|| self.spool.append(&origin, &records))?;
        }
        claim.kept_of(&batch.iter().map(|ready| ready.remember).collect::<Vec<_>>());
        Ok(records.len())
    }

    /// Reads one item, which may hold several events. Whatever is wrong with it, it is bad once.
    fn item(&self, from: Sender<'_>, item: &[u8], read: &mut Read) {
        let mut first = None;
        decode_bytes(from.source, item, &mut |decoded| {
            if let Some(reason) = self.decoded(from, &decoded, read) {
                first.get_or_insert(reason);
            }
        });
        if let Some(reason) = first {
            read.bad.push((reason, item.to_vec()));
        }
    }

    /// Takes one result of decoding; says why it is no event.
    fn decoded(&self, from: Sender<'_>, item: &Item<'_>, read: &mut Read) -> Option<String> {
        match item {
            Item::Record(record) => match self.record(from, record) {
                Ok(ready) => {
                    read.ready.push(ready);
                    None
                }
                Err(reason) => Some(reason.to_string()),
            },
            // Repaired bytes are kept as an event; as they came they lie with the dead letters.
            Item::Rejected(rejected) => Some(rejected.reason.to_string()),
            Item::Skipped(skipped) => Some(skipped.reason.to_string()),
        }
    }

    /// The letters that bad items become: one for each, or one for all if they are many, since each is synced to the disk.
    fn letters(from: Sender<'_>, bad: Vec<(String, Vec<u8>)>) -> Vec<DeadLetter> {
        let letter = |reason: String, bytes: Vec<u8>| DeadLetter {
            cluster: from.cluster.to_owned(),
            source: from.source.to_owned(),
            received: from.received,
            reason,
            bytes,
        };
        if bad.len() <= LETTERS {
            return bad.into_iter().map(|(reason, bytes)| letter(reason, bytes)).collect();
        }
        let first = bad.first().map_or("", |(reason, _)| reason);
        let reason = format!("{} items, the first: {first}", bad.len());
        let mut all = Vec::new();
        for (_, bytes) in &bad {
            all.extend_from_slice(if all.is_empty() { b"[" } else { b"," });
            all.extend_from_slice(bytes);
        }
        all.push(b']');
        vec![letter(reason, all)]
    }

    fn record(&self, from: Sender<'_>, record: &Record<'_>) -> Result<Ready, Reason> {
        let event = Event::parse(record.json)
            .map_err(|why| diagnose(record.json).unwrap_or_else(|| Reason::NotAnEvent(why.to_string())))?;
        let mut text = String::new();
        let json =
            if self.terms.redact(record.json, &event, &mut text) { text } else { record.json.to_owned() };
        if json.len() > MAX_PAYLOAD / 2 {
            return Err(Reason::NotAnEvent(format!("of {} bytes is too large to be kept", json.len())));
        }
        // A file may be days behind; what it tells must not push out what webhooks repeat.
        let last = event.staged_at().or_else(|| event.time());
        let is_old = last.is_some_and(|time| time.micros() < from.received.saturating_sub(OLD));
        let remember = from.source == "webhook" || !is_old;
        self.pulse.hear(from.cluster, &event);
        let staged = event.staged_at().map(klio_model::Timestamp::micros);
        let key = self.key(from.cluster, &json);
        Ok(Ready { key, json, salvaged: record.salvaged, remember, staged })
    }

    /// Stands for a record as it is stored, and its cluster.
    fn key(&self, cluster: &str, json: &str) -> u64 {
        keyed_content_hash(json, &self.secret) ^ xxh3_64(cluster.as_bytes()).rotate_left(1)
    }

    /// Takes note of a record that the lake has.
    pub fn know(&self, cluster: &str, json: &str) {
        self.recent.add(self.key(cluster, json));
    }

    /// Signs of life of the clusters.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The spool.
    pub fn spool(&self) -> &klio_store::Intake {
        &self.spool
    }

    /// The dead letters.
    pub fn dead(&self) -> &DeadLetters {
        &self.dead
    }
}

/// Whether a refusal passes when the lake has caught up, and not only when somebody sees to the disk.
pub fn is_full(refusal: &StoreError) -> bool {
    matches!(refusal, StoreError::Spool(SpoolError::Full { .. }))
}
