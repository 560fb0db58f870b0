//! What a finding says: its sentence, its JSON, and what links it to other findings.

use klio_detect::story::{Telling, place};
use klio_detect::{Dialect, Engine, Match, Rule, RuleSet, lookup};
use klio_model::event::Outcome;
use klio_model::{Actor, Attribution, Event, Evidence, Finding, Missing, Object, Proof, Severity, explain};

use super::judged::{Hit, Scene};
use super::tally::rule_ref;
use crate::output::plain;

/// Indicators that a sentence names.
const MET: usize = 3;

/// Makes hits of yeses.
pub(super) struct Maker {
    /// Rules that correlations hear.
    feeds: Vec<bool>,
    /// Findings are written out one by one.
    listing: bool,
}

impl Maker {
    pub(super) fn new(engine: &Engine, set: &RuleSet, listing: bool) -> Self {
        // A rule feeds a correlation if it carries values for one or reports only through one.
        let feeds = engine.rules().iter();
        let feeds = feeds.map(|r| set.correlations.iter().flat_map(|c| &c.sources).any(|s| s.rule == r.id));
        Self { feeds: feeds.collect(), listing }
    }

    /// What is to be known of a yes. The finding's JSON is put behind `listed`, if findings are listed.
    pub(super) fn hit(
        &self,
        yes: &Yes<'_>,
        number: u32,
        scene: u32,
        event: &Event<'_>,
        listed: &mut Vec<u8>,
    ) -> Hit {
        let rule = yes.rule;
        let is_fed = self.feeds.get(number as usize).copied().unwrap_or_default();
        let matched = is_fed.then(|| {
            Box::new(Match {
                rule: rule.id.as_str().into(),
                time: event.time(),
                actor: Actor::of(event),
                object: Object::of(event),
                values: rule.carries.iter().map(|f| (f.name().to_owned(), f.values(event))).collect(),
                evidence: vec![yes.evidence(event)],
                proven: yes.proven,
            })
        });
        let start = listed.len() as u32;
        if self.listing && rule.reports {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut *listed, &yes.finding(event));
        }
        let listed = (start, listed.len() as u32);
        Hit {
            rule: number,
            proven: yes.proven,
            later: false,
            allowed: u32::MAX,
            scene,
            id: yes.id,
            listed,
            matched,
        }
    }
}

/// A rule's yes, with where the event was read.
pub(super) struct Yes<'y> {
    pub rule: &'y Rule,
    pub proven: bool,
    /// The finding's id.
    pub id: u64,
    pub file: &'y str,
    pub line: u64,
}

/// An unproven finding never matters more than a little.
pub(super) fn severity(of: Severity, proven: bool) -> Severity {
    if proven { of } else { of.min(Severity::Low) }
}

impl Yes<'_> {
    /// The event and the values in it that made the rule true.
    pub(super) fn evidence(&self, event: &Event<'_>) -> Evidence {
        let missing = if self.proven { Missing::Unknown } else { Missing::False };
        let mut fields = Vec::new();
        self.rule.filter.evidence(event, missing, &mut fields);
        fields.retain(|(name, _)| name != "audit.id");
        Evidence {
            audit_id: event.audit_id.as_ref().map(|s| s.0.clone().into_owned()).unwrap_or_default(),
            stage: event.stage.name(),
            time: event.time(),
            file: self.file.to_owned(),
            line: self.line,
            fields,
        }
    }

    /// The whole finding.
    pub(super) fn finding(&self, event: &Event<'_>) -> Finding {
        Finding {
            id: format!("{:016x}", self.id),
            time: event.time(),
            rule: rule_ref(self.rule),
            severity: severity(self.rule.severity, self.proven),
            proof: if self.proven { Proof::Proven } else { Proof::Unproven },
            tactics: self.rule.tactics.clone(),
            techniques: self.rule.techniques.clone(),
            actor: Actor::of(event),
            object: Object::of(event),
            message: message(self.rule, event),
            attribution: None,
            evidence: vec![self.evidence(event)],
        }
    }
}

