//! Where the walk ends: texts, variables, arguments, and values that go as a whole.

use super::Walk;
use crate::redact::cut::is_marker;
use crate::redact::kind::{Kind, Place, step};
use crate::redact::rule::Rule;
use crate::redact::tape::{Node, Sort, Tape};
use crate::redact::view::View;
use crate::redact::{message, name, words};

/// So often may JSON be a string of JSON: an annotation in an annotation has two.
const MAX_EMBEDDED: u8 = 4;

/// The last annotation of `kubectl apply`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Walk<'_> {
    pub(super) fn variable(&mut self, tape: &Tape<'_>, at: usize, place: Place, depth: usize) {
        let names: Vec<_> = tape
            .members(at)
            .filter(|(raw, _)| name::fold(raw) == "name")
            .filter_map(|(_, value)| tape.node(value))
            .map(|node| View::json(tape.content(node)).text.to_lowercase())
            .collect();
        let telling = names.is_empty() || names.iter().any(|name| name::of_variable(name));
        for (raw, value) in tape.members(at) {
            let key = name::fold(raw);
            match (key.as_ref(), tape.node(value)) {
                ("name", Some(node)) if node.sort == Sort::Text => {}
                ("value", Some(node)) if telling && self.redactor.rules().env => {
                    let harmless =
                        node.sort == Sort::Text && name::is_harmless(&View::json(tape.content(node)).text);
                    if !harmless {
                        self.whole(tape, node, Rule::Env, false);
                    }
                }
                ("value", Some(node)) if node.sort == Sort::Text => {
                    self.text(tape, node, Place::Part(Kind::Custom), "value");
                }
                (key, _) => {
                    let to = if key == "value" { Place::Part(Kind::Other) } else { step(place, key) };
                    self.value(tape, value, to, depth + 1);
                }
            }
        }
    }

    pub(super) fn arguments(&mut self, tape: &Tape<'_>, at: usize, kind: Kind, depth: usize) {
        let mut views = Vec::new();
        for (item, node) in tape.inside(at) {
            if node.sort == Sort::Text {
                views.push((node, View::json(tape.content(node))));
            } else {
                self.value(tape, item, Place::Part(kind), depth + 1);
            }
        }
        if self.redactor.rules().args {
            let texts: Vec<&str> = views.iter().map(|(_, view)| view.text.as_ref()).collect();
            for (i, range) in words::secrets(&texts) {
                let Some((node, view)) = views.get(i) else { continue };
                let value = view.text.get(range.clone()).unwrap_or_default().as_bytes();
                let cut = self.redactor.cut(range, value, Rule::Args, false);
                self.cuts.extend(cut.map(|cut| cut.outward(view, node.start + 1, true)));
            }
        }
        // What was found by its place comes first and so names the rule.
        for (node, _) in views {
            self.text(tape, node, Place::Part(kind), "");
        }
    }

    /// Removes a value as a whole. What says nothing stays: null, and a text without a character.
    pub(super) fn whole(&mut self, tape: &Tape<'_>, node: Node, rule: Rule, base64: bool) {
        let range = Tape::content_range(node);
        if node.sort == Sort::Null || range.is_empty() || !self.redactor.is_on(rule) {
            return;
        }
        if node.sort != Sort::Text {
            let cut = self.redactor.cut(range, tape.content(node).as_bytes(), rule, true);
            self.cuts.extend(cut);
            return;
        }
        let view = View::json(tape.content(node));
        let cut = if base64 {
            self.redactor.cut_base64(range, &view.text, rule)
        } else {
            self.redactor.cut(range, view.text.as_bytes(), rule, false)
        };
        self.cuts.extend(cut);
    }

    /// A text that is not known to be a secret as a whole.
    pub(super) fn text(&mut self, tape: &Tape<'_>, node: Node, place: Place, key: &str) {
        let raw = tape.content(node);
        if raw.len() < 6 || self.is_dull(place, self.origin + node.start..self.origin + node.end) {
            return;
        }
        let view = View::json(raw);
        if is_marker(&view.text) {
            return;
        }
        let before = self.cuts.len();
        match place {
            Place::Object(kind) | Place::Part(kind) | Place::Annotations(kind) | Place::Env(kind)
                if self.embedded_json(&view.text, kind, key) =>
            {
                self.lift(before, &view, node.start + 1);
                return;
            }
            Place::Args(_) if self.redactor.rules().args => {
                for (_, range) in words::secrets(&[view.text.as_ref()]) {
                    let value = view.text.get(range.clone()).unwrap_or_default().as_bytes();
                    self.cuts.extend(self.redactor.cut(range, value, Rule::Args, false));
                }
            }
            Place::Message(kind) if self.redactor.rules().messages => {
                let sensitive = !matches!(kind, Kind::Other);
                for range in message::quoted(&view.text, sensitive) {
                    let value = view.text.get(range.clone()).unwrap_or_default().as_bytes();
                    self.cuts.extend(self.redactor.cut(range, value, Rule::Message, false));
                }
            }
            _ => {}
        }
        let config = matches!(place, Place::Part(Kind::Custom | Kind::ConfigMap | Kind::Secret));
        let looked = self.thorough || self.embedded > 0 || config;
        if looked || self.is_hit(self.origin + node.start..self.origin + node.end) {
            self.redactor.in_text(&view.text, config, &mut self.cuts);
        }
        self.lift(before, &view, node.start + 1);
    }

    fn lift(&mut self, before: usize, view: &View<'_>, offset: usize) {
        let mine: Vec<_> = self.cuts.drain(before..).collect();
        self.cuts.extend(mine.into_iter().map(|cut| cut.outward(view, offset, true)));
    }

    /// JSON within a text is walked like a body of its own. False if it is none.
    fn embedded_json(&mut self, text: &str, kind: Kind, key: &str) -> bool {
        let last_applied = key == LAST_APPLIED;
        if !text.trim_start().starts_with(['{', '[']) && !last_applied {
            return false;
        }
        let tape = if self.embedded < MAX_EMBEDDED { Tape::read(text) } else { None };
        let Some(tape) = tape else {
            if last_applied || (self.embedded >= MAX_EMBEDDED && Tape::read(text).is_some()) {
                let rule = if last_applied { Rule::LastApplied } else { Rule::Deep };
                self.cuts.extend(self.redactor.cut(0..text.len(), text.as_bytes(), rule, false));
                return true;
            }
            return false;
        };
        let place = match kind {
            _ if last_applied => Place::Object(kind),
            _ if key.starts_with("patch.webhook.") => Place::Part(kind),
            Kind::Secret | Kind::ConfigMap => Place::Part(Kind::Custom),
            kind => Place::Part(kind),
        };
        let path = std::mem::take(&mut self.path);
        self.embedded += 1;
        self.value(&tape, 0, place, 0);
        self.embedded -= 1;
        self.path = path;
        true
    }
}
