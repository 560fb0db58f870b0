//! One thread's part: decodes a chunk, asks the rules, and writes down what the sequence needs.

use std::sync::Arc;

use klio_detect::engine::{Bench, Sight, Verdict};
use klio_detect::{Dialect, Engine, Match, RuleSet};
use klio_model::{
    Actor, Event, Evidence, Filter, Finding, Object, Proof, Severity, Stage, TimeRange, event::Outcome,
    event::UserKind, explain,
};
use klio_source::{Chunk, Item, Reason, Record, Rejected, Skipped, content_hash, decode, diagnose, recover};
use xxhash_rust::xxh3::xxh3_64;

use super::Options;
use super::tally::{Times, rule_ref};

/// Everything about an event that must be looked at in order.
pub(super) struct Seen {
    /// Stands for audit id and stage.
    pub key: u64,
    /// Stands for everything in it.
    pub content: u64,
    /// User, credential, client and address.
    pub session: u64,
    /// The same for all stages of a request.
    pub request: u64,
    /// Microseconds; `i64::MIN` if it has no time.
    pub time: i64,
    /// The credential that the response issued, hashed; 0 for none.
    pub issued: u64,
    /// Index into [`Judged::users`].
    pub user: u32,
    /// Where its audit id and words stand in [`Judged::texts`].
    pub text: (u32, u16, u16),
    /// Its hits.
    pub hits: (u32, u32),
    pub stage: Stage,
    /// The control plane's own work.
    pub quiet: bool,
    /// Several stages of this request are judged.
    pub long: bool,
}

/// A rule's yes, ready to be told.
pub(super) struct Hit {
    pub rule: u32,
    pub every_stage: bool,
    /// What correlations need to know.
    pub matched: Option<Match>,
    /// Absent for the base rules of correlations.
    pub finding: Option<Box<Found>>,
}

/// A finding and what it tells the story.
pub(super) struct Found {
    pub finding: Finding,
    /// The finding as it is stored; written by the worker, since that takes longer than all else about it.
    pub json: Vec<u8>,
    pub wrote: Option<String>,
    pub reached: Option<String>,
    pub binding: Option<String>,
}

/// The result for one chunk.
#[derive(Default)]
pub(super) struct Judged {
    pub file: Arc<str>,
    pub seen: Vec<Seen>,
    pub texts: String,
    pub hits: Vec<Hit>,
    pub users: Vec<Box<str>>,
    pub times: Times,
    pub rejected: Vec<Rejected>,
    pub skipped: Vec<Skipped>,
    /// Events outside `--where`, `--since` and `--until`.
    pub filtered: u64,
    pub bytes: u64,
    /// Stages per format name.
    pub formats: Vec<(&'static str, u64)>,
}

/// One thread's state.
pub(super) struct Worker<'e> {
    engine: &'e Engine,
    bench: Bench,
    filter: Option<&'e Filter>,
    range: TimeRange,
    feeds: Vec<bool>,
    users: hashbrown::HashMap<Box<str>, u32, foldhash::fast::FixedState>,
}

impl<'e> Worker<'e> {
    pub(super) fn new(engine: &'e Engine, rules: &RuleSet, options: &'e Options) -> Self {
        // A rule feeds a correlation if it carries values for one or reports only through one.
        let feeds = engine
            .rules()
            .iter()
            .map(|r| rules.correlations.iter().flat_map(|c| &c.sources).any(|s| s.rule == r.id))
            .collect();
        Self {
            engine,
            bench: engine.bench(),
            filter: (options.filter != Filter::All).then_some(&options.filter),
            range: options.range,
            feeds,
            users: hashbrown::HashMap::default(),
        }
    }

    pub(super) fn into_sight(self) -> Vec<Sight> {
        self.bench.sight
    }

