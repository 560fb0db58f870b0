//! Ed25519 keys in the text forms of C2SP signed-note: `name+id+base64` to verify, `PRIVATE+KEY+…` to sign.
//! One algorithm byte tells log keys (0x01, signed-note) from witness keys (0x04, tlog-cosignature).

use std::{
    fmt, fs,
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// What a key signs, and how: the signature type byte of C2SP signed-note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    /// Plain Ed25519 over the note's text: a log's own key.
    Note = 0x01,
    /// Ed25519 over a time and the note's text (C2SP tlog-cosignature `cosignature/v1`): a witness's key.
    Cosignature = 0x04,
}

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: u32,
    scheme: Scheme,
    key: VerifyingKey,
}

/// A key that signs. It cannot be printed by accident.
pub struct Signer {
    verifier: Verifier,
    key: SigningKey,
}

/// A key cannot be read, written or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key in the form of C2SP signed-note.
    #[error("not a key: {0}")]
    Malformed(&'static str),
    /// A signature type that Klio does not use.
    #[error(
        "the key is of signature type {0:#04x}; Klio reads 0x01 (Ed25519) and 0x04 (Ed25519 cosignature)"
    )]
    Scheme(u8),
    /// The id in the text is not that of the key: a digit was lost or changed.
    #[error("the key's id says {written:08x}, the key itself is {computed:08x}")]
    Id {
        /// What the text says.
        written: u32,
        /// What name and key hash to.
        computed: u32,
    },
    /// Others may read the file of a private key.
    #[error("others than the owner may read {path} (mode {mode:o}); it must be 0600")]
    Open {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
    /// The file refused.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Key files are one line.
const MAX_FILE: u64 = 4096;

impl Verifier {
    fn new(name: &str, scheme: Scheme, key: VerifyingKey) -> Result<Self, KeyError> {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(KeyError::Malformed("a key's name has no spaces, no + and is not empty"));
        }
        if key.is_weak() {
            return Err(KeyError::Malformed("the key is of small order"));
        }
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', scheme as u8])
            .chain_update(key.as_bytes())
            .finalize();
        let id = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Ok(Self { name: name.to_owned(), id, scheme, key })
    }

    /// The key's name; for a log's key its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key).
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The public key's 32 bytes.
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// What it verifies.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Checks what stands in a signature line after the key's id. `None` when it is not this key's signature
    /// of `text`; otherwise the time that a cosignature carries, in seconds since 1970.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        match self.scheme {
            Scheme::Note => {
                let signature = Signature::from_slice(signature).ok()?;
                self.key.verify_strict(text.as_bytes(), &signature).ok()?;
                Some(None)
            }
            Scheme::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let signature = Signature::from_slice(signature).ok()?;
                self.key.verify_strict(cosigned(time, text).as_bytes(), &signature).ok()?;
                Some(Some(time))
            }
        }
    }
}

/// The message of a `cosignature/v1` (C2SP tlog-cosignature, "Ed25519 signed message").
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = [self.scheme as u8; 33];
        key[1..].copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Verifier {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, written, scheme, key) = parts(text)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Malformed("no point of the curve"))?;
        Self::new(name, scheme, key)?.with_id(written)
    }
}

impl Verifier {
    fn with_id(self, written: u32) -> Result<Self, KeyError> {
        if self.id == written { Ok(self) } else { Err(KeyError::Id { written, computed: self.id }) }
    }
}

/// Name, id, type and 32 bytes of a key.
type Parts<'a> = (&'a str, u32, Scheme, Zeroizing<[u8; 32]>);

/// `name+id+base64(type ‖ key)`.
fn parts(text: &str) -> Result<Parts<'_>, KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Malformed("expected name+id+base64"));
    };
    if id.len() != 8 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(KeyError::Malformed("the id is eight lower-case hexadecimal digits"));
    }
    let id = u32::from_str_radix(id, 16).map_err(|_| KeyError::Malformed("the id is hexadecimal"))?;
    let mut bytes = Zeroizing::new([0; 36]);
    let length = if key.len() <= 48 { STANDARD.decode_slice(key, &mut *bytes).ok() } else { None };
    let scheme = match (length, bytes[0]) {
        (Some(33), 0x01) => Scheme::Note,
        (Some(33), 0x04) => Scheme::Cosignature,
        (Some(1..), other @ (0 | 2 | 3 | 5..)) => return Err(KeyError::Scheme(other)),
        _ => return Err(KeyError::Malformed("expected base64 of the type and 32 bytes")),
    };
    let mut raw = Zeroizing::new([0; 32]);
    raw.copy_from_slice(&bytes[1..33]);
    Ok((name, id, scheme, raw))
}

