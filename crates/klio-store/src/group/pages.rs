//! Columns of words and of flags, read from their pages: the runs of the encoding stay runs, and no row is written out.
//!
//! The Parquet format: a page of distinct texts, each with its length before it; pages of their numbers as a hybrid of
//! runs and packed bits, before each the runs of which rows have a value.

use std::cell::RefCell;

use arrow::array::{Array, BooleanBufferBuilder, StringArray};
use arrow::buffer::BooleanBuffer;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use zstd::bulk::Decompressor;

use super::coded::{Coded, Run, push};

/// A page's bytes, unpacked; larger ones are left to the library.
const MOST: usize = 1 << 26;

/// The pages of a column as they are stored, and how they are unpacked.
pub(crate) struct Pages<P> {
    pub pages: P,
    /// Whether values can be missing.
    pub nullable: bool,
    /// Whether pages are packed with zstd; else not at all.
    pub packed: bool,
}

thread_local! {
    /// Made once: that costs as much as unpacking a small page.
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn unpacked(packed: bool, bytes: Bytes) -> Result<Option<Bytes>, ParquetError> {
    if !packed {
        return Ok(Some(bytes));
    }
    if Decompressor::upper_bound(&bytes).is_none_or(|size| size > MOST) {
        return Ok(None);
    }
    UNPACK.with_borrow_mut(|unpack| {
        let unpack = match unpack {
            Some(unpack) => unpack,
            none => none.insert(Decompressor::new()?),
        };
        Ok(Some(unpack.decompress(&bytes, MOST)?.into()))
    })
}

/// Reads all pages of a column of words with `rows` rows; `None` if it is encoded in a way that is not read here.
pub(super) fn coded(mut column: Pages<impl PageReader>, rows: usize) -> Result<Option<Coded>, ParquetError> {
    let mut words = None;
    let mut runs = Vec::with_capacity(1024);
    let mut left = u32::try_from(rows)?;
    while let Some(page) = column.pages.get_next_page()? {
        match page {
            Page::DictionaryPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN | Encoding::PLAIN_DICTIONARY,
                ..
            } => {
                let Some(buf) = unpacked(column.packed, buf)? else { return Ok(None) };
                words = Some(StringArray::from_iter_values(texts(&buf, num_values)?));
            }
            Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY,
                def_level_encoding: Encoding::RLE,
                ..
            } => {
                let Some(words) = &words else { return Ok(None) };
                let Some(buf) = unpacked(column.packed, buf)? else { return Ok(None) };
                left = left.checked_sub(num_values).ok_or_else(|| odd("more values than rows"))?;
                codes(&buf, column.nullable, num_values, words.len() as u32, &mut runs)
                    .ok_or_else(|| odd("a torn page"))?;
            }
            _ => return Ok(None),
        }
    }
    if left > 0 {
        return Err(odd("fewer values than rows"));
    }
    let words = words.unwrap_or_else(|| StringArray::new_null(0));
    Ok(Some(Coded { words, runs }))
}

fn odd(said: &str) -> ParquetError {
    ParquetError::General(format!("a column has {said}"))
}

/// Texts with their lengths before them.
fn texts(bytes: &[u8], count: u32) -> Result<Vec<&str>, ParquetError> {
    let mut rest = bytes;
    let mut texts = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| odd("a torn dictionary"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, after) = after.split_at_checked(length).ok_or_else(|| odd("a torn dictionary"))?;
        texts.push(std::str::from_utf8(text)?);
        rest = after;
    }
    Ok(texts)
}

/// Adds the codes of a page; `None` if it is torn.
fn codes(page: &[u8], nullable: bool, count: u32, words: u32, runs: &mut Vec<Run>) -> Option<()> {
    let (mut there, page) = if nullable {
        let (length, rest) = page.split_first_chunk::<4>()?;
        let (levels, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        (Some(Hybrid::new(levels, 1)), rest)
    } else {
        (None, page)
    };
    let (width, numbers) = page.split_first().unwrap_or((&0, &[]));
    let mut numbers = Hybrid::new(numbers, u32::from(*width));
    let mut left = count;
    while left > 0 {
        let (is_there, rows) = there.as_mut().map_or(Some((1, left)), |there| there.next(left))?;
        left -= rows;
        if is_there == 0 {
            push(runs, 0, rows);
            continue;
        }
        let mut values = rows;
        while values > 0 {
            let (number, same) = numbers.next(values)?;
            if number >= words {
                return None;
            }
            push(runs, number + 1, same);
            values -= same;
        }
    }
    Some(())
}

/// Values that are packed together.
const GROUP: usize = 8;

/// Parquet's hybrid of runs and packed bits.
struct Hybrid<'b> {
    rest: &'b [u8],
    /// Bits of a value.
    width: usize,
    /// A run: its value, and how many are left.
    run: (u32, u32),
    /// Groups of packed values that are not unpacked yet.
    packed: &'b [u8],
    groups: u32,
    /// One group, and which of its values is next.
    group: [u32; GROUP],
    at: usize,
}

impl<'b> Hybrid<'b> {
    fn new(rest: &'b [u8], width: u32) -> Self {
        let width = width as usize;
        Self { rest, width, run: (0, 0), packed: &[], groups: 0, group: [0; GROUP], at: GROUP }
    }

