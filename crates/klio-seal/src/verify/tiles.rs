//! Compares every file of a log with the hashes that its signed root vouches for. Entries and tiles hold those
//! hashes twice; where they differ, the root and the tiles above tell which of the two was altered.

use std::{
    collections::HashSet,
    fs,
    path::{Path as FsPath, PathBuf},
};

use super::report::{Fact, LogReport, Problem};
use crate::{
    disk,
    hash::{Hash, leaf_hash},
    reader::{LogError, read_tile},
    tile::{self, MAX_BUNDLE, MAX_TILE, Row, Tile, WIDTH},
    tree,
};

/// The hashes of the leaves.
#[derive(Debug)]
pub(super) struct Leaves {
    /// In order, up to the first that nothing on disk tells.
    pub(super) hashes: Vec<Hash>,
}

/// What both sources say about the 256 leaves of a tile.
enum Block {
    Same(Vec<Hash>),
    Differ { entries: Option<Vec<Hash>>, tile: Option<Vec<Hash>>, above: Option<Hash> },
}

/// Reads the hashes of a log of `size` leaves under `root`.
pub(super) fn leaves(directory: &FsPath, size: u64, root: &Hash, report: &mut LogReport) -> Leaves {
    let mut blocks = Vec::new();
    let mut index = 0;
    while index * WIDTH < size {
        let width = (size - index * WIDTH).min(WIDTH);
        let mut get = |row| match read_tile(directory, row, index, width) {
            Ok(bytes) => Some(bytes),
            // A file that is missing is named by `files`.
            Err(LogError::Damaged { .. }) => None,
            Err(error) => {
                report.problem(Problem::File {
                    file: Tile::new(row, index, width).path(),
                    why: error.to_string(),
                });
                None
            }
        };
        let tile = get(Row::Level(0)).and_then(|bytes| tile::hashes(&bytes));
        let entries = get(Row::Entries).map(|bytes| tile::entry_hashes(&bytes).0);
        let cut = |hashes: Option<Vec<Hash>>| {
            let mut hashes = hashes.filter(|hashes| hashes.len() as u64 >= width)?;
            hashes.truncate(width as usize);
            Some(hashes)
        };
        match (cut(tile), cut(entries)) {
            (None, None) => break,
            (Some(tile), Some(entries)) if tile == entries => blocks.push(Block::Same(tile)),
            (tile, entries) => {
                let above = above(directory, size, index);
                blocks.push(Block::Differ { entries, tile, above });
            }
        }
        index += 1;
    }
    // The tiles above choose; if that is not what was signed, all entries or all tiles are tried.
    let mut best = None;
    for prefer_tiles in [None, Some(false), Some(true)] {
        let hashes: Vec<Hash> = blocks.iter().flat_map(|block| block.choose(prefer_tiles)).copied().collect();
        let authentic = hashes.len() as u64 == size && tree::root(&hashes) == *root;
        if authentic {
            return Leaves { hashes };
        }
        best.get_or_insert(hashes);
    }
    Leaves { hashes: best.unwrap_or_default() }
}

/// What the tile above says about the root of a full tile.
fn above(directory: &FsPath, size: u64, index: u64) -> Option<Hash> {
    let row = Row::Level(1);
    let (full, partial) = Tile::widths(row, size);
    let width = if index / WIDTH < full { WIDTH } else { partial };
    let bytes = read_tile(directory, row, index / WIDTH, width).ok()?;
    tile::hashes(&bytes)?.get((index % WIDTH) as usize).copied()
}

impl Block {
    fn choose(&self, prefer_tiles: Option<bool>) -> &[Hash] {
        let Self::Differ { entries, tile, above } = self else {
            return if let Self::Same(hashes) = self { hashes } else { &[] };
        };
        let (Some(of_entries), Some(of_tile)) = (entries, tile) else {
            return entries.as_ref().or(tile.as_ref()).map_or(&[], Vec::as_slice);
        };
        let tiles = prefer_tiles.unwrap_or_else(|| above.is_some_and(|above| above == tree::root(of_tile)));
        if tiles { of_tile } else { of_entries }
    }
}