/// What the story tells of a finding.
pub(super) fn telling(rule: &Rule, event: &Event<'_>, attribution: Option<&Attribution>) -> Telling {
    Telling { actor: Actor::of(event), message: message(rule, event), attribution: attribution.cloned() }
}

/// The finding's JSON, with who is behind it.
pub(super) fn attributed(finding: &[u8], attribution: &Attribution) -> Vec<u8> {
    let mut out = finding.strip_suffix(b"}").unwrap_or(finding).to_vec();
    out.extend_from_slice(b",\"attribution\":");
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut out, attribution);
    out.push(b'}');
    out
}

fn message(rule: &Rule, event: &Event<'_>) -> String {
    let sentence = rule.output.as_ref().map_or_else(|| explain(event), |o| o.render(event));
    let met = met(rule, event);
    if rule.dialect == Dialect::Falco { sentence + &met } else { format!("{}: {sentence}{met}", rule.title) }
}

/// Which indicators the event met, if the rule asks.
fn met(rule: &Rule, event: &Event<'_>) -> String {
    let met = event.outside.as_ref().and_then(|outside| outside.met.as_ref());
    let Some(met) = met.filter(|met| !met.all.is_empty() && lookup::reads(&rule.filter)) else {
        return String::new();
    };
    let one = |one: &klio_model::Indicator| {
        let note = if one.note.is_empty() { String::new() } else { format!(" ({})", plain(&one.note)) };
        format!("{} of {}{note}", plain(&one.value), plain(&one.list))
    };
    format!(" It met {}.", met.all.iter().take(MET).map(one).collect::<Vec<_>>().join(", "))
}

/// What stories need of an event with hits; `json` is where its text is kept.
pub(super) fn scene(event: &Event<'_>, json: (u32, u32)) -> Scene {
    let object = Object::of(event);
    let (resource, namespace) = (object.resource.as_deref(), object.namespace.as_deref());
    let place = object
        .name
        .as_deref()
        .map(|name| place(resource.unwrap_or_default(), namespace.unwrap_or_default(), name));
    let wrote = event.is_write() && event.outcome() == Outcome::Allowed && object.subresource.is_none();
    let linking = matches!(object.resource.as_deref(), Some("pods" | "secrets"));
    Scene {
        json,
        salvaged: event.salvaged,
        acting: event.impersonated.is_some(),
        wrote: place.filter(|_| wrote),
        reached: place.filter(|_| !wrote && linking),
        binding: event.annotation("authorization.k8s.io/reason").and_then(|reason| binding(&reason)),
    }
}

/// A request in a few words: `create pods/exec shop/cart`.
pub(super) fn describe(event: &Event<'_>, out: &mut String) {
    use klio_model::Field;
    let text = |f: Field| event.text_of(f);
    out.push_str(text(Field::Verb).unwrap_or("?"));
    out.push(' ');
    match text(Field::Resource) {
        Some(resource) => {
            out.push_str(resource);
            if let Some(sub) = text(Field::Subresource) {
                out.push('/');
                out.push_str(sub);
            }
            let namespace = text(Field::Namespace);
            if namespace.is_some() || text(Field::Name).is_some() {
                out.push(' ');
            }
            if let Some(namespace) = namespace {
                out.push_str(namespace);
                out.push('/');
            }
            out.push_str(text(Field::Name).unwrap_or(if namespace.is_some() { "*" } else { "" }));
        }
        None => out.push_str(text(Field::UriPath).unwrap_or("/")),
    }
}

/// The binding in `RBAC: allowed by RoleBinding "name/namespace" of …`
/// (`plugin/pkg/auth/authorizer/rbac/rbac.go`, `clusterRoleBindingDescriber`), as a place.
fn binding(reason: &str) -> Option<u64> {
    let rest = reason.strip_prefix("RBAC: allowed by ")?;
    let (kind, rest) = rest.split_once(" \"")?;
    let name = rest.split_once('"')?.0;
    Some(if kind == "ClusterRoleBinding" {
        place("clusterrolebindings", "", name)
    } else {
        let (name, namespace) = name.rsplit_once('/').unwrap_or((name, ""));
        place("rolebindings", namespace, name)
    })
}
