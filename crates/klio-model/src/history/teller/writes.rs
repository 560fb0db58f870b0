//! What a write made of an object, and what a read shows of it.

use serde_json::Value;

use super::{After, Teller, by_hand, fill};
use crate::event::{Event, Outcome, text};
use crate::history::body::{answered, request};
use crate::history::diff::How;
use crate::history::patch::{self, Asked};
use crate::history::step::{Tally, manager};
use crate::history::{Basis, Life, Step, What, asked};
use crate::time::Timestamp;

impl Teller<'_> {
    /// A write that sets one member by a subresource.
    pub(super) fn member(
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

    pub(super) fn changed(&mut self, event: &Event<'_>, time: Option<Timestamp>, sub: &str) {
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
        let sent_only = before.basis == Basis::Request;
        let status = before.value.get("status") != after.value.get("status");
        let mut hand_made = self.room();
        if status && by_hand(event) && sub == "status" {
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
        if sent_only && basis == Basis::Answer {
            let said = "with defaults and what admission changed: what was before is known as it was sent";
            step.notes.push(said.to_owned());
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
    pub(super) fn read(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
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
        let (known, now) = (version(&before.value), version(&after.value));
        if known.zip(now).is_some_and(|(known, now)| now <= known) {
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
        if by_hand(event) {
            return None;
        }
        if sub == "status" {
            return Some(Tally::of_status());
        }
        (self.told.target.resource == "leases").then(Tally::of_renewal)
    }
}
