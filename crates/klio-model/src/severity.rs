//! How much a finding matters.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The five levels of the Sigma specification, in rising order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Context for a reader; nobody needs to act.
    Informational,
    /// Worth a look when something else is wrong too.
    Low,
    /// Someone should look at it today.
    Medium,
    /// Someone should look at it now.
    High,
    /// Wake someone up.
    Critical,
}

impl Severity {
    /// All levels, in rising order.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name as Sigma writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.to_ascii_lowercase();
        let wanted = if wanted == "info" { "informational" } else { &wanted };
        Self::ALL.into_iter().find(|s| s.name() == wanted).ok_or_else(|| {
            format!("`{text}` is not a severity; use informational, low, medium, high or critical")
        })
    }
}
