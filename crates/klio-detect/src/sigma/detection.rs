//! Selections: maps of fields, lists of maps, keyword lists.
//!
//! Source: Sigma rules specification 2.1.0, "Detection": a map is AND, a list is OR, words without a field
//! search the whole event.

use klio_model::filter::{Case, Piece};
use klio_model::{Field, FieldRef, Filter, Matcher, TextMatch};

use super::modifier::{self, Kind, Modifiers, Position};
use super::notes::Notes;
use super::value;
use super::yaml::{self, Node};
use super::{alias, condition};

/// Verbs of resource requests and the lower-cased HTTP methods of other requests.
const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "post",
    "put",
    "head",
    "options",
    "connect",
    "trace",
];
/// A selection and its parts nest no deeper.
const MAX_DEPTH: usize = 16;

/// What the parts of a detection need to know.
pub(super) struct Compiler<'c> {
    pub(super) notes: &'c mut Notes,
}

/// What `detection` or `filter` says, besides `skip`ped keys: the filter of its condition.
pub(super) fn compile(section: &Node, skip: &[&str], notes: &mut Notes) -> Filter {
    if !matches!(section.kind, yaml::Kind::Map(_)) {
        notes.error(
            section,
            format!("expected a map of selections, not {}", section.describe()),
            "write selections and a condition",
        );
        return Filter::Nothing;
    }
    let mut selections = Vec::new();
    let mut keys = Vec::new();
    for (key, node) in section.members() {
        let Some(name) = key.scalar() else {
            notes.error(key, "the name of a selection is a string", "put it in quotes");
            continue;
        };
        if name == "condition" || name == "timeframe" || skip.contains(&name.as_str()) {
            continue;
        }
        let filter = Compiler { notes }.selection(node, 0);
        selections.push((name, filter));
        keys.push(key);
    }
    let Some(conditions) = section.get("condition") else {
        notes.error(section, "there is no `condition`", "add for example `condition: selection`");
        return Filter::Nothing;
    };
    if let Some(timeframe) = section.get("timeframe") {
        notes.warn(
            timeframe,
            "`timeframe` has no effect",
            "it belonged to aggregations; write a correlation with `timespan`",
        );
    }
    let mut used = vec![false; selections.len()];
    let mut parts = Vec::new();
    for node in conditions.items() {
        let Some(text) = node.text() else {
            notes.error(
                node,
                format!("a condition is a string, not {}", node.describe()),
                "write for example `selection`",
            );
            continue;
        };
        match condition::compile(text, &selections, &mut used) {
            Ok(filter) => parts.push(filter),
            Err(wrong) => notes.error(node, wrong.message, wrong.advice),
        }
    }
    if parts.is_empty() && !notes.failed() {
        notes.error(conditions, "there is no condition", "name a selection");
    }
    if !notes.failed() {
        for (key, _) in keys
            .iter()
            .zip(&used)
            .filter(|(k, used)| !**used && !k.text().is_some_and(|t| t.starts_with('_')))
        {
            let name = key.scalar().unwrap_or_default();
            notes.warn(
                key,
                format!("the condition does not use `{name}`"),
                "remove the selection or name it in the condition",
            );
        }
    }
    Filter::or(parts)
}

