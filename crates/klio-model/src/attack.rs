//! MITRE ATT&CK vocabulary: tactics in the order of an intrusion, techniques as ids.

use std::fmt;

use serde::{Serialize, Serializer};

/// An enterprise tactic of MITRE ATT&CK (<https://attack.mitre.org/tactics/enterprise/>).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Tactic {
    Reconnaissance,
    ResourceDevelopment,
    InitialAccess,
    Execution,
    Persistence,
    PrivilegeEscalation,
    DefenseEvasion,
    CredentialAccess,
    Discovery,
    LateralMovement,
    Collection,
    CommandAndControl,
    Exfiltration,
    Impact,
}

impl Tactic {
    /// All tactics in the order in which an intrusion usually shows them.
    pub const ALL: [Self; 14] = [
        Self::Reconnaissance,
        Self::ResourceDevelopment,
        Self::InitialAccess,
        Self::Execution,
        Self::Persistence,
        Self::PrivilegeEscalation,
        Self::DefenseEvasion,
        Self::CredentialAccess,
        Self::Discovery,
        Self::LateralMovement,
        Self::Collection,
        Self::CommandAndControl,
        Self::Exfiltration,
        Self::Impact,
    ];

    /// The short name as Sigma tags write it, for example `credential-access`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reconnaissance => "reconnaissance",
            Self::ResourceDevelopment => "resource-development",
            Self::InitialAccess => "initial-access",
            Self::Execution => "execution",
            Self::Persistence => "persistence",
            Self::PrivilegeEscalation => "privilege-escalation",
            Self::DefenseEvasion => "defense-evasion",
            Self::CredentialAccess => "credential-access",
            Self::Discovery => "discovery",
            Self::LateralMovement => "lateral-movement",
            Self::Collection => "collection",
            Self::CommandAndControl => "command-and-control",
            Self::Exfiltration => "exfiltration",
            Self::Impact => "impact",
        }
    }

    /// Reads a tactic from a tag without its `attack.` prefix. Sigma writes dashes or underscores; the
    /// tactics that ATT&CK made of *defense evasion* (stealth, impair defenses) map onto it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase().replace('_', "-");
        match text.as_str() {
            "stealth" | "impair-defenses" | "defense-impairment" => Some(Self::DefenseEvasion),
            other => Self::ALL.into_iter().find(|t| t.name() == other),
        }
    }
}

impl fmt::Display for Tactic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Tactic {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// A technique or sub-technique id such as `T1552.007`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Technique(String);

impl Technique {
    /// Reads `t1552.007` in any case; `None` if it is no technique id.
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let digits = upper.strip_prefix('T')?;
        let (main, sub) = digits.split_once('.').map_or((digits, None), |(m, s)| (m, Some(s)));
        let numeric = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
        (numeric(main, 4) && sub.is_none_or(|s| numeric(s, 3))).then_some(Self(upper))
    }
}

impl fmt::Display for Technique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
