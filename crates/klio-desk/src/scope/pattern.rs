//! A name, or the beginning of names.

use std::fmt;

/// A name, or with a star at its end all names that begin so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pattern {
    /// All names that begin with this text; all names if it is empty.
    Begins(String),
    /// This name alone.
    Name(String),
}

impl Pattern {
    /// Every name.
    pub fn any() -> Self {
        Self::Begins(String::new())
    }

    /// Whether it is every name.
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Begins(start) if start.is_empty())
    }

    /// Whether a name is one of them. Case counts, as it does in Kubernetes.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Begins(start) => name.starts_with(start.as_str()),
        }
    }

    /// Whether each name of the other is one of these.
    pub fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Name(name)) => self.matches(name),
            (Self::Begins(start), Self::Begins(longer)) => longer.starts_with(start.as_str()),
            (Self::Name(_), Self::Begins(_)) => false,
        }
    }

    /// The names of both: one of the two, or none.
    pub(super) fn both<'p>(&'p self, other: &'p Self) -> Option<&'p Self> {
        if self.holds(other) {
            Some(other)
        } else if other.holds(self) {
            Some(self)
        } else {
            None
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Begins(start) => write!(f, "{start}*"),
        }
    }
}
