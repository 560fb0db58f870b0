//! Scopes as text.

use std::fmt;
use std::str::FromStr;

use super::{Grant, Pattern, Reach, Scope};

/// More grants than this are refused: each is asked of each event.
const MOST: usize = 256;
/// Longest name of a cluster, bytes.
const CLUSTER: usize = 253;
/// Longest name of a namespace, bytes: a DNS label (RFC 1123).
const NAMESPACE: usize = 63;

/// A text that is no scope.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadScope {
    /// A part between commas is empty.
    #[error("a grant is missing between commas; for example prod/shop,prod/web")]
    Empty,
    /// A star that does not stand at the end.
    #[error("in {0:?} a star stands before the end; only prod-* is possible, not *-prod")]
    Star(String),
    /// `prod/*`, which could mean two things.
    #[error(
        "{0:?}: write {1} for the whole cluster, or the beginning of the namespaces' names before the star"
    )]
    AllNamespaces(String, String),
    /// No name of a cluster or of a namespace.
    #[error("{0:?} is no name: up to {1} letters, digits and - in namespaces, also . _ : @ in clusters")]
    Name(String, usize),
    /// Too many grants.
    #[error("a scope has at most {MOST} grants")]
    TooMany,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reach {
            Reach::Cluster => write!(f, "{}", self.cluster),
            Reach::Namespaces(pattern) => write!(f, "{}/{pattern}", self.cluster),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, grant) in self.grants.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{grant}")?;
        }
        Ok(())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = BadScope;

    fn try_from(text: String) -> Result<Self, BadScope> {
        text.parse()
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if text.split(',').nth(MOST).is_some() {
            return Err(BadScope::TooMany);
        }
        Ok(Self::of(text.split(',').map(|part| grant(part.trim())).collect::<Result<Vec<_>, _>>()?))
    }
}

fn grant(text: &str) -> Result<Grant, BadScope> {
    if text.is_empty() {
        return Err(BadScope::Empty);
    }
    let of_cluster = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '@');
    let of_namespace = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text.split_once('/') {
        None => Ok(Grant { cluster: pattern(text, CLUSTER, of_cluster)?, reach: Reach::Cluster }),
        Some((cluster, "*")) => Err(BadScope::AllNamespaces(text.to_owned(), cluster.to_owned())),
        Some((cluster, namespace)) => Ok(Grant {
            cluster: pattern(cluster, CLUSTER, of_cluster)?,
            reach: Reach::Namespaces(pattern(namespace, NAMESPACE, of_namespace)?),
        }),
    }
}

fn pattern(text: &str, longest: usize, fits: impl Fn(char) -> bool) -> Result<Pattern, BadScope> {
    let (name, star) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
    if name.contains('*') {
        return Err(BadScope::Star(text.to_owned()));
    }
    if !name.chars().all(fits) || name.len() > longest || (name.is_empty() && !star) {
        return Err(BadScope::Name(text.to_owned(), longest));
    }
    Ok(if star { Pattern::Begins(name.to_owned()) } else { Pattern::Name(name.to_owned()) })
}