    /// Decodes and judges a chunk.
    pub(super) fn judge(&mut self, chunk: &Chunk) -> Judged {
        let mut out =
            Judged { file: chunk.file.clone(), bytes: chunk.bytes().len() as u64, ..Judged::default() };
        self.users.clear();
        decode(chunk, &mut |item: Item<'_>| match item {
            Item::Record(record) => self.record(&record, &mut out),
            Item::Rejected(rejected) => out.rejected.push(rejected),
            Item::Skipped(skipped) => out.skipped.push(skipped),
        });
        out
    }

    fn record(&mut self, record: &Record<'_>, out: &mut Judged) {
        let parsed = std::str::from_utf8(record.json)
            .map_err(|e| e.to_string())
            .and_then(|json| Event::parse(json).map_err(|e| e.to_string()));
        let mut event = match parsed {
            Ok(event) => event,
            Err(why) => {
                let reason = diagnose(record.json).unwrap_or(Reason::NotAnEvent(why));
                out.rejected.push(Rejected { file: out.file.clone(), line: record.line, count: 1, reason });
                // A line that was cut may have swallowed the whole event after it.
                if let Some(whole) = recover(record.json).filter(|w| w.len() < record.json.len()) {
                    self.record(&Record { json: whole, raw: whole, ..*record }, out);
                }
                return;
            }
        };
        event.salvaged = record.flags.salvaged();
        let stamp = event.time();
        let time = stamp.map_or(i64::MIN, |t| t.micros());
        if !self.range.is_all() && !stamp.is_some_and(|t| self.range.contains(t))
            || self.filter.is_some_and(|f| !f.matches(&event))
        {
            out.filtered += 1;
            return;
        }
        out.times.add(time);
        match out.formats.iter_mut().find(|(f, _)| *f == record.format.name()) {
            Some((_, n)) => *n += 1,
            None => out.formats.push((record.format.name(), 1)),
        }
        let content = content_hash(record.json);
        let audit_id = event.audit_id.as_ref().map_or("", |s| s.0.as_ref());
        let id = if audit_id.is_empty() { content } else { xxh3_64(audit_id.as_bytes()) };
        let kind = event.user_kind();
        let mut seen = Seen {
            key: mix(id, 1 + event.stage as u64),
            content,
            session: session(&event, kind),
            request: request_key(id, time),
            time,
            issued: 0,
            user: self.user(&event, out),
            text: (0, 0, 0),
            hits: (out.hits.len() as u32, 0),
            stage: event.stage,
            quiet: matches!(kind, UserKind::System | UserKind::Node),
            long: event.stage == Stage::ResponseStarted || is_long(&event),
        };
        let mut verdicts: Vec<Verdict> = Vec::new();
        self.engine.judge(&event, &mut self.bench, &mut |v| verdicts.push(v));
        if event.text_of(klio_model::Field::Subresource) == Some("token")
            && event.code.is_some_and(|c| c < 300)
        {
            let issued = event.annotation("authentication.kubernetes.io/issued-credential-id");
            seen.issued = issued.map_or(0, |c| xxh3_64(c.as_bytes()));
        }
        if !verdicts.is_empty() || (!seen.quiet && event.stage != Stage::RequestReceived) {
            let start = out.texts.len() as u32;
            out.texts.push_str(audit_id);
            let id_len = out.texts.len() as u32 - start;
            describe(&event, &mut out.texts);
            let what_len = out.texts.len() as u32 - start - id_len;
            seen.text =
                (start, id_len.min(u32::from(u16::MAX)) as u16, what_len.min(u32::from(u16::MAX)) as u16);
            if id_len > u32::from(u16::MAX) || what_len > u32::from(u16::MAX) {
                out.texts.truncate(start as usize);
                seen.text = (start, 0, 0);
            }
        }
        for verdict in verdicts {
            let hit = self.hit(&event, record, verdict, content, out);
            out.hits.push(hit);
        }
        seen.hits.1 = out.hits.len() as u32;
        out.seen.push(seen);
    }

    fn user(&mut self, event: &Event<'_>, out: &mut Judged) -> u32 {
        let name = event.text_of(klio_model::Field::User).unwrap_or_default();
        if let Some(&index) = self.users.get(name) {
            return index;
        }
        let index = out.users.len() as u32;
        out.users.push(name.into());
        self.users.insert(name.into(), index);
        index
    }

    fn hit(
        &self,
        event: &Event<'_>,
        record: &Record<'_>,
        verdict: Verdict,
        content: u64,
        out: &Judged,
    ) -> Hit {
        let rule = &self.engine.rules()[verdict.rule as usize];
        let missing = if verdict.proven { klio_model::Missing::Unknown } else { klio_model::Missing::False };
        let mut fields = Vec::new();
        rule.filter.evidence(event, missing, &mut fields);
        fields.retain(|(name, _)| name != "audit.id");
        let evidence = Evidence {
            audit_id: event.audit_id.as_ref().map(|s| s.0.clone().into_owned()).unwrap_or_default(),
            stage: event.stage.name(),
            time: event.time(),
            file: out.file.to_string(),
            line: record.line,
            fields,
        };
        let actor = Actor::of(event);
        let object = Object::of(event);
        let matched = self.feeds[verdict.rule as usize].then(|| Match {
            rule: rule.id.as_str().into(),
            time: event.time(),
            actor: actor.clone(),
            object: object.clone(),
            values: rule.carries.iter().map(|f| (f.name().to_owned(), f.values(event))).collect(),
            evidence: vec![evidence.clone()],
            proven: verdict.proven,
        });
        let wrote = event.is_write() && event.outcome() == Outcome::Allowed && object.subresource.is_none();
        let finding = rule.reports.then(|| {
            let sentence = match &rule.output {
                Some(output) => output.render(event),
                None => explain(event),
            };
            let message =
                if rule.dialect == Dialect::Falco { sentence } else { format!("{}: {sentence}", rule.title) };
            let place = story_object(&object);
            let finding = Finding {
                id: format!("{:016x}", mix(xxh3_64(rule.id.as_bytes()), content)),
                time: event.time(),
                rule: rule_ref(rule),
                severity: if verdict.proven { rule.severity } else { rule.severity.min(Severity::Low) },
                proof: if verdict.proven { Proof::Proven } else { Proof::Unproven },
                tactics: rule.tactics.clone(),
                techniques: rule.techniques.clone(),
                actor,
                object,
                story: None,
                message,
                evidence: vec![evidence],
            };
            Box::new(Found {
                json: serde_json::to_vec(&finding).unwrap_or_default(),
                wrote: place.clone().filter(|_| wrote && rule.severity >= Severity::Medium),
                reached: place.filter(|o| {
                    !wrote
                        && (o.starts_with("pods/") || o.starts_with("secrets/"))
                        && rule.severity >= Severity::Medium
                }),
                binding: event.annotation("authorization.k8s.io/reason").and_then(binding),
                finding,
            })
        });
        Hit { rule: verdict.rule, every_stage: rule.every_stage, matched, finding }
    }
}

