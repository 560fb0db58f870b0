//! How many different secrets somebody read lately: exact as long as there are few, then estimated.

use serde::{Deserialize, Serialize};

use super::DAY;

/// Secrets that are remembered one by one.
const EXACT: usize = 128;
/// Words of the bitmap of one day.
const WORDS: usize = 32;
/// A day more than the week that is asked for.
const DAYS: u32 = 8;

/// The secrets that one identity read within a week.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Secrets {
    /// A secret and when it was read last.
    exact: Vec<(u32, u32)>,
    sketch: Option<Box<Sketch>>,
}

/// Bitmaps of the last days, each at the place of its day (linear counting: Whang, Vander-Zanden, Taylor, "A
/// linear-time probabilistic counting algorithm", TODS 1990).
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sketch {
    days: [(u32, [u64; WORDS]); DAYS as usize],
}

impl Secrets {
    pub(super) fn heap(&self) -> usize {
        self.exact.capacity() * size_of::<(u32, u32)>()
            + self.sketch.as_ref().map_or(0, |_| size_of::<Sketch>())
    }

    pub(super) fn tidy(&mut self) {
        self.exact.truncate(EXACT);
        self.exact.shrink_to_fit();
    }

    pub(super) fn read(&mut self, secret: u64, at: u32) {
        if let Some(sketch) = &mut self.sketch {
            sketch.read(secret as u32, at);
            return;
        }
        let secret = secret as u32;
        if let Some((_, last)) = self.exact.iter_mut().find(|(s, _)| *s == secret) {
            *last = at.max(*last);
            return;
        }
        if self.exact.len() >= EXACT {
            self.exact.retain(|(_, last)| at.saturating_sub(*last) < 7 * DAY);
        }
        if self.exact.len() >= EXACT {
            let mut sketch = Box::<Sketch>::default();
            for (secret, at) in std::mem::take(&mut self.exact).into_iter().chain([(secret, at)]) {
                sketch.read(secret, at);
            }
            self.sketch = Some(sketch);
        } else {
            self.exact.push((secret, at));
        }
    }

    /// How many were read within so many seconds before.
    pub(super) fn within(&self, at: u32, seconds: u32) -> i64 {
        match &self.sketch {
            Some(sketch) => sketch.within(at, seconds),
            None => self.exact.iter().filter(|(_, last)| at.saturating_sub(*last) < seconds).count() as i64,
        }
    }
}

impl Sketch {
    fn read(&mut self, secret: u32, at: u32) {
        let today = at / DAY;
        let (day, bits) = &mut self.days[(today % DAYS) as usize];
        if *day > today {
            return;
        }
        if *day < today {
            (*day, *bits) = (today, [0; WORDS]);
        }
        bits[(secret / 64) as usize % WORDS] |= 1 << (secret % 64);
    }

    /// Whole days: the one that begins within the time counts, and the one before.
    fn within(&self, at: u32, seconds: u32) -> i64 {
        let (today, span) = (at / DAY, seconds / DAY);
        let mut union = [0u64; WORDS];
        for (day, bits) in &self.days {
            if *day <= today && today - *day <= span {
                union.iter_mut().zip(bits).for_each(|(a, b)| *a |= b);
            }
        }
        let all = (WORDS * 64) as f64;
        let free = union.iter().map(|word| word.count_zeros()).sum::<u32>().max(1);
        (all * (all / f64::from(free)).ln()).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_and_many_estimated() {
        let mut secrets = Secrets::default();
        let name = |i: u64| xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes());
        for i in 0..100 {
            secrets.read(name(i), 1_000_000 + i as u32);
            secrets.read(name(i), 1_000_000 + i as u32);
        }
        assert_eq!(secrets.within(1_000_200, DAY), 100);
        assert_eq!(secrets.within(1_000_200 + DAY, DAY), 0);
        assert_eq!(secrets.within(1_000_200 + DAY, 7 * DAY), 100);
        for i in 0..1_000 {
            secrets.read(name(i), 1_000_300 + 3 * DAY);
        }
        let day = secrets.within(1_000_300 + 3 * DAY, DAY);
        assert!((950..1_050).contains(&day), "{day}");
        assert!((950..1_050).contains(&secrets.within(1_000_300 + 6 * DAY, 7 * DAY)));
        assert_eq!(secrets.within(1_000_300 + 6 * DAY, DAY), 0);
        assert!(secrets.heap() < 4_096);
    }
}
