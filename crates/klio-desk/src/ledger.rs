//! What was done at the desk, told to whoever keeps the audit.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use klio_model::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Deed {
    Bootstrap,
    CreateUser,
    SetPassword,
    ChangeOwnPassword,
    SetRole,
    SetScope,
    DisableUser,
    EnableUser,
    RemoveUser,
    UnlockUser,
    SignIn,
    UseToken,
    UseIdentity,
    BeginSession,
    RenewSession,
    EndSession,
    EndSessions,
    CreateToken,
    RevokeToken,
    SaveHunt,
    RemoveHunt,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not: a wrong password, a missing right, a rule. The detail `why` says which.
    Refused,
}

/// One thing that somebody did or tried at the desk. It carries no secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Action {
    /// Random, 22 letters and digits. A ledger may be told the same action again after a crash; it keeps each id once.
    pub id: String,
    /// When.
    #[serde(deserialize_with = "time")]
    pub time: Timestamp,
    /// Who, as `kind:name`. Of a failed sign-in the name that was claimed, if it has the form of a name: people type passwords
    /// there.
    pub who: String,
    /// What.
    pub deed: Deed,
    /// On which user, token or session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub on: String,
    /// From which address; `None` at the machine itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// How it ended.
    pub outcome: Outcome,
    /// More, by name: `role`, `scope`, `why`, `via`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

impl Action {
    /// The same with a detail.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.detail.insert(name.to_owned(), value.to_string());
        self
    }

    /// The same, refused.
    #[must_use]
    pub(crate) fn refused(mut self, why: impl ToString) -> Self {
        self.outcome = Outcome::Refused;
        self.with("why", why)
    }
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(from)?;
    Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time"))
}

/// The ledger did not take an action.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the ledger did not take an action: {0}")]
pub struct LedgerError(pub String);

/// Who keeps what was done: in Klio the lake itself.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Keeps an action durably, or keeps it already. What was asked for is acknowledged only after this returned.
    ///
    /// # Errors
    /// When it could not. The change stands then and is told again by [`crate::Desk::tell_waiting`]; a sign-in is refused.
    async fn keep(&self, action: &Action) -> Result<(), LedgerError>;

    /// Whether another process keeps them: a command beside a running server leaves its actions in the database, from where the
    /// server tells them.
    fn is_elsewhere(&self) -> bool {
        false
    }
}
