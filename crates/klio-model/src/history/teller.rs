//! From events to steps: what each request made of the object.

use serde_json::Value;

use super::body::{answered, is_whole, missing, request, response};
use super::diff::{Changes, How};
use super::patch::Asked;
use super::step::{Tally, manager, param};
use super::target::CONNECTS;
use super::{Basis, History, Life, State, Step, Target, Terms, Until, What, asked, noise, patch, selector};
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
                self.told.life = Life::Ending;
                self.push(event, Step::of(event, time, What::Deleting));
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
        let absorbed = !self.terms.all && self.told.steps.last_mut().is_some_and(|last| last.absorb(&step));
        if !absorbed {
            self.told.steps.push(step);
        }
    }

    /// A step that made another version.
    fn push_version(&mut self, event: &Event<'_>, mut step: Step) {
        self.told.versions += 1;
        step.version = Some(self.told.versions);
        self.push(event, step);
    }

    fn in_vain(&mut self, event: &Event<'_>, time: Option<Timestamp>, what: What) {
        let mut step = Step::of(event, time, what);
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

    fn created(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        let mut step = Step::of(event, time, What::Created);
        match self.told.life {
            Life::Gone(when) => {
                let when = when.map_or_else(String::new, |when| format!(" at {when}"));
                step.notes.push(format!("another object than the one that was deleted{when}"));
            }
            Life::There | Life::Ending => {
                step.notes.push("another object than the one before, of which no end is recorded".to_owned())
            }
            Life::Unknown => {}
        }
        self.told.lives += 1;
        self.told.life = Life::There;
        let (sent, answer) = (request(event), answered(event, &self.told.target.name));
        self.told.state = None;
        // What was sent is what somebody wanted; the answer has all defaults beside it.
        match sent.as_ref().or(answer.as_ref()) {
            Some(body) => {
                let mut changes = self.room();
                changes.grown(&self.born(body));
                fill(&mut step, changes, if sent.is_some() { Basis::Request } else { Basis::Answer });
            }
            None => self.unseen(event, &mut step),
        }
        let basis = if answer.is_some() { Basis::Answer } else { Basis::Request };
        if let Some(value) = answer.or(sent.filter(Value::is_object)) {
            self.know(After { value, basis, certain: true }, time);
            if self.told.lives > 1
                && let Some(uid) = &self.told.uid
            {
                step.notes.push(format!("its uid is {uid}"));
            }
        }
        self.push_version(event, step);
    }

    fn deleted(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        let answer = answered(event, &self.told.target.name);
        let waits = answer.as_ref().is_some_and(|object| {
            let at = |pointer: &str| object.pointer(pointer);
            at("/metadata/deletionTimestamp").is_some()
                && (at("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64) > Some(0)
                    || at("/metadata/finalizers")
                        .and_then(Value::as_array)
                        .is_some_and(|list| !list.is_empty()))
        });
        if let Some(value) = answer {
            self.know(After { value, basis: Basis::Answer, certain: true }, time);
        }
        let what = if waits { What::Deleting } else { What::Deleted };
        self.told.life = if waits { Life::Ending } else { Life::Gone(time) };
        self.told.lives = self.told.lives.max(1);
        self.push(event, Step::of(event, time, what));
    }

    /// A deletecollection: it met the object if the answer lists it, or the selectors fit.
    fn many_deleted(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        if matches!(self.told.life, Life::Gone(_)) {
            return;
        }
        let listed = response(event).and_then(|body| {
            let named = |item: &Value| {
                let at = |pointer| item.pointer(pointer).and_then(Value::as_str);
                at("/metadata/name") == Some(&self.told.target.name)
                    && (self.told.target.namespace.is_none()
                        || at("/metadata/namespace") == self.told.target.namespace.as_deref())
            };
            Some(body.get("items")?.as_array()?.iter().any(named))
        });
        let labels = self.told.state.as_ref().and_then(|state| state.value.pointer("/metadata/labels"));
        let (by_label, by_field) = (param(event, "labelSelector"), param(event, "fieldSelector"));
        let met = listed.or_else(|| {
            let one = by_label.as_ref().map_or(Some(true), |s| selector::labels_match(s, labels));
            let two =
                by_field.as_ref().map_or(Some(true), |s| selector::fields_match(s, &self.told.target.name));
            match (one, two) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) if self.told.life != Life::Unknown => Some(true),
                _ => None,
            }
        });
        match met {
            Some(false) => {}
            Some(true) => {
                self.told.life = Life::Gone(time);
                self.told.seen |= listed == Some(true);
                self.push(event, Step::of(event, time, What::Deleted));
            }
            None => {
                let mut step = Step::of(event, time, What::MaybeDeleted);
                step.notes
                    .push("whether this object was among those that were deleted is not recorded".to_owned());
                self.push(event, step);
            }
        }
    }

    /// A write that sets one member by a subresource.
    fn member(
        &mut self,
        event: &Event<'_>,
        time: Option<Timestamp>,
        path: &[&str; 2],
        value: Option<(Value, Basis)>,
    ) {
        let mut step = Step::of(event, time, What::Changed);
        let Some((value, basis)) = value else {
            self.unseen(event, &mut step);
            return self.push_version(event, step);
        };
        let Some(state) = &mut self.told.state else {
            let mut changes = self.room();
            changes.add(&path.join("."), How::Set, None, Some(&value));
            fill(&mut step, changes, Basis::AsAsked);
            return self.push_version(event, step);
        };
        let before = state.value.clone();
        if let Some(inner) = state.value.get_mut(path[0]).and_then(Value::as_object_mut) {
            inner.insert(path[1].to_owned(), value);
        }
        state.time = time;
        let after = state.value.clone();
        let changes = self.compare(&before, &after);
        if changes.is_empty() {
            return self.push(event, step.hush(Tally::of_unchanged()));
        }
        fill(&mut step, changes, basis);
        self.push_version(event, step);
    }

    fn changed(&mut self, event: &Event<'_>, time: Option<Timestamp>, sub: &str) {
        let step = Step::of(event, time, What::Changed);
        match self.after(event, sub) {
            None => self.changed_unseen(event, step, sub),
            Some(after) => self.changed_to(event, step, sub, after, time),
        }
        if !matches!(self.told.life, Life::Gone(_) | Life::Ending) {
            self.told.life = Life::There;
        }
        self.told.lives = self.told.lives.max(1);
    }

    /// What a request made of the object, as far as it can be known.
    fn after(&self, event: &Event<'_>, sub: &str) -> Option<After> {
        if let Some(value) = answered(event, &self.told.target.name) {
            return Some(After { value, basis: Basis::Answer, certain: true });
        }
        let sent = request(event)?;
        if text(&event.verb) == Some("update") {
            let mut value = sent;
            // The status is written by its subresource alone, and only the status.
            let before = self.told.state.as_ref().map(|state| &state.value);
            match (sub, before) {
                ("", Some(before)) => {
                    if let (Some(status), Some(members)) = (before.get("status"), value.as_object_mut()) {
                        members.insert("status".to_owned(), status.clone());
                    }
                }
                ("status", Some(before)) => {
                    let status = value.get("status").cloned();
                    value = before.clone();
                    if let (Some(status), Some(members)) = (status, value.as_object_mut()) {
                        members.insert("status".to_owned(), status);
                    }
                }
                _ => {}
            }
            return Some(After { value, basis: Basis::Request, certain: true });
        }
        let state = self.told.state.as_ref()?;
        let asked = Asked { builtin: self.told.target.kind.is_some(), manager: manager(event).is_some() };
        let (value, certain) = patch::apply(&state.value, &sent, asked)?;
        Some(After { value, basis: Basis::Rebuilt, certain })
    }

    fn changed_unseen(&mut self, event: &Event<'_>, mut step: Step, sub: &str) {
        if let Some(tally) = self.routine(event, sub) {
            return self.push(event, step.hush(tally));
        }
        match request(event) {
            Some(body) => {
                let mut changes = self.room();
                asked::tell(&self.clean(&body), &mut changes);
                fill(&mut step, changes, Basis::AsAsked);
                if self.told.state.is_some() {
                    step.notes.push("the patch does not fit what is known of the object".to_owned());
                }
                if let Some(state) = &mut self.told.state {
                    state.unseen += 1;
                }
            }
            None => self.unseen(event, &mut step),
        }
        self.push_version(event, step);
    }

    fn changed_to(
        &mut self,
        event: &Event<'_>,
        mut step: Step,
        sub: &str,
        after: After,
        time: Option<Timestamp>,
    ) {
        let uid = |value: &Value| value.pointer("/metadata/uid").cloned();
        let before = self.told.state.take();
        let before = before.filter(|before| {
            let (old, new) = (uid(&before.value), uid(&after.value));
            let same = old.is_none() || new.is_none() || old == new;
            if !same {
                step.notes.push(
                    "another object than the one before: its uid differs, and no creation is recorded"
                        .to_owned(),
                );
                self.told.lives += 1;
                self.told.life = Life::There;
            }
            same
        });
        let Some(before) = before else {
            let quiet = self.routine(event, sub);
            if let Some(body) = request(event).filter(|_| quiet.is_none() && step.verb == "patch") {
                let mut changes = self.room();
                asked::tell(&self.clean(&body), &mut changes);
                fill(&mut step, changes, Basis::AsAsked);
            }
            self.know(after, time);
            if let Some(tally) = quiet {
                return self.push(event, step.hush(tally));
            }
            step.notes.push("what it was before is not known".to_owned());
            return self.push_version(event, step);
        };
        let changes = self.compare(&before.value, &after.value);
        let (unseen, basis, certain) = (before.unseen, after.basis, after.certain);
        let status = before.value.get("status") != after.value.get("status");
        let by_hand = matches!(event.user_kind(), UserKind::Human | UserKind::Anonymous);
        let mut hand_made = self.room();
        if status && by_hand && sub == "status" {
            let none = &Value::Null;
            let of = |value: &Value| serde_json::json!({"status": value.get("status").unwrap_or(none)});
            hand_made.compare(&of(&before.value), &of(&after.value));
        }
        self.know(After { certain: certain && (before.certain || basis != Basis::Rebuilt), ..after }, time);
        if basis == Basis::Rebuilt
            && let Some(state) = &mut self.told.state
        {
            state.unseen = unseen;
        }
        if changes.is_empty() && hand_made.is_empty() {
            let tally = self
                .routine(event, sub)
                .unwrap_or_else(|| if status { Tally::of_status() } else { Tally::of_unchanged() });
            return self.push(event, step.hush(tally));
        }
        if unseen > 0 && basis != Basis::Rebuilt {
            step.notes.push(format!("with what {unseen} earlier changes did that cannot be seen"));
        }
        if !certain {
            step.notes
                .push("the kind of patch is not recorded: lists were taken to be joined by key".to_owned());
        }
        if changes.is_empty() {
            fill(&mut step, hand_made, basis);
            return self.push(event, step);
        }
        fill(&mut step, changes, basis);
        self.push_version(event, step);
    }

    /// A read shows what the object is, and what changed without an event.
    fn read(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        if event.outcome() != Outcome::Allowed {
            return;
        }
        let Some(value) = answered(event, &self.told.target.name) else { return };
        let after = After { value, basis: Basis::Answer, certain: true };
        let Some(before) = &self.told.state else {
            if self.told.life == Life::Unknown {
                self.told.life = Life::There;
            }
            return self.know(after, time);
        };
        let version =
            |value: &Value| value.pointer("/metadata/resourceVersion")?.as_str()?.parse::<u64>().ok();
        // Caches answer with what was.
        if version(&after.value) <= version(&before.value) {
            return;
        }
        let changes = self.compare(&before.value, &after.value);
        let guessed = before.basis != Basis::Answer && before.unseen == 0;
        if changes.is_empty() || guessed || matches!(self.told.life, Life::Gone(_)) {
            return self.know(after, time);
        }
        let mut step = Step::of(event, time, What::FoundChanged);
        step.said = match before.unseen {
            0 => "it changed, as a read shows, and no event here tells by whom".to_owned(),
            n => format!("a read shows what {n} earlier changes did that could not be seen"),
        };
        fill(&mut step, changes, Basis::Answer);
        self.know(after, time);
        self.push_version(event, step);
    }

    /// What kind of quiet request it is by its place alone.
    fn routine(&self, event: &Event<'_>, sub: &str) -> Option<Tally> {
        if matches!(event.user_kind(), UserKind::Human | UserKind::Anonymous) {
            return None;
        }
        if sub == "status" {
            return Some(Tally::of_status());
        }
        (self.told.target.resource == "leases").then(|| Tally::of_renewal())
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

fn fill(step: &mut Step, changes: Changes, basis: Basis) {
    (step.changes, step.more_changes) = (changes.list, changes.more);
    step.basis = Some(basis);
}
