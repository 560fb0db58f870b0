//! The ring: a directory of wrapped data keys.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    Cipher, KeyError, KeyProvider, Secret,
    stored::{self, Stored, Tombstone, Version},
};

/// Data keys by name.
pub struct Keyring {
    dir: PathBuf,
    provider: RwLock<Arc<dyn KeyProvider>>,
}

/// A key as [`Keyring::list`] tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How many versions it has; 0 if it was destroyed.
    pub versions: usize,
    /// When its newest version was made, or when it was destroyed.
    pub since: String,
    /// Why it was destroyed.
    pub destroyed: Option<String>,
}

impl Keyring {
    /// Opens or makes the ring in `dir`.
    pub fn open(dir: &Path, provider: Arc<dyn KeyProvider>) -> Result<Self, KeyError> {
        let fail = |source| KeyError::Io { doing: "make", path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
        Ok(Self { dir: dir.to_owned(), provider: RwLock::new(provider) })
    }

    /// The cipher for `name`; the key is made on first use.
    pub fn cipher(&self, name: &str) -> Result<Cipher, KeyError> {
        if let Some(stored) = self.load(name)? {
            return self.unwrap(&stored);
        }
        let _lock = self.lock()?;
        // Another process may have been first.
        if let Some(stored) = self.load(name)? {
            return self.unwrap(&stored);
        }
        let key = Secret::random()?;
        let versions = vec![Version::wrap(name, 1, &key, &*self.provider())?];
        stored::write(&self.path(name, LIVE)?, &Stored { name: name.to_owned(), versions })?;
        Ok(Cipher::new(key))
    }

    /// The cipher for `name`, which must exist: for reading.
    pub fn existing(&self, name: &str) -> Result<Cipher, KeyError> {
        self.unwrap(&self.load(name)?.ok_or_else(|| KeyError::Unknown(name.to_owned()))?)
    }

    /// Makes a new version of `name`. Ciphers made from now on seal with it; old versions stay readable.
    pub fn rotate(&self, name: &str) -> Result<Cipher, KeyError> {
        let _lock = self.lock()?;
        let mut stored = self.load(name)?.ok_or_else(|| KeyError::Unknown(name.to_owned()))?;
        let version = stored.versions.iter().map(|v| v.version).max().unwrap_or(0) + 1;
        let fresh = Version::wrap(name, version, &Secret::random()?, &*self.provider())?;
        stored.versions.push(fresh);
        let cipher = self.unwrap(&stored)?;
        stored::write(&self.path(name, LIVE)?, &stored)?;
        Ok(cipher)
    }

    /// Wraps all keys with `new`. Interrupted, it is called again with the same two providers.
    pub fn rotate_kek(&self, new: Arc<dyn KeyProvider>) -> Result<usize, KeyError> {
        let _lock = self.lock()?;
        let old = self.provider();
        let mut count = 0;
        for mut stored in self.all::<Stored>(LIVE)? {
            let Stored { name, versions } = &mut stored;
            for version in versions.iter_mut().filter(|v| v.provider != new.id()) {
                let key = version.unwrap(name, &*old)?;
                let anew = version.wrapped_by(name, &key, &*new)?;
                // Never replaced by what cannot be unwrapped again.
                anew.unwrap(name, &*new)?;
                *version = anew;
            }
            stored::write(&self.path(&stored.name, LIVE)?, &stored)?;
            count += 1;
        }
        *self.provider.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(count)
    }

    /// Destroys `name` in all its versions, for good; also when a crash interrupted that. Whatever is sealed under it becomes
    /// unreadable, here and in every copy of the data; copies of this directory must be destroyed too.
    pub fn destroy(&self, name: &str, why: &str) -> Result<(), KeyError> {
        let _lock = self.lock()?;
        match self.load(name) {
            Ok(None) => return Err(KeyError::Unknown(name.to_owned())),
            Err(KeyError::Destroyed { .. }) => return stored::shred(&self.path(name, LIVE)?),
            other => other.map(drop)?,
        }
        let when = jiff::Timestamp::now().to_string();
        // The tombstone first: from here on the key is refused, whatever happens.
        let tombstone = Tombstone { name: name.to_owned(), when, why: why.to_owned() };
        stored::write(&self.path(name, DEAD)?, &tombstone)?;
        stored::shred(&self.path(name, LIVE)?)
    }

    /// All keys by name, the destroyed ones too.
    pub fn list(&self) -> Result<Vec<Listed>, KeyError> {
        let mut listed: Vec<Listed> = Vec::new();
        for Tombstone { name, when, why } in self.all(DEAD)? {
            listed.push(Listed { name, versions: 0, since: when, destroyed: Some(why) });
        }
        for Stored { name, versions } in self.all(LIVE)? {
            if listed.iter().any(|other| other.name == name) {
                continue;
            }
            let since = versions.last().map(|v| v.created.clone()).unwrap_or_default();
            listed.push(Listed { name, versions: versions.len(), since, destroyed: None });
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    fn provider(&self) -> Arc<dyn KeyProvider> {
        Arc::clone(&self.provider.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn load(&self, name: &str) -> Result<Option<Stored>, KeyError> {
        if let Some(Tombstone { name, when, why }) = stored::read(&self.path(name, DEAD)?)? {
            return Err(KeyError::Destroyed { name, when, why });
        }
        let path = self.path(name, LIVE)?;
        let Some(stored) = stored::read::<Stored>(&path)? else { return Ok(None) };
        if stored.name != name || stored.versions.is_empty() {
            return Err(KeyError::Stored { path, what: format!("is not the key {name}") });
        }
        Ok(Some(stored))
    }

    fn unwrap(&self, stored: &Stored) -> Result<Cipher, KeyError> {
        let provider = self.provider();
        let unwrap = |v: &Version| Ok((v.version, v.unwrap(&stored.name, &*provider)?));
        let keys = stored.versions.iter().map(unwrap).collect::<Result<_, KeyError>>()?;
        Cipher::with_versions(keys).ok_or_else(|| KeyError::Unknown(stored.name.clone()))
    }

    /// All files of one kind.
    fn all<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, KeyError> {
        let fail = |source| KeyError::Io { doing: "list", path: self.dir.clone(), source };
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.ends_with(kind) {
                all.extend(stored::read(&path)?);
            }
        }
        Ok(all)
    }

    fn path(&self, name: &str, kind: &str) -> Result<PathBuf, KeyError> {
        let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(sound);
        if name.len() > 200 || !name.split('/').all(part) {
            return Err(KeyError::Name(name.to_owned()));
        }
        Ok(self.dir.join(name.replace('/', "~") + kind))
    }

    /// Held while the ring is changed.
    fn lock(&self) -> Result<File, KeyError> {
        let path = self.dir.join("lock");
        let lock = || {
            // A pipe in its place would wait for a reader.
            if fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "not a regular file"));
            }
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| KeyError::Io { doing: "lock", path: path.clone(), source })
    }
}

const LIVE: &str = ".key.json";
const DEAD: &str = ".destroyed.json";
