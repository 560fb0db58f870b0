//! Incidents as pages show them: in one sentence, with who was behind each request.

use klio_model::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{ActorView, FindingView, StoryView};
use crate::archive::Verdict;

/// A story without its requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct BriefView {
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
    #[serde(deserialize_with = "time")]
    pub first: Option<Timestamp>,
    /// Last request.
    #[serde(deserialize_with = "time")]
    pub last: Option<Timestamp>,
    /// How many findings.
    pub finding_count: u64,
    /// How many requests are listed in it.
    #[serde(rename(deserialize = "events"), deserialize_with = "length")]
    pub requests: u64,
    /// In one sentence.
    pub summary: String,
    /// How far it reached.
    #[serde(default)]
    pub reach: ReachView,
}

fn length<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Vec::<IgnoredAny>::deserialize(from).map(|all| all.len() as u64)
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| Timestamp::parse(&text)))
}

/// How far an incident reached.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReachView {
    /// Secrets that were read: `namespace/name`, `namespace/*` or `*`.
    pub secrets: Vec<String>,
    /// Service accounts for which tokens were minted.
    pub tokens: Vec<String>,
    /// Pods that were entered.
    pub entered: Vec<String>,
    /// Nodes that were reached through the API server.
    pub nodes: Vec<String>,
    /// Objects that were made or changed: `resource namespace/name`.
    pub written: Vec<String>,
    /// Objects that were deleted.
    pub deleted: Vec<String>,
    /// Namespaces in which that was.
    pub namespaces: Vec<String>,
    /// Requests that were refused.
    pub refused: u64,
    /// Things beyond those listed.
    pub more: u64,
}

