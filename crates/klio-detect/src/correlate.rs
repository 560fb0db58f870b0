//! Correlations over event time: counts, distinct values, sequences and sums of rule matches.
//!
//! A [`Correlation`] is what the Sigma compiler makes of a correlation document; the [`Correlator`] keeps
//! the state of all of them in bounded memory.

mod correlator;
mod finding;
mod tally;
mod window;

pub use correlator::{Correlator, CorrelatorStats};

use std::ops::Deref;

use klio_model::FieldRef;

use crate::rule::About;

/// A compiled correlation (Sigma correlation rules specification 2.1.0).
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What it says about itself.
    pub about: About,
    /// What it counts or looks for.
    pub kind: CorrelationKind,
    /// Whose matches it watches, in the order written.
    pub sources: Vec<CorrelationSource>,
    /// The keys that must agree, as they are named in the values of its matches.
    pub group_by: Vec<String>,
    /// Length of the window, in microseconds.
    pub timespan: i64,
    /// What the number must be; all must hold.
    pub condition: Vec<(Relation, f64)>,
    /// Further fields whose values its matches hand on to correlations above it.
    pub carries: Vec<FieldRef>,
}

impl Deref for Correlation {
    type Target = About;

    fn deref(&self) -> &About {
        &self.about
    }
}

/// A rule or correlation whose matches are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationSource {
    /// Its id.
    pub rule: String,
    /// Under which name its matches hold each key of [`Correlation::group_by`].
    pub keys: Vec<String>,
    /// Under which names its matches hold the fields that are counted.
    pub fields: Vec<String>,
}

/// What a correlation computes from the matches in a window.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum CorrelationKind {
    /// How many there are.
    EventCount,
    /// How many distinct values a field (or combination of fields) has.
    ValueCount,
    /// How many of the rules matched.
    Temporal,
    /// That the rules matched in the order written.
    TemporalOrdered,
    /// The sum of a field.
    ValueSum,
    /// The mean of a field.
    ValueAvg,
    /// The value below which this percentage of a field's values lie.
    ValuePercentile(f64),
    /// The share of a value among all values of the field, in percent; some value must satisfy the condition.
    ValueShare,
}

/// How a number compares with a threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Relation {
    Gt,
    Gte,
    Lt,
    Lte,
    Eq,
    Neq,
}

impl Relation {
    /// All relations as Sigma writes them.
    pub const ALL: [(&'static str, Self); 6] = [
        ("gt", Self::Gt),
        ("gte", Self::Gte),
        ("lt", Self::Lt),
        ("lte", Self::Lte),
        ("eq", Self::Eq),
        ("neq", Self::Neq),
    ];

    /// Whether `a` stands so to `b`.
    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Gt => a > b,
            Self::Gte => a >= b,
            Self::Lt => a < b,
            Self::Lte => a <= b,
            // Counts are whole; sums and means of the values that audit events hold are compared as written.
            Self::Eq => (a - b).abs() < f64::EPSILON,
            Self::Neq => (a - b).abs() >= f64::EPSILON,
        }
    }
}

impl Correlation {
    /// For a condition that more events can only make true: the least number that satisfies it. Such a
    /// correlation fires at once; any other is judged when its window is over.
    pub(crate) fn need(&self) -> Option<f64> {
        let monotone = matches!(
            self.kind,
            CorrelationKind::EventCount
                | CorrelationKind::ValueCount
                | CorrelationKind::Temporal
                | CorrelationKind::TemporalOrdered
                | CorrelationKind::ValueSum
        );
        let whole = self.kind != CorrelationKind::ValueSum;
        let least = self.condition.iter().map(|(relation, n)| match relation {
            Relation::Gt if whole => Some(n.floor() + 1.0),
            Relation::Gt => Some(n.next_up()),
            Relation::Gte if whole => Some(n.ceil()),
            Relation::Gte => Some(*n),
            Relation::Lt | Relation::Lte | Relation::Eq | Relation::Neq => None,
        });
        let least = least.collect::<Option<Vec<_>>>()?.into_iter().reduce(f64::max)?;
        (monotone && (whole || least > 0.0)).then_some(least)
    }

    fn holds(&self, n: f64) -> bool {
        self.condition.iter().all(|(relation, limit)| relation.holds(n, *limit))
    }
}

#[cfg(test)]
mod tests;