impl Compiler<'_> {
    fn selection(&mut self, node: &Node, depth: usize) -> Filter {
        if depth > MAX_DEPTH {
            self.notes.error(node, "a selection nests too deeply", "write several selections");
            return Filter::Nothing;
        }
        match &node.kind {
            yaml::Kind::Map(map) if map.is_empty() => self.empty(node),
            yaml::Kind::Map(_) => self.map(node),
            yaml::Kind::List(items) if items.is_empty() => self.empty(node),
            yaml::Kind::List(items) => {
                Filter::or(items.iter().map(|item| self.selection(item, depth + 1)).collect::<Vec<_>>())
            }
            yaml::Kind::Null | yaml::Kind::Bad => self.empty(node),
            _ => self.keyword(&plain(), node),
        }
    }

    fn empty(&mut self, node: &Node) -> Filter {
        self.notes.error(node, "an empty selection", "name at least one field or word");
        Filter::Nothing
    }

    fn map(&mut self, node: &Node) -> Filter {
        let mut parts = Vec::new();
        for (key, values) in node.members() {
            let Some((name, modifiers)) = modifier::parse(key, self.notes) else { continue };
            let part = if name.is_empty() {
                let words: Vec<_> = values.items().iter().map(|v| self.keyword(&modifiers, v)).collect();
                let joined = if modifiers.all { Filter::and(words) } else { Filter::or(words) };
                (None, if modifiers.neq { Filter::not(joined) } else { joined })
            } else {
                match alias::resolve(name) {
                    Ok(field) => {
                        let filter = self.item(&field, &modifiers, key, values);
                        (Some((field, modifiers, values)), filter)
                    }
                    Err(error) => {
                        let advice = match &error.suggestion {
                            Some(near) => format!("write `{near}`"),
                            None => "fields are paths of audit.k8s.io/v1 events, such as `objectRef.resource`, or Klio's own names".to_owned(),
                        };
                        self.notes.error(key, format!("unknown field `{name}`"), advice);
                        continue;
                    }
                }
            };
            parts.push(part);
        }
        connect_as_get(&mut parts);
        Filter::and(parts.into_iter().map(|(_, filter)| filter).collect::<Vec<_>>())
    }

    fn item(&mut self, field: &FieldRef, m: &Modifiers, key: &Node, values: &Node) -> Filter {
        let list = matches!(values.kind, yaml::Kind::List(_));
        let items = values.items();
        if items.is_empty() {
            self.notes.error(key, "an empty list of values", "write at least one value");
            return Filter::Nothing;
        }
        if m.all && items.len() == 1 {
            self.notes.warn(key, "`all` has only one value to join", "drop `all`, or write a list");
        }
        if list && m.kind == Kind::Exists {
            self.notes.error(values, "`exists` takes true or false, not a list", "write `true` or `false`");
            return Filter::Nothing;
        }
        let mut parts = Vec::new();
        for item in items {
            match item.kind {
                yaml::Kind::List(_) | yaml::Kind::Map(_) => {
                    let path = key.text().unwrap_or_default();
                    self.notes.error(
                        item,
                        format!("a value is a string, number, boolean or null, not {}", item.describe()),
                        format!("write the path with dots, such as `{path}.key: value`"),
                    );
                    continue;
                }
                yaml::Kind::Bad => {
                    self.notes.error(
                        item,
                        "this alias has no anchor",
                        "define the anchor with `&name` before it",
                    );
                    continue;
                }
                yaml::Kind::Null if list && items.len() > 1 => {
                    self.notes.warn(
                        item,
                        "null in a list of values",
                        "Sigma keeps null for a selection of its own; Klio reads it as absent",
                    );
                }
                _ => {}
            }
            self.lint(field, m, item);
            parts.push(value::test(field, m, item, self.notes));
        }
        let joined = if m.all { Filter::and(parts) } else { one_of(field, parts) };
        if m.neq { Filter::not(joined) } else { joined }
    }

    /// A word anywhere in the event. The event is JSON text, so the word is looked for as JSON writes it.
    fn keyword(&mut self, m: &Modifiers, node: &Node) -> Filter {
        let text = m.kind == Kind::Text
            && m.part.is_none()
            && matches!(m.position, Position::Whole | Position::Anywhere);
        if !text {
            self.notes.error(
                node,
                "this modifier needs a field",
                "words without a field go with all, cased, contains and the encodings",
            );
            return Filter::Nothing;
        }
        if node.scalar().is_some_and(|t| t.trim_matches('*').is_empty()) {
            self.notes.error(node, "a word that every event contains", "name what to look for");
            return Filter::Nothing;
        }
        let texts = value::texts(m, node, self.notes);
        Filter::or(texts.into_iter().flat_map(|t| json_forms(&t)).map(Filter::Keyword).collect::<Vec<_>>())
    }

    /// Values that no event has.
    fn lint(&mut self, field: &FieldRef, m: &Modifiers, item: &Node) {
        let Some(text) =
            item.text().filter(|_| m.kind == Kind::Text && m.position == Position::Whole && !m.neq)
        else {
            return;
        };
        if field.field() == Field::Verb
            && !text.contains(['*', '?', '%'])
            && !VERBS.iter().any(|v| v.eq_ignore_ascii_case(text))
        {
            let advice = match text.to_ascii_lowercase().as_str() {
                "replace" => "`kubectl replace` sends `update`".to_owned(),
                "exec" | "attach" | "portforward" => {
                    format!("an {text} is `verb: [create, get]` with `objectRef.subresource: {text}`")
                }
                other => super::notes::nearest(other, VERBS.iter().copied()),
            };
            self.notes.warn(item, format!("no audit event has the verb `{text}`"), advice);
        }
    }
}

