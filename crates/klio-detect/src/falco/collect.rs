//! Reads the items of rule files in order and lets later ones replace, append to and override earlier ones.
//!
//! Semantics: falcosecurity/falco, `userspace/engine/rule_loader_reader.cpp` and `rule_loader_collector.cpp`.

use super::exceptions::{self, Exception};
use super::item::{Change, Item, LeftOut, Read};
use super::nearest;
use super::problems::Problems;
use super::text::{Piece, Place};
use super::yaml::{self, Node};

/// A list, macro or rule as it stands after all files.
pub(super) struct Named<T> {
    pub name: String,
    /// When it was first defined; macros see macros that were defined before.
    pub index: usize,
    /// When it was last changed.
    pub visibility: usize,
    pub place: Place,
    pub value: T,
}

/// A rule.
pub(super) struct Draft {
    pub condition: Vec<Piece>,
    pub output: Vec<Piece>,
    pub description: String,
    pub priority: String,
    pub source: String,
    pub tags: Vec<String>,
    pub enabled: bool,
    pub skip_if_unknown: bool,
    pub exceptions: Vec<Exception>,
}

/// Everything the files define.
#[derive(Default)]
pub(super) struct Collected {
    pub lists: Vec<Named<Vec<String>>>,
    pub macros: Vec<Named<Vec<Piece>>>,
    pub rules: Vec<Named<Draft>>,
    clock: usize,
}

const LIST_KEYS: [&str; 4] = ["list", "items", "append", "override"];
const MACRO_KEYS: [&str; 4] = ["macro", "condition", "append", "override"];
const RULE_KEYS: [&str; 15] = [
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "source",
    "enabled",
    "capture",
    "capture_duration",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "tags",
    "exceptions",
    "override",
    "append",
];
/// Keys of a rule that an override may append to.
const APPENDABLE: [&str; 5] = ["condition", "output", "desc", "tags", "exceptions"];
/// Keys of a rule that an override may replace.
const REPLACEABLE: [&str; 11] = [
    "condition",
    "output",
    "desc",
    "priority",
    "capture",
    "capture_duration",
    "tags",
    "exceptions",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
];

impl Collected {
    /// Reads a file.
    pub fn read(&mut self, file: usize, text: &str, problems: &mut Problems) {
        let documents = match yaml::load(text) {
            Ok(documents) => documents,
            Err(refused) => {
                let place = Place { file, span: refused.at..refused.at };
                problems.error(&place, format!("not YAML: {}", refused.message), None);
                return;
            }
        };
        for document in documents.iter().filter(|d| !d.is_null()) {
            let Some(items) = document.list() else {
                let place = Place { file, span: document.span.start..document.span.start };
                let advice = "a Falco rules file is a list of items that begin with `- rule:`, `- macro:` or `- list:`";
                problems.error(
                    &place,
                    "not a list of rules, macros and lists".to_owned(),
                    Some(advice.to_owned()),
                );
                continue;
            };
            for node in items.iter().filter(|n| !n.is_null()) {
                // A wrong item has been reported; the others go on.
                let _ = self.item(&mut Item { file, node, problems });
            }
        }
    }

    fn item(&mut self, item: &mut Item<'_, '_>) -> Read<()> {
        if item.node.map().is_none() {
            return Err(item.wrong(item.node, "expected an item with keys", None));
        }
        let has = |key| item.node.get(key).is_some();
        if has("required_engine_version") || has("required_plugin_versions") {
            Ok(())
        } else if has("list") {
            self.list(item)
        } else if has("macro") {
            self.macro_(item)
        } else if has("rule") {
            self.rule(item)
        } else {
            let first =
                item.node.map().and_then(|m| m.first()).and_then(|(k, _)| k.text()).unwrap_or_default();
            let known = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions"];
            let advice =
                nearest(first, known.into_iter().map(str::to_owned)).map(|n| format!("did you mean `{n}`?"));
            Err(item.wrong(item.node, "this item is no rule, macro or list", advice.as_deref()))
        }
    }

    fn tick(&mut self) -> usize {
        self.clock += 1;
        self.clock
    }

    fn list(&mut self, item: &mut Item<'_, '_>) -> Read<()> {
        item.check_keys(&LIST_KEYS);
        let name = item.need("list")?;
        let Some(items) = item.node.get("items").and_then(Node::list) else {
            return Err(item.wrong(item.node, &format!("list `{name}` has no `items`"), None));
        };
        let mut values = Vec::with_capacity(items.len());
        for node in items {
            match node.text() {
                Some(text) => values.push(text.to_owned()),
                None => return Err(item.wrong(node, "a list holds single values", None)),
            }
        }
        let append = item.changes(&["items"], &["items"])?.contains(&("items", Change::Append));
        let now = self.tick();
        let place = item.place(item.node);
        match self.lists.iter_mut().find(|l| l.name == name) {
            Some(list) if append => list.value.extend(values),
            None if append => {
                return Err(item.wrong(item.node, &format!("there is no list `{name}` to append to"), None));
            }
            Some(list) => {
                list.value = values;
                list.place = place;
            }
            None => self.lists.push(Named {
                name: name.clone(),
                index: now,
                visibility: now,
                place,
                value: values,
            }),
        }
        if let Some(list) = self.lists.iter_mut().find(|l| l.name == name) {
            list.visibility = now;
        }
        Ok(())
    }

