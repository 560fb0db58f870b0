//! Keys: data keys by name, stored only wrapped under a key that somebody else keeps (envelope encryption).

mod cipher;

pub use cipher::{Cipher, Secret};

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
    #[error("the message does not open: it was altered or moved, or sealed with another key")]
    Altered,
    /// A version of the data key that is not in the ring.
    #[error("version {0} of the data key is not known")]
    Version(u32),
}