/// No modifiers.
fn plain() -> Modifiers {
    Modifiers {
        all: false,
        neq: false,
        cased: false,
        position: Position::Whole,
        kind: Kind::Text,
        part: None,
        flags: String::new(),
        encodings: Vec::new(),
    }
}

/// Joins alternatives; several texts of one field become one test.
fn one_of(field: &FieldRef, parts: Vec<Filter>) -> Filter {
    let flat = if let Filter::Or(parts) = Filter::or(parts.clone()) { parts } else { parts };
    let (mut texts, mut rest) = (Vec::new(), Vec::new());
    for part in flat {
        match part {
            Filter::Test(test) if test.field == *field => match test.matcher {
                Matcher::Text(text) => texts.push(text),
                matcher => rest.push(Filter::test(test.field, matcher)),
            },
            other => rest.push(other),
        }
    }
    let joined = match texts.len() {
        0 => None,
        1 => texts.pop().map(Matcher::Text),
        _ => Some(Matcher::OneOf(texts.into())),
    };
    Filter::or(joined.map(|m| Filter::test(field.clone(), m)).into_iter().chain(rest))
}

/// A pattern as the text of an event spells it: JSON escapes quotes and backslashes, and Go also `<`, `>` and `&`.
fn json_forms(text: &TextMatch) -> Vec<TextMatch> {
    let escape = |go: bool| {
        let pieces = text.pieces().iter().map(|piece| match piece {
            Piece::Literal(s) => {
                let mut json =
                    s.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
                if go {
                    json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
                }
                Piece::Literal(json)
            }
            other => other.clone(),
        });
        TextMatch::new(pieces.collect::<Vec<_>>(), text.case())
    };
    let mut out = vec![escape(false)];
    let go = escape(true);
    if go != out[0] {
        out.push(go);
    }
    out
}

type Item<'n> = (Option<(FieldRef, Modifiers, &'n Node)>, Filter);

/// Whoever writes `verb: create` for exec, attach or port-forward means the request, which a WebSocket client
/// makes with `get` and code 101 (kubectl does so since 1.31): the selection matches that form too.
fn connect_as_get(items: &mut [Item<'_>]) {
    let texts = |item: &Item<'_>, field: Field| -> Option<Vec<String>> {
        let (f, m, values) = item.0.as_ref()?;
        let simple =
            f.field() == field && m.kind == Kind::Text && !m.neq && !m.all && m.position == Position::Whole;
        simple
            .then(|| values.items().iter().filter_map(Node::scalar).map(|t| t.to_ascii_lowercase()).collect())
    };
    let connects = items.iter().filter_map(|item| texts(item, Field::Subresource)).any(|values| {
        !values.is_empty() && values.iter().all(|v| matches!(v.as_str(), "exec" | "attach" | "portforward"))
    });
    if !connects {
        return;
    }
    for item in items.iter_mut() {
        let Some(verbs) = texts(item, Field::Verb) else { continue };
        if verbs.iter().any(|v| v == "create") && !verbs.iter().any(|v| v == "get") {
            let is = |field, text: &str| {
                Filter::test(
                    FieldRef::of(field),
                    Matcher::Text(TextMatch::new([Piece::Literal(text.to_owned())], Case::Insensitive)),
                )
            };
            let upgraded = Filter::and([is(Field::Verb, "get"), is(Field::Code, "101")]);
            item.1 = Filter::or([item.1.clone(), upgraded]);
        }
    }
}
