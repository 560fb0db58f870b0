//! How an object comes into being and goes.

use serde_json::Value;

use super::{After, Teller, fill};
use crate::event::Event;
use crate::history::body::{answered, request, response};
use crate::history::step::param;
use crate::history::{Basis, Life, Step, What, selector};
use crate::time::Timestamp;

impl Teller<'_> {
    pub(super) fn created(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
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

    pub(super) fn deleted(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
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
        self.told.lives = self.told.lives.max(1);
        if waits {
            return self.ending(event, time);
        }
        self.told.life = Life::Gone(time);
        self.push(event, Step::of(event, time, What::Deleted));
    }

    /// A deletion began.
    pub(super) fn ending(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
        self.told.life = Life::Ending;
        let mut step = Step::of(event, time, What::Deleting);
        step.notes
            .push("its deletion began; it ends when its time is over and its finalizers are done".to_owned());
        self.push(event, step);
    }

    /// A deletecollection: it met the object if the answer lists it, or the selectors fit.
    pub(super) fn many_deleted(&mut self, event: &Event<'_>, time: Option<Timestamp>) {
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
}
