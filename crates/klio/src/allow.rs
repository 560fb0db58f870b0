//! The allow-list as people write it: YAML, a list of entries with owner, reason and end.

use std::fmt::Write as _;
use std::path::Path;

use klio_detect::{Allow, RuleSet};
use klio_model::{Filter, Timestamp};
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::Failure;

/// What a file says that Klio writes.
const HEAD: &str =
    "# Written by Klio: entries of the allow-list that were made in the window or through the API.
# Entries may be changed by hand; comments do not stay.
";

/// An entry as it is written.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// See [`Allow`].
    pub rule: Option<String>,
    /// Which events.
    #[serde(rename = "where")]
    pub filter: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is right.
    pub reason: String,
    /// A day or a time.
    pub until: String,
}

impl Entry {
    /// A name that follows from what it says.
    pub fn id(&self) -> String {
        let Self { rule, filter, owner, reason, until } = self;
        format!("{:016x}", xxh3_64(format!("{rule:?}{filter:?}{owner:?}{reason:?}{until:?}").as_bytes()))
    }
}

/// Reads a file, and holds it against the rules that run.
pub fn read(path: &Path, set: &RuleSet) -> Result<Vec<Allow>, Failure> {
    crate::files::written(path, |text| parse(text, set))
}

/// Reads the file that Klio writes, if it is there. An entry that is not right any more, such as one about a rule that is gone, is
/// handed to `wrong` and left out.
pub fn kept(
    path: &Path,
    set: &RuleSet,
    wrong: &mut dyn FnMut(&Entry, Failure),
) -> Result<Vec<Allow>, Failure> {
    let mut right = Vec::new();
    for entry in of_file(path)? {
        match check(entry.clone(), set) {
            Ok(allow) => right.push(allow),
            Err(failure) => wrong(&entry, failure),
        }
    }
    Ok(right)
}

/// The entries of the file that Klio writes; none if it is not there.
pub fn of_file(path: &Path) -> Result<Vec<Entry>, Failure> {
    if path.exists() { crate::files::written(path, entries) } else { Ok(Vec::new()) }
}

/// A text as YAML and JSON both quote it, whatever is in it: what YAML does not print (YAML 1.2, 5.1) or takes for a line's end is
/// escaped.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| {
        matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
            && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let json = serde_json::Value::from(text).to_string();
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if is_plain(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        out
    })
}

/// The text of that file. Scalars are written as JSON has them, which YAML reads alike.
pub fn print(entries: &[Entry]) -> String {
    let entry = |entry: &Entry| {
        let rule = entry.rule.as_deref().map(|rule| ("rule", rule));
        let others = [
            ("where", entry.filter.as_str()),
            ("owner", &entry.owner),
            ("reason", &entry.reason),
            ("until", &entry.until),
        ];
        let lines = rule.into_iter().chain(others).map(|(key, value)| format!("{key}: {}\n", quoted(value)));
        format!("- {}", lines.collect::<Vec<_>>().join("  "))
    };
    HEAD.to_owned() + &entries.iter().map(entry).collect::<String>()
}

fn entries(text: &str) -> Result<Vec<Entry>, Failure> {
    if crate::files::is_blank(text) {
        return Ok(Vec::new());
    }
    serde_saphyr::from_str(text).map_err(|e| {
        Failure::usage(e).hint("a list of entries with `where`, `owner`, `reason`, `until` and, unless all rules are meant, `rule`")
    })
}

fn parse(text: &str, set: &RuleSet) -> Result<Vec<Allow>, Failure> {
    let checked = entries(text)?.into_iter().enumerate();
    checked
        .map(|(number, entry)| {
            check(entry, set).map_err(|failure| Failure {
                message: format!("entry {}: {}", number + 1, failure.message),
                ..failure
            })
        })
        .collect()
}

/// When an entry ends. A day begins at midnight, UTC.
pub fn end(until: &str) -> Option<Timestamp> {
    if until.len() == 10 { Timestamp::parse(&format!("{until}T00:00:00Z")) } else { Timestamp::parse(until) }
}

/// An entry held against the rules that run.
pub fn check(entry: Entry, set: &RuleSet) -> Result<Allow, Failure> {
    let Entry { rule, filter: text, owner, reason, until } = entry;
    let filter = Filter::parse(&text).map_err(|e| {
        let failure = Failure::usage(format!("`where`: {e}"));
        e.help.iter().fold(failure, Failure::hint)
    })?;
    if filter == Filter::All {
        return Err(Failure::usage("`where` is true of every event").hint("say whom and what it excuses"));
    }
    for (key, value) in [("owner", &owner), ("reason", &reason)] {
        if value.trim().is_empty() {
            return Err(
                Failure::usage(format!("`{key}` is empty")).hint("who answers for it, and why it is right")
            );
        }
    }
    let until = end(&until)
        .ok_or_else(|| Failure::usage(format!("`until`: {until} is no time")).hint("such as 2027-03-31"))?;
    if let Some(name) = rule.as_deref().filter(|name| !set.has(name)) {
        return Err(Failure::usage(format!("there is no rule `{name}`"))
            .hint("`klio rule list` names them; id or title"));
    }
    Ok(Allow { rule, filter, text, owner, reason, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_who_why_and_until_when() {
        let set = RuleSet::default();
        let entry =
            |more: &str| parse(&format!("- where: 'user:ci and verb:get'\n  owner: team\n  {more}\n"), &set);
        let right = entry("reason: builds\n  until: 2027-03-31").unwrap();
        assert_eq!((right.len(), right[0].owner.as_str()), (1, "team"));
        for (more, said) in [
            ("until: 2027-03-31", "reason"),
            ("reason: ''\n  until: 2027-03-31", "`reason` is empty"),
            ("reason: x\n  until: soon", "soon is no time"),
            ("reason: x\n  until: 2027-03-31\n  rule: none", "no rule `none`"),
            ("reason: x\n  until: 2027-03-31\n  owners: x", "owners"),
        ] {
            let failure = entry(more).unwrap_err();
            assert!(failure.message.contains(said), "{more}: {}", failure.message);
        }
        assert!(parse("- where: 'usr:ci'\n  owner: a\n  reason: b\n  until: 2027-01-01\n", &set).is_err());
        assert!(parse("# nothing yet\n", &set).unwrap().is_empty());
    }

    #[test]
    fn what_klio_writes_is_read_again_and_one_that_is_wrong_does_not_spoil_the_others() {
        let entry = |rule: Option<&str>, reason: &str| Entry {
            rule: rule.map(str::to_owned),
            filter: "user:\"a: b\" and verb:get".into(),
            owner: "team #1 'x'".into(),
            reason: reason.into(),
            until: "2027-03-31".into(),
        };
        let all = [
            entry(
                None,
                "two\nlines \u{1b} \\ \u{e9}: - x \u{7f}\u{85}\u{9f}\u{2028}\u{feff}\u{fffe}\u{1f600}",
            ),
            entry(Some("gone"), "y"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("allow.yaml");
        assert!(of_file(&path).unwrap().is_empty());
        std::fs::write(&path, print(&all)).unwrap();
        let read = of_file(&path).unwrap();
        assert_eq!(read.iter().map(Entry::id).collect::<Vec<_>>(), all.each_ref().map(Entry::id));
        let mut wrong = Vec::new();
        let right = kept(&path, &RuleSet::default(), &mut |entry, failure| {
            wrong.push((entry.reason.clone(), failure.message));
        });
        assert_eq!(right.unwrap()[0].reason, all[0].reason);
        assert_eq!(wrong, [("y".to_owned(), "there is no rule `gone`".to_owned())]);
    }
}
