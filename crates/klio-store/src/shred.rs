//! The life of an encrypted lake's keys. What happens to them is stated in the signed log.

use std::collections::{HashMap, HashSet};

use klio_seal::{Key, KeyEvent, Remark, Statement};

use crate::error::StoreError;
use crate::keys::Listed;
use crate::lake::Lake;
use crate::settings::DEFAULT_CLASS;
use crate::table::{DataFile, Table};
use crate::vault::{Encryption, Vault};
use crate::writer::{TABLES, Writer};

impl Lake {
    /// The data keys of the lake; `None` if it is not encrypted.
    pub fn keys(&self) -> Result<Option<Vec<Listed>>, StoreError> {
        self.vault.as_ref().map(|vault| vault.list()).transpose()
    }

    /// The files of a table that can be read, and how many cannot since their key was destroyed.
    pub(crate) fn readable(&self, table: &Table) -> Result<(Vec<DataFile>, u64), StoreError> {
        let mut files = table.files()?;
        let Some(vault) = &self.vault else { return Ok((files, 0)) };
        let all = files.len();
        let mut known: HashMap<String, bool> = HashMap::new();
        files.retain(|file| {
            let partition = format!("{}/{}", file.class, file.day);
            !*known.entry(partition).or_insert_with_key(|partition| vault.is_shredded(partition))
        });
        let gone = (all - files.len()) as u64;
        Ok((files, gone))
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
    /// every copy of them that was made. The log keeps proving that they were there. Nothing under a legal hold is
    /// destroyed.
    pub fn shred(&mut self, name: &str, day: &str, why: &str) -> Result<(), StoreError> {
        let kept = self.lake.locked()?.newest(name, day)?;
        let class = kept.ok_or_else(|| {
            StoreError::Query(format!("nothing is kept of class {name} on {day}, written as 2026-11-21"))
        })?;
        // Findings and incidents of all classes lie in the default one.
        let of = (name != DEFAULT_CLASS).then_some(class.as_str());
        if self.holds_on(of, day)? {
            return Err(StoreError::Query(format!(
                "events of {day} are under a legal hold; release it first"
            )));
        }
        let partition = format!("{class}/{day}");
        // The log first: a destruction of which it says nothing was nobody's who may.
        let text = format!("files/{partition}: {why}");
        self.state(Statement::Note(Remark { topic: "shred".into(), text, hash: None }))?;
        self.tell(KeyEvent::Destroyed, &format!("files/{partition}"))?;
        self.lake.locked()?.shred(&partition, why)
    }

    /// Finishes destructions that a crash interrupted, and does not go on from one that the log does not state, nor without
    /// a key of files that are there.
    pub(crate) fn check_keys(&mut self) -> Result<(), StoreError> {
        let Some(keys) = self.lake.keys()? else { return Ok(()) };
        let stated = self.ledger()?.shredded;
        let mut known = HashSet::new();
        for key in keys {
            let partition = key.name.strip_prefix("files/").unwrap_or_default().to_owned();
            match (key.destroyed, stated.contains(&partition)) {
                (Some(_), false) => {
                    let file = format!("keys/{}.destroyed.json", key.name.replace('/', "~"));
                    let said = "the signed log knows nothing of this destruction: verify the lake, and move the file away";
                    return Err(StoreError::Damaged { file, said: said.into() });
                }
                (Some(_), true) => self.lake.locked()?.shred(&partition, "")?,
                (None, true) => self.lake.locked()?.shred(&partition, "finished after an interruption")?,
                (None, false) => {}
            }
            known.insert(partition);
        }
        for table in TABLES {
            for DataFile { class, day, .. } in self.table(table).files()? {
                let partition = format!("{class}/{day}");
                if class.starts_with("c-") && !known.contains(&partition) {
                    let file = format!("keys/files~{class}~{day}.key.json");
                    let said = "it is gone, and files need it: put it back from a backup".into();
                    return Err(StoreError::Damaged { file, said });
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: KeyEvent, id: &str) -> Result<(), StoreError> {
        self.state(Statement::Key(Key { event, id: id.into(), verifier: None })).map(drop)
    }
}
