//! Not too fast: how many requests somebody may make, and how many at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many askers are remembered; who has not asked for a while is forgotten first.
const MOST: usize = 65_536;
/// Refusals of one asker are told to the audit so often at most.
const TOLD: Duration = Duration::from_secs(10);

/// How often somebody may ask.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// Requests a second, in the long run.
    pub per_second: f64,
    /// Requests at once after a pause.
    pub burst: f64,
}

/// What came of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pass {
    /// Go on. So many refusals were not told to the audit yet.
    Go(u64),
    /// Come again after so many seconds; `Some` if it is to be told to the audit, with those before that were not.
    Wait(u64, Option<u64>),
}

struct Bucket {
    left: f64,
    at: Instant,
    told: Option<Instant>,
    folded: u64,
}

/// A bucket of requests for each asker, which fills with time.
pub(crate) struct Pace<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash + Clone> Pace<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one request from an asker's bucket.
    pub(crate) fn take(&self, key: &K, now: Instant) -> Pass {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(key) {
            self.forget(&mut buckets, now);
        }
        let full = self.rate.burst;
        let fresh = || Bucket { left: full, at: now, told: None, folded: 0 };
        let bucket = buckets.entry(key.clone()).or_insert_with(fresh);
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + since * self.rate.per_second).min(full);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Pass::Go(std::mem::take(&mut bucket.folded));
        }
        let seconds = ((1.0 - bucket.left) / self.rate.per_second).ceil().clamp(1.0, 3600.0) as u64;
        if bucket.told.is_some_and(|told| now.saturating_duration_since(told) < TOLD) {
            bucket.folded += 1;
            return Pass::Wait(seconds, None);
        }
        bucket.told = Some(now);
        Pass::Wait(seconds, Some(std::mem::take(&mut bucket.folded)))
    }

    /// Those whose bucket is full again are as if they had never asked; else the half that has not asked for longest goes.
    fn forget(&self, buckets: &mut HashMap<K, Bucket>, now: Instant) {
        let refill = Duration::from_secs_f64((self.rate.burst / self.rate.per_second).clamp(0.0, 86_400.0));
        buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < refill);
        if buckets.len() >= MOST {
            let mut times: Vec<Instant> = buckets.values().map(|bucket| bucket.at).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or(now);
            buckets.retain(|_, bucket| bucket.at > middle);
        }
    }
}

/// The address under which a client is counted: whoever has one address of a /64 has all of them (RFC 4291, 2.5.4).
pub(crate) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Places for work that takes long: so many for each asker, and so many in all.
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    of: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new(each: usize, all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, of: Mutex::default() }
    }

    fn own(&self, who: &str) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= 1024 {
            // Nobody holds or waits for a place of those that only this map knows.
            of.retain(|_, own| Arc::strong_count(own) > 1);
        }
        of.entry(who.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }

    /// A place for somebody; `None` if none became free in time.
    pub(crate) async fn turn(&self, who: &str, wait: Duration) -> Option<Turn> {
        let own = self.own(who);
        let both = async {
            let own = own.acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(Turn { _own: own, _all: all })
        };
        tokio::time::timeout(wait, both).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let pace = Pace::new(Rate { per_second: 2.0, burst: 3.0 });
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        assert!((0..3).all(|_| pace.take(&"ana", now) == Pass::Go(0)));
        assert_eq!(pace.take(&"ana", now), Pass::Wait(1, Some(0)));
        assert_eq!(pace.take(&"ana", now), Pass::Wait(1, None));
        assert_eq!(pace.take(&"bob", now), Pass::Go(0));
        assert_eq!(pace.take(&"ana", at(500)), Pass::Go(1), "one refusal was not told");
        assert_eq!(pace.take(&"ana", at(500)), Pass::Wait(1, None));
        assert_eq!(pace.take(&"ana", at(11_000)), Pass::Go(1));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let pace = Pace::new(Rate { per_second: 0.001, burst: 10.0 });
        let now = Instant::now();
        for n in 0..MOST * 2 {
            pace.take(&n, now + Duration::from_nanos(n as u64));
        }
        assert!(pace.buckets.lock().unwrap().len() <= MOST);
    }

    #[tokio::test]
    async fn one_asker_does_not_take_all_places() {
        let turns = Turns::new(1, 2);
        let none = Duration::ZERO;
        let first = turns.turn("ana", none).await;
        assert!(first.is_some() && turns.turn("ana", none).await.is_none());
        let second = turns.turn("bob", none).await;
        assert!(second.is_some() && turns.turn("eve", none).await.is_none());
        drop(first);
        assert!(turns.turn("ana", none).await.is_some());
    }
}