impl ReachView {
    /// Each kind with what it is called.
    pub(crate) fn parts(&self) -> [(&'static str, &[String]); 6] {
        [
            ("Secrets read", &self.secrets),
            ("Tokens minted for", &self.tokens),
            ("Pods entered", &self.entered),
            ("Nodes reached", &self.nodes),
            ("Made or changed", &self.written),
            ("Deleted", &self.deleted),
        ]
    }

    /// What was done, in words: `read 11 secrets`, `entered pod shop/cart`.
    pub(crate) fn deeds(&self) -> Vec<String> {
        let some = |of: &[String], one: &str, many: &str| match of {
            [] => None,
            [only] => Some(format!("{one} {only}")),
            all => Some(format!("{} {many}", all.len())),
        };
        let secrets = if self.secrets.iter().any(|name| name == "*") {
            Some("read the secrets of all namespaces".to_owned())
        } else {
            let (spaces, names): (Vec<String>, Vec<String>) =
                self.secrets.iter().cloned().partition(|name| name.ends_with("/*"));
            let spaces: Vec<String> =
                spaces.iter().map(|name| name.trim_end_matches("/*").to_owned()).collect();
            let spaces = some(&spaces, "all secrets of", "namespaces' secrets");
            let names = some(&names, "secret", "secrets");
            match (spaces, names) {
                (Some(spaces), Some(names)) => Some(format!("read {spaces} and {names}")),
                (spaces, names) => spaces.or(names).map(|what| format!("read {what}")),
            }
        };
        let with = |verb: &str, what: Option<String>| what.map(|what| format!("{verb} {what}"));
        let parts = [
            secrets,
            with(
                "minted",
                match self.tokens.len() {
                    0 => None,
                    1 => some(&self.tokens, "a token for", ""),
                    n => Some(format!("tokens for {n} accounts")),
                },
            ),
            with("entered", some(&self.entered, "pod", "pods")),
            with("reached", some(&self.nodes, "node", "nodes")),
            with("wrote", some(&self.written, "", "objects")).map(|text| text.replace("  ", " ")),
            with("deleted", some(&self.deleted, "", "objects")).map(|text| text.replace("  ", " ")),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl BriefView {
    /// Of a story as it is kept; `None` if it cannot be read.
    pub(crate) fn of(verdict: &Verdict) -> Option<Self> {
        let mut view: Self = serde_json::from_str(&verdict.json).ok()?;
        view.cluster.clone_from(&verdict.cluster);
        Some(view)
    }

    /// What was done, in one phrase that begins with a capital letter.
    pub(crate) fn deeds(&self) -> String {
        capital(&deeds(&self.reach, self.requests))
    }

    /// Which rules fired, in the order of time.
    pub(crate) fn steps(&self) -> &str {
        self.summary.split_once("In order: ").map_or(self.summary.as_str(), |(_, steps)| steps)
    }
}

/// What was done, in one phrase.
fn deeds(reach: &ReachView, requests: u64) -> String {
    let said = reach.deeds();
    match said.split_last() {
        None if reach.refused >= requests && requests > 0 => {
            format!("made {requests} requests, and all were refused")
        }
        None if requests == 1 => "made a request that a rule objects to".to_owned(),
        None => format!("made {requests} requests that rules object to"),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// With a capital letter.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl ActorView {
    /// `alice@corp.example as system:admin`, with the person's name if it is known.
    pub(crate) fn said(&self) -> String {
        let user = match self.user.as_deref().map(account) {
            None => "somebody without valid credentials".to_owned(),
            Some(Ok(user)) => user.to_owned(),
            Some(Err(account)) => format!("service account {account}"),
        };
        let person = self.person.as_ref().map(|person| format!(" ({})", person.name)).unwrap_or_default();
        let other = self.impersonated.as_ref().map(|other| format!(" as {other}")).unwrap_or_default();
        format!("{user}{person}{other}")
    }
}

/// A service account's `namespace/name` as an error; any other user as he is called.
pub(crate) fn account(user: &str) -> Result<&str, String> {
    match user.strip_prefix("system:serviceaccount:") {
        None => Ok(user),
        Some(account) => Err(account.replacen(':', "/", 1)),
    }
}

/// Who, in a few words: the first identity, and how many others.
pub(crate) fn who(actors: &[ActorView]) -> String {
    let mut names: Vec<String> = Vec::new();
    for actor in actors {
        let name = actor.said();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.split_first() {
        None => "somebody".to_owned(),
        Some((first, [])) => first.clone(),
        Some((first, [other])) => format!("{first} and {other}"),
        Some((first, others)) => format!("{first} and {} other identities", others.len()),
    }
}

/// The incident in one sentence.
pub(crate) fn headline(actors: &[ActorView], reach: &ReachView, requests: u64) -> String {
    format!("{} {}", capital_if_word(&who(actors)), deeds(reach, requests))
}

/// Names are left as they are; words of ours begin with a capital letter.
fn capital_if_word(text: &str) -> String {
    if text.starts_with("somebody") || text.starts_with("service account ") {
        capital(text)
    } else {
        text.to_owned()
    }
}

/// The ranked queue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// What is asked for.
    pub severity: String,
    /// Of these clusters.
    pub cluster: String,
    /// Of this actor.
    pub actor: String,
    /// The time in words.
    pub range: String,
    /// How many there are, as far as they were looked at.
    pub count: u64,
    /// Those of this page, the gravest first.
    pub items: Vec<BriefView>,
    /// What they can be narrowed down by.
    pub facets: Vec<QueueFacet>,
    /// The page before this one.
    pub before: Option<String>,
    /// The page after this one.
    pub after: Option<String>,
    /// Older ones than were looked at.
    pub older: Option<String>,
}

/// Values by which the queue can be narrowed down.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueFacet {
    /// What they are.
    pub name: &'static str,
    /// The values.
    pub values: Vec<QueueValue>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueValue {
    /// The value.
    pub value: String,
    /// How many incidents.
    pub count: u64,
    /// Of a hundred of the most frequent value.
    pub share: u8,
    /// Whether it is asked for.
    pub asked: bool,
    /// With it; without it if it is asked for.
    pub page: String,
}

/// An incident with who was behind each request, and its findings.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentView {
    /// In one sentence.
    pub headline: String,
    /// The story as it is kept.
    pub story: StoryView,
    /// How far it reached.
    #[serde(skip)]
    pub reach: ReachView,
    /// Its findings by rule, in the order in which the rules first fired.
    pub rules: Vec<RuleInIncident>,
    /// Its requests, in the order of time.
    pub requests: Vec<RequestView>,
}

/// What one rule found in an incident.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleInIncident {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The gravest finding's.
    pub severity: String,
    /// ATT&CK tactics.
    pub tactics: Vec<String>,
    /// ATT&CK techniques.
    pub techniques: Vec<String>,
    /// How many findings.
    pub count: u64,
    /// The first of them.
    pub first: Option<Timestamp>,
    /// The first ones.
    pub findings: Vec<FindingView>,
}

/// A request of an incident.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestView {
    /// Its place in the order of time, from 1.
    pub number: u64,
    /// Audit id.
    pub audit_id: String,
    /// When it was received.
    pub time: Option<Timestamp>,
    /// Whether a finding rests on it; if not, it was made around those that are.
    pub is_evidence: bool,
    /// The gravest of those findings.
    pub severity: Option<String>,
    /// Their rules.
    pub rules: Vec<String>,
    /// What it did, in a few words.
    pub what: String,
    /// Who authenticated.
    pub user: Option<String>,
    /// As whom.
    pub impersonated: Option<String>,
    /// The TCP peer.
    pub source_ip: Option<String>,
    /// Which credential.
    pub credential: Option<String>,
    /// Kubernetes verb.
    pub verb: Option<String>,
    /// Resource, with a subresource behind a slash.
    pub resource: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Object name.
    pub name: Option<String>,
    /// HTTP status code.
    pub code: Option<i64>,
}

/// A word out of a list of JSON values that are texts.
pub(crate) fn words(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(user: &str, other: Option<&str>) -> ActorView {
        let own = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ActorView { user: own(user), impersonated: other.and_then(own), ..ActorView::default() }
    }

    #[test]
    fn an_incident_is_one_sentence() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let check = |actors: &[ActorView], reach: &ReachView, want: &str| {
            assert_eq!(headline(actors, reach, 3), want);
        };
        let reach = ReachView {
            secrets: names(&["kube-system/*", "shop/key"]),
            entered: names(&["shop/cart"]),
            deleted: names(&["events shop/a", "events shop/b"]),
            ..ReachView::default()
        };
        check(
            &[actor("erin", Some("root")), actor("erin", Some("root"))],
            &reach,
            "erin as root read all secrets of kube-system and secret shop/key, entered pod shop/cart and deleted 2 objects",
        );
        let reach = ReachView { secrets: names(&["*", "a/b"]), ..ReachView::default() };
        check(
            &[actor("system:serviceaccount:shop:cart", None), actor("bob", None), actor("eve", None)],
            &reach,
            "Service account shop/cart and 2 other identities read the secrets of all namespaces",
        );
        let refused = ReachView { refused: 3, ..ReachView::default() };
        check(
            &[actor("", None)],
            &refused,
            "Somebody without valid credentials made 3 requests, and all were refused",
        );
        check(&[], &ReachView::default(), "Somebody made 3 requests that rules object to");
    }

    #[test]
    fn a_brief_leaves_the_requests_out() {
        let json = r#"{"id":"a","severity":"high","score":9,"actors":[],"first":"2026-11-21T01:16:02Z","last":null,
            "finding_count":2,"events":[{"audit_id":"x"},{"audit_id":"y"}],"summary":"eve: 2 requests. In order: This, then that."}"#;
        let verdict = Verdict { cluster: "prod".to_owned(), json: json.to_owned() };
        let brief = BriefView::of(&verdict).unwrap();
        assert_eq!((brief.requests, brief.cluster.as_str()), (2, "prod"));
        assert_eq!(brief.steps(), "This, then that.");
        assert!(brief.first.is_some() && brief.last.is_none());
    }
}
