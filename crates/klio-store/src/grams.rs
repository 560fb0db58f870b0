//! Which rows of a file may hold a text: for each block of rows, which trigrams stand in their records.
//!
//! A trigram is three bytes of a record, ASCII letters in lower case. Those of hexadecimal digits, `-`, `:` and `.` alone
//! stand in every id and every time: they are left out. Of a backslash or a byte beyond ASCII the pair with the next byte
//! counts as well, for the odd spellings that a question looks for ([`crate::needle`]).
//!
//! The index lies between the last row group and the footer, which names its place in [`NOTE`]. It is a bit for each of
//! [`BITS`] hashes and each block, all blocks of one hash together: neighbours are alike, so that this packs well.

mod build;

use std::ops::Range;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use parquet::file::metadata::ParquetMetaData;

pub(crate) use build::Builder;

/// Rows of a block (docs/decisions/0020-gram-index.md).
const BLOCK: usize = 64;
/// Trigrams are told apart by twelve bits of a hash.
const BITS: usize = 1 << 12;
/// Files of more rows have no index: 8 bytes for each row are unpacked for a question.
const MOST_ROWS: u64 = 1 << 22;
/// Stands in the footer with the index's offset and length in bytes.
pub(crate) const NOTE: &str = "klio.grams-1";
/// Bytes whose trigrams are made at once.
const PART: usize = 64;
/// Trigrams that are passed over together if none of them counts.
const GROUP: usize = 8;

/// Calls `f` with the number of each trigram and pair, and whether it counts: a branch would be guessed wrong too often.
#[inline(always)]
fn each(text: &[u8], mut f: impl FnMut(usize, bool)) {
    let mut rest = text;
    while !rest.is_empty() {
        let part = rest.get(..PART + 2).unwrap_or(rest);
        // With room for reading four bytes at the last trigram.
        let (mut lower, mut counts) = ([0_u8; PART + 3], [0_u8; PART + 3]);
        for ((lower, counts), byte) in lower.iter_mut().zip(&mut counts).zip(part) {
            *lower = byte.to_ascii_lowercase();
            *counts = u8::from(!is_common(*byte));
        }
        let trigrams = part.len().saturating_sub(2);
        for from in (0..trigrams).step_by(GROUP) {
            let counts = counts.get(from..from + GROUP + 2).unwrap_or_default();
            // Ids and times are long.
            if counts.iter().fold(0, |any, one| any | one) == 0 {
                continue;
            }
            let lower = lower.get(from..).unwrap_or_default();
            for (four, counts) in lower.windows(4).zip(counts.windows(3)).take(trigrams - from) {
                let gram = four.first_chunk::<4>().map_or(0, |four| u32::from_be_bytes(*four) >> 8);
                f(number(gram), counts.iter().fold(0, |any, one| any | one) != 0);
            }
        }
        if part.iter().fold(false, |any, byte| any | is_strange(*byte)) {
            for pair in lower.get(..part.len()).unwrap_or_default().windows(2) {
                if let [first, second] = pair
                    && is_strange(*first)
                {
                    f(number(1 << 24 | u32::from(*first) << 8 | u32::from(*second)), true);
                }
            }
        }
        rest = rest.get(PART..).unwrap_or_default();
    }
}

/// Whether trigrams of such bytes are left out.
fn is_common(byte: u8) -> bool {
    byte.is_ascii_digit() | matches!(byte | 0x20, b'a'..=b'f') | matches!(byte, b'-' | b':' | b'.')
}

/// Whether the pair with the next byte counts.
fn is_strange(byte: u8) -> bool {
    matches!(byte, b'\\' | 0x80..)
}

fn number(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> 20) as usize
}

