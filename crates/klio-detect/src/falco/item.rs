//! Reading the keys of one item, with an error at the key that is wrong.

use super::exceptions::{self, Exception};
use super::problems::Problems;
use super::text::{Piece, Place};
use super::yaml::Node;
use super::{nearest, priority};

/// How an item that exists already is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Append,
    Replace,
}

/// One item of a file, with what its errors need.
pub(super) struct Item<'n, 'p> {
    pub file: usize,
    pub node: &'n Node,
    pub problems: &'p mut Problems,
}

/// An item that is wrong has been reported and is left out.
pub(super) struct LeftOut;

pub(super) type Read<T> = Result<T, LeftOut>;

impl<'n> Item<'n, '_> {
    pub fn place(&self, node: &Node) -> Place {
        // The first line of an item is enough to find it.
        let key = node.map().and_then(|m| m.first()).map_or(node.span.clone(), |(k, v)| {
            if v.text().is_some() { k.span.start..v.span.end } else { k.span.clone() }
        });
        Place { file: self.file, span: key }
    }

    pub fn wrong(&mut self, node: &Node, message: &str, advice: Option<&str>) -> LeftOut {
        let place = self.place(node);
        self.problems.error(&place, message.to_owned(), advice.map(str::to_owned));
        LeftOut
    }

    pub fn check_keys(&mut self, known: &[&str]) {
        for (key, _) in self.node.map().unwrap_or_default() {
            let name = key.text().unwrap_or_default();
            if !known.contains(&name) {
                let advice = nearest(name, known.iter().map(|k| (*k).to_owned()))
                    .map(|n| format!("did you mean `{n}`?"));
                let place = Place { file: self.file, span: key.span.clone() };
                self.problems.warning(&place, format!("the key `{name}` has no meaning here"), advice);
            }
        }
    }

    pub fn node_of(&mut self, key: &str) -> Read<&'n Node> {
        match self.node.get(key) {
            Some(node) => Ok(node),
            None => Err(self.wrong(self.node, &format!("`{key}` is missing"), None)),
        }
    }

    pub fn need(&mut self, key: &str) -> Read<String> {
        let node = self.node_of(key)?;
        match node.text() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wrong(node, &format!("`{key}` must be a text"), None)),
        }
    }

    pub fn piece(&mut self, key: &str) -> Read<Piece> {
        let text = self.need(key)?;
        let node = self.node_of(key)?;
        Ok(Piece { text, place: Place { file: self.file, span: node.span.clone() } })
    }

    pub fn flag(&mut self, key: &str, default: Option<bool>) -> Read<bool> {
        let Some(node) = self.node.get(key) else {
            return match default {
                Some(default) => Ok(default),
                None => self.node_of(key).map(|_| false),
            };
        };
        match node.text().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes" | "on" | "y") => Ok(true),
            Some("false" | "no" | "off" | "n") => Ok(false),
            _ => Err(self.wrong(node, &format!("`{key}` must be true or false"), None)),
        }
    }

    pub fn priority(&mut self) -> Read<String> {
        let name = self.need("priority")?;
        if priority(&name).is_some() {
            return Ok(name);
        }
        let advice =
            "the priorities are emergency, alert, critical, error, warning, notice, informational, debug";
        let node = self.node_of("priority")?;
        self.problems.error(
            &Place { file: self.file, span: node.span.clone() },
            format!("`{name}` is no priority"),
            Some(advice.to_owned()),
        );
        Err(LeftOut)
    }

    pub fn tags(&mut self) -> Read<Vec<String>> {
        let Some(node) = self.node.get("tags") else { return Ok(Vec::new()) };
        let tags = node.list().map(|l| l.iter().filter_map(Node::text).map(str::to_owned).collect());
        tags.ok_or_else(|| self.wrong(node, "`tags` must be a list", None))
    }

    pub fn exceptions(&mut self, append: bool) -> Read<Vec<Exception>> {
        let Some(node) = self.node.get("exceptions") else { return Ok(Vec::new()) };
        exceptions::read(node, self.file, append).map_err(|(place, message)| {
            self.problems.error(&place, message, None);
            LeftOut
        })
    }

    /// What the item changes of an earlier one: `override`, or the older `append: true`.
    pub fn changes(
        &mut self,
        appendable: &[&'static str],
        replaceable: &[&'static str],
    ) -> Read<Vec<(&'static str, Change)>> {
        let appends = self.flag("append", Some(false))?;
        let Some(node) = self.node.get("override") else {
            if !appends {
                return Ok(Vec::new());
            }
            // `append: true` knows the condition, the exceptions and the items.
            let keys = ["condition", "exceptions", "items"].into_iter().filter(|k| appendable.contains(k));
            return Ok(keys.filter(|k| self.node.get(k).is_some()).map(|k| (k, Change::Append)).collect());
        };
        if appends {
            return Err(self.wrong(
                node,
                "`append` and `override` exclude each other",
                Some("drop `append: true`"),
            ));
        }
        let Some(members) = node.map() else {
            return Err(self.wrong(node, "`override` holds keys with `append` or `replace`", None));
        };
        let mut changes = Vec::new();
        for (key, how) in members {
            let name = key.text().unwrap_or_default();
            let (known, change) = match how.text() {
                Some("append") => (appendable, Change::Append),
                Some("replace") => (replaceable, Change::Replace),
                _ => return Err(self.wrong(how, "an override is `append` or `replace`", None)),
            };
            let Some(known) = known.iter().find(|k| **k == name) else {
                let advice = format!("this can be done to {}", known.join(", "));
                return Err(self.wrong(key, &format!("`{name}` cannot be overridden so"), Some(&advice)));
            };
            if self.node.get(known).is_none() {
                return Err(self.wrong(key, &format!("`{name}` is overridden but not given"), None));
            }
            changes.push((*known, change));
        }
        let members = self.node.map().unwrap_or_default();
        let stray = members.iter().map(|(k, _)| k).find(|k| {
            let name = k.text().unwrap_or_default();
            (appendable.contains(&name) || replaceable.contains(&name))
                && !changes.iter().any(|(c, _)| *c == name)
        });
        if let Some(stray) = stray {
            let name = stray.text().unwrap_or_default().to_owned();
            return Err(self.wrong(
                stray,
                &format!("`{name}` is given but not named under `override`"),
                None,
            ));
        }
        Ok(changes)
    }
}
