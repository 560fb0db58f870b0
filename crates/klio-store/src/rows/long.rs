//! Records. Each lies in one of a few blocks, and a block that was spooled becomes one as it is: nothing is copied.

use arrow::buffer::Buffer;

use crate::batch::Records;

/// Stands for the block to which texts are added one by one.
const OPEN: u32 = u32::MAX;
/// Bytes of the open block that a cleared column keeps room for.
const ROOM: usize = 8 << 20;

/// Where a text lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    block: u32,
    start: u32,
    length: u32,
    salvaged: bool,
}

/// The texts of a column.
#[derive(Debug, Default)]
pub(crate) struct Long {
    blocks: Vec<Buffer>,
    open: Vec<u8>,
    places: Vec<Place>,
    bytes: usize,
}

impl Long {
    /// Adds a text; `salvaged`: it was cut on its way.
    pub(crate) fn push(&mut self, text: &str, salvaged: bool) {
        if self.open.len() + text.len() > i32::MAX as usize {
            self.close();
        }
        let start = self.open.len() as u32;
        self.open.extend_from_slice(text.as_bytes());
        self.places.push(Place { block: OPEN, start, length: text.len() as u32, salvaged });
        self.bytes += text.len();
    }

    /// Makes the open block one of the others.
    fn close(&mut self) {
        let block = self.block();
        let open = std::mem::take(&mut self.open);
        self.fill(block, open);
        for place in self.places.iter_mut().filter(|place| place.block == OPEN) {
            place.block = block;
        }
    }

    /// Reserves a block.
    pub(crate) fn block(&mut self) -> u32 {
        self.blocks.push(Buffer::default());
        self.blocks.len() as u32 - 1
    }

    /// Takes the texts of another that `keep` says: they are added to `records`, which will be the block `block`.
    pub(crate) fn append(&mut self, other: &Self, keep: &[bool], records: &mut Records, block: u32) {
        for (row, _) in keep.iter().enumerate().take(other.places.len()).filter(|(_, keep)| **keep) {
            let text = other.get(row);
            let salvaged = other.places.get(row).is_some_and(|place| place.salvaged);
            let start = records.push_as(text, salvaged) as u32;
            self.places.push(Place { block, start, length: text.len() as u32, salvaged });
            self.bytes += text.len();
        }
    }

    /// Gives a reserved block its bytes.
    pub(crate) fn fill(&mut self, block: u32, bytes: Vec<u8>) {
        if let Some(slot) = self.blocks.get_mut(block as usize) {
            *slot = Buffer::from_vec(bytes);
        }
    }

    /// The text of a row.
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        let Some(place) = self.places.get(row) else { return &[] };
        let block = if place.block == OPEN {
            self.open.as_slice()
        } else {
            self.blocks.get(place.block as usize).map_or(&[][..], Buffer::as_slice)
        };
        block
            .get(place.start as usize..(place.start as usize).saturating_add(place.length as usize))
            .unwrap_or_default()
    }

    /// Bytes of all texts.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All blocks, the open one last.
    pub(crate) fn blocks(&self) -> Vec<Buffer> {
        let mut blocks = self.blocks.clone();
        blocks.extend((!self.open.is_empty()).then(|| Buffer::from_slice_ref(&self.open)));
        blocks
    }

    /// Where the text of a row lies in [`Long::blocks`], as Arrow writes it.
    pub(crate) fn view(&self, row: u32) -> u128 {
        let Some(place) = self.places.get(row as usize) else { return 0 };
        let block = if place.block == OPEN { self.blocks.len() as u32 } else { place.block };
        let text = self.get(row as usize);
        if text.len() < place.length as usize {
            // A block that was not filled: Arrow refuses a view that leads nowhere, and nothing false is sealed.
            return u128::from(u32::MAX >> 1) | u128::from(block) << 64 | u128::from(place.start) << 96;
        }
        arrow::array::make_view(text, block, place.start)
    }

    /// Forgets all, keeps the room, and returns blocks to be written to again.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.places.clear();
        self.open.clear();
        // Room for one huge record is not kept for ever.
        self.open.shrink_to(ROOM);
        self.bytes = 0;
        self.blocks.drain(..).filter_map(|block| block.into_vec::<u8>().ok())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use arrow::buffer::ScalarBuffer;

    use super::*;

    fn array(long: &Long, rows: u32) -> Result<StringViewArray, arrow::error::ArrowError> {
        let views: ScalarBuffer<u128> = (0..rows).map(|row| long.view(row)).collect();
        StringViewArray::try_new(views, long.blocks(), None)
    }

    #[test]
    fn rows_of_several_blocks_say_what_was_pushed() {
        let (mut shelf, mut long) = (Long::default(), Long::default());
        for text in ["first", "a second text that is longer than a view", "", "not kept", "last"] {
            shelf.push(text, false);
        }
        let (one, two) = (long.block(), long.block());
        let (mut a, mut b) = (Records::default(), Records::default());
        long.append(&shelf, &[true, true, false, false, false], &mut a, one);
        long.append(&shelf, &[false, false, true, false, true], &mut b, two);
        long.append(&shelf, &[true], &mut a, one);
        long.push("pushed", false);
        long.fill(two, b.into_bytes());
        assert!(array(&long, 6).is_err(), "a block is not there");
        long.fill(one, a.into_bytes());
        let array = array(&long, 6).unwrap();
        let said: Vec<&str> = array.iter().flatten().collect();
        let want = ["first", "a second text that is longer than a view", "", "last", "first", "pushed"];
        assert_eq!(said, want);
        drop(array);
        assert_eq!(long.clear().count(), 2, "room to be written to again");
    }
}
