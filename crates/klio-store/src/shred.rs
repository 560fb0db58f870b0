//! The life of an encrypted lake's keys. What happens to them is stated in the signed log.

use klio_seal::{Key, KeyEvent, Statement};

use crate::error::StoreError;
use crate::keys::Listed;
use crate::lake::Lake;
use crate::vault::{Encryption, Vault};
use crate::writer::Writer;

impl Lake {
    /// The data keys of the lake; `None` if it is not encrypted.
    pub fn keys(&self) -> Result<Option<Vec<Listed>>, StoreError> {
        self.vault.as_ref().map(|vault| vault.list()).transpose()
    }

    fn locked(&self) -> Result<&Vault, StoreError> {
        self.vault.as_deref().ok_or_else(|| StoreError::Setting {
            place: "lake.encryption".into(),
            said: "this lake is not encrypted; set it in klio.yaml".into(),
        })
    }
}

impl Writer {
    /// Gives every data key a new version; what is written from now on is encrypted with it,
    /// the spool from the next start on.
    pub fn rotate_keys(&mut self) -> Result<usize, StoreError> {
        let count = self.lake.locked()?.rotate()?;
        self.tell(KeyEvent::Rotated, "all data keys")?;
        Ok(count)
    }

    /// Wraps every data key with another key of the provider, or another provider.
    pub fn rewrap_keys(&mut self, new: &Encryption) -> Result<usize, StoreError> {
        let count = self.lake.locked()?.rewrap(new)?;
        self.tell(KeyEvent::Rotated, "the key that wraps the data keys")?;
        Ok(count)
    }

    /// Destroys the data key of one day of a retention class: its files cannot be read any more, here and in
    /// every copy of them that was made. The log keeps proving that they were there.
    pub fn shred(&mut self, class: &str, day: &str, why: &str) -> Result<(), StoreError> {
        let vault = self.lake.locked()?;
        let partition = format!("{}/{day}", vault.class(class)?);
        vault.shred(&partition, why)?;
        self.tell(KeyEvent::Destroyed, &format!("files/{partition}"))
    }

    fn tell(&mut self, event: KeyEvent, id: &str) -> Result<(), StoreError> {
        self.state(Statement::Key(Key { event, id: id.into(), verifier: None })).map(drop)
    }
}
