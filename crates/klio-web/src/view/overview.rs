//! What needs attention now.

use klio_model::Timestamp;
use serde::Serialize;

use super::{BriefView, HistogramView, IntegrityView, SourceView};

/// The state of everything at a glance. Today is the day before the newest event, yesterday the day before that.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverviewView {
    /// Since then is today.
    pub start: Option<Timestamp>,
    /// The newest event.
    pub newest: Option<Timestamp>,
    /// The gravest incidents of medium or above.
    pub incidents: Vec<BriefView>,
    /// How many incidents of medium or above there are.
    pub incident_count: u64,
    /// Whether there may be more than those, of which the newest 1,000 were counted.
    pub more_incidents: bool,
    /// Today's events, by what the requests came to.
    pub histogram: HistogramView,
    /// The sources of the clusters that the reader sees as a whole.
    pub sources: Vec<SourceView>,
    /// The state of the seal.
    pub integrity: IntegrityView,
    /// Findings, the gravest first.
    pub severities: Vec<ChangeView>,
    /// What else changed.
    pub changes: Vec<ChangeView>,
    /// Users who made requests today and none yesterday; nothing if there were no events yesterday.
    pub new_users: Vec<String>,
    /// Addresses, likewise.
    pub new_addresses: Vec<String>,
    /// MITRE ATT&CK: tactics with their techniques.
    pub attack: Vec<TacticView>,
}

/// A number today and yesterday.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeView {
    /// What is counted.
    pub what: String,
    /// Today.
    pub today: u64,
    /// Yesterday.
    pub yesterday: u64,
    /// The page that shows today's.
    pub page: String,
}

/// A tactic.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TacticView {
    /// Its short name.
    pub tactic: String,
    /// Findings of rules for it in the last 30 days.
    pub hits: u64,
    /// In the order of their ids.
    pub techniques: Vec<TechniqueView>,
}

/// A technique.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TechniqueView {
    /// `T1611`.
    pub id: String,
    /// Its name.
    pub name: &'static str,
    /// Rules for it.
    pub rules: usize,
    /// Those of them that are blind with what is recorded; none as long as that is not known.
    pub blind: usize,
    /// Findings of those rules in the last 30 days.
    pub hits: u64,
    /// Why audit data cannot show it.
    pub hidden: Option<&'static str>,
}
