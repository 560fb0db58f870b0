//! What comes, as it comes: from the batches that were judged last, which are held for this; and for who was away longer, from
//! the lake.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use klio_model::{Event, Filter, TimeRange, Timestamp};
use klio_store::keys::{Cipher, Secret};
use klio_store::{Kept, Spooled};
use klio_web::archive::{Followed, Patience, Position, Question, Record};
use klio_web::{ArchiveError, Sight};
use sha2::{Digest, Sha256};

use super::{Memory, record, seen};

/// What the key is for.
const LABEL: &[u8] = b"klio tail position";
/// How long is waited for something new.
const WAIT: Duration = Duration::from_millis(500);
/// Events happened no longer than this before they were received, but for those of long requests.
const BEFORE: i64 = 3600 * 1_000_000;

/// The place behind an event: its batch, the events of that batch before it, and when the batch was received; of an event that was
/// read in the lake, how many received at the same time were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    batch: u64,
    told: usize,
    received: i64,
    kept: usize,
}

impl Place {
    fn read(key: &Cipher, position: &Position) -> Option<Self> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(&position.0).ok()?;
        let mut plain = Vec::new();
        key.open(LABEL, &sealed, &mut plain).ok()?;
        let mut numbers = plain.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight));
        Some(Self {
            batch: numbers.next()?,
            told: numbers.next()? as usize,
            received: numbers.next()?.cast_signed(),
            kept: numbers.next().unwrap_or(0) as usize,
        })
    }

    /// Sealed: the numbers of batches would tell how much comes for others.
    fn position(self, key: &Cipher) -> Position {
        let numbers = [self.batch, self.told as u64, self.received.cast_unsigned(), self.kept as u64];
        let plain: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut sealed = Vec::new();
        // Without chance there is no seal, and the reader begins anew.
        let _ = key.seal(LABEL, &plain, &mut sealed);
        Position(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }
}

/// The key that seals places.
pub(super) fn key(secret: [u8; 32]) -> Option<Cipher> {
    let digest = Sha256::new().chain_update(LABEL).chain_update(secret).finalize();
    Secret::from_slice(&digest).map(Cipher::new)
}

impl Memory {
    pub(super) fn tail(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        after: Option<&Position>,
        most: usize,
    ) -> Result<Followed, ArchiveError> {
        let live = &self.pipeline.live;
        let now = || jiff::Timestamp::now().as_microsecond();
        let Some(after) = after else {
            let place = Place { batch: live.progress().0, told: 0, received: now(), kept: 0 };
            return Ok(Followed { items: Vec::new(), next: place.position(&self.places), lost: 0 });
        };
        let mut place = Place::read(&self.places, after).ok_or(ArchiveError::BadPosition)?;
        let mut followed = Followed { items: Vec::new(), next: after.clone(), lost: 0 };
        // A place in the middle of a batch is before the batch is through.
        let through =
            |place: Place| if place.told == 0 { place.batch } else { place.batch.saturating_sub(1) };
        let until = patience.until().min(Instant::now() + WAIT);
        loop {
            let held = live.batches(through(place));
            if let Some(first) = held.oldest.filter(|first| *first > through(place) + 1) {
                // Those between are in the lake, or they are lost to this reader.
                let to = held.batches.first().map_or_else(now, |batch| batch.received().micros());
                let missed = self.between(sight, patience, question, place, to, most)?;
                let mut at = Place { told: 0, ..place };
                for (number, kept) in missed.into_iter().enumerate() {
                    let received = kept.received.micros();
                    let alike = if received == at.received { at.kept } else { 0 };
                    at = Place { received, kept: alike + 1, ..at };
                    if number < most {
                        followed.items.push((at.position(&self.places), record(kept)));
                    } else {
                        followed.lost += 1;
                    }
                }
                place = Place { batch: first - 1, told: 0, received: to, kept: 0 };
            }
            for batch in &held.batches {
                if followed.items.len() >= most || patience.is_over() {
                    break;
                }
                place = self.tell(sight, question, batch, place, most, &mut followed);
            }
            followed.next = place.position(&self.places);
            if !followed.items.is_empty()
                || followed.lost > 0
                || Instant::now() >= until
                || patience.is_over()
            {
                return Ok(followed);
            }
            live.wait(through(place), until.saturating_duration_since(Instant::now()));
        }
    }

    /// Events of the lake that were received behind a place and before a time, in that order; ten times `most` at most. The rest of
    /// a batch that was told in part is told again from its begin, since the lake does not keep the order in it.
    fn between(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        place: Place,
        to: i64,
        most: usize,
    ) -> Result<Vec<Kept>, ArchiveError> {
        let from = place.received;
        let in_part = place.told > 0 || place.kept > 0;
        let range = TimeRange { start: Some(Timestamp(from - BEFORE)), ..question.range };
        let mut found = self.ask(seen(sight, &question.clusters), patience, |lake| {
            let mut found: Vec<Kept> = Vec::new();
            lake.find(&question.filter, range, &mut |kept| {
                let received = kept.received.micros();
                if (received > from || received == from && in_part) && received < to {
                    found.push(kept);
                }
                if found.len() > 10 * most || patience.is_over() {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            })?;
            Ok(found)
        })?;
        found.sort_by(|a, b| (a.received, &a.raw).cmp(&(b.received, &b.raw)));
        let told = found.iter().take_while(|kept| kept.received.micros() == from).count().min(place.kept);
        found.drain(..told);
        Ok(found)
    }
}

impl Memory {
    /// Tells what of a batch matches and comes after a place; returns the place after it.
    fn tell(
        &self,
        sight: &Sight,
        question: &Question,
        batch: &Spooled,
        place: Place,
        most: usize,
        followed: &mut Followed,
    ) -> Place {
        let skip = if place.batch == batch.seq() { place.told } else { 0 };
        let origin = batch.origin();
        let received = batch.received();
        let behind = Place { batch: batch.seq(), told: 0, received: received.micros(), kept: 0 };
        let Some(filter) = question.for_cluster(sight, &origin.cluster) else { return behind };
        for (number, (raw, salvaged)) in batch.entries().enumerate().skip(skip) {
            if followed.items.len() >= most {
                return Place { told: number, ..behind };
            }
            if matches(&filter, question.range, raw, salvaged) {
                let (cluster, source) = (origin.cluster.clone(), origin.source.clone());
                let record = Record { raw: raw.to_owned(), cluster, source, received, salvaged };
                followed.items.push((Place { told: number + 1, ..behind }.position(&self.places), record));
            }
        }
        behind
    }
}

fn matches(filter: &Filter, range: TimeRange, raw: &str, salvaged: bool) -> bool {
    Event::parse(raw).is_ok_and(|mut event| {
        event.salvaged = salvaged;
        range.holds(event.time()) && filter.matches(&event)
    })
}
