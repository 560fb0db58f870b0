//! Witnesses of the log: what they are asked, and where their signatures go.

use klio_seal::{Note, Path, Request, Verifier};

use crate::error::StoreError;
use crate::lake::Lake;
use crate::writer::{Writer, seal};

impl Lake {
    /// What a witness is asked to cosign that has seen `old` entries of the log, 0 if none.
    pub fn witness_request(&self, old: u64) -> Result<Request, StoreError> {
        let log = self.log()?;
        let proof = if old == 0 { Path::default() } else { log.consistency(old).map_err(seal)? };
        Ok(Request { old, proof, checkpoint: log.checkpoint().to_owned() })
    }
}

impl Writer {
    /// Adds a witness's signature lines to the present checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Seal`] when they are of none of these witnesses, or wrong.
    pub fn cosigned(&mut self, lines: &str, witnesses: &[Verifier]) -> Result<(), StoreError> {
        let mut note = Note::parse(self.log.checkpoint()).map_err(seal)?;
        for line in lines.lines() {
            note.add_line(line).map_err(seal)?;
        }
        note.verify(witnesses).map_err(seal)?;
        self.log.attach(lines).map_err(seal)
    }
}
