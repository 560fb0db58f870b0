//! Reads the files of a bundle that a stranger may have written: regular files only, lines of limited length,
//! hashed as they pass.

use std::{
    fs,
    io::{self, BufRead as _, Read as _},
    path::Path as FsPath,
};

use sha2::{Digest as _, Sha256};

use crate::hash::Hash;

/// Longest line: the largest record that Klio accepts (64 MiB), as a JSON string.
pub(super) const MAX_LINE: u64 = 160 << 20;
/// Longest small file: `bundle.json`, the checkpoint, the keys.
pub(super) const MAX_SMALL: u64 = 4 << 20;

/// A file, line by line.
pub(super) struct Lines {
    reader: io::BufReader<fs::File>,
    sha: Sha256,
    number: u64,
    limit: u64,
}

/// One line, or the words on why it is none.
pub(super) type Line = (u64, Result<Vec<u8>, &'static str>);

/// Opens a regular file; `None` when there is none.
pub(super) fn open(directory: &FsPath, name: &str) -> io::Result<Option<fs::File>> {
    let path = directory.join(name);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => fs::File::open(path).map(Some),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a small file.
pub(super) fn small(directory: &FsPath, name: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(directory, name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MAX_SMALL + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SMALL {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than 4 MiB"));
    }
    Ok(Some(bytes))
}

/// Hashes a file of any length.
pub(super) fn hash(directory: &FsPath, name: &str) -> io::Result<Option<Hash>> {
    let Some(mut file) = open(directory, name)? else { return Ok(None) };
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Some(Hash(sha.finalize().into()))),
            read => sha.update(&buffer[..read]),
        }
    }
}

impl Lines {
    pub(super) fn new(file: fs::File, limit: u64) -> Self {
        Self { reader: io::BufReader::with_capacity(1 << 16, file), sha: Sha256::new(), number: 0, limit }
    }

    /// The next line without its newline. A line that is too long is passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let read = io::Read::take(&mut self.reader, self.limit + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.sha.update(&line);
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Some((self.number, Ok(line))));
        }
        let long = line.len() as u64 > self.limit;
        drop(line);
        self.skip()?;
        Ok(Some((self.number, Err(if long { "too long" } else { "it does not end with a newline" }))))
    }

    fn skip(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let length = end.unwrap_or(buffer.len());
            self.sha.update(&buffer[..length]);
            self.reader.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// The hash of the file after the last line was read.
    pub(super) fn hash(self) -> Hash {
        Hash(self.sha.finalize().into())
    }
}
