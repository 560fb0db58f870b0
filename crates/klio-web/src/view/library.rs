//! What is excused, and what should be asked now and then.

use klio_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// An entry of the allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowView {
    /// The rule whose findings it excuses, by id, name or title; nothing for all rules.
    pub rule: Option<String>,
    /// Which events.
    pub filter: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is right.
    pub reason: String,
    /// From then on it excuses nothing.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// Findings that it excused since the server runs, in all clusters.
    pub findings: u64,
}

/// The allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct AllowPage {
    /// Its entries, in the order in which they were read.
    pub items: Vec<AllowView>,
}

/// A question that somebody should ask now and then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HuntView {
    /// By which it is named.
    pub name: String,
    /// The question.
    pub title: String,
    /// The ATT&CK tactic, if there is one.
    pub tactic: Option<String>,
    /// The ATT&CK technique, if there is one.
    pub technique: Option<String>,
    /// The filter that asks it.
    pub filter: Option<String>,
    /// Or the SQL.
    pub sql: Option<String>,
    /// Its page, Markdown.
    pub page: String,
}

/// The library of hunts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct HuntPage {
    /// By name.
    pub items: Vec<HuntView>,
}
