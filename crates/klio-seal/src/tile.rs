//! The names and shapes of files in a tiled log (C2SP tlog-tiles): 256 hashes or entries each, the last of a
//! level partial.

use std::fmt::Write as _;

use crate::hash::{Hash, leaf_hash};

/// How many hashes or entries a full tile has.
pub(crate) const WIDTH: u64 = 256;
/// Longest bundle of entries: 256 times a length of two bytes and what it can say.
pub(crate) const MAX_BUNDLE: u64 = 256 * 65_537;
/// Longest tile of hashes.
pub(crate) const MAX_TILE: u64 = 256 * 32;

/// Which file: hashes of a level, or entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Row {
    Entries,
    Level(u32),
}

/// One file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tile {
    pub(crate) row: Row,
    pub(crate) index: u64,
    /// 1 to 255 for partial tiles, 256 for full ones.
    pub(crate) width: u64,
}

impl Tile {
    pub(crate) fn new(row: Row, index: u64, width: u64) -> Self {
        Self { row, index, width }
    }

    /// The path below the log's directory.
    pub(crate) fn path(self) -> String {
        let mut path = Self::directory(self.row, self.index);
        if self.width < WIDTH {
            let _ = write!(path, ".p/{}", self.width);
        }
        path
    }

    /// The directory of the partial tiles that a full tile makes needless.
    pub(crate) fn partials(row: Row, index: u64) -> String {
        Self::directory(row, index) + ".p"
    }

    fn directory(row: Row, index: u64) -> String {
        let mut groups = vec![index % 1000];
        let mut rest = index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        let mut path = match row {
            Row::Entries => "tile/entries".to_owned(),
            Row::Level(level) => format!("tile/{level}"),
        };
        for (place, group) in groups.iter().enumerate().rev() {
            let x = if place == 0 { "" } else { "x" };
            let _ = write!(path, "/{x}{group:03}");
        }
        path
    }

    /// Reads what [`Tile::path`] wrote; `None` for any other path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (full, width) = match path.split_once(".p/") {
            Some((full, width)) => (full, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
            None => (path, WIDTH),
        };
        let mut parts = full.split('/');
        if parts.next() != Some("tile") {
            return None;
        }
        let row = match parts.next()? {
            "entries" => Row::Entries,
            level => Row::Level(level.parse().ok().filter(|level| *level < 8)?),
        };
        let mut index: u64 = 0;
        for part in parts {
            let digits: u64 = part.strip_prefix('x').unwrap_or(part).parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(digits)?;
        }
        // The way back refuses everything that is written otherwise.
        Some(Self { row, index, width }).filter(|tile| tile.index < u64::MAX / WIDTH && tile.path() == path)
    }

    /// The tiles of a level for a log of `size` entries: full ones, and the width of the partial one.
    pub(crate) fn widths(row: Row, size: u64) -> (u64, u64) {
        let nodes = match row {
            Row::Entries | Row::Level(0) => size,
            Row::Level(level) if level < 8 => size >> (8 * level),
            Row::Level(_) => 0,
        };
        (nodes / WIDTH, nodes % WIDTH)
    }
}

/// Cuts a tile into hashes; `None` when its length is no multiple of 32.
pub(crate) fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|hash| Hash(*hash)).collect())
}

/// The entries of a bundle up to the first byte that does not fit.
pub(crate) fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { rest: bytes }
}

/// Goes through a bundle.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
}

impl Entries<'_> {
    /// Whether bytes are left that are no entry.
    pub(crate) fn torn(&self) -> bool {
        !self.rest.is_empty()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(entry)
    }
}

/// The hashes of the entries of a bundle, and whether bytes were left over.
pub(crate) fn entry_hashes(bytes: &[u8]) -> (Vec<Hash>, bool) {
    let mut entries = entries(bytes);
    let hashes = entries.by_ref().map(leaf_hash).collect();
    (hashes, entries.torn())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_specification() {
        let tile = Tile::new(Row::Level(0), 1_234_067, 256);
        assert_eq!(tile.path(), "tile/0/x001/x234/067");
        assert_eq!(Tile::new(Row::Entries, 0, 5).path(), "tile/entries/000.p/5");
        for path in ["tile/0/x001/x234/067", "tile/entries/000.p/5", "tile/2/999", "tile/1/x001/000.p/255"] {
            assert_eq!(Tile::parse(path).unwrap().path(), path);
        }
        for path in ["tile/0/1", "tile/8/001", "tile/0/001.p/256", "tile/0/001.p/05", "tile/0/x000/001", "x"]
        {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn widths_of_the_specification() {
        // "a tree of size 70,000 will be represented by 273 full level 0 tiles …"
        assert_eq!(Tile::widths(Row::Level(0), 70_000), (273, 112));
        assert_eq!(Tile::widths(Row::Level(1), 70_000), (1, 17));
        assert_eq!(Tile::widths(Row::Level(2), 70_000), (0, 1));
        assert_eq!(Tile::widths(Row::Level(1), 256), (0, 1));
    }
}
