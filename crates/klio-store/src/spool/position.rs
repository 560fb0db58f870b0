//! How far the lake has come: one number in the file `cut`, and the steps that make a name durable.

use std::{fs, fs::File, io, io::Write, path::Path};

use xxhash_rust::xxh3::xxh3_64;

use super::{SpoolError, error::io_at};

const NAME: &str = "cut";

/// The last number that was cut; `None` if there is no such file.
pub(super) fn read(dir: &Path) -> Result<Option<u64>, SpoolError> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at("read", &path)(error)),
    };
    let whole = bytes.as_chunks::<8>();
    match whole {
        ([seq, sum], []) if xxh3_64(seq).to_le_bytes() == *sum => Ok(Some(u64::from_le_bytes(*seq))),
        _ => Err(SpoolError::Damaged {
            file: path,
            offset: 0,
            first: 1,
            last: 0,
            what: "the position is not as it was written",
        }),
    }
}

/// Makes `seq` the position, durably.
pub(super) fn write(dir: &Path, seq: u64) -> Result<(), SpoolError> {
    let (path, beside) = (dir.join(NAME), dir.join("cut.new"));
    let mut bytes = seq.to_le_bytes().to_vec();
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        sync_dir(dir)
    };
    write().map_err(io_at("write", &path))
}

/// Makes the directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
