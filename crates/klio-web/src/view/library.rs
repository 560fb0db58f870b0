//! What is excused, and what should be asked now and then.

use klio_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BriefView, FindingView};

/// An entry of the allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowView {
    /// By which it can be removed; nothing if it stands in a file that people write.
    pub id: Option<String>,
    /// The rule whose findings it excuses, by id, name or title; nothing for all rules.
    pub rule: Option<String>,
    /// Which events.
    pub filter: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is right.
    pub reason: String,
    /// From then on it excuses nothing; nothing if what is written is no time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Why it excuses nothing, such as that its rule is gone; nothing if it is right.
    pub wrong: Option<String>,
    /// Findings that it excused since the server runs, in all clusters.
    pub findings: u64,
}

/// An entry to be made.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAllow {
    /// The rule whose findings it excuses, by id, name or title; nothing for all rules.
    pub rule: Option<String>,
    /// Which events: a filter that is not true of all.
    pub filter: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is right.
    pub reason: String,
    /// A day (`2027-03-31`) or a time, in UTC. From then on it excuses nothing.
    pub until: String,
}

/// What an entry would have removed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriedView {
    /// Findings that were looked at: the newest of the rule, or of all rules.
    pub findings: usize,
    /// Whether there were more.
    pub more: bool,
    /// Findings all of whose evidence it excuses: they would not have been.
    pub removed: usize,
    /// Findings of whose evidence it excuses a part: a correlation may have needed it.
    pub touched: usize,
    /// How many of these are in incidents of medium or above.
    pub in_incidents: usize,
    /// Those incidents.
    #[schema(value_type = Vec<Object>)]
    pub incidents: Vec<BriefView>,
    /// Whether there are more incidents than those that were looked at, which are the newest.
    pub more_incidents: bool,
    /// The newest findings that it removes.
    pub examples: Vec<FindingView>,
    /// The newest that it leaves.
    pub left: Vec<FindingView>,
}

/// The allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct AllowPage {
    /// Its entries, in the order in which they were read; those that are wrong last.
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
    /// Those that the asker and others saved, the newest first; about bodies for who may read bodies.
    pub saved: Vec<SavedHuntView>,
}

/// A question that somebody saved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedHuntView {
    /// By which it can be removed.
    pub id: String,
    /// What is asked, in words.
    pub title: String,
    /// The filter that asks it.
    pub filter: String,
    /// Who saved it.
    pub owner: String,
    /// Whether the asker may remove it.
    pub removable: bool,
    /// When it was saved.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

/// A question to be saved.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHunt {
    /// What is asked, in words: up to 100 characters.
    pub title: String,
    /// The filter that asks it.
    pub filter: String,
}
