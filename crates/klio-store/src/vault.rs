//! Encryption at rest: what a data key of the ring does for the lake.
//!
//! Each partition has a data key, each file a key derived from it, so that a file cannot stand in for another and
//! a partition can be destroyed by its key. Bloom filters and statistics in the table's log would tell values
//! in plain: encrypted files and tables have none.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parquet::encryption::decrypt::{FileDecryptionProperties, KeyRetriever};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::StoreError;
use crate::keys::{Cipher, CommandKeyProvider, FileKeyProvider, KeyError, KeyProvider, Keyring, Listed};

/// The data key of the spool.
const SPOOL: &str = "spool";
/// The data key of names and of what the tables' logs hold.
const NAMES: &str = "names";
/// How often the key of a partition may be destroyed.
const GENERATIONS: u32 = 100;
/// Random bytes that a file's key is derived with.
const SALT: usize = 24;

/// The section `lake.encryption` of `klio.yaml`: who wraps the data keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// `file:PATH` or `env:NAME` of a key of 32 bytes.
    #[serde(default)]
    #[schemars(regex(pattern = "^(env|file):"))]
    pub key: Option<String>,
    /// A program that wraps and unwraps, for a KMS, with its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// How the program's key is called: another key must have another name.
    #[serde(default)]
    pub key_name: Option<String>,
}

impl Encryption {
    /// The provider that is meant.
    pub fn provider(&self) -> Result<Arc<dyn KeyProvider>, StoreError> {
        let wrong = |said: &str| StoreError::Setting { place: "lake.encryption".into(), said: said.into() };
        match (&self.key, self.command.split_first()) {
            (Some(key), None) => Ok(Arc::new(FileKeyProvider::from_reference(key)?)),
            (None, Some((program, arguments))) => {
                let name = self.key_name.as_deref();
                let name = name
                    .ok_or_else(|| wrong("`command` needs `key_name`, the name of the key that it uses"))?;
                let arguments = arguments.iter().map(Into::into).collect();
                Ok(Arc::new(CommandKeyProvider::new(name, program, arguments, Duration::from_secs(30))))
            }
            _ => Err(wrong("give either `key: file:PATH` (or `env:NAME`) or `command: [program, …]`")),
        }
    }
}

/// The keys of an encrypted lake.
pub(crate) struct Vault {
    ring: Keyring,
    /// Unwrapped before: a provider may be a program that asks a service.
    known: Mutex<HashMap<String, Cipher>>,
}

impl Vault {
    /// Opens or makes the ring of a lake.
    pub(crate) fn open(lake: &Path, settings: &Encryption) -> Result<Arc<Self>, StoreError> {
        let ring = Keyring::open(&lake.join("keys"), settings.provider()?)?;
        Ok(Arc::new(Self { ring, known: Mutex::default() }))
    }