/// The numbers of what must stand in a block for a text to stand there.
pub(crate) fn of_text(text: &[u8]) -> Vec<usize> {
    let mut numbers = Vec::new();
    each(text, |number, counts| {
        if counts {
            numbers.push(number);
        }
    });
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// An index.
#[derive(Debug)]
pub(crate) struct Grams {
    slices: Vec<u8>,
    blocks: usize,
}

impl Grams {
    /// As it is stored.
    pub(crate) fn pack(&self) -> std::io::Result<Vec<u8>> {
        zstd::bulk::compress(&self.slices, 1)
    }

    /// As it was stored for so many rows; `None` if it is damaged.
    pub(crate) fn unpack(packed: &[u8], rows: u64) -> Option<Self> {
        let blocks = usize::try_from(rows).ok().filter(|_| rows < MOST_ROWS)?.div_ceil(BLOCK);
        let size = BITS * blocks.div_ceil(8);
        let slices = zstd::bulk::decompress(packed, size).ok()?;
        (slices.len() == size).then_some(Self { slices, blocks })
    }

    /// Where it lies in a file, if the footer says so; an error if that cannot be.
    pub(crate) fn place(metadata: &ParquetMetaData, length: u64) -> Result<Option<Range<u64>>, &'static str> {
        let notes = metadata.file_metadata().key_value_metadata();
        let note = notes.and_then(|all| all.iter().find(|n| n.key == NOTE));
        let Some(note) = note else { return Ok(None) };
        let place = || {
            let (offset, bytes) = note.value.as_deref()?.split_once(' ')?;
            let (offset, bytes) = (offset.parse::<u64>().ok()?, bytes.parse::<u64>().ok()?);
            offset.checked_add(bytes).filter(|end| *end <= length).map(|end| offset..end)
        };
        place().map(Some).ok_or("the place of its index of texts cannot be")
    }

    /// The rows of which blocks may hold one of several texts: of each text its numbers, as [`of_text`] has them.
    pub(crate) fn rows(&self, texts: &[Vec<usize>], rows: Range<usize>) -> BooleanBuffer {
        let width = self.blocks.div_ceil(8);
        let mut any = vec![0_u8; width];
        for text in texts {
            let mut all = vec![0xff_u8; width];
            for number in text {
                let slice = self.slices.get(number * width..).unwrap_or_default();
                all.iter_mut().zip(slice).for_each(|(all, there)| *all &= there);
            }
            any.iter_mut().zip(all).for_each(|(any, all)| *any |= all);
        }
        let mut bits = BooleanBufferBuilder::new(rows.len());
        let mut from = rows.start;
        while from < rows.end {
            let block = from / BLOCK;
            let to = ((block + 1) * BLOCK).min(rows.end);
            // Beyond what the index knows anything may be.
            let may = any.get(block / 8).is_none_or(|byte| byte >> (block % 8) & 1 == 1);
            bits.append_n(to - from, may);
            from = to;
        }
        bits.finish()
    }

    /// Whether it has all that another has.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.slices.len() == other.slices.len()
            && self.slices.iter().zip(&other.slices).all(|(mine, theirs)| theirs & !mine == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts like records, from a seed.
    fn records(seed: u64) -> Vec<Vec<u8>> {
        let mut state = seed;
        let mut next = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let words =
            ["payments-api-7", "kube-system", "Grüße", "a\\u00e9b", "\\/", "", "x", "Secret", "\u{212a}"];
        let mut records = Vec::new();
        for _ in 0..next(400) {
            let mut text =
                format!("{{\"auditID\":\"{:08x}\",\"at\":\"2026-11-{:02}", next(1 << 32), next(30));
            for _ in 0..next(9) {
                text.push_str(words[next(words.len() as u64) as usize]);
                text.push_str(&next(1000).to_string());
            }
            records.push(text.into_bytes());
        }
        records
    }

    #[test]
    fn what_stands_in_a_row_is_never_left_out() {
        for seed in 0..20 {
            let records = records(seed);
            let mut builder = Builder::new();
            for record in &records {
                builder.push(record);
            }
            let Some(grams) = builder.finish() else {
                assert!(records.is_empty());
                continue;
            };
            let read = Grams::unpack(&grams.pack().unwrap(), records.len() as u64).unwrap();
            assert!(read.holds(&grams));
            for (row, record) in records.iter().enumerate() {
                for from in (0..record.len()).step_by(7) {
                    for length in [2, 3, 5, 9, 30] {
                        let Some(text) = record.get(from..from + length) else { continue };
                        let texts = [of_text(&text.to_ascii_uppercase())];
                        assert!(read.rows(&texts, 0..records.len()).value(row));
                        let last = records.len().min(row + 3);
                        assert!(read.rows(&texts, row..last).value(0));
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_without_a_text_are_told() {
        let mut builder = Builder::new();
        for row in 0..1000 {
            let name = if row == 700 { "payments-api-7" } else { "orders-web-3" };
            builder
                .push(format!("{{\"verb\":\"get\",\"name\":\"{name}\",\"uid\":\"{row:08x}\"}}").as_bytes());
        }
        let grams = builder.finish().unwrap();
        let rows = grams.rows(&[of_text(b"payments-api-7")], 0..1000);
        assert_eq!(rows.set_slices().collect::<Vec<_>>(), [(640, 704)]);
        let mut other = Builder::new();
        for _ in 0..1000 {
            other.push(b"{\"name\":\"something-else\"}");
        }
        let other = other.finish().unwrap();
        assert!(grams.holds(&grams) && !grams.holds(&other) && !other.holds(&grams));
        assert!(of_text(b"2026-11-21").is_empty());
        assert_eq!(grams.rows(&[of_text(b"2026-11-21")], 0..10).count_set_bits(), 10);
    }

    #[test]
    fn a_damaged_index_is_none() {
        let mut builder = Builder::new();
        for _ in 0..100 {
            builder.push(b"{\"kind\":\"Event\"}");
        }
        let packed = builder.finish().unwrap().pack().unwrap();
        assert!(Grams::unpack(&packed, 100).is_some());
        assert!(Grams::unpack(&packed, 1000).is_none());
        assert!(Grams::unpack(&packed, u64::MAX).is_none());
        for length in 0..packed.len() {
            assert!(Grams::unpack(packed.get(..length).unwrap(), 100).is_none(), "{length}");
        }
    }
}
