//! How far the lake has come: the file `cut`, two slots of (number u64, sum u64), a page apart, written by turns.
//!
//! It is made once and then overwritten in place, so that a full disk cannot keep the spool from being emptied,
//! and what one crash can spoil is only the slot that was not in use.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use xxhash_rust::xxh3::xxh3_64;

use super::{SpoolError, error::io_at, write_new};

const NAME: &str = "cut";
const PAGE: usize = 4096;

/// The last number that was cut, as the spool's directory tells it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    pub seq: u64,
    /// Which slot says so.
    slot: usize,
    /// Whether both slots are as they were written.
    pub intact: bool,
}

/// The position; `None` if there never was one. With both slots gone it is 0, which means to replay everything.
pub(super) fn read(dir: &Path) -> Result<Option<Position>, SpoolError> {
    let path = dir.join(NAME);
    let bytes = match fs::metadata(&path) {
        Ok(there) if !there.is_file() || there.len() > 1 << 20 => {
            let source = io::Error::new(io::ErrorKind::InvalidData, "not a small regular file");
            return Err(io_at("read", &path)(source));
        }
        Ok(_) => fs::read(&path).map_err(io_at("read", &path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at("read", &path)(error)),
    };
    let slots = [0, 1].map(|slot| bytes.get(slot * PAGE..).and_then(number));
    let slot = usize::from(slots[1] > slots[0]);
    Ok(Some(Position { seq: slots[slot].unwrap_or(0), slot, intact: slots.iter().all(Option::is_some) }))
}

/// Makes the file, for a spool that has none or a spoiled one.
pub(super) fn make(dir: &Path, seq: u64) -> Result<Position, SpoolError> {
    let path = dir.join(NAME);
    let mut bytes = vec![0; 2 * PAGE];
    bytes[..16].copy_from_slice(&slot_of(seq));
    bytes[PAGE..PAGE + 16].copy_from_slice(&slot_of(0));
    let beside = dir.join("cut.new");
    let made =
        write_new(&beside, &bytes).and_then(|_| fs::rename(&beside, &path)).and_then(|()| sync_dir(dir));
    made.map_err(io_at("write", &path))?;
    Ok(Position { seq, slot: 0, intact: true })
}

/// Makes `seq` the position, durably.
pub(super) fn write(dir: &Path, old: Position, seq: u64) -> Result<Position, SpoolError> {
    let path = dir.join(NAME);
    let slot = 1 - old.slot;
    let write = || {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.write_all_at(&slot_of(seq), (slot * PAGE) as u64)?;
        file.sync_data()
    };
    write().map_err(io_at("write", &path))?;
    Ok(Position { seq, slot, intact: true })
}

/// Makes the directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn slot_of(seq: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&seq.to_le_bytes());
    out[8..].copy_from_slice(&xxh3_64(&seq.to_le_bytes()).to_le_bytes());
    out
}

fn number(bytes: &[u8]) -> Option<u64> {
    let seq = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes.get(..16)? == slot_of(seq)).then_some(seq)
}
