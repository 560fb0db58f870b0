//! Who somebody turned out to be: the one thing that the server gets.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Right, Role, Scope};

/// Who vouches for a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The desk itself: a user with a password or tokens.
    User,
    /// An OpenID Connect provider.
    Oidc,
    /// A client certificate.
    Certificate,
    /// A Kubernetes cluster, by TokenReview.
    Kubernetes,
    /// Whoever may open the data directory, at the machine itself.
    Console,
}

impl Kind {
    /// The word that is written for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Oidc => "oidc",
            Self::Certificate => "certificate",
            Self::Kubernetes => "kubernetes",
            Self::Console => "console",
        }
    }
}

/// What he showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Via {
    /// A password, just now.
    Password,
    /// The API token with this id (not its secret).
    Token(String),
    /// The session with this id (not its secret).
    Session(String),
    /// An identity that others vouched for, just now.
    Identity,
    /// Nothing: he is at the machine.
    Console,
}

/// Somebody who was let in. Only a [`crate::Desk`] makes one, and [`Principal::console`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) via: Via,
    pub(crate) account: Account,
}

/// What sessions and tokens of a principal hang on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Account {
    /// A row of users, as its password and state were when it was read.
    User { id: String, generation: i64 },
    /// An identity that is mapped anew each time.
    Outside(crate::Identity),
    /// None.
    Console,
}

impl Principal {
    /// The operator at the machine: an admin of everything. For commands that open the data directory themselves.
    pub fn console() -> Self {
        Self {
            name: "console".to_owned(),
            kind: Kind::Console,
            role: Role::Admin,
            scope: Scope::all(),
            via: Via::Console,
            account: Account::Console,
        }
    }

    /// His name. Names of different kinds are different people: see [`Principal::to_string`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who vouches for the name.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What he is trusted with now.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What he sees now.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What he showed.
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// Whether he has a right, within his scope.
    pub fn may(&self, right: Right) -> bool {
        self.role.may(right)
    }

    /// The id of the user's row; `None` for identities from outside and at the console.
    pub fn user_id(&self) -> Option<&str> {
        if let Account::User { id, .. } = &self.account { Some(id) } else { None }
    }

    /// Whether he may hand on so much: nobody gives more than he has.
    pub(crate) fn covers(&self, role: Role, scope: &Scope) -> bool {
        role <= self.role && scope.is_within(&self.scope)
    }
}

/// `user:ana`, `oidc:ana@example.org`: the name as the ledger writes it.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.name)
    }
}

/// Who asks for a change, and from where.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub principal: Principal,
    /// The TCP peer, or whom a trusted proxy named; `None` at the machine itself.
    pub from: Option<IpAddr>,
}

impl By {
    /// The operator at the machine.
    pub fn console() -> Self {
        Self { principal: Principal::console(), from: None }
    }
}
