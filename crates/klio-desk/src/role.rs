//! Roles, and what each may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a person or a program is trusted with; each role may do what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads bodies too, judges findings and takes copies out.
    Analyst,
    /// Handles incidents.
    Responder,
    /// Runs the place.
    Admin,
}

/// One thing that somebody may do, within his scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Right {
    ReadEvents,
    ReadFindings,
    /// What he did himself, by the ledger.
    ReadOwnAudit,
    /// His password and his sessions.
    ManageOwnAccount,
    /// Make and revoke tokens that may do no more than he.
    ManageOwnTokens,
    /// Request and response bodies of events.
    ReadBodies,
    /// Take events out in bulk, as files or as evidence.
    Export,
    /// SQL over the lake. A scope cannot be pushed into free SQL: the server also asks for [`crate::Scope::is_all`].
    RunSql,
    /// Have everything in the lake checked against the signed log, which takes the machine a while.
    VerifyIntegrity,
    /// Say of a finding that it is true, false or accepted.
    JudgeFindings,
    SaveHunts,
    /// Assign, comment and close.
    ManageIncidents,
    SilenceAlerts,
    ReplayDeadLetters,
    /// Keep events past their retention, and let them go again.
    HoldEvents,
    ManageSources,
    ManageRules,
    ManageSinks,
    ManageRetention,
    ManageUsers,
    /// See and revoke the tokens of others.
    ManageTokens,
    /// What everybody did, by the ledger.
    ReadAudit,
}

/// The least role that has each right: the one table of who may do what.
const LEAST: [(Right, Role); 22] = [
    (Right::ReadEvents, Role::Viewer),
    (Right::ReadFindings, Role::Viewer),
    (Right::ReadOwnAudit, Role::Viewer),
    (Right::ManageOwnAccount, Role::Viewer),
    (Right::ManageOwnTokens, Role::Viewer),
    (Right::ReadBodies, Role::Analyst),
    (Right::Export, Role::Analyst),
    (Right::RunSql, Role::Analyst),
    (Right::VerifyIntegrity, Role::Analyst),
    (Right::JudgeFindings, Role::Analyst),
    (Right::SaveHunts, Role::Analyst),
    (Right::ManageIncidents, Role::Responder),
    (Right::SilenceAlerts, Role::Responder),
    (Right::ReplayDeadLetters, Role::Responder),
    (Right::HoldEvents, Role::Responder),
    (Right::ManageSources, Role::Admin),
    (Right::ManageRules, Role::Admin),
    (Right::ManageSinks, Role::Admin),
    (Right::ManageRetention, Role::Admin),
    (Right::ManageUsers, Role::Admin),
    (Right::ManageTokens, Role::Admin),
    (Right::ReadAudit, Role::Admin),
];

/// A word that is no role.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no role: viewer, analyst, responder or admin")]
pub struct UnknownRole(pub String);

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Analyst, Self::Responder, Self::Admin];

    /// The word that is written for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }

    /// Whether the role has a right. What the table does not know, nobody may.
    pub fn may(self, right: Right) -> bool {
        LEAST.iter().any(|(r, least)| *r == right && self >= *least)
    }

    /// The rights of the role, in the table's order.
    pub fn rights(self) -> impl Iterator<Item = Right> {
        LEAST.iter().filter(move |(_, least)| self >= *least).map(|(right, _)| *right)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|r| r.name() == word).ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_stands_in_the_table_once_and_in_the_enums_order() {
        assert!(LEAST.windows(2).all(|pair| pair[0].0 < pair[1].0));
        // `ReadAudit` is the last of the enum, so nothing is left out.
        assert_eq!(LEAST.len(), Right::ReadAudit as usize + 1);
    }

    #[test]
    fn a_higher_role_may_all_that_a_lower_one_may() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0].rights().all(|right| pair[1].may(right)));
            assert!(pair[0].rights().count() < pair[1].rights().count());
        }
        assert!(Role::Viewer.may(Right::ReadEvents) && !Role::Viewer.may(Right::ReadBodies));
        assert!(!Role::Responder.may(Right::ManageUsers) && Role::Admin.may(Right::ManageUsers));
    }

    #[test]
    fn a_role_reads_back() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err() && "Admin".parse::<Role>().is_err());
    }
}
