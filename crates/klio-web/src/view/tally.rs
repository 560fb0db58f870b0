//! Numbers of events.

use klio_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// How many events match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct CountView {
    /// So many.
    pub count: u64,
}

/// The most frequent values of a field, as the archive counts them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Top {
    /// Value and number of events, the most frequent first.
    pub values: Vec<(String, u64)>,
    /// Events with other values; an event counts for each of its values.
    pub other: u64,
    /// Events without a value.
    pub missing: u64,
}

/// One value of a field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TopValue {
    /// The value.
    pub value: String,
    /// How many events have it.
    pub count: u64,
}

/// The most frequent values of a field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TopView {
    /// Which field.
    pub field: String,
    /// The values, the most frequent first.
    pub values: Vec<TopValue>,
    /// Events with other values; an event counts for each of its values.
    pub other: u64,
    /// Events without a value.
    pub missing: u64,
}

impl TopView {
    pub(crate) fn of(field: &str, top: Top) -> Self {
        let values = top.values.into_iter().map(|(value, count)| TopValue { value, count }).collect();
        Self { field: field.to_owned(), values, other: top.other, missing: top.missing }
    }
}

/// One step of a histogram.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Bar {
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// How many events.
    pub count: u64,
}

/// Events over time. Events without a time are left out.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistogramView {
    /// How long a step is, seconds.
    pub interval_seconds: u64,
    /// The field by whose values it is split; nothing if it is not.
    pub field: Option<String>,
    /// For each value its steps, then those of all other events, without a value; one series without a value if it is not split.
    pub series: Vec<Series>,
}

/// The steps of one value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Series {
    /// The value.
    pub value: Option<String>,
    /// The steps that have events, in the order of time.
    pub bars: Vec<Bar>,
}
