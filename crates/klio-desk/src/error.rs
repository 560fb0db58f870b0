//! Why the desk says no.

use klio_model::Timestamp;

use crate::{LedgerError, Right, Role, WeakPassword};

/// The desk did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Wrong name, password, token, session or identity, or an account that is disabled: which, only the ledger is told.
    #[error("not let in")]
    Denied,
    /// Too many failures; the next attempt is judged from this time on.
    #[error("too many failures; the next attempt counts from {0} on")]
    TooMany(Timestamp),
    /// More people sign in at once than the machine can bear.
    #[error("too many sign-ins at once")]
    Busy,
    /// The role does not have the right.
    #[error("a {role} may not do this ({right:?})")]
    NotAllowed {
        /// What he is.
        role: Role,
        /// What it takes.
        right: Right,
    },
    /// Nobody hands on more than he has, nor changes somebody who has more.
    #[error("this reaches further than your own role and scope")]
    Beyond,
    /// Tokens make no tokens and begin no sessions: a stolen one would outlive its revocation.
    #[error("with an API token this cannot be done; sign in")]
    NotWithToken,
    /// There is no such user, token or session, or it is not his to see.
    #[error("there is no {what} {name:?}")]
    Unknown {
        /// user, token, session or hunt
        what: &'static str,
        /// Which.
        name: String,
    },
    /// The name is taken.
    #[error("there is a user {0:?} already")]
    Taken(String),
    /// There are users already: only the first admin is made without one.
    #[error("there are users already; an admin makes more")]
    NotEmpty,
    /// Without an enabled admin who sees everything nobody could repair anything.
    #[error("{0:?} is the last admin of everything who can sign in")]
    LastAdmin(String),
    /// A name that cannot be one.
    #[error("{0:?} cannot be a name: {1}")]
    BadName(String, &'static str),
    /// There is room for no more.
    #[error("there are too many {0}: remove some")]
    Full(&'static str),
    /// A password that is too easy.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// An expiry in the past.
    #[error("a token that has expired already is of no use")]
    Expired,
    /// The tables were written by a newer Klio.
    #[error(
        "the users' database has version {found}, this Klio knows up to {known}: use the newer Klio that wrote it"
    )]
    Newer {
        /// In the database.
        found: i64,
        /// Here.
        known: i64,
    },
    /// What stands in a table is not what was written there.
    #[error("the users' database is damaged: {0}")]
    Damaged(String),
    /// The place of the database cannot be used.
    #[error("the users' database: {0}")]
    Place(String),
    /// The database refused.
    #[error("the users' database: {0}")]
    Database(#[source] sqlx::Error),
    /// The ledger refused. A change stands and is told later; nobody was let in.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The operating system gave no random numbers, or the hash function no hash.
    #[error("no cryptography: {0}")]
    Crypto(String),
}

impl From<sqlx::Error> for DeskError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl DeskError {
    /// Whether the same may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TooMany(_) | Self::Busy | Self::Database(_) | Self::Ledger(_))
    }

    /// Whether the desk refused, as against could not.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Newer { .. }
                | Self::Damaged(_)
                | Self::Place(_)
                | Self::Database(_)
                | Self::Ledger(_)
                | Self::Crypto(_)
                | Self::Busy
        )
    }
}
