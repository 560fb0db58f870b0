//! The allow-list as people write it: YAML, a list of entries with owner, reason and end.

use std::path::Path;

use klio_detect::{Allow, RuleSet};
use klio_model::{Filter, Timestamp};
use serde::Deserialize;

use crate::failure::Failure;

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: Option<String>,
    #[serde(rename = "where")]
    filter: String,
    owner: String,
    reason: String,
    until: String,
}

/// Reads a file, and holds it against the rules that run.
pub fn read(path: &Path, set: &RuleSet) -> Result<Vec<Allow>, Failure> {
    crate::files::written(path, |text| parse(text, set))
}

fn parse(text: &str, set: &RuleSet) -> Result<Vec<Allow>, Failure> {
    let entries: Vec<Entry> = if crate::files::is_blank(text) {
        Vec::new()
    } else {
        serde_saphyr::from_str(text).map_err(|e| {
            Failure::usage(e).hint("a list of entries with `where`, `owner`, `reason`, `until` and, unless all rules are meant, `rule`")
        })?
    };
    let checked = entries.into_iter().enumerate();
    checked
        .map(|(number, entry)| {
            check(entry, set).map_err(|failure| Failure {
                message: format!("entry {}: {}", number + 1, failure.message),
                ..failure
            })
        })
        .collect()
}

fn check(entry: Entry, set: &RuleSet) -> Result<Allow, Failure> {
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
    // A day begins at midnight, UTC.
    let full = if until.len() == 10 { format!("{until}T00:00:00Z") } else { until.clone() };
    let until = Timestamp::parse(&full)
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
}
