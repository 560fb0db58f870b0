//! Stories: findings that belong together.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ActorView, CauseView};

/// Findings that belong together, with the requests around them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct StoryView {
    /// Deterministic.
    pub id: String,
    /// Which cluster.
    #[serde(default)]
    pub cluster: String,
    /// The gravest finding's.
    pub severity: String,
    /// 0 to 100.
    pub score: u32,
    /// Who, the first identity first.
    pub actors: Vec<ActorView>,
    /// First request.
    #[schema(format = DateTime)]
    pub first: Option<String>,
    /// Last request.
    #[schema(format = DateTime)]
    pub last: Option<String>,
    /// Ids of the findings.
    pub findings: Vec<String>,
    /// How many findings.
    pub finding_count: u64,
    /// The requests, in the order of time.
    pub events: Vec<StoryEventView>,
    /// Requests beyond those listed.
    pub unlisted_events: u64,
    /// In one sentence.
    pub summary: String,
    /// In several, each with the audit ids of what it rests on.
    #[serde(default)]
    pub narrative: Vec<ParagraphView>,
    /// The request with which it began, as far as the records say.
    #[serde(default)]
    pub first_cause: Option<CauseView>,
    /// Who is behind its requests, each with the audit ids of what it rests on.
    #[serde(default)]
    pub causes: Vec<ParagraphView>,
    /// How far it reached: secrets read, tokens minted, pods entered, objects written and deleted.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub reach: serde_json::Value,
    /// Commands that contain it. Nobody runs them but a person.
    #[serde(default)]
    pub containment: Vec<StepView>,
}

/// A paragraph of a story.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct ParagraphView {
    /// What it says.
    pub text: String,
    /// The audit ids of what it rests on, the first of them.
    pub evidence: Vec<String>,
}

/// A command that contains an incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct StepView {
    /// The command.
    pub command: String,
    /// What it does.
    pub effect: String,
    /// Whom else it hits.
    pub collateral: String,
    /// How it is undone.
    pub rollback: String,
}

/// A request in a story.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct StoryEventView {
    /// Audit id.
    pub audit_id: String,
    /// Stage.
    pub stage: String,
    /// When the request was received.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// Why it is here.
    #[schema(value_type = Object)]
    pub role: serde_json::Value,
    /// What it did, in a few words.
    pub what: String,
}

impl StoryView {
    /// Of a story as it is kept; `None` if it cannot be read.
    pub(crate) fn of(verdict: &crate::archive::Verdict) -> Option<Self> {
        let mut view: Self = serde_json::from_str(&verdict.json).ok()?;
        view.cluster.clone_from(&verdict.cluster);
        Some(view)
    }
}

/// Stories, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoryPage {
    /// The stories.
    pub items: Vec<StoryView>,
    /// For `cursor=`, to go on; nothing at the end.
    pub next: Option<String>,
}
