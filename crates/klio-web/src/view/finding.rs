//! Findings, and the rules that made them.

use std::collections::BTreeMap;

use klio_detect::About;
use klio_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bodies;

/// One rule's verdict about one request.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct FindingView {
    /// Deterministic.
    pub id: String,
    /// Which cluster.
    #[serde(default)]
    pub cluster: String,
    /// When the request was received that completed it.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// Which rule.
    pub rule: RuleInFinding,
    /// informational, low, medium, high or critical.
    pub severity: String,
    /// proven or unproven.
    pub proof: String,
    /// ATT&CK tactics.
    #[schema(value_type = Vec<Object>)]
    pub tactics: Vec<serde_json::Value>,
    /// ATT&CK techniques.
    #[schema(value_type = Vec<Object>)]
    pub techniques: Vec<serde_json::Value>,
    /// Who acted.
    pub actor: ActorView,
    /// On what.
    pub object: ObjectView,
    /// One sentence.
    pub message: String,
    /// Who is behind it, if more is known than the actor's name; for those who see all of the cluster.
    #[serde(default)]
    pub attribution: Option<AttributionView>,
    /// The events that prove it.
    pub evidence: Vec<EvidenceView>,
}

/// Which rule judged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleInFinding {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// klio, sigma or falco.
    pub dialect: String,
}

/// Who acted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all(serialize = "camelCase"))]
pub struct ActorView {
    /// Who authenticated.
    pub user: Option<String>,
    /// As whom.
    pub impersonated: Option<String>,
    /// Groups of the identity.
    pub groups: Vec<String>,
    /// The TCP peer.
    pub source_ip: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Which credential.
    pub credential: Option<String>,
    /// Who uses the account that authenticated, as people.yaml says.
    pub person: Option<PersonView>,
}

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// As the site calls him.
    pub name: String,
    /// Where he belongs.
    pub team: Option<String>,
}

/// Who is behind a request.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct AttributionView {
    /// All of it in one phrase.
    pub said: String,
    /// The workload of the pod whose token was used: `deployments/shop/cart`.
    pub workload: Option<String>,
    /// Whether the workload follows from recorded owners, and not from the pod's name.
    pub workload_sure: Option<bool>,
    /// The requests behind it, the nearest first; the last is the first cause.
    pub chain: Vec<CauseView>,
}

/// A request that another follows from.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct CauseView {
    /// Why: it minted the `token` that was used, wrote the `workload` or the `account` that used it, or the `owner` of what a controller
    /// wrote. Nothing for the request that a story itself began with.
    pub because: Option<String>,
    /// Who authenticated.
    pub user: Option<String>,
    /// As whom.
    pub acting_as: Option<String>,
    /// Who uses that account.
    pub person: Option<PersonView>,
    /// What the request did: `create deployments/shop/cart`.
    pub what: Option<String>,
    /// Its audit id.
    pub audit_id: Option<String>,
    /// When it was received.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// Whether that follows from recorded owners and credentials, and not from names alone.
    pub sure: bool,
    /// The workload of the pod whose token it used.
    pub workload: Option<String>,
}

/// What was acted on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[allow(missing_docs)]
pub struct ObjectView {
    pub resource: Option<String>,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

/// One event that proves a finding.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct EvidenceView {
    /// The event's audit id.
    pub audit_id: String,
    /// Its stage.
    pub stage: String,
    /// When the request was received.
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// The values that made the rule true: a text, or a list of texts. Those of bodies only for whom may read bodies.
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, serde_json::Value>,
}

impl FindingView {
    /// Of a finding as it is kept; `None` if it cannot be read. Who is behind it follows from other events, which only those may know
    /// who see the whole cluster.
    pub(crate) fn of(verdict: &crate::archive::Verdict, with_bodies: bool, whole: bool) -> Option<Self> {
        let mut view: Self = serde_json::from_str(&verdict.json).ok()?;
        view.attribution = view.attribution.filter(|_| whole);
        view.cluster.clone_from(&verdict.cluster);
        if !with_bodies {
            for evidence in &mut view.evidence {
                evidence.fields.retain(|name, _| bodies::is_open(name));
            }
        }
        Some(view)
    }
}

/// Findings, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingPage {
    /// The findings.
    pub items: Vec<FindingView>,
    /// For `cursor=`, to go on; nothing at the end.
    pub next: Option<String>,
}

/// How often a rule fired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleHits {
    /// The rule's id.
    pub rule: String,
    /// How many findings.
    pub hits: u64,
    /// When the last one.
    pub last: Option<Timestamp>,
}

/// A rule, and how often it fired.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// klio, sigma or falco.
    pub dialect: &'static str,
    /// informational, low, medium, high or critical.
    pub severity: &'static str,
    /// ATT&CK tactics.
    #[schema(value_type = Vec<Object>)]
    pub tactics: Vec<serde_json::Value>,
    /// ATT&CK techniques.
    #[schema(value_type = Vec<Object>)]
    pub techniques: Vec<serde_json::Value>,
    /// Whether it gives findings of its own; false for what only a correlation watches.
    pub reports: bool,
    /// Findings that the reader sees.
    pub hits: u64,
    /// The last of them.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_hit: Option<Timestamp>,
    /// Its page, Markdown; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// As it is written; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl RuleView {
    /// Of a rule and its hits.
    pub(crate) fn of(about: &About, hits: Option<&RuleHits>) -> Self {
        let json = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
        Self {
            id: about.id.clone(),
            title: about.title.clone(),
            description: about.description.clone(),
            dialect: about.dialect.name(),
            severity: about.severity.name(),
            tactics: about.tactics.iter().map(|t| json(serde_json::to_value(t))).collect(),
            techniques: about.techniques.iter().map(|t| json(serde_json::to_value(t))).collect(),
            reports: about.reports,
            hits: hits.map_or(0, |h| h.hits),
            last_hit: hits.and_then(|h| h.last),
            page: None,
            source: None,
        }
    }
}

/// All rules, in the order in which they were read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RulePage {
    /// The rules.
    pub items: Vec<RuleView>,
}
