//! What stands on disk for a key: its wrapped versions, or that it was destroyed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{KeyError, KeyProvider, Secret, file::read_small};

/// A key's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    pub name: String,
    /// The oldest first; never empty.
    pub versions: Vec<Version>,
}

/// One version of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    pub version: u32,
    pub created: String,
    /// Who wrapped it.
    pub provider: String,
    /// Base64.
    wrapped: String,
    /// Base64 of what only the key's holder can compute over its name and version: keys cannot be exchanged.
    bound: String,
}

/// What is left of a destroyed key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tombstone {
    pub name: String,
    pub when: String,
    pub why: String,
}

impl Version {
    pub fn wrap(
        name: &str,
        version: u32,
        key: &Secret,
        provider: &dyn KeyProvider,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            version,
            created: jiff::Timestamp::now().to_string(),
            provider: provider.id().to_owned(),
            wrapped: STANDARD.encode(provider.wrap(key)?),
            bound: bound(name, version, key),
        })
    }

    /// The same version under another provider.
    pub fn wrapped_by(&self, name: &str, key: &Secret, provider: &dyn KeyProvider) -> Result<Self, KeyError> {
        let anew = Self::wrap(name, self.version, key, provider)?;
        Ok(Self { created: self.created.clone(), ..anew })
    }

    pub fn unwrap(&self, name: &str, provider: &dyn KeyProvider) -> Result<Secret, KeyError> {
        if self.provider != provider.id() {
            let (stored, given) = (self.provider.clone(), provider.id().to_owned());
            return Err(KeyError::Provider { name: name.to_owned(), stored, given });
        }
        let key = provider.unwrap(&STANDARD.decode(&self.wrapped).map_err(|_| KeyError::Altered)?)?;
        if self.bound == bound(name, self.version, &key) { Ok(key) } else { Err(KeyError::Altered) }
    }
}

fn bound(name: &str, version: u32, key: &Secret) -> String {
    STANDARD.encode(key.mac(format!("klio key name 1\0{version}\0{name}").as_bytes()))
}

/// Reads a file of the ring.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, KeyError> {
    let Some(bytes) = read_small(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| KeyError::Stored { path: path.to_owned(), what: error.to_string() })
}

/// Writes a file of the ring: whole or not at all, and durable when this returns.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), KeyError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| KeyError::Stored { path: path.to_owned(), what: error.to_string() })?;
    bytes.push(b'\n');
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_parent(path)
    };
    write().map_err(|source| KeyError::Io { doing: "write", path: path.to_owned(), source })
}

/// Overwrites a file and deletes it.
pub(super) fn shred(path: &Path) -> Result<(), KeyError> {
    let shred = || -> io::Result<()> {
        let mut file = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let len = file.metadata()?.len().min(1 << 20) as usize;
        file.write_all(&vec![0; len])?;
        file.sync_all()?;
        fs::remove_file(path)?;
        sync_parent(path)
    };
    shred().map_err(|source| KeyError::Io { doing: "destroy", path: path.to_owned(), source })
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
