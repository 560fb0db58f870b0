//! Which rules can work with what is recorded.

use klio_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a rule can work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoverageView {
    /// The rule's id.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// `works`, `partly`, `blind`, or `unproven`: no request was seen that it is about.
    pub verdict: &'static str,
    /// Rules of an audit policy that mend it, YAML, to be put above the others; empty if there is nothing to mend.
    pub mend: String,
    /// What rules of a policy cannot say.
    pub notes: Vec<String>,
}

/// Which rules can work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoveragePage {
    /// Events that it rests on: those of the seven days before the newest.
    pub events: u64,
    /// Since then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start: Option<Timestamp>,
    /// Rules and correlations, in their order.
    pub items: Vec<CoverageView>,
}

impl CoveragePage {
    /// Of a rule.
    pub(crate) fn of(&self, rule: &str) -> Option<&CoverageView> {
        self.items.iter().find(|item| item.rule == rule)
    }
}
