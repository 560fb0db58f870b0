//! How often somebody does something, and how unusual it is that it happens so often now.

use serde::{Deserialize, Serialize};

/// Seconds of one bucket.
const BUCKET: u32 = 600;
/// Buckets with requests that must have passed before a number can be unusual.
const NEED: u16 = 6;
/// The weight of a new bucket, once there were enough of them.
const WEIGHT: f32 = 0.05;
/// A bucket counts as at most so many deviations above the mean when it is learnt: one burst does not make the next
/// usual.
const WINSOR: f32 = 4.0;

/// Requests by buckets of ten minutes. Only buckets with requests are learnt: people work in bursts, and a burst is
/// compared with bursts. Mean and mean absolute deviation are moving averages of winsorised numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rate {
    bucket: u32,
    now: u32,
    before: u32,
    mean: f32,
    deviation: f32,
    learnt: u16,
}

impl Rate {
    /// Counts a request and tells how many deviations the last ten minutes lie above what is usual.
    pub(super) fn count(&mut self, at: u32) -> i64 {
        let bucket = at / BUCKET;
        if self.now == 0 && self.before == 0 {
            self.bucket = bucket;
        }
        match bucket.checked_sub(self.bucket) {
            Some(0) => self.now = self.now.saturating_add(1),
            Some(passed) => {
                self.learn();
                self.before = if passed == 1 { self.now } else { 0 };
                (self.bucket, self.now) = (bucket, 1);
            }
            // Late: it belongs to what passed.
            None => {
                self.before = self.before.saturating_add(u32::from(bucket + 1 == self.bucket));
                return 0;
            }
        }
        self.unusual(at % BUCKET)
    }

    fn unusual(&self, into: u32) -> i64 {
        if self.learnt < NEED {
            return 0;
        }
        let left = 1.0 - into as f32 / BUCKET as f32;
        let last = self.now as f32 + self.before as f32 * left;
        // A mean absolute deviation of a normal distribution is 0.8 of its standard deviation; counts of rare events
        // vary by their root at least.
        let deviation = (1.25 * self.deviation).max(self.mean.max(1.0).sqrt());
        (((last - self.mean) / deviation).max(0.0)) as i64
    }

    fn learn(&mut self) {
        let count = self.now as f32;
        if self.learnt == 0 {
            (self.mean, self.deviation) = (count, count.sqrt());
        } else {
            let most = self.mean + WINSOR * self.deviation.max(1.0);
            let off = count.min(most) - self.mean;
            let weight = WEIGHT.max(1.0 / (f32::from(self.learnt) + 1.0));
            self.mean += weight * off;
            self.deviation += weight * (off.abs() - self.deviation);
        }
        self.learnt = self.learnt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_unusual_once_there_is_a_history() {
        let mut rate = Rate::default();
        let mut at = 1_000_000;
        let mut burst = |n: u32, rate: &mut Rate| {
            at += 3600;
            (0..n).map(|i| rate.count(at + i)).max().unwrap()
        };
        assert_eq!(burst(50, &mut rate), 0);
        for n in [5, 3, 6, 4, 5, 6, 4, 5, 3, 5, 4, 6, 5, 5, 4] {
            burst(n, &mut rate);
        }
        let usual = burst(6, &mut rate);
        let unusual = burst(80, &mut rate);
        assert!(usual <= 1 && unusual >= 6, "{usual} {unusual}");
        // The burst is no new habit.
        burst(5, &mut rate);
        assert!(burst(80, &mut rate) >= 4);
    }
}
