//! Passwords: what is accepted, and how they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::ExposeSecret as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::{DeskError, Secret};

/// Fewest characters (NIST SP 800-63B asks for 8 and for 15 where a password stands alone; OWASP ASVS 2.1.1 for 12).
const SHORTEST: usize = 12;
/// Most bytes: the hash is slow by design, and the text comes from strangers.
const LONGEST: usize = 1024;
/// So many may wait for their turn; each holds a connection and little else.
const WAITING: usize = 256;

/// Long passwords that everybody has: the ones with at least 12 characters of the usual lists of leaked ones.
const COMMON: [&str; 16] = [
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789012345",
    "1234567890123456",
    "qwertyuiop123",
    "qwertyuiop[]",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "password1234",
    "password12345",
    "passwordpassword",
    "administrator",
    "changemechangeme",
    "correcthorsebatterystaple",
    "unbelievable",
];

/// Why a password is not accepted. There are no rules of composition (NIST SP 800-63B-4, 3.1.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WeakPassword {
    /// Too short.
    #[error("a password has at least {SHORTEST} characters; a few words do")]
    Short,
    /// Too long.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// The user's name.
    #[error("the user's own name is no password")]
    Name,
    /// One that is tried first.
    #[error("this password is among those that are tried first")]
    Common,
}

/// What one hash costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory, KiB.
    memory: u32,
    /// Passes over it.
    passes: u32,
}

impl Default for Cost {
    /// 19 MiB and 2 passes: what the OWASP Password Storage Cheat Sheet asks for Argon2id with one lane.
    fn default() -> Self {
        Self { memory: 19 * 1024, passes: 2 }
    }
}

impl Cost {
    /// As little as the function allows. For tests: hashes made so are found out fast.
    pub fn for_tests() -> Self {
        Self { memory: Params::MIN_M_COST, passes: 1 }
    }
}

/// The same text however a keyboard composed it (NIST SP 800-63B-4, 3.1.1.2: NFKC).
fn normal(password: &Secret) -> Zeroizing<String> {
    Zeroizing::new(password.expose_secret().nfkc().collect())
}

/// Whether a password is good enough for a user.
pub(crate) fn accept(password: &Secret, user: &str) -> Result<(), WeakPassword> {
    if password.expose_secret().len() > LONGEST {
        return Err(WeakPassword::Long);
    }
    let text = normal(password);
    if text.chars().count() < SHORTEST {
        return Err(WeakPassword::Short);
    }
    let folded = Zeroizing::new(text.to_lowercase());
    if *folded == user {
        return Err(WeakPassword::Name);
    }
    let mut letters = folded.chars();
    let first = letters.next();
    if letters.all(|c| Some(c) == first) || COMMON.contains(&folded.as_str()) {
        return Err(WeakPassword::Common);
    }
    Ok(())
}

/// Makes and compares hashes, a bounded number at once: each takes 19 MiB and a core.
pub(crate) struct Hasher {
    argon: Argon2<'static>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    nobody: String,
}

/// The right to compute one hash.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Hasher {
    /// With so many turns at once.
    pub(crate) fn new(cost: Cost, at_once: usize) -> Result<Self, DeskError> {
        let params = Params::new(cost.memory, cost.passes, 1, None).map_err(crypto)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon, &crate::secret::strong()?)?;
        let turns = Arc::new(Semaphore::new(at_once.max(1)));
        Ok(Self { argon, turns, waiting: AtomicUsize::new(0), nobody })
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Result<Turn, DeskError> {
        struct Place<'w>(&'w AtomicUsize);
        impl Drop for Place<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.waiting);
        if before >= WAITING {
            return Err(DeskError::Busy);
        }
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_| DeskError::Busy)
    }

    /// A hash as a PHC string, with its salt and cost in it.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, DeskError> {
        let turn = self.turn().await?;
        let (argon, password) = (self.argon.clone(), password.clone());
        blocking(move || {
            let _turn = turn;
            hash(&argon, &password)
        })
        .await?
    }

    /// Whether a password is that of a hash. Without a hash the same work is done for nothing, so that the time does not tell who
    /// exists. The turn is given back when the work is done, also if nobody waits for the answer any more.
    pub(crate) async fn holds(
        &self,
        turn: Turn,
        password: &Secret,
        kept: Option<&str>,
    ) -> Result<bool, DeskError> {
        let exists = kept.is_some() && password.expose_secret().len() <= LONGEST;
        let kept = kept.unwrap_or(&self.nobody).to_owned();
        let (argon, password) = (self.argon.clone(), password.clone());
        blocking(move || {
            let _turn = turn;
            let kept =
                PasswordHash::new(&kept).map_err(|e| DeskError::Damaged(format!("a password hash: {e}")))?;
            let short: Secret;
            let asked = if exists {
                &password
            } else {
                short = "nobody".into();
                &short
            };
            Ok(argon.verify_password(normal(asked).as_bytes(), &kept).is_ok() && exists)
        })
        .await?
    }

    /// Whether a hash was made at another cost than new ones are.
    pub(crate) fn is_dated(&self, kept: &str) -> bool {
        let params = PasswordHash::new(kept).ok().and_then(|hash| Params::try_from(&hash).ok());
        params.is_none_or(|p| {
            let mine = self.argon.params();
            (p.m_cost(), p.t_cost(), p.p_cost()) != (mine.m_cost(), mine.t_cost(), mine.p_cost())
        })
    }
}

fn hash(argon: &Argon2<'_>, password: &Secret) -> Result<String, DeskError> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(crypto)?;
    let hash: PasswordHash =
        argon.hash_password_with_salt(normal(password).as_bytes(), &salt).map_err(crypto)?;
    Ok(hash.to_string())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DeskError> {
    tokio::task::spawn_blocking(work).await.map_err(crypto)
}

fn crypto(error: impl ToString) -> DeskError {
    DeskError::Crypto(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str, expect: Option<WeakPassword>) {
        assert_eq!(accept(&password.into(), "administrator@example.org").err(), expect, "{password}");
    }

    #[test]
    fn length_counts_and_composition_does_not() {
        check("eleven char", Some(WeakPassword::Short));
        check("twelve chars", None);
        check("äöüäöüäöüäöü", None);
        check("Administrator@Example.org", Some(WeakPassword::Name));
        check("Password1234", Some(WeakPassword::Common));
        check("xxxxxxxxxxxxxxxx", Some(WeakPassword::Common));
        check(&"long ".repeat(300), Some(WeakPassword::Long));
    }

    #[tokio::test]
    async fn a_hash_holds_for_its_password_alone() {
        let hasher = Hasher::new(Cost::for_tests(), 2).unwrap();
        let hash = hasher.hash(&"ein Ménü für zwölf".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let holds = async |password: &str, kept: Option<&str>| {
            hasher.holds(hasher.turn().await.unwrap(), &password.into(), kept).await.unwrap()
        };
        assert!(holds("ein Ménü für zwölf", Some(&hash)).await);
        assert!(
            holds("ein Me\u{301}nu\u{308} fu\u{308}r zwo\u{308}lf", Some(&hash)).await,
            "another keyboard"
        );
        assert!(!holds("ein Menu fur zwolf", Some(&hash)).await);
        assert!(!holds("ein Ménü für zwölf", None).await && !holds("nobody", None).await);
        assert!(!hasher.is_dated(&hash));
        assert!(Hasher::new(Cost::default(), 1).unwrap().is_dated(&hash));
    }
}
