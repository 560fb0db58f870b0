//! The closer look at one event: goes through its values and notes what has to go.

mod leaf;

use std::ops::Range;

use klio_model::Event;

use super::Redactor;
use super::cut::{Cut, settle};
use super::kind::{Kind, Place, step};
use super::name;
use super::policy::{glob, leads};
use super::rule::Rule;
use super::tape::{Sort, Tape};
use super::uri;
use super::view::View;
use crate::scan::{Members, skip_ws};

/// What is nested deeper goes as a whole; the model does not follow it either.
const MAX_NESTED: usize = klio_model::json::MAX_DEPTH;

/// A walk over one text.
pub(super) struct Walk<'r> {
    pub(super) redactor: &'r Redactor,
    /// The places of the policy for this resource.
    places: Vec<&'r [String]>,
    path: Vec<String>,
    embedded: u8,
    /// Where the prefilter found something in the event, and where in the event the text of the tape begins.
    hits: Vec<usize>,
    origin: usize,
    /// Whether all of it is looked at, hit or not.
    thorough: bool,
    pub(super) cuts: Vec<Cut>,
}

/// All that has to go from an event; `None` if its outline cannot be read.
pub(super) fn event(redactor: &Redactor, json: &str, event: &Event<'_>) -> Option<Vec<Cut>> {
    let kind = Kind::of_event(event);
    let places = redactor.places_for(event);
    let mut walk = Walk {
        redactor,
        thorough: !places.is_empty() || !redactor.compiled().patterns.is_empty(),
        places,
        path: Vec::new(),
        embedded: 0,
        hits: redactor.needles.hits(json),
        origin: 0,
        cuts: Vec::new(),
    };
    let start = skip_ws(json.as_bytes(), 0);
    let outline = json.get(start..)?;
    for member in Members::new(outline.as_bytes()) {
        let member = member.ok()?;
        let at = member.value.as_ptr() as usize - json.as_ptr() as usize;
        let value = json.get(at..at + member.value.len())?;
        let key = std::str::from_utf8(member.key).ok()?;
        walk.member(&name::fold(key), value, at, kind);
    }
    let mut cuts = walk.cuts;
    settle(&mut cuts);
    Some(cuts)
}

