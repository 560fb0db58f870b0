//! Looking for needles in many records at once: for a few rare bytes of each first, for all of it where they stand.

use std::ops::Range;

use aho_corasick::packed;

use super::Needles;

/// Bytes of a needle that are looked for at first.
const WINDOW: usize = 3;
/// More spellings than this cannot be looked for at once.
const SPELLINGS: usize = 48;
/// Bytes that are counted to know which are rare.
const SAMPLE: usize = 32 << 10;

/// Looks for needles in many records at once.
pub(crate) struct Finder {
    needles: Needles,
    search: packed::Searcher,
    /// Where in each needle the window stands that is looked for.
    windows: Vec<usize>,
}

impl Finder {
    /// Prepared for texts like the sample; `None` if there are too many spellings.
    pub(crate) fn new(needles: &Needles, sample: &[u8]) -> Option<Self> {
        let mut seen = [1_u64; 256];
        for &byte in sample.iter().take(SAMPLE) {
            if let Some(count) = seen.get_mut(byte as usize) {
                *count += 1;
            }
        }
        let often = |byte: u8| seen.get(byte as usize).copied().unwrap_or(1) as f64;
        let (mut texts, mut places) = (Vec::new(), Vec::new());
        for needle in &needles.0 {
            let cost = |window: &&[u8]| -> f64 {
                let each = window.iter().map(|b| {
                    let other = b.to_ascii_uppercase();
                    let folds = needle.fold && b.is_ascii_alphabetic();
                    if folds { often(b.to_ascii_lowercase()) + often(other) } else { often(*b) }
                });
                each.product()
            };
            let windows = needle.text.windows(WINDOW.min(needle.text.len().max(1)));
            let (at, window) = windows.enumerate().min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)))?;
            let mut forms = vec![Vec::new()];
            for byte in window {
                let mut next = Vec::new();
                for form in &forms {
                    let mut with = |b: u8| next.push(form.iter().copied().chain([b]).collect());
                    if needle.fold && byte.is_ascii_alphabetic() {
                        with(byte.to_ascii_lowercase());
                        with(byte.to_ascii_uppercase());
                    } else {
                        with(*byte);
                    }
                }
                forms = next;
            }
            places.push(at);
            texts.extend(forms);
        }
        if texts.len() > SPELLINGS {
            return None;
        }
        let search = packed::Searcher::new(&texts)?;
        Some(Self { needles: needles.clone(), search, windows: places })
    }

    /// Calls `hit` with the number of each record that contains a needle. The records are ranges of `text` in
    /// ascending order.
    pub(crate) fn each(&self, text: &[u8], records: &[Range<usize>], hit: &mut dyn FnMut(usize)) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let wanted: usize = records.iter().map(ExactSizeIterator::len).sum();
        if wanted * 2 < last.end.saturating_sub(first.start) {
            // Few records of a long text: what lies between them is not looked at.
            for (number, record) in records.iter().enumerate() {
                self.run(text, std::slice::from_ref(record), &mut |_| hit(number));
            }
        } else {
            self.run(text, records, hit);
        }
    }

    fn run(&self, text: &[u8], records: &[Range<usize>], hit: &mut dyn FnMut(usize)) {
        let end = records.last().map_or(0, |r| r.end).min(text.len());
        let mut from = records.first().map_or(end, |r| r.start);
        let mut number = 0;
        while from < end {
            let Some(found) = self.search.find_in(text, (from..end).into()) else { return };
            from = found.start() + 1;
            while records.get(number).is_some_and(|r| r.end <= found.start()) {
                number += 1;
            }
            let Some(record) = records.get(number) else { return };
            if self.is_whole(text, record, found.start()) {
                hit(number);
                from = record.end;
            }
        }
    }

    /// Whether one of the needles whose window stands at `found` stands there as a whole, inside of the record.
    fn is_whole(&self, text: &[u8], record: &Range<usize>, found: usize) -> bool {
        self.needles.0.iter().zip(&self.windows).any(|(needle, at)| {
            let Some(start) = found.checked_sub(*at).filter(|s| *s >= record.start) else { return false };
            let place = start..start + needle.text.len();
            place.end <= record.end
                && text.get(place).is_some_and(|there| {
                    if needle.fold { there.eq_ignore_ascii_case(&needle.text) } else { there == needle.text }
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use klio_model::Filter;

    use super::*;

    #[test]
    fn hits_are_told_by_record() {
        let text = b"abc STOLEN-token x|stolen|-token|sTolen-ToKen";
        let records = [0..18, 19..25, 26..32, 33..text.len()];
        let finder =
            Finder::new(&Needles::of(&Filter::parse("\"stolen-token\"").unwrap()).unwrap(), text).unwrap();
        let mut hits = Vec::new();
        finder.each(text, &records, &mut |n| hits.push(n));
        assert_eq!(hits, [0, 3]);
        hits.clear();
        finder.each(text, std::slice::from_ref(&(33..text.len())), &mut |n| hits.push(n));
        assert_eq!(hits, [0]);
    }
}
