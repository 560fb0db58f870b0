//! What comes, as it comes: from the batches that were judged last, which are held for this; and for who was away longer, from
//! the lake.

use std::time::{Duration, Instant};

use klio_model::{Event, Filter, TimeRange, Timestamp};
use klio_store::{Kept, Spooled};
use klio_web::archive::{Followed, Patience, Position, Question, Record};
use klio_web::{ArchiveError, Sight};

use super::{Memory, record, seen};

/// How long is waited for something new.
const WAIT: Duration = Duration::from_millis(500);
/// Events happened no longer than this before they were received, but for those of long requests.
const BEFORE: i64 = 3600 * 1_000_000;

/// The place behind an event: its batch, the events of that batch before it, and when the batch was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    batch: u64,
    told: usize,
    received: i64,
}

impl Place {
    fn read(position: &Position) -> Option<Self> {
        let mut parts = position.0.split('.');
        let place =
            Self { batch: parts.next()?.parse().ok()?, told: parts.next()?.parse().ok()?, received: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(place)
    }

    fn position(self) -> Position {
        Position(format!("{}.{}.{}", self.batch, self.told, self.received))
    }
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
            let place = Place { batch: live.progress().0, told: 0, received: now() };
            return Ok(Followed { items: Vec::new(), next: place.position(), lost: 0 });
        };
        let mut place = Place::read(after).ok_or(ArchiveError::BadPosition)?;
        let mut followed = Followed { items: Vec::new(), next: after.clone(), lost: 0 };
        // A place in the middle of a batch is before the batch is through.
        let through = |place: Place| if place.told == 0 { place.batch } else { place.batch.saturating_sub(1) };
        let until = patience.until().min(Instant::now() + WAIT);
        loop {
            let held = live.batches(through(place));
            if let Some(first) = held.oldest.filter(|first| *first > through(place) + 1) {
                // Those between are in the lake, or they are lost to this reader.
                let from = place.received;
                let to = held.batches.first().map_or_else(now, |batch| batch.received().micros());
                let missed = self.between(sight, patience, question, from, to, most)?;
                for (number, kept) in missed.into_iter().enumerate() {
                    let at = Place { batch: place.batch, told: 0, received: kept.received.micros() };
                    if number < most {
                        followed.items.push((at.position(), record(kept)));
                    } else {
                        followed.lost += 1;
                    }
                }
                place = Place { batch: first - 1, told: 0, received: to };
            }
            for batch in &held.batches {
                if followed.items.len() >= most || patience.is_over() {
                    break;
                }
                place = tell(sight, question, batch, place, most, &mut followed);
            }
            followed.next = place.position();
            if !followed.items.is_empty() || followed.lost > 0 || Instant::now() >= until || patience.is_over() {
                return Ok(followed);
            }
            live.wait(through(place), until.saturating_duration_since(Instant::now()));
        }
    }

    /// Events of the lake that were received after and before these times, in that order; one more than `most` at most.
    fn between(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        from: i64,
        to: i64,
        most: usize,
    ) -> Result<Vec<Kept>, ArchiveError> {
        let range = TimeRange { start: Some(Timestamp(from - BEFORE)), ..question.range };
        let mut found = self.ask(seen(sight, &question.clusters), |lake| {
            let mut found: Vec<Kept> = Vec::new();
            lake.find(&question.filter, range, &mut |kept| {
                let received = kept.received.micros();
                if received > from && received < to {
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
        found.sort_by_key(|kept| kept.received);
        Ok(found)
    }
}

/// Tells what of a batch matches and comes after a place; returns the place after it.
fn tell(
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
    let behind = Place { batch: batch.seq(), told: 0, received: received.micros() };
    let Some(filter) = question.for_cluster(sight, &origin.cluster) else { return behind };
    for (number, (raw, salvaged)) in batch.entries().enumerate().skip(skip) {
        if followed.items.len() >= most {
            return Place { told: number, ..behind };
        }
        if matches(&filter, question.range, raw, salvaged) {
            let (cluster, source) = (origin.cluster.clone(), origin.source.clone());
            let record = Record { raw: raw.to_owned(), cluster, source, received, salvaged };
            followed.items.push((Place { told: number + 1, ..behind }.position(), record));
        }
    }
    behind
}

fn matches(filter: &Filter, range: TimeRange, raw: &str, salvaged: bool) -> bool {
    Event::parse(raw).is_ok_and(|mut event| {
        event.salvaged = salvaged;
        range.holds(event.time()) && filter.matches(&event)
    })
}