impl Walk<'_> {
    fn member(&mut self, key: &str, value: &str, at: usize, kind: Kind) {
        let before = self.cuts.len();
        let place = match key {
            "requesturi" => {
                if let Some(raw) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
                    let view = View::json(raw);
                    let cuts = uri::cuts(self.redactor, &view.text);
                    self.cuts.extend(cuts.into_iter().map(|cut| cut.outward(&view, at + 1, true)));
                }
                return;
            }
            "responsestatus" => Place::Part(kind),
            "annotations" => Place::Annotations(kind),
            "kind"
            | "apiversion"
            | "level"
            | "auditid"
            | "stage"
            | "verb"
            | "user"
            | "impersonateduser"
            | "authenticationmetadata"
            | "sourceips"
            | "useragent"
            | "objectref"
            | "requestreceivedtimestamp"
            | "stagetimestamp"
            | "timestamp"
            | "metadata" => Place::Plain,
            _ => Place::Object(kind),
        };
        // What a JSON patch writes stands beside its path.
        let whole = self.thorough;
        self.thorough |= matches!(place, Place::Object(_)) && value.starts_with('[');
        if self.is_dull(place, at..at + value.len()) {
            return;
        }
        self.origin = at;
        if let Some(tape) = Tape::read(value) {
            self.value(&tape, 0, place, 0);
        } else {
            // Not JSON inside its brackets: nobody can say what is where.
            let cut = self.redactor.cut(0..value.len(), value.as_bytes(), Rule::Deep, true);
            self.cuts.extend(cut);
        }
        self.thorough = whole;
        for cut in self.cuts.get_mut(before..).unwrap_or_default() {
            cut.range = cut.range.start + at..cut.range.end + at;
        }
    }

    /// Whether what stands in a range of the event can hold no secret: the needles have each name that leads to one in
    /// Kubernetes' own resources.
    fn is_dull(&self, place: Place, range: Range<usize>) -> bool {
        let other = matches!(
            place,
            Place::Plain
                | Place::Object(Kind::Other)
                | Place::Part(Kind::Other)
                | Place::Metadata(Kind::Other)
                | Place::Annotations(Kind::Other)
                | Place::Message(Kind::Other)
        );
        other && !self.thorough && self.embedded == 0 && !self.is_hit(range)
    }

    fn is_hit(&self, range: Range<usize>) -> bool {
        let next = self.hits.partition_point(|hit| *hit < range.start);
        self.hits.get(next).is_some_and(|hit| *hit < range.end)
    }

    fn value(&mut self, tape: &Tape<'_>, at: usize, place: Place, depth: usize) {
        let Some(node) = tape.node(at) else { return };
        if self.is_dull(place, self.origin + node.start..self.origin + node.end) {
            return;
        }
        let place = if !self.path.is_empty() && self.places.iter().any(|p| leads(p, &self.path)) {
            Place::Gone(Rule::Path, false)
        } else {
            place
        };
        let inner = matches!(node.sort, Sort::Object | Sort::List);
        if inner && depth >= MAX_NESTED {
            return self.whole(tape, node, Rule::Deep, false);
        }
        match (place, node.sort) {
            (Place::Gone(Rule::CustomResource | Rule::Path | Rule::ConfigMapKey, _), Sort::Object) => {
                self.object(
                    tape,
                    at,
                    if matches!(place, Place::Gone(Rule::Path, _)) {
                        place
                    } else {
                        Place::Part(Kind::Custom)
                    },
                    depth,
                );
            }
            (Place::Gone(Rule::CustomResource | Rule::Path, _), Sort::List) => {
                for (item, _) in tape.inside(at) {
                    self.value(tape, item, place, depth + 1);
                }
            }
            (Place::Gone(Rule::CustomResource, _), Sort::Bare) => {}
            (Place::Gone(rule, base64), _) => self.whole(tape, node, rule, base64),
            (Place::Members(..), Sort::Object) => self.object(tape, at, place, depth),
            (Place::Members(rule, base64), _) => self.whole(tape, node, rule, base64),
            (Place::Env(kind), Sort::List) => {
                for (item, _) in tape.inside(at) {
                    self.value(tape, item, Place::Variable(kind), depth + 1);
                }
            }
            (Place::Variable(_), Sort::Object) => self.variable(tape, at, place, depth),
            (Place::Args(kind), Sort::List) => self.arguments(tape, at, kind, depth),
            (Place::Object(Kind::Secret), Sort::Text | Sort::Bare) => {
                self.whole(tape, node, Rule::SecretData, false);
            }
            (_, Sort::Object) => self.object(tape, at, place, depth),
            (_, Sort::List) => {
                for (item, inner) in tape.inside(at) {
                    if inner.sort == Sort::Object && self.operation(tape, item, place, depth) {
                        continue;
                    }
                    self.value(tape, item, place, depth + 1);
                }
            }
            (_, Sort::Text) => self.text(tape, node, place, ""),
            _ => {}
        }
    }

    fn object(&mut self, tape: &Tape<'_>, at: usize, place: Place, depth: usize) {
        let place = match place {
            Place::Object(kind) | Place::Part(kind) => Self::stated(tape, at, kind, place),
            _ => place,
        };
        let depth = depth + 1;
        for (raw, value) in tape.members(at) {
            let key = name::fold(raw);
            let to = step(place, &key);
            let list_of_objects = key == "items" && matches!(place, Place::Object(_));
            if !self.places.is_empty() && !list_of_objects {
                self.path.push(key.clone().into_owned());
            }
            match tape.node(value) {
                Some(node) if node.sort == Sort::Text && !self.is_placed() => {
                    // The key of an annotation tells what its text is.
                    match to {
                        Place::Gone(..) | Place::Members(..) | Place::Object(Kind::Secret) => {
                            self.value(tape, value, to, depth);
                        }
                        _ => self.text(tape, node, to, &key),
                    }
                }
                _ => self.value(tape, value, to, depth),
            }
            if !self.places.is_empty() && !list_of_objects {
                self.path.pop();
            }
        }
    }

    fn is_placed(&self) -> bool {
        !self.path.is_empty() && self.places.iter().any(|p| leads(p, &self.path))
    }

    /// What an object says it is; of several kinds the one with most to hide.
    fn stated(tape: &Tape<'_>, at: usize, kind: Kind, place: Place) -> Place {
        let mut now = None;
        for (raw, value) in tape.members(at) {
            if name::fold(raw) != "kind" {
                continue;
            }
            let Some(node) = tape.node(value).filter(|n| n.sort == Sort::Text) else { continue };
            let text = name::fold(tape.content(node));
            // Something that only has a member called `kind` stays a part: the details of an error.
            if !matches!(place, Place::Object(_)) && Kind::Other.stated(&text) == Kind::Other {
                continue;
            }
            let stated = kind.stated(&text);
            if now != Some(Kind::Secret) {
                now = Some(stated);
            }
        }
        now.map_or(place, Place::Object)
    }

    /// An operation of a JSON patch: its value stands where its path leads. False if it is none.
    fn operation(&mut self, tape: &Tape<'_>, at: usize, place: Place, depth: usize) -> bool {
        if !matches!(place, Place::Object(_)) {
            return false;
        }
        let mut op = false;
        let mut paths = Vec::new();
        for (raw, value) in tape.members(at) {
            match name::fold(raw).as_ref() {
                "op" => op = true,
                "path" => paths.extend(tape.node(value).filter(|n| n.sort == Sort::Text)),
                _ => {}
            }
        }
        if !op || paths.is_empty() {
            return false;
        }
        let thorough = std::mem::replace(&mut self.thorough, true);
        for (raw, value) in tape.members(at) {
            match name::fold(raw).as_ref() {
                "op" | "path" | "from" => {}
                _ => {
                    // A repeated path: each of them may be meant.
                    for path in &paths {
                        self.addressed(
                            tape,
                            value,
                            View::json(tape.content(*path)).text.as_ref(),
                            place,
                            depth,
                        );
                    }
                }
            }
        }
        self.thorough = thorough;
        true
    }

    fn addressed(&mut self, tape: &Tape<'_>, value: usize, pointer: &str, place: Place, depth: usize) {
        let before = self.path.len();
        let mut to = place;
        let mut last = String::new();
        for token in pointer.split('/').skip(1) {
            last = token.replace("~1", "/").replace("~0", "~").to_ascii_lowercase();
            let index = !last.is_empty() && (last == "-" || last.bytes().all(|b| b.is_ascii_digit()));
            if index && matches!(to, Place::Object(_) | Place::Part(_)) {
                continue;
            }
            to = step(to, &last);
            if !self.places.is_empty() && !index {
                self.path.push(last.clone());
            }
        }
        match tape.node(value) {
            Some(node)
                if node.sort == Sort::Text
                    && !matches!(to, Place::Gone(..) | Place::Members(..) | Place::Object(Kind::Secret))
                    && !self.is_placed() =>
            {
                self.text(tape, node, to, &last);
            }
            _ => self.value(tape, value, to, depth + 2),
        }
        self.path.truncate(before);
    }
}

impl Redactor {
    fn places_for(&self, event: &Event<'_>) -> Vec<&[String]> {
        if self.compiled().places.is_empty() {
            return Vec::new();
        }
        let text = |s: &Option<klio_model::json::Str<'_>>| {
            s.as_ref().map(|s| s.0.to_ascii_lowercase()).unwrap_or_default()
        };
        let (resource, group) = (text(&event.object.resource), text(&event.object.api_group));
        let full = format!("{resource}.{group}");
        let places = self.compiled().places.iter();
        places
            .filter(|p| glob(&p.resource, &full) || (group.is_empty() && glob(&p.resource, &resource)))
            .map(|p| p.segments.as_slice())
            .collect()
    }
}