    /// The next value and how often it stands there, at most `most` times; `None` if the bytes are torn.
    #[inline]
    fn next(&mut self, most: u32) -> Option<(u32, u32)> {
        loop {
            if let Some(left) = self.group.get(self.at..).filter(|left| !left.is_empty()) {
                let value = left.first().copied()?;
                let same = left.iter().take(most as usize).take_while(|next| **next == value).count();
                self.at += same;
                return Some((value, same as u32));
            }
            if self.run.1 > 0 {
                let count = self.run.1.min(most);
                self.run.1 -= count;
                return Some((self.run.0, count));
            }
            if self.groups > 0 { self.unpack()? } else { self.header()? }
        }
    }

    fn header(&mut self) -> Option<()> {
        let (mut header, mut shift) = (0_u64, 0);
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            header |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let count = u32::try_from(header >> 1).ok().filter(|_| self.width <= 32)?;
        if header & 1 == 1 {
            (self.packed, self.rest) =
                self.rest.split_at_checked((count as usize).checked_mul(self.width)?)?;
            self.groups = count;
        } else {
            let (value, rest) = self.rest.split_at_checked(self.width.div_ceil(8))?;
            self.rest = rest;
            self.run = (value.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte)), count);
        }
        // Nothing of nothing would never end.
        (count > 0).then_some(())
    }

    /// Unpacks the next group: as many bytes as a value has bits.
    fn unpack(&mut self) -> Option<()> {
        let (bytes, rest) = self.packed.split_at_checked(self.width)?;
        self.packed = rest;
        self.groups -= 1;
        // With room behind the last for reading eight bytes at once.
        let mut room = [0; 32 + 8];
        room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let mask = (1_u64 << self.width) - 1;
        for (number, value) in self.group.iter_mut().enumerate() {
            let bit = number * self.width;
            let word = u64::from_le_bytes(*room.get(bit / 8..)?.first_chunk::<8>()?);
            *value = (word >> (bit % 8) & mask) as u32;
        }
        self.at = 0;
        Some(())
    }
}

/// Reads the pages of a column of flags with `rows` rows, if each has a value.
pub(super) fn flags(
    mut column: Pages<impl PageReader>,
    rows: usize,
) -> Result<Option<BooleanBuffer>, ParquetError> {
    let mut bits = BooleanBufferBuilder::new(rows);
    while let Some(page) = column.pages.get_next_page()? {
        let Page::DataPage {
            buf,
            num_values,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            ..
        } = page
        else {
            return Ok(None);
        };
        let Some(buf) = unpacked(column.packed, buf)? else { return Ok(None) };
        let mut values = buf.as_ref();
        if column.nullable {
            let (length, rest) = values.split_first_chunk::<4>().ok_or_else(|| odd("a torn page"))?;
            let levels = rest.split_at_checked(u32::from_le_bytes(*length) as usize);
            let (levels, rest) = levels.ok_or_else(|| odd("a torn page"))?;
            if Hybrid::new(levels, 1).next(num_values) != Some((1, num_values)) {
                return Ok(None);
            }
            values = rest;
        }
        let count = num_values as usize;
        if values.len() < count.div_ceil(8) || bits.len() + count > rows {
            return Err(odd("a torn page"));
        }
        bits.append_packed_range(0..count, values);
    }
    if bits.len() < rows {
        return Err(odd("fewer values than rows"));
    }
    Ok(Some(bits.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], width: u32, count: u32) -> Option<Vec<u32>> {
        let mut hybrid = Hybrid::new(bytes, width);
        let mut values = Vec::new();
        while values.len() < count as usize {
            let (value, same) = hybrid.next(count - values.len() as u32)?;
            values.extend(std::iter::repeat_n(value, same as usize));
        }
        Some(values)
    }

    #[test]
    fn runs_and_packed_bits_are_read_as_the_format_says() {
        // The example of the format's description: 0 to 7, packed in three bits each.
        assert_eq!(all(&[3, 0x88, 0xc6, 0xfa], 3, 8), Some((0..8).collect()));
        // Five times 300, then two values of nine bits.
        assert_eq!(all(&[10, 0x2c, 1], 9, 5), Some(vec![300; 5]));
        assert_eq!(all(&[10, 0x2c, 1], 9, 6), None);
        assert_eq!(all(&[0], 1, 1), None);
        assert_eq!(all(&[0xff; 12], 1, 1), None);
        assert_eq!(all(&[4], 0, 2), Some(vec![0, 0]));
    }

    #[test]
    fn torn_pages_are_refused() {
        let page = [2, 0, 0, 0, 6, 1, 1, 6, 0];
        let mut runs = Vec::new();
        assert_eq!(codes(&page, true, 3, 2, &mut runs), Some(()));
        assert_eq!(runs, [Run { code: 1, end: 3 }]);
        for length in 0..page.len() {
            assert_eq!(codes(page.get(..length).unwrap(), true, 3, 2, &mut Vec::new()), None, "{length}");
        }
        assert_eq!(codes(&[2, 0, 0, 0, 6, 1, 1, 6, 1], true, 3, 1, &mut Vec::new()), None);
        assert!(texts(&[9, 0, 0, 0, b'a'], 1).is_err());
    }
}
