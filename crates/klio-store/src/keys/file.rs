//! A wrapping key in a file that only its owner may read, or in an environment variable.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{Cipher, KeyError, KeyProvider, Secret};

const CONTEXT: &[u8] = b"klio wrapped data key 1";

/// Wraps with a 256-bit key of its own.
#[derive(Debug)]
pub struct FileKeyProvider {
    id: String,
    cipher: Cipher,
}

impl FileKeyProvider {
    /// Reads the key from `path`: 32 bytes, or their base64. Others must not be able to read the file.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let fail = |source| KeyError::Io { doing: "read the key", path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        // Of the opened file, so that it cannot be exchanged in between.
        let mode = file.metadata().map_err(fail)?.mode() & 0o777;
        if mode & 0o177 != 0 {
            let what = format!("has mode {mode:04o}; a key must have 0600: chmod 600 {}", path.display());
            return Err(KeyError::Reference { reference: path.display().to_string(), what });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        (&file).take(256).read_to_end(&mut bytes).map_err(fail)?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// Makes a new random key in `path`, which must not exist.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let key = Secret::random()?;
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(key.expose())?;
            file.sync_all()?;
            let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(dir)?.sync_all()
        };
        write().map_err(|source| KeyError::Io { doing: "make the key", path: path.to_owned(), source })?;
        Ok(Self::with_key(key))
    }

    /// Follows `file:PATH` or `env:NAME`; the variable holds base64.
    pub fn from_reference(reference: &str) -> Result<Self, KeyError> {
        let bad = |what: &str| KeyError::Reference { reference: reference.to_owned(), what: what.to_owned() };
        match reference.split_once(':') {
            Some(("file", path)) => Self::open(&PathBuf::from(path)),
            Some(("env", name)) => {
                let value = Zeroizing::new(env::var(name).map_err(|_| bad("the variable is not set"))?);
                Self::from_bytes(reference, value.as_bytes())
            }
            _ => Err(bad("must be file:PATH or env:NAME")),
        }
    }

    fn from_bytes(reference: &str, bytes: &[u8]) -> Result<Self, KeyError> {
        let key = Secret::from_slice(bytes).or_else(|| {
            let text = bytes.trim_ascii();
            let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
            Secret::from_slice(&decoded)
        });
        let what = "holds neither 32 bytes nor their base64: openssl rand -base64 32 makes such a key";
        key.map(Self::with_key)
            .ok_or_else(|| KeyError::Reference { reference: reference.to_owned(), what: what.to_owned() })
    }

    fn with_key(key: Secret) -> Self {
        let mac = key.mac(b"klio key id");
        let id = mac[..8].iter().fold("file:".to_owned(), |id, byte| id + &format!("{byte:02x}"));
        Self { id, cipher: Cipher::new(key) }
    }
}

impl KeyProvider for FileKeyProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, key: &Secret) -> Result<Vec<u8>, KeyError> {
        let mut out = Vec::new();
        self.cipher.seal(CONTEXT, key.expose(), &mut out)?;
        Ok(out)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Secret, KeyError> {
        // Never grows, so that no copy of the key is left behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(wrapped.len()));
        self.cipher.open(CONTEXT, wrapped, &mut plain)?;
        Secret::from_slice(&plain).ok_or(KeyError::Altered)
    }
}

/// Reads a small file of the ring; `None` if there is none.
pub(super) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() || there.len() > 1 << 20 => {
            Err(KeyError::Stored { path: path.to_owned(), what: "is no file of a stored key".to_owned() })
        }
        Ok(_) => fs::read(path).map(Some).map_err(|source| KeyError::Io {
            doing: "read",
            path: path.to_owned(),
            source,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::Io { doing: "read", path: path.to_owned(), source }),
    }
}
