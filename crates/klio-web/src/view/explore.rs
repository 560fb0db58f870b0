//! Explore: a question, its answer in numbers, and the newest events of it.

use klio_model::Timestamp;
use serde::Serialize;

use super::{EventView, HistogramView};
use crate::Problem;

/// A question and what came of it. Links are addresses of pages.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExploreView {
    /// What is asked.
    pub question: QuestionView,
    /// Why it cannot be answered; then the rest is empty.
    pub problem: Option<Problem>,
    /// How many events match.
    pub count: u64,
    /// When, split by a field.
    pub histogram: Option<HistogramView>,
    /// The most frequent values of some fields.
    pub facets: Vec<FacetView>,
    /// The newest of them.
    pub events: Vec<RowView>,
    /// The event that is shown beside the others.
    pub event: Option<EventView>,
    /// The page after this one.
    pub older: Option<String>,
    /// Which columns the table has.
    pub columns: Vec<ColumnView>,
}

/// A question as it is written in the address.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionView {
    /// The filter as it was written.
    pub filter: String,
    /// Its parts that all must hold, each with the address without it.
    pub parts: Vec<PartView>,
    /// Of these clusters.
    pub cluster: String,
    /// As it was written.
    pub from: String,
    /// As it was written.
    pub to: String,
    /// From then on.
    pub start: Option<Timestamp>,
    /// Before then.
    pub end: Option<Timestamp>,
    /// In words.
    pub range: String,
    /// By which field the histogram is split.
    pub by: String,
    /// What else of the address a new question keeps: names and values.
    #[serde(skip)]
    pub kept: Vec<(&'static str, String)>,
}

/// A part of a filter.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartView {
    /// As filters are written.
    pub text: String,
    /// The same question without it.
    pub without: String,
}

/// The most frequent values of a field, and where each leads.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FacetView {
    /// The field.
    pub field: String,
    /// What it is.
    pub about: &'static str,
    /// The values, the most frequent first.
    pub values: Vec<FacetValue>,
    /// Events with other values.
    pub other: u64,
    /// Events without a value.
    pub missing: u64,
    /// The same question with more values of this field.
    pub more: Option<String>,
}

/// A value of a facet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// As it is shown: service accounts by namespace and name.
    pub label: String,
    /// Events with it.
    pub count: u64,
    /// Of a hundred events of the most frequent value so many.
    pub share: u8,
    /// Only events with it.
    pub include: String,
    /// Only events without it.
    pub exclude: String,
    /// Events with it whatever else was asked.
    pub only: String,
    /// Whether the filter asks for it.
    pub asked: bool,
}

/// A column of the table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnView {
    /// The field.
    pub field: String,
    /// The same table without it.
    pub without: String,
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowView {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// The values of the columns.
    pub cells: Vec<CellView>,
    /// The event's page.
    pub page: String,
}

/// What a line has in a column.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CellView {
    /// As it is shown.
    pub text: String,
    /// The filter of all events that have the same there; none where there is no value.
    pub filter: Option<String>,
}
