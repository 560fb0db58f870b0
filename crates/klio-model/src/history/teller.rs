//! From events to steps: what each request made of the object.

mod ends;
mod writes;

use serde_json::Value;

use super::body::{answered, is_whole, missing, request, response};
use super::diff::Changes;
use super::step::Tally;
use super::target::CONNECTS;
use super::{Basis, History, Life, State, Step, Target, Terms, Until, What, asked, noise};
use crate::event::{Event, Outcome, Stage, UserKind, text};
use crate::time::Timestamp;

pub(super) struct Teller<'t> {
    terms: &'t Terms<'t>,
    told: History,
}

/// What a request made of the object.
struct After {
    value: Value,
    basis: Basis,
    certain: bool,
}

impl<'t> Teller<'t> {
    pub(super) fn new(target: Target, terms: &'t Terms<'t>) -> Self {
        let group = target.kind.and_then(|kind| kind.groups().next());
        let told = History {
            group: target.group.clone().or(group.map(str::to_owned)).unwrap_or_default(),
            target,
            kind: None,
            uid: None,
            owners: Vec::new(),
            steps: Vec::new(),
            versions: 0,
            lives: 0,
            requests: 0,
            seen: false,
            unseen: std::collections::BTreeMap::new(),
            state: None,
            life: Life::Unknown,
        };
        Self { terms, told }
    }

    pub(super) fn finish(self) -> History {
        self.told
    }

    /// Takes the next event; false when it is enough.
    pub(super) fn take(&mut self, event: &Event<'_>, time: Option<Timestamp>) -> bool {
        match self.terms.until {
            Until::Time(end) if time.is_some_and(|time| time > end) => return false,
            _ => {}
        }
        self.told.requests += 1;
        if let Some(group) = text(&event.object.api_group) {
            group.clone_into(&mut self.told.group);
        }
        let verb = text(&event.verb).unwrap_or_default();
        let sub = text(&event.object.subresource).unwrap_or_default();
        let reads = verb == "get" && sub.is_empty();
        self.told.seen |= verb != "deletecollection" && (!reads || event.outcome() == Outcome::Allowed);
        if reads {
            self.read(event, time);
        } else if event.stage == Stage::RequestReceived {
            // Perhaps it was done.
            if let Some(state) = self.told.state.as_mut().filter(|_| event.is_write()) {
                state.unseen += 1;
            }
            self.push(event, Step::of(event, time, What::Unanswered));
        } else {
            match event.outcome() {
                Outcome::Denied => self.in_vain(event, time, What::Refused),
                Outcome::Failed => self.in_vain(event, time, What::Failed),
                _ if event.dry_run() => self.dry(event, time),
                _ => self.done(event, time, verb, sub),
            }
        }
        self.terms.until != Until::Version(self.told.versions)
    }

    fn done(&mut self, event: &Event<'_>, time: Option<Timestamp>, verb: &str, sub: &str) {
        match (verb, sub) {
            ("deletecollection", _) => self.many_deleted(event, time),
            ("delete", "") => self.deleted(event, time),
            ("create", "") => self.created(event, time),
            ("create", "eviction") => {
                self.ending(event, time);
            }
            ("create", "binding") => {
                let node = request(event).and_then(|body| body.pointer("/target/name").cloned());
                self.member(event, time, &["spec", "nodeName"], node.map(|node| (node, Basis::Request)));
            }
            (_, "scale") => {
                let at = |body: Option<Value>| body.and_then(|body| body.pointer("/spec/replicas").cloned());
                let asked = || {
                    let json = event.patched()?.pointer("/spec/replicas")?.to_text();
                    serde_json::from_str(&json).ok()
                };
                let replicas = at(response(event)).map(|n| (n, Basis::Answer));
                let replicas = replicas.or_else(|| asked().map(|n| (n, Basis::Request)));
                self.member(event, time, &["spec", "replicas"], replicas);
            }
            // An update or an apply that made the object.
            ("update" | "patch", "") if event.code == Some(201) => self.created(event, time),
            ("update" | "patch", sub) if is_whole(sub) && !CONNECTS.contains(&sub) => {
                self.changed(event, time, sub)
            }
            _ => self.push(event, Step::of(event, time, What::Used)),
        }
    }

    /// Appends a step, or adds it to the last if that says as much.
    fn push(&mut self, event: &Event<'_>, step: Step) {
        if self.told.target.subresource.is_some() && self.told.target.subresource != step.subresource {
            return;
        }
        if !(self.terms.show)(event) {
            return;
        }
        if self.terms.all || !self.absorbed(&step) {
            self.told.steps.push(step);
        }
    }

