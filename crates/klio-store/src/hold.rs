//! Legal holds: events that must not be removed, whatever their time says.
//!
//! A hold is a statement in the signed log. An event is held unless its filter is certainly false: what the audit
//! policy left out must not let evidence go. Files are kept whole if one of their events is held, so that what is
//! kept can still be proven.

use klio_model::filter::{Missing, Tri};
use klio_model::{Event, Filter, TimeRange};
use klio_seal::{Hold, Statement};

use crate::error::StoreError;
use crate::lake::Lake;
use crate::writer::Writer;

/// How what stands in a secret's place begins (docs/redaction.md).
const REDACTED: &str = "[redacted:";

/// A hold in force.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// When it was stated, in microseconds since 1970.
    pub time: i64,
    pub hold: Hold,
    /// `None` holds everything: a filter that this version cannot read.
    parsed: Option<Filter>,
}

/// A hold narrowed to a range of time.
#[must_use]
pub fn narrowed(mut hold: Hold, range: TimeRange) -> Hold {
    let ends = [("time >=", range.start), ("time <", range.end)];
    for (test, end) in ends.into_iter().filter_map(|(test, end)| Some((test, end?))) {
        hold.filter = if hold.filter.trim() == "*" {
            format!("{test} {end}")
        } else {
            format!("({}) and {test} {end}", hold.filter)
        };
    }
    hold
}

impl Held {
    pub(crate) fn of(time: i64, hold: &Hold) -> Self {
        Self { time, parsed: Filter::parse(&hold.filter).ok(), hold: hold.clone() }
    }

    /// Whether an event must stay; also when it cannot be read.
    pub(crate) fn holds(&self, event: Option<&Event<'_>>) -> bool {
        let (Some(filter), Some(event)) = (&self.parsed, event) else { return true };
        asked(filter, event) != Tri::False
    }
}

/// What a filter says of an event whose secrets were removed: of a text that they may have stood in, nothing.
fn asked(filter: &Filter, event: &Event<'_>) -> Tri {
    if !event.json().contains(REDACTED) {
        return filter.eval(event, Missing::Unknown);
    }
    match filter {
        Filter::And(parts) => all(parts.iter().map(|part| asked(part, event))),
        Filter::Or(parts) => !all(parts.iter().map(|part| !asked(part, event))),
        Filter::Not(part) => !asked(part, event),
        Filter::Test(test) if test.field.values(event).iter().any(|value| value.contains(REDACTED)) => {
            Tri::Unknown
        }
        Filter::Keyword(_) if !filter.matches(event) => Tri::Unknown,
        _ => filter.eval(event, Missing::Unknown),
    }
}

/// The least of several answers.
fn all(answers: impl Iterator<Item = Tri>) -> Tri {
    answers.fold(Tri::True, |least, answer| match (least, answer) {
        (Tri::False, _) | (_, Tri::False) => Tri::False,
        (Tri::Unknown, _) | (_, Tri::Unknown) => Tri::Unknown,
        _ => Tri::True,
    })
}

impl Writer {
    /// Puts a hold in force. Returns its leaf in the log.
    ///
    /// # Errors
    /// [`StoreError::Setting`] when the filter cannot be read.
    pub fn hold(&mut self, hold: &Hold) -> Result<u64, StoreError> {
        Filter::parse(&hold.filter)
            .map_err(|e| StoreError::Setting { place: "the hold's filter".into(), said: e.to_string() })?;
        self.state(Statement::Hold(hold.clone()))
    }

    /// Ends the hold with this filter and owner; `reason` says why it ends.
    ///
    /// # Errors
    /// [`StoreError::Query`] when there is none.
    pub fn release(&mut self, hold: &Hold) -> Result<u64, StoreError> {
        let known = self.ledger()?.holds;
        if !known.iter().any(|held| held.hold.filter == hold.filter && held.hold.owner == hold.owner) {
            let said = format!("{} holds nothing by the filter `{}`", hold.owner, hold.filter);
            return Err(StoreError::Query(said));
        }
        self.state(Statement::Release(hold.clone()))
    }
}

impl Lake {
    /// The holds in force, with the moment at which each began, in microseconds since 1970.
    pub fn holds(&self) -> Result<Vec<(i64, Hold)>, StoreError> {
        Ok(self.ledger()?.holds.into_iter().map(|held| (held.time, held.hold)).collect())
    }
}
