//! Data keys by name, each stored only wrapped under a key that somebody else keeps (envelope encryption).
//!
//! A [`Keyring`] is a directory with one small file for each name. Its [`KeyProvider`] wraps and unwraps: a key
//! in a file, or any program that speaks to a KMS. Destroying a name makes what was sealed under it unreadable
//! for good (crypto-shredding), as far as no copy of the directory exists together with the provider's key.

use std::{io, path::PathBuf};

mod cipher;
mod command;
mod file;
mod ring;
mod stored;

pub use cipher::{Cipher, Secret};
pub use command::CommandKeyProvider;
pub use file::FileKeyProvider;
pub use ring::{Keyring, Listed};

/// Wraps data keys, and holds the key for that itself.
pub trait KeyProvider: Send + Sync {
    /// Names the key that wraps; another key has another name.
    fn id(&self) -> &str;
    /// Makes a data key safe to store.
    fn wrap(&self, key: &Secret) -> Result<Vec<u8>, KeyError>;
    /// Gets the data key back.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Secret, KeyError>;
}

/// Why a key cannot be had, or does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// Over what GCM can seal.
    #[error("the message is too long to be sealed")]
    TooLong,
    /// Altered, moved, or sealed with another key.
    #[error("it does not open: it was altered or moved, or sealed with another key")]
    Altered,
    /// A version of the data key that is not in the ring.
    #[error("version {0} of the data key is not known")]
    Version(u32),
    /// The key is gone for good.
    #[error(
        "the key {name} was destroyed on {when} ({why}): what was sealed under it cannot be read any more"
    )]
    Destroyed {
        /// The key's name.
        name: String,
        /// When, as RFC 3339.
        when: String,
        /// The reason that was given.
        why: String,
    },
    /// No such key.
    #[error("there is no key {0}")]
    Unknown(String),
    /// Not a name.
    #[error(
        "{0:?} is no name for a key: up to 200 of the characters a-z A-Z 0-9 . _ - in parts divided by /, none of \
         them beginning with a dot"
    )]
    Name(String),
    /// The stored key was wrapped by another provider.
    #[error(
        "the key {name} is wrapped by {stored}, not by {given}: give that provider, or finish rotating to the new one"
    )]
    Provider {
        /// The key's name.
        name: String,
        /// Who wrapped it.
        stored: String,
        /// Who is to unwrap it.
        given: String,
    },
    /// A file of the ring is not as it was written.
    #[error("{}: {what}", path.display())]
    Stored {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The reference leads to no usable key.
    #[error("{reference}: {what}")]
    Reference {
        /// Path or reference as given; never the key.
        reference: String,
        /// What is wrong, and what helps.
        what: String,
    },
    /// The program that should wrap or unwrap did not.
    #[error("{program}: {what}")]
    Command {
        /// The program.
        program: String,
        /// What happened.
        what: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests;
