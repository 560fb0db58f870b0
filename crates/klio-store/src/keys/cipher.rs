//! AES-256-GCM with a key of its own for each message.
//!
//! ```text
//! message   version u32 | salt 24 bytes | ciphertext | tag 16 bytes
//! key       HMAC-SHA-256(data key, "klio message key 1" | salt)           nonce: zero
//! ```
//!
//! GCM breaks when a nonce repeats under a key, and 96 random bits are enough for only 2^32 messages. Here each
//! message has a random 192-bit salt and a key derived from it (as XAES-256-GCM does, with HMAC in place of
//! CMAC since ring offers it): after 2^80 messages the chance of a repetition is still below 2^-32. No counter
//! is kept, so neither a crash nor a machine restored from a snapshot can repeat one.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::KeyError;

const SALT: usize = 24;
const TAG: usize = 16;
const FRONT: usize = 4 + SALT;

/// A 256-bit key, wiped when it is dropped and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// A fresh random key.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut bytes[..]).map_err(|_| KeyError::Random)?;
        Ok(Self(bytes))
    }

    /// A key of exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(*bytes.as_array::<32>()?)))
    }

    /// The key itself.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A value that only the holder of the key can compute.
    pub(super) fn mac(&self, what: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0[..]), what);
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Seals with the newest version of a data key and opens with any.
#[derive(Debug, Clone)]
pub struct Cipher {
    /// By version, the newest last; never empty.
    keys: Vec<(u32, Secret)>,
    newest: (u32, Secret),
}

impl Cipher {
    /// Bytes by which a sealed message is longer than the plain one.
    pub const OVERHEAD: usize = FRONT + TAG;

    /// A cipher with one key, which is version 1.
    pub fn new(key: Secret) -> Self {
        Self { keys: vec![(1, key.clone())], newest: (1, key) }
    }

    /// A cipher over all versions of a data key.
    pub fn with_versions(keys: Vec<(u32, Secret)>) -> Option<Self> {
        let newest = keys.iter().max_by_key(|(version, _)| *version)?.clone();
        Some(Self { keys, newest })
    }

    /// The newest version, with which is sealed.
    pub fn version(&self) -> u32 {
        self.newest.0
    }

    /// Whether it has a version.
    pub fn knows(&self, version: u32) -> bool {
        self.keys.iter().any(|(other, _)| *other == version)
    }

    /// A key for one purpose, made of a version of the data key: HMAC-SHA-256(data key, label | 0 | what).
    pub fn derive(&self, version: u32, label: &[u8], what: &[u8]) -> Result<Secret, KeyError> {
        let known = self.keys.iter().find(|(other, _)| *other == version);
        let key = &known.ok_or(KeyError::Version(version))?.1;
        Ok(Secret(Zeroizing::new(key.mac(&[label, &[0], what].concat()))))
    }

    /// Appends the sealed form of `plain` to `out`. Only the same `aad` will open it.
    pub fn seal(&self, aad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), KeyError> {
        let (version, key) = &self.newest;
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| KeyError::Random)?;
        let key = message_key(key, &salt)?;
        out.reserve(plain.len() + Self::OVERHEAD);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&salt);
        let from = out.len();
        out.extend_from_slice(plain);
        if let Ok(tag) = key.seal_in_place_separate_tag(zero(), Aad::from(aad), &mut out[from..]) {
            out.extend_from_slice(tag.as_ref());
            Ok(())
        } else {
            out.truncate(from - FRONT);
            Err(KeyError::TooLong)
        }
    }

    /// Appends what was sealed in `sealed` to `out`, if nothing of it, nor `aad`, was altered.
    pub fn open(&self, aad: &[u8], sealed: &[u8], out: &mut Vec<u8>) -> Result<(), KeyError> {
        let (version, rest) = sealed.split_first_chunk::<4>().ok_or(KeyError::Altered)?;
        let (salt, body) = rest.split_first_chunk::<SALT>().ok_or(KeyError::Altered)?;
        if body.len() < TAG {
            return Err(KeyError::Altered);
        }
        let version = u32::from_le_bytes(*version);
        let known = self.keys.iter().find(|(other, _)| *other == version);
        let key = message_key(&known.ok_or(KeyError::Version(version))?.1, salt)?;
        let from = out.len();
        out.extend_from_slice(body);
        let opened = key.open_in_place(zero(), Aad::from(aad), &mut out[from..]).map(|plain| plain.len());
        // Nothing unauthenticated is left behind.
        out.truncate(from + opened.as_ref().unwrap_or(&0));
        opened.map(|_| ()).map_err(|_| KeyError::Altered)
    }
}

/// The nonce: each key seals one message only.
fn zero() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn message_key(key: &Secret, salt: &[u8; SALT]) -> Result<LessSafeKey, KeyError> {
    const LABEL: &[u8] = b"klio message key 1";
    let mut input = [0; LABEL.len() + SALT];
    input[..LABEL.len()].copy_from_slice(LABEL);
    input[LABEL.len()..].copy_from_slice(salt);
    let derived = Zeroizing::new(key.mac(&input));
    UnboundKey::new(&AES_256_GCM, &derived[..]).map(LessSafeKey::new).map_err(|_| KeyError::Altered)
}
