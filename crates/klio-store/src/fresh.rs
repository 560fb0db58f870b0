//! What is acknowledged and in no file of the lake yet: the spool behind what the table has.
//!
//! It is read batch by batch, as often as wanted, and always as it was at one moment: usually it is a few seconds of events, but as
//! long as the lake cannot be written it grows to gigabytes.

use std::sync::Arc;

use crate::batch::Spooled;
use crate::error::StoreError;
use crate::keys::Cipher;
use crate::lake::{Lake, TRIES};
use crate::spool::Held;

/// The batches that are in no file.
pub(crate) struct Fresh {
    held: Held,
    key: Option<Arc<Cipher>>,
}

impl Fresh {
    /// The batches in their order.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Result<Spooled, StoreError>> {
        self.held.batches(self.key.clone()).map(|batch| Spooled::read(batch?))
    }

    /// About how many bytes there are: no less.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.bytes()
    }
}

impl Lake {
    /// What is in no file of the table, which is brought up to date with it.
    pub(crate) fn fresh(&mut self) -> Result<Fresh, StoreError> {
        for _ in 0..TRIES {
            self.events.refresh()?;
            let upto = self.events.upto()?;
            let (held, key) = (Held::open(&self.dir.join("spool"), upto)?, self.spool_key()?);
            // What was flushed between the two is in the table now.
            self.events.refresh()?;
            if let Some(held) = held.filter(|_| self.events.upto().is_ok_and(|now| now == upto)) {
                return Ok(Fresh { held, key });
            }
        }
        Err(StoreError::Query("the spool is cut faster than it can be read; try again".into()))
    }

    pub(crate) fn spool_key(&self) -> Result<Option<Arc<Cipher>>, StoreError> {
        Ok(self.vault.as_ref().map(|vault| vault.spool_if_any()).transpose()?.flatten())
    }
}
