//! Making an index: most of a record stands in the row before, and is not looked at again.

use super::{BITS, BLOCK, Grams, MOST_ROWS, each, is_common};

const WORDS: usize = BITS / 64;
/// Bytes that are compared with the row before at once.
const WIDE: usize = 32;
/// How far around its place in the row before a text is looked for.
const NEAR: isize = 32;

/// An index in the making, row after row.
#[derive(Debug)]
pub(crate) struct Builder {
    /// One bit for each number, block after block.
    blocks: Vec<[u64; WORDS]>,
    rows: u64,
    before: Vec<u8>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { blocks: Vec::new(), rows: 0, before: Vec::new() }
    }

    /// Adds the record of the next row.
    pub(crate) fn push(&mut self, text: &[u8]) {
        if self.rows.is_multiple_of(BLOCK as u64) {
            if self.rows >= MOST_ROWS {
                return;
            }
            self.blocks.push([0; WORDS]);
            self.before.clear();
        }
        self.rows += 1;
        let Some(block) = self.blocks.last_mut() else { return };
        if self.before.is_empty() {
            each(text, |number, counts| set(block, number, counts));
        } else {
            add(block, text, &self.before);
        }
        self.before.clear();
        self.before.extend_from_slice(text);
    }

    /// All blocks of one number together; `None` if there are no rows, or too many.
    pub(crate) fn finish(&self) -> Option<Grams> {
        let blocks = self.blocks.len();
        if blocks == 0 || self.rows >= MOST_ROWS {
            return None;
        }
        let width = blocks.div_ceil(8);
        let mut slices = vec![0; BITS * width];
        for (number, block) in self.blocks.iter().enumerate() {
            for (word, bits) in block.iter().enumerate() {
                let mut bits = *bits;
                while bits != 0 {
                    let at = (word * 64 + bits.trailing_zeros() as usize) * width + number / 8;
                    if let Some(byte) = slices.get_mut(at) {
                        *byte |= 1 << (number % 8);
                    }
                    bits &= bits - 1;
                }
            }
        }
        Some(Grams { slices, blocks })
    }
}

/// Adds what stands in a text. Rows are sorted, so that most of a record stands in the one before, though not always at
/// the same distance from its begin; what stands there was added with that, and only what differs is looked at.
fn add(block: &mut [u64; WORDS], text: &[u8], before: &[u8]) {
    // How much further on it stands there, how much that changed the last time, and what it comes to at the end.
    let (mut shift, mut change, end) = (0, 0, before.len() as isize - text.len() as isize);
    let mut at = 0;
    while at < text.len() {
        at += alike(after(text, at, 0), after(before, at, shift));
        let from = at;
        loop {
            at += 8;
            let Some(next) = after(text, at, 0).first_chunk::<8>() else {
                at = text.len();
                break;
            };
            let stands = |shift| after(before, at, shift).first_chunk::<8>() == Some(next);
            let known = [shift, shift + change, end].into_iter().find(|shift| stands(*shift));
            let look = || if matches!(at - from, 16 | 40) { near(before, at, shift, *next) } else { None };
            if let Some(known) = known.or_else(look) {
                if known != shift {
                    (shift, change) = (known, known - shift);
                }
                break;
            }
        }
        each(
            text.get(from.saturating_sub(2)..(at + 2).min(text.len())).unwrap_or_default(),
            |number, counts| set(block, number, counts),
        );
    }
}

fn set(block: &mut [u64; WORDS], number: usize, counts: bool) {
    if let Some(word) = block.get_mut(number / 64) {
        *word |= u64::from(counts) << (number % 64);
    }
}

/// What stands in a text from a place on, or further on by a shift.
fn after(text: &[u8], at: usize, shift: isize) -> &[u8] {
    at.checked_add_signed(shift).and_then(|at| text.get(at..)).unwrap_or_default()
}

/// How many bytes at the begin of both are equal.
fn alike(a: &[u8], b: &[u8]) -> usize {
    let (wide_a, wide_b) = (a.as_chunks::<WIDE>().0, b.as_chunks::<WIDE>().0);
    let mut same = WIDE * wide_a.iter().zip(wide_b).take_while(|(a, b)| a == b).count();
    let (words_a, words_b) = (after(a, same, 0).as_chunks::<8>().0, after(b, same, 0).as_chunks::<8>().0);
    for (a, b) in words_a.iter().zip(words_b) {
        let differs = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differs != 0 {
            return same + differs.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    same + after(a, same, 0).iter().zip(after(b, same, 0)).take_while(|(a, b)| a == b).count()
}

/// By how much further on eight bytes stand in a text, looked for around where they should be.
fn near(before: &[u8], at: usize, shift: isize, bytes: [u8; 8]) -> Option<isize> {
    // Of ids and times there is no telling.
    if bytes.iter().all(|byte| is_common(*byte)) {
        return None;
    }
    let mut places = (1..=NEAR).flat_map(|by| [shift + by, shift - by]);
    places.find(|shift| after(before, at, *shift).first_chunk::<8>() == Some(&bytes))
}