    fn macro_(&mut self, item: &mut Item<'_, '_>) -> Read<()> {
        item.check_keys(&MACRO_KEYS);
        let name = item.need("macro")?;
        let condition = item.piece("condition")?;
        let append = item.changes(&["condition"], &["condition"])?.contains(&("condition", Change::Append));
        let now = self.tick();
        let place = item.place(item.node);
        match self.macros.iter_mut().find(|m| m.name == name) {
            Some(old) if append => {
                old.value.push(condition);
                old.visibility = now;
            }
            None if append => {
                return Err(item.wrong(item.node, &format!("there is no macro `{name}` to append to"), None));
            }
            Some(old) => {
                old.value = vec![condition];
                old.visibility = now;
                old.place = place;
            }
            None => {
                self.macros.push(Named { name, index: now, visibility: now, place, value: vec![condition] });
            }
        }
        Ok(())
    }

    fn rule(&mut self, item: &mut Item<'_, '_>) -> Read<()> {
        item.check_keys(&RULE_KEYS);
        let name = item.need("rule")?;
        let source = item.node.get("source").and_then(Node::text).map(str::to_owned);
        let changes = item.changes(&APPENDABLE, &REPLACEABLE)?;
        let now = self.tick();
        let place = item.place(item.node);
        let old = self.rules.iter_mut().find(|r| r.name == name);
        let only_enables =
            !["condition", "output", "desc", "priority"].iter().any(|k| item.node.get(k).is_some());
        if !changes.is_empty() || only_enables {
            let Some(old) = old else {
                return Err(item.wrong(
                    item.node,
                    &format!("there is no earlier rule `{name}` to change"),
                    None,
                ));
            };
            if source.as_ref().is_some_and(|s| *s != old.value.source) {
                return Err(item.wrong(
                    item.node,
                    &format!("rule `{name}` has another source already"),
                    None,
                ));
            }
            if changes.is_empty() {
                old.value.enabled = item.flag("enabled", None)?;
                return Ok(());
            }
            old.value.change(item, &changes)?;
            old.visibility = now;
            return Ok(());
        }
        let draft = Draft {
            condition: vec![item.piece("condition")?],
            output: vec![item.piece("output")?],
            description: item.need("desc")?.trim().to_owned(),
            priority: item.priority()?,
            source: source.unwrap_or_else(|| "syscall".to_owned()),
            tags: item.tags()?,
            enabled: item.flag("enabled", Some(true))?,
            skip_if_unknown: item.flag("skip-if-unknown-filter", Some(false))?,
            exceptions: item.exceptions(false)?,
        };
        match old {
            Some(old) if old.value.source != draft.source => {
                return Err(item.wrong(
                    item.node,
                    &format!("rule `{name}` is defined again with another source"),
                    None,
                ));
            }
            Some(old) => {
                old.value = draft;
                old.visibility = now;
                old.place = place;
            }
            None => self.rules.push(Named { name, index: now, visibility: now, place, value: draft }),
        }
        Ok(())
    }
}

impl Draft {
    fn change(&mut self, item: &mut Item<'_, '_>, changes: &[(&str, Change)]) -> Read<()> {
        for (key, change) in changes {
            let append = *change == Change::Append;
            match *key {
                "condition" | "output" => {
                    let piece = item.piece(key)?;
                    let pieces = if *key == "condition" { &mut self.condition } else { &mut self.output };
                    if !append {
                        pieces.clear();
                    }
                    pieces.push(piece);
                }
                "desc" => {
                    let text = item.need("desc")?;
                    self.description = if append { format!("{} {text}", self.description) } else { text };
                }
                "tags" => {
                    let tags = item.tags()?;
                    if !append {
                        self.tags.clear();
                    }
                    self.tags.extend(tags);
                }
                "exceptions" if append => {
                    for exception in item.exceptions(true)? {
                        let place = exception.place.clone();
                        if let Err(message) = exceptions::append(&mut self.exceptions, exception) {
                            item.problems.error(&place, message, None);
                            return Err(LeftOut);
                        }
                    }
                }
                "exceptions" => self.exceptions = item.exceptions(false)?,
                "priority" => self.priority = item.priority()?,
                "enabled" => self.enabled = item.flag("enabled", None)?,
                "skip-if-unknown-filter" => {
                    self.skip_if_unknown = item.flag("skip-if-unknown-filter", None)?;
                }
                // capture, capture_duration, warn_evttypes: about system calls, no part of a verdict.
                _ => {}
            }
        }
        Ok(())
    }
}