/// Mixes two hashes (the finalizer of SplitMix64, Steele, Lea and Flood, OOPSLA 2014).
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Stands for a request: its audit id and the time it was received.
pub(super) fn request_key(audit_id_hash: u64, time: i64) -> u64 {
    mix(audit_id_hash, time as u64)
}

/// Who acts, with which credential and client and from where. The raw text of `user.extra` stands for the
/// credential: it holds the credential's id and the pod it is bound to.
fn session(event: &Event<'_>, kind: UserKind) -> u64 {
    use klio_model::Field;
    let hash = |field: Field| event.text_of(field).map_or(1, |t| xxh3_64(t.as_bytes()));
    let mut key = mix(hash(Field::User), hash(Field::SourceIp));
    if kind != UserKind::Anonymous {
        // `kubectl/v1.32.4 (linux/amd64) kubernetes/8985ff5`: the product tells clients apart, its build does not.
        let agent = event.text_of(Field::UserAgent).unwrap_or_default();
        let product = agent.split_once(' ').map_or(agent, |(product, _)| product);
        key = mix(key, xxh3_64(product.as_bytes()));
    }
    mix(key, event.user.extra.text().map_or(2, |t| xxh3_64(t.as_bytes())))
}

/// Requests that live long have a ResponseStarted event as well as a ResponseComplete event.
fn is_long(event: &Event<'_>) -> bool {
    use klio_model::Field;
    event.code == Some(101)
        || event.text_of(Field::Verb) == Some("watch")
        || matches!(
            event.text_of(Field::Subresource),
            Some("exec" | "attach" | "portforward" | "proxy" | "log")
        )
}

/// A request in a few words: `create pods/exec shop/cart 101`.
fn describe(event: &Event<'_>, out: &mut String) {
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
    if let Some(code) = event.code {
        use std::fmt::Write;
        let _ = write!(out, " {code}");
    }
}

/// `resource/namespace/name`, by which stories are linked.
fn story_object(o: &Object) -> Option<String> {
    let part = |s: &Option<String>| s.clone().unwrap_or_default();
    o.name.as_ref().map(|name| format!("{}/{}/{name}", part(&o.resource), part(&o.namespace)))
}

/// The binding in `RBAC: allowed by RoleBinding "name/namespace" of …`
/// (`plugin/pkg/auth/authorizer/rbac/rbac.go`, `clusterRoleBindingDescriber`), as a story object.
fn binding(reason: &str) -> Option<String> {
    let rest = reason.strip_prefix("RBAC: allowed by ")?;
    let (kind, rest) = rest.split_once(" \"")?;
    let name = rest.split_once('"')?.0;
    Some(if kind == "ClusterRoleBinding" {
        format!("clusterrolebindings//{name}")
    } else {
        let (name, namespace) = name.rsplit_once('/').unwrap_or((name, ""));
        format!("rolebindings/{namespace}/{name}")
    })
}