    /// Whether one of the last two steps says as much; what is told all the time does not part others that are alike.
    fn absorbed(&mut self, step: &Step) -> bool {
        let [.., before, last] = self.told.steps.as_mut_slice() else {
            return self.told.steps.last_mut().is_some_and(|last| last.absorb(step));
        };
        let between = last.what == What::Quiet || (last.what == What::Used && step.what == What::Quiet);
        last.absorb(step) || (between && before.absorb(step))
    }

    /// A step that made another version.
    fn push_version(&mut self, event: &Event<'_>, mut step: Step) {
        self.told.versions += 1;
        step.version = Some(self.told.versions);
        self.push(event, step);
    }

    fn in_vain(&mut self, event: &Event<'_>, time: Option<Timestamp>, what: What) {
        let mut step = Step::of(event, time, what);
        // Who keeps an object in step writes again when another was faster.
        let writes = matches!(step.verb.as_str(), "update" | "patch");
        if event.code == Some(409) && writes && !self.terms.all && !by_hand(event) {
            return self.push(event, step.hush(Tally::of_conflict()));
        }
        // Of what was not found or came too late, what it wanted says nothing about the object.
        if !matches!(event.code, Some(404 | 409)) {
            self.wanted(event, &mut step);
        }
        self.push(event, step);
    }

    fn dry(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        let mut step = Step::of(event, time, What::DryRun);
        match (answered(event, &self.told.target.name), &self.told.state) {
            (Some(after), Some(before)) => {
                let changes = self.compare(&before.value, &after);
                fill(&mut step, changes, Basis::Answer);
            }
            _ => self.wanted(event, &mut step),
        }
        self.push(event, step);
    }

    /// What a request asked for that was not done.
    fn wanted(&self, event: &Event<'_>, step: &mut Step) {
        let Some(body) = request(event) else { return };
        let mut changes = self.room();
        match (step.verb.as_str(), &self.told.state) {
            ("patch", _) => asked::tell(&self.clean(&body), &mut changes),
            ("update", Some(before)) => changes = self.compare(&before.value, &body),
            ("create", _) if step.subresource.is_none() => changes.grown(&self.born(&body)),
            _ => return,
        }
        fill(step, changes, Basis::AsAsked);
    }

    /// Notes that a change cannot be seen.
    fn unseen(&mut self, event: &Event<'_>, step: &mut Step) {
        let why = missing(event);
        (step.basis, step.why) = (Some(Basis::Unseen), Some(why));
        *self.told.unseen.entry(why).or_default() += 1;
        if let Some(state) = &mut self.told.state {
            state.unseen += 1;
        }
    }

    /// Remembers what the object is.
    fn know(&mut self, after: After, time: Option<Timestamp>) {
        let After { value, basis, certain } = after;
        let at = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if let Some(uid) = at("/metadata/uid") {
            self.told.uid = Some(uid);
        }
        if let (Some(version), Some(kind)) = (at("/apiVersion"), at("/kind")) {
            self.told.kind = Some(format!("{version} {kind}"));
        }
        let owners = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owner = |owner: &Value| {
            let part = |key: &str| owner.get(key).and_then(Value::as_str);
            Some(format!("{} {}", part("kind")?, part("name")?))
        };
        self.told.owners = owners.into_iter().flatten().take(4).filter_map(owner).collect();
        self.told.lives = self.told.lives.max(1);
        self.told.state = Some(State { value, basis, certain, unseen: 0, time });
    }

    fn room(&self) -> Changes {
        Changes::new(self.terms.most)
    }

    fn compare(&self, before: &Value, after: &Value) -> Changes {
        let mut changes = self.room();
        changes.compare(&self.clean(before), &self.clean(after));
        changes
    }

    /// Without noise, unless all is wanted.
    fn clean(&self, value: &Value) -> Value {
        if self.terms.all {
            return value.clone();
        }
        let clean = noise::without(value);
        if self.told.target.resource == "leases" { noise::without_renewal(clean) } else { clean }
    }

    /// A new object without what its address says.
    fn born(&self, value: &Value) -> Value {
        let mut value = self.clean(value);
        if !self.terms.all
            && let Some(members) = value.as_object_mut()
        {
            members.retain(|key, _| !matches!(key.as_str(), "apiVersion" | "kind"));
            if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.retain(|key, _| !matches!(key.as_str(), "name" | "namespace" | "generateName"));
            }
            members.retain(|key, value| key != "metadata" || value.as_object().is_none_or(|m| !m.is_empty()));
        }
        value
    }
}

/// Whether it may have been a person.
fn by_hand(event: &Event<'_>) -> bool {
    !matches!(event.user_kind(), UserKind::System | UserKind::Node | UserKind::ServiceAccount)
}

fn fill(step: &mut Step, changes: Changes, basis: Basis) {
    (step.changes, step.more_changes) = (changes.list, changes.more);
    step.basis = Some(basis);
}