    /// How a new file of a partition, `class/day`, is to be written.
    pub(crate) fn encrypt(&self, partition: &str) -> Result<Arc<FileEncryptionProperties>, StoreError> {
        let name = format!("files/{partition}");
        let cipher = self.cipher(&name, true)?;
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|_| KeyError::Random)?;
        let version = cipher.version();
        let key = cipher.derive(version, b"klio file key 1", &salt)?;
        let mut note = version.to_le_bytes().to_vec();
        note.extend_from_slice(&salt);
        note.extend_from_slice(name.as_bytes());
        let properties =
            FileEncryptionProperties::builder(key.expose().to_vec()).with_footer_key_metadata(note);
        properties.build().map_err(|e| StoreError::Query(e.to_string()))
    }

    /// What stands for a retention class on a day. A partition whose key was destroyed stays closed: what comes
    /// late for it goes to another.
    pub(crate) fn partition(&self, class: &str, day: &str) -> Result<String, StoreError> {
        let class = self.class(class)?;
        for generation in 1..GENERATIONS {
            let name = if generation == 1 { class.clone() } else { format!("{class}-{generation}") };
            match self.cipher(&format!("files/{name}/{day}"), true) {
                Err(KeyError::Destroyed { .. }) => {}
                Err(e) => return Err(e.into()),
                Ok(_) => return Ok(name),
            }
        }
        Err(StoreError::Query(format!("the keys of {day} were destroyed {GENERATIONS} times")))
    }

    /// What stands for a class on a day, if something is kept under it that can be read.
    pub(crate) fn newest(&self, class: &str, day: &str) -> Result<Option<String>, StoreError> {
        let class = self.class(class)?;
        for generation in 1..GENERATIONS {
            let name = if generation == 1 { class.clone() } else { format!("{class}-{generation}") };
            match self.cipher(&format!("files/{name}/{day}"), false) {
                Err(KeyError::Destroyed { .. }) => {}
                Err(KeyError::Unknown(_) | KeyError::Name(_)) => return Ok(None),
                Err(e) => return Err(e.into()),
                Ok(_) => return Ok(Some(name)),
            }
        }
        Ok(None)
    }

    /// Whether the key of a partition, `class/day`, was destroyed.
    pub(crate) fn is_shredded(&self, partition: &str) -> bool {
        matches!(self.cipher(&format!("files/{partition}"), false), Err(KeyError::Destroyed { .. }))
    }

    /// Whether the key that was given opens this lake.
    pub(crate) fn check_key(&self) -> Result<(), StoreError> {
        match self.cipher(NAMES, false) {
            Ok(_) | Err(KeyError::Unknown(_)) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// How files are read, whichever key they have.
    pub(crate) fn decrypt(self: &Arc<Self>) -> Result<Arc<FileDecryptionProperties>, StoreError> {
        let keys: Arc<dyn KeyRetriever> = Arc::new(Retriever(self.clone()));
        FileDecryptionProperties::with_key_retriever(keys)
            .build()
            .map_err(|e| StoreError::Query(e.to_string()))
    }

    /// What stands for a retention class in paths and in the table's log.
    pub(crate) fn class(&self, class: &str) -> Result<String, StoreError> {
        // The first version for good: names must not change when keys are rotated.
        let name = self.cipher(NAMES, true)?.derive(1, b"klio class 1", class.as_bytes())?;
        let eight = name.expose().iter().take(8);
        Ok(eight.fold("c-".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// The spool's cipher.
    pub(crate) fn spool(&self) -> Result<Arc<Cipher>, StoreError> {
        Ok(Arc::new(self.cipher(SPOOL, true)?))
    }

    /// The same for reading; none if there is none yet.
    pub(crate) fn spool_if_any(&self) -> Result<Option<Arc<Cipher>>, StoreError> {
        match self.cipher(SPOOL, false) {
            Err(KeyError::Unknown(_)) => Ok(None),
            cipher => Ok(Some(Arc::new(cipher?))),
        }
    }

    /// Seals a text that the table's log is to hold.
    pub(crate) fn seal(&self, text: &str) -> Result<String, StoreError> {
        let mut sealed = Vec::new();
        self.cipher(NAMES, true)?.seal(b"klio note 1", text.as_bytes(), &mut sealed)?;
        Ok(BASE64.encode(sealed))
    }

    /// Opens it again.
    pub(crate) fn open_text(&self, sealed: &str) -> Result<String, StoreError> {
        let bytes = BASE64.decode(sealed).map_err(|_| KeyError::Altered)?;
        let mut text = Vec::new();
        self.cipher(NAMES, false)?.open(b"klio note 1", &bytes, &mut text)?;
        String::from_utf8(text).map_err(|_| KeyError::Altered.into())
    }

    /// Gives all data keys a new version: what is written from now on is encrypted with it.
    pub(crate) fn rotate(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        for key in self.ring.list()?.iter().filter(|key| key.destroyed.is_none()) {
            self.ring.rotate(&key.name)?;
            count += 1;
        }
        self.lock().clear();
        Ok(count)
    }

    /// Wraps all data keys with another provider's key.
    pub(crate) fn rewrap(&self, settings: &Encryption) -> Result<usize, StoreError> {
        Ok(self.ring.rotate_kek(settings.provider()?)?)
    }

    /// Destroys the data key of a partition: its files cannot be read any more, here and in any copy.
    pub(crate) fn shred(&self, partition: &str, why: &str) -> Result<(), StoreError> {
        let name = format!("files/{partition}");
        self.lock().remove(&name);
        Ok(self.ring.destroy(&name, why)?)
    }

    /// All data keys.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, StoreError> {
        Ok(self.ring.list()?)
    }

    fn cipher(&self, name: &str, make: bool) -> Result<Cipher, KeyError> {
        if let Some(known) = self.lock().get(name) {
            return Ok(known.clone());
        }
        let cipher = if make { self.ring.cipher(name)? } else { self.ring.existing(name)? };
        self.lock().insert(name.to_owned(), cipher.clone());
        Ok(cipher)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Cipher>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds a file's key by the note in its footer.
struct Retriever(Arc<Vault>);

impl KeyRetriever for Retriever {
    fn retrieve_key(&self, note: &[u8]) -> Result<Vec<u8>, ParquetError> {
        let odd = || ParquetError::General("the file does not name a key of this lake".into());
        let (version, rest) = note.split_first_chunk::<4>().ok_or_else(odd)?;
        let (salt, name) = rest.split_first_chunk::<SALT>().ok_or_else(odd)?;
        let name = std::str::from_utf8(name).ok().filter(|n| n.starts_with("files/")).ok_or_else(odd)?;
        let version = u32::from_le_bytes(*version);
        let derive = || -> Result<Vec<u8>, KeyError> {
            let mut cipher = self.0.cipher(name, false)?;
            if !cipher.knows(version) {
                // Rotated by another process since it was read.
                self.0.lock().remove(name);
                cipher = self.0.cipher(name, false)?;
            }
            Ok(cipher.derive(version, b"klio file key 1", salt)?.expose().to_vec())
        };
        derive().map_err(|e| ParquetError::General(e.to_string()))
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}
