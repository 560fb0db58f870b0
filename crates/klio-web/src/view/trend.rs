//! How much is asked of API servers, by whom, and how that grows.

use klio_model::Timestamp;
use serde::Serialize;

use super::HistogramView;

/// Load and its growth.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrendsView {
    /// Of these clusters; of all if none is named.
    pub cluster: String,
    /// From then on.
    pub start: Option<Timestamp>,
    /// Before then.
    pub end: Option<Timestamp>,
    /// The field by which the volume is split.
    pub by: String,
    /// Events of the time.
    pub count: u64,
    /// When, split by a field.
    pub volume: HistogramView,
    /// Whose requests cost most.
    pub users: Vec<Ranked>,
    /// Who lists or watches whole collections.
    pub listers: Vec<Lister>,
    /// Requests that were refused as too many (429).
    pub throttled: Trouble,
    /// Requests that the server failed at (5xx).
    pub failed: Trouble,
    /// Requests that the API server itself marked as slow.
    pub slow: Slow,
    /// Events a day, and where that leads.
    pub growth: Growth,
}

/// A value and how often it occurs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ranked {
    /// The value.
    pub value: String,
    /// Events with it.
    pub count: u64,
    /// Of all of them so much, 0 to 1.
    pub share: f64,
    /// These events in Explore.
    pub explore: String,
}

/// Somebody who lists or watches without a name.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lister {
    /// Who, and how often.
    #[serde(flatten)]
    pub user: Ranked,
    /// What he lists most.
    pub resources: Vec<Ranked>,
}

/// Requests that went wrong in one way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// How many.
    pub count: u64,
    /// Whose.
    pub users: Vec<Ranked>,
    /// About what.
    pub resources: Vec<Ranked>,
    /// These events in Explore.
    pub explore: String,
}

/// Slow requests.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slow {
    /// How many, whose, about what.
    #[serde(flatten)]
    pub all: Trouble,
    /// So many of the newest were looked at for the slowest.
    pub looked: u64,
    /// The slowest of those.
    pub slowest: Vec<SlowEvent>,
}

/// One slow request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowEvent {
    /// From when it was received to when it was answered, seconds.
    pub seconds: f64,
    /// When it was received.
    pub time: Option<Timestamp>,
    /// What it was.
    pub sentence: String,
    /// The event's page.
    pub page: String,
}

/// Events a day.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// The days that have events.
    pub days: HistogramView,
    /// What follows from them; nothing with too few days.
    pub forecast: Option<Forecast>,
}

/// A straight line through the events of whole days, by least squares.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Whole days that it is drawn through.
    pub days: u64,
    /// Events of such a day, on average.
    pub mean: f64,
    /// So many more each day than the day before.
    pub slope: f64,
    /// Events of the 30 days after the last whole one, if the line goes on.
    pub next: f64,
}
