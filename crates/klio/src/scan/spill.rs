//! Findings on disk: written as they come, read back once their stories are known.

use std::io::{BufReader, Read, Seek, SeekFrom, Write};

/// Findings that stay in memory before a file is needed, bytes.
const IN_MEMORY: usize = 8 << 20;

/// A growing list of findings.
pub(super) struct Spill {
    file: tempfile::SpooledTempFile,
    buffer: Vec<u8>,
    count: u32,
}

/// A finished list of findings.
#[derive(Debug)]
pub struct Stored {
    file: tempfile::SpooledTempFile,
    count: u32,
}

impl Spill {
    pub(super) fn new() -> Self {
        Self { file: tempfile::spooled_tempfile(IN_MEMORY), buffer: Vec::new(), count: 0 }
    }

    /// Appends a finding's JSON and returns its number.
    pub(super) fn push(&mut self, json: &[u8]) -> std::io::Result<u32> {
        self.buffer.extend_from_slice(&(json.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(json);
        if self.buffer.len() > 1 << 16 {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        self.count += 1;
        Ok(self.count - 1)
    }

    pub(super) fn finish(mut self) -> std::io::Result<Stored> {
        self.file.write_all(&self.buffer)?;
        Ok(Stored { file: self.file, count: self.count })
    }
}

impl Stored {
    /// Calls `f` with number and JSON of each finding, in order.
    pub fn each(&mut self, f: &mut dyn FnMut(u32, &[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 16, &mut self.file);
        let mut json = Vec::new();
        for number in 0..self.count {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            json.resize(u32::from_le_bytes(length) as usize, 0);
            reader.read_exact(&mut json)?;
            f(number, &json)?;
        }
        Ok(())
    }
}