/// Names every file below `tile/` that is missing or is not what `leaves` lead to.
pub(super) fn files(directory: &FsPath, size: u64, leaves: &Leaves, report: &mut LogReport) {
    let mut levels = vec![leaves.hashes.clone()];
    while let Some(below) = levels.last().filter(|level| level.len() as u64 >= WIDTH) {
        let level = below.chunks_exact(WIDTH as usize).map(tree::root).collect();
        levels.push(level);
    }
    let whole = leaves.hashes.len() as u64 == size;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    walk(directory, &PathBuf::from("tile"), 0, &mut found, report);
    found.sort_unstable();
    for file in found {
        let Some(tile) = Tile::parse(&file) else {
            report.fact(Fact::Beyond { file });
            continue;
        };
        let limit = if tile.row == Row::Entries { MAX_BUNDLE } else { MAX_TILE };
        match disk::read(&directory.join(&file), limit) {
            Ok(Some(bytes)) => {
                let level = match tile.row {
                    Row::Entries => 0,
                    Row::Level(level) => level as usize,
                };
                let known = levels.get(level).map_or(&[][..], Vec::as_slice);
                let expected = (tile.index * WIDTH) as usize;
                let expected = known.get(expected..).unwrap_or_default();
                let expected = &expected[..expected.len().min(tile.width as usize)];
                check(tile, &file, &bytes, expected, whole, report);
            }
            // A writer removes partial tiles when full ones replace them.
            Ok(None) => continue,
            Err(error) => report.problem(Problem::File { file, why: error.to_string() }),
        }
        seen.insert(tile);
    }
    missing(size, &seen, report);
}

fn check(tile: Tile, file: &str, bytes: &[u8], expected: &[Hash], whole: bool, report: &mut LogReport) {
    let file = file.to_owned();
    let width = tile.width as usize;
    let beyond = expected.len() < width;
    if tile.row == Row::Entries {
        let first = tile.index * WIDTH;
        let mut entries = tile::entries(bytes);
        let hashes: Vec<Hash> = entries.by_ref().map(leaf_hash).collect();
        let wrong: Vec<usize> =
            (0..expected.len()).filter(|at| hashes.get(*at) != Some(&expected[*at])).collect();
        if entries.torn() || hashes.len() != width {
            let index = first + wrong.first().map_or(hashes.len().min(width), |at| *at) as u64;
            if !beyond || !wrong.is_empty() {
                report.problem(Problem::Bundle { file, index });
                return;
            }
        } else {
            for at in wrong {
                report.problem(Problem::Entry { index: first + at as u64, file: file.clone() });
            }
        }
    } else {
        let hashes = tile::hashes(bytes).unwrap_or_default();
        let wrong = (0..expected.len()).find(|at| hashes.get(*at) != Some(&expected[*at]));
        if let Some(at) = wrong {
            report.problem(Problem::Tile { file, at: at as u64 });
            return;
        }
        if bytes.len() != width * 32 && !beyond {
            report.problem(Problem::Tile { file, at: (bytes.len() / 32).min(width) as u64 });
            return;
        }
    }
    if beyond && whole {
        report.fact(Fact::Beyond { file });
    }
}

/// Files that must be there. Only the first of a row is named, so that a checkpoint that lies about its size
/// costs nothing.
fn missing(size: u64, seen: &HashSet<Tile>, report: &mut LogReport) {
    for row in [Row::Entries].into_iter().chain((0..8).map(Row::Level)) {
        let (full, width) = Tile::widths(row, size);
        let absent = (0..full).find(|index| !seen.contains(&Tile::new(row, *index, WIDTH)));
        let tile = absent.map(|index| Tile::new(row, index, WIDTH)).or_else(|| {
            let partial = Tile::new(row, full, width);
            let there = width == 0 || seen.contains(&partial) || seen.contains(&Tile::new(row, full, WIDTH));
            (!there).then_some(partial)
        });
        if let Some(tile) = tile {
            report.problem(Problem::Missing { file: tile.path() });
        }
    }
}

/// Lists the files below a directory; links are not followed.
fn walk(root: &FsPath, below: &FsPath, depth: u32, found: &mut Vec<String>, report: &mut LogReport) {
    let entries = match fs::read_dir(root.join(below)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            let file = below.display().to_string();
            return report.problem(Problem::File { file, why: error.to_string() });
        }
    };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if directory && depth < 12 {
            walk(root, &path, depth + 1, found, report);
        } else {
            let parts: Vec<String> =
                path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            found.push(parts.join("/"));
        }
    }
}
