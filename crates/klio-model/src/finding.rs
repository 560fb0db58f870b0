//! A finding: one rule's verdict about one request, with what proved it.

use serde::Serialize;

use crate::attack::{Tactic, Technique};
use crate::attribution::Attribution;
use crate::event::{Event, text};
use crate::json::Json;
use crate::people::Person;
use crate::severity::Severity;
use crate::time::Timestamp;

/// Which rule judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// The rule's own id; its title when it has none.
    pub id: String,
    /// The rule's title.
    pub title: String,
    /// `klio`, `sigma` or `falco`.
    pub dialect: &'static str,
}

/// Whether the verdict rests on what was recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Every value that decides was in the event.
    Proven,
    /// The rule reads a missing value as absent, and the audit level could not have recorded it.
    Unproven,
}

/// Who acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Actor {
    /// Who authenticated.
    pub user: Option<String>,
    /// As whom, when impersonation was allowed.
    pub impersonated: Option<String>,
    /// Groups of the identity.
    pub groups: Vec<String>,
    /// The TCP peer.
    pub source_ip: Option<String>,
    /// Its country, if a database names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_country: Option<String>,
    /// The number of its network, if a database names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_asn: Option<i64>,
    /// Who runs that network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_org: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// `JTI=…` or `X509SHA256=…`
    pub credential: Option<String>,
    /// Who uses the account that authenticated, as far as the site says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
}

impl Actor {
    /// Who acted in an event.
    pub fn of(event: &Event<'_>) -> Self {
        let own = |s: Option<&str>| s.map(str::to_owned);
        let mut groups = Vec::new();
        let mut group = |name: &str| {
            groups.push(name.to_owned());
            false
        };
        if !event.user.groups.each_string(&mut group) {
            let items = event.user.groups.tree().map(Json::items).unwrap_or_default();
            groups.extend(items.iter().filter_map(|g| own(g.as_str())));
        }
        let place = event.outside.as_ref().and_then(|outside| outside.place.as_deref());
        Self {
            source_country: place.and_then(|place| own(place.country.as_deref())),
            source_asn: place.and_then(|place| place.asn),
            source_org: place.and_then(|place| own(place.org.as_deref())),
            user: own(text(&event.user.name)),
            impersonated: own(event.impersonated.as_ref().and_then(|i| text(&i.name))),
            groups,
            source_ip: own(event.source_ip()),
            user_agent: own(text(&event.user_agent)),
            credential: own(event.credential()),
            person: event.people.and_then(|people| people.of(event)).cloned(),
        }
    }
}

/// What was acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[allow(missing_docs)]
pub struct Object {
    pub resource: Option<String>,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

impl Object {
    /// What an event acts on.
    pub fn of(event: &Event<'_>) -> Self {
        let own = |s: Option<&str>| s.map(str::to_owned);
        let generated = || {
            let body = event.response_object.text().or_else(|| event.request_object.text())?;
            // Far from worth a tree of the whole body.
            let name = sonic_rs::get(body, ["metadata", "name"]).ok()?;
            sonic_rs::JsonValueTrait::as_str(&name).map(str::to_owned)
        };
        Self {
            resource: own(text(&event.object.resource)),
            subresource: own(text(&event.object.subresource)),
            namespace: own(text(&event.object.namespace)),
            name: own(text(&event.object.name))
                .or_else(|| (text(&event.verb) == Some("create")).then(generated).flatten()),
        }
    }
}

/// One event that proves a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The event's audit id.
    pub audit_id: String,
    /// Its stage.
    pub stage: &'static str,
    /// When the request was received.
    pub time: Option<Timestamp>,
    /// Where it was read.
    pub file: String,
    /// At which line, from 1.
    pub line: u64,
    /// The field values that made the rule true.
    #[serde(serialize_with = "as_map")]
    pub fields: Vec<(String, String)>,
}

/// Fields as a JSON object; several values of one field become a list.
fn as_map<S: serde::Serializer>(fields: &[(String, String)], s: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = s.serialize_map(None)?;
    for (i, (name, value)) in fields.iter().enumerate() {
        if fields[..i].iter().any(|(n, _)| n == name) {
            continue;
        }
        let values: Vec<_> = fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v).collect();
        if values.len() == 1 {
            map.serialize_entry(name, value)?;
        } else {
            map.serialize_entry(name, &values)?;
        }
    }
    map.end()
}

/// One rule's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Deterministic: the same events and rules give the same id.
    pub id: String,
    /// When the request was received that completed it.
    pub time: Option<Timestamp>,
    /// Which rule.
    pub rule: RuleRef,
    /// How much it matters; never above low when unproven.
    pub severity: Severity,
    /// Whether it rests on recorded values.
    pub proof: Proof,
    /// ATT&CK tactics of the rule.
    pub tactics: Vec<Tactic>,
    /// ATT&CK techniques of the rule.
    pub techniques: Vec<Technique>,
    /// Who acted.
    pub actor: Actor,
    /// On what.
    pub object: Object,
    /// One sentence for a reader.
    pub message: String,
    /// Who is behind the request, if more is known than the actor's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// The events that prove it.
    pub evidence: Vec<Evidence>,
}
