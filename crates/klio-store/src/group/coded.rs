//! A column of few distinct texts, as runs of equal ones: rows are sorted, so that runs are long.

use arrow::array::{Array, AsArray, DictionaryArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::datatypes::Int32Type;

/// Rows with one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// One more than the text's number; 0 for no value.
    pub code: u32,
    /// The row after the last.
    pub end: u32,
}

/// Distinct texts, and which rows have which.
#[derive(Debug)]
pub(crate) struct Coded {
    pub words: StringArray,
    /// Neighbours differ; they follow each other without gaps.
    pub runs: Vec<Run>,
}

impl Coded {
    /// From a dictionary as Arrow has it; `None` if its texts are no texts.
    pub(crate) fn of(array: &DictionaryArray<Int32Type>) -> Option<Self> {
        let words = array.values().as_string_opt::<i32>()?.clone();
        let mut runs = Vec::new();
        for key in array.keys() {
            let code =
                key.and_then(|key| u32::try_from(key).ok()).filter(|key| (*key as usize) < words.len());
            push(&mut runs, code.filter(|&key| words.is_valid(key as usize)).map_or(0, |key| key + 1), 1);
        }
        Some(Self { words, runs })
    }

    /// The text of a code.
    pub(crate) fn word(&self, code: u32) -> Option<&str> {
        let at = code.checked_sub(1)? as usize;
        (at < self.words.len()).then(|| self.words.value(at))
    }

    /// The text of a row.
    pub(crate) fn of_row(&self, row: usize) -> Option<&str> {
        let at = self.runs.partition_point(|run| run.end as usize <= row);
        self.word(self.runs.get(at)?.code)
    }

    /// The rows whose code is held, of those `within`; no other code is asked for.
    pub(crate) fn rows_within(
        &self,
        within: &BooleanBuffer,
        mut held: impl FnMut(u32) -> bool,
    ) -> BooleanBuffer {
        let rows = self.runs.last().map_or(0, |run| run.end as usize);
        let mut bits = vec![0_u64; rows.div_ceil(64)];
        let mut runs = self.runs.iter();
        let mut run = (0, runs.next());
        for (mut from, to) in within.set_slices() {
            while let (begin, Some(Run { code, end })) = run {
                let end = *end as usize;
                if end > from {
                    let last = end.min(to);
                    if held(*code) {
                        set(&mut bits, from.max(begin), last);
                    }
                    from = last;
                    if from >= to {
                        break;
                    }
                }
                run = (end, runs.next());
            }
        }
        BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)
    }

    /// The rows whose code is held.
    pub(crate) fn rows(&self, held: impl Fn(u32) -> bool) -> BooleanBuffer {
        let rows = self.runs.last().map_or(0, |run| run.end as usize);
        let mut bits = vec![0_u64; rows.div_ceil(64)];
        let mut from = 0;
        for run in &self.runs {
            if held(run.code) {
                set(&mut bits, from as usize, run.end as usize);
            }
            from = run.end;
        }
        BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)
    }
}

/// Sets the bits from one to before another.
fn set(bits: &mut [u64], from: usize, to: usize) {
    let (first, last) = (from / 64, to / 64);
    let (low, high) = (u64::MAX << (from % 64), (1_u64 << (to % 64)) - 1);
    if first == last {
        if let Some(word) = bits.get_mut(first) {
            *word |= low & high;
        }
        return;
    }
    for (number, word) in (first..).zip(bits.get_mut(first..).unwrap_or_default()).take(last - first + 1) {
        *word |= if number == first {
            low
        } else if number == last {
            high
        } else {
            u64::MAX
        };
    }
}

/// Adds rows with a code.
pub(crate) fn push(runs: &mut Vec<Run>, code: u32, rows: u32) {
    match runs.last_mut() {
        Some(last) if last.code == code => last.end += rows,
        last => {
            let end = last.map_or(0, |run| run.end) + rows;
            runs.push(Run { code, end });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_codes_are_set_bit_by_bit() {
        let ends = [1, 63, 64, 65, 128, 130, 200, 256];
        let runs: Vec<Run> =
            ends.iter().zip([1, 2, 1, 0, 3, 1, 2, 1]).map(|(&end, code)| Run { code, end }).collect();
        let coded = Coded { words: StringArray::from_iter_values(["a", "b", "c"]), runs };
        for held in 0..4 {
            let rows = coded.rows(|code| code == held);
            assert_eq!(rows.len(), 256);
            for odd in [2, 3, 7, 64, 100] {
                let within = BooleanBuffer::collect_bool(256, |row| row / odd % 2 == 1);
                let some = coded.rows_within(&within, |code| code == held);
                assert_eq!(some, &rows & &within, "{odd}");
            }
            for row in 0..256 {
                let word = held.checked_sub(1).map(|at| ["a", "b", "c"][at as usize]);
                assert_eq!(rows.value(row), coded.of_row(row) == word, "{row} {held}");
            }
        }
    }
}