impl Signer {
    /// Makes a new key from the operating system's random numbers.
    pub fn generate(name: &str, scheme: Scheme) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| KeyError::Random(error.to_string()))?;
        Self::from_seed(name, scheme, &seed)
    }

    /// The key that grows from 32 secret bytes.
    pub fn from_seed(name: &str, scheme: Scheme, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        Ok(Self { verifier: Verifier::new(name, scheme, key.verifying_key())?, key })
    }

    /// Writes a new file with mode 0600; refuses to touch one that exists. The file is on disk when this
    /// returns.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::File { path: path.display().to_string(), source };
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let text = self.to_secret_text();
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        crate::disk::sync_directory(directory.unwrap_or(Path::new("."))).map_err(failed)
    }

    /// Reads a file that [`Signer::save`] wrote; refuses one that others than its owner may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.display().to_string(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.display().to_string(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
        file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
        Self::from_secret_text(text.trim_end())
    }

    /// `PRIVATE+KEY+name+id+base64` and a newline. Wiped from memory when dropped.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut key = Zeroizing::new([self.verifier.scheme as u8; 33]);
        let mut seed = self.key.to_bytes();
        key[1..].copy_from_slice(&seed);
        seed.zeroize();
        let key = Zeroizing::new(STANDARD.encode(*key));
        Zeroizing::new(format!("PRIVATE+KEY+{}+{:08x}+{}\n", self.verifier.name, self.verifier.id, *key))
    }

    /// Reads what [`Signer::to_secret_text`] wrote, without the newline.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Malformed("expected PRIVATE+KEY+…"))?;
        let (name, written, scheme, seed) = parts(rest)?;
        let signer = Self::from_seed(name, scheme, &seed)?;
        Ok(Self { verifier: signer.verifier.with_id(written)?, key: signer.key })
    }

    /// The key that others verify with.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs a note's text. `time`, in seconds since 1970, is part of a cosignature and ignored otherwise.
    pub fn sign(&self, text: &str, time: u64) -> Vec<u8> {
        match self.verifier.scheme {
            Scheme::Note => self.key.sign(text.as_bytes()).to_bytes().to_vec(),
            Scheme::Cosignature => {
                let signature = self.key.sign(cosigned(time, text).as_bytes()).to_bytes();
                [&time.to_be_bytes()[..], &signature].concat()
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP signed-note, "Verifier keys".
    const FOO: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn verifier_text() {
        let foo: Verifier = FOO.parse().unwrap();
        assert_eq!((foo.name(), foo.id(), foo.scheme()), ("example.com/foo", 0x530d_903a, Scheme::Note));
        assert_eq!(foo.to_string(), FOO);
        assert!(matches!(FOO.replace("foo", "fop").parse::<Verifier>(), Err(KeyError::Id { .. })));
        assert!(matches!("a+b".parse::<Verifier>(), Err(KeyError::Malformed(_))));
        assert!(matches!("x+00000000+AgAA".parse::<Verifier>(), Err(KeyError::Scheme(2))));
        for at in 0..FOO.len() {
            let mut bytes = FOO.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(String::from_utf8(bytes).unwrap().parse::<Verifier>().is_err(), "byte {at}");
        }
    }

    #[test]
    fn files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for scheme in [Scheme::Note, Scheme::Cosignature] {
            let signer = Signer::generate("example.org/log", scheme).unwrap();
            signer.save(&path).unwrap();
            assert!(matches!(signer.save(&path), Err(KeyError::File { .. })), "must not overwrite");
            let again = Signer::load(&path).unwrap();
            let signature = again.sign("text\n", 7);
            let time = (scheme == Scheme::Cosignature).then_some(7);
            assert_eq!(signer.verifier().verify("text\n", &signature), Some(time));
            assert_eq!(signer.verifier().verify("texts\n", &signature), None);
            assert!(!format!("{signer:?}").contains("PRIVATE"));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn refuses_a_file_that_others_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        Signer::generate("x", Scheme::Note).unwrap().save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Signer::load(&path), Err(KeyError::Open { mode: 0o640, .. })));
    }
}
