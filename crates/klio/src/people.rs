//! `people.yaml`: who uses which accounts, as people write it.

#[cfg(feature = "lake")]
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use klio_model::people::{Mapping, Wrong};
use klio_model::{Field, Filter, People, Person};
#[cfg(feature = "lake")]
use klio_model::{FieldRef, TimeRange};
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::failure::Failure;

/// A person as he is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    person: Spanned<String>,
    team: Option<String>,
    accounts: Vec<Spanned<String>>,
    #[serde(rename = "where")]
    filter: Option<Spanned<String>>,
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Arc<People>, Failure> {
    crate::files::written(path, parse).map(Arc::new)
}

/// Of a file that is there, else nobody.
pub fn of(path: Option<&Path>) -> Result<Arc<People>, Failure> {
    path.map_or_else(|| Ok(Arc::default()), read)
}

/// Whether a filter asks for persons.
pub fn asks(filter: &Filter) -> bool {
    let mut asks = false;
    filter.each_field(&mut |at| asks |= matches!(at.field(), Field::Person | Field::Team));
    asks
}

/// Refuses a filter that asks for persons where nobody said who they are.
pub fn demand(filter: &Filter, people: &People, hint: &str) -> Result<(), Failure> {
    if people.is_empty() && asks(filter) {
        return Err(Failure::usage("nobody said which person uses which accounts").hint(hint));
    }
    Ok(())
}

fn parse(text: &str) -> Result<People, Failure> {
    if crate::files::is_blank(text) {
        return Ok(People::default());
    }
    let entries: Vec<Entry> = serde_saphyr::from_str(text).map_err(|e| {
        Failure::usage(e)
            .hint("a list of entries with `person`, `accounts` and, if you like, `team` and `where`")
    })?;
    let mappings = entries.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    People::new(mappings).map_err(|wrong| refusal(wrong, &entries))
}

/// Accounts that are counted for the most frequent persons.
#[cfg(feature = "lake")]
const ACCOUNTS: usize = 100_000;

/// The most frequent values of a field; those of persons and teams by their accounts. Entries with a `where` are not counted: which of
/// an account's requests are theirs is told one by one.
#[cfg(feature = "lake")]
pub fn top(
    lake: &mut klio_store::Lake,
    people: &People,
    field: &FieldRef,
    (filter, range): (&Filter, TimeRange),
    most: usize,
) -> Result<klio_store::Top, klio_store::StoreError> {
    if !is_of_people(field) {
        return lake.top(field, filter, range, most);
    }
    let mut found = lake.top(&FieldRef::of(Field::User), filter, range, ACCOUNTS)?;
    found.missing += std::mem::take(&mut found.other);
    let accounts =
        std::mem::take(&mut found.values).into_iter().map(|(account, count)| (Some(account), count));
    for (value, count) in named(people, field, accounts) {
        match value {
            None => found.missing += count,
            Some(value) if found.values.len() < most => found.values.push((value, count)),
            Some(_) => found.other += count,
        }
    }
    Ok(found)
}

/// Whether the values of a field are told by who uses an account.
#[cfg(feature = "lake")]
pub fn is_of_people(field: &FieldRef) -> bool {
    matches!(field.field(), Field::Person | Field::Team)
}

/// Numbers of accounts as those of persons or teams, if the field is about them; the most frequent first.
#[cfg(feature = "lake")]
pub fn named(
    people: &People,
    field: &FieldRef,
    accounts: impl IntoIterator<Item = (Option<String>, u64)>,
) -> Vec<(Option<String>, u64)> {
    if !is_of_people(field) {
        return accounts.into_iter().collect();
    }
    let mut counts: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for (account, count) in accounts {
        *counts.entry(account.and_then(|account| name(people, field, &account))).or_default() += count;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    sorted
}

/// What a field about people says of an account.
#[cfg(feature = "lake")]
pub fn name(people: &People, field: &FieldRef, account: &str) -> Option<String> {
    let person = people.of_name(account)?;
    if field.field() == Field::Team { person.team.clone() } else { Some(person.name.clone()) }
}

fn line<T>(of: &Spanned<T>) -> u64 {
    of.referenced.line()
}

fn check(entry: &Entry) -> Result<Mapping, Failure> {
    let at = line(&entry.person);
    let team = entry.team.clone();
    for (key, value) in [("person", Some(&entry.person.value)), ("team", team.as_ref())] {
        if value.is_some_and(|value| value.trim().is_empty()) {
            return Err(
                Failure::usage(format!("line {at}: `{key}` is empty")).hint("leave it out, or fill it")
            );
        }
    }
    if entry.accounts.is_empty() {
        return Err(Failure::usage(format!("line {at}: `accounts` is empty"))
            .hint("user names as audit events have them; `klio stats top user` lists those of the lake"));
    }
    if let Some(empty) = entry.accounts.iter().find(|account| account.value.is_empty()) {
        return Err(Failure::usage(format!("line {}: an account has no name", line(empty))));
    }
    let filter = match &entry.filter {
        None => Filter::All,
        Some(text) => Filter::parse(&text.value).map_err(|e| {
            let failure = Failure::usage(format!("line {}: `where`: {e}", line(text)));
            e.help.iter().fold(failure, Failure::hint)
        })?,
    };
    let person = Person { name: entry.person.value.clone(), team };
    Ok(Mapping { person, accounts: entry.accounts.iter().map(|a| a.value.clone()).collect(), filter })
}

fn refusal(wrong: Wrong, entries: &[Entry]) -> Failure {
    let of = |(entry, account): (usize, usize)| {
        let entry = entries.get(entry)?;
        Some((entry.accounts.get(account)?, &entry.person.value))
    };
    match wrong {
        Wrong::Twice { first, second } => {
            let Some(((a, alice), (b, bob))) = of(first).zip(of(second)) else {
                return Failure::usage(wrong);
            };
            let said = format!(
                "line {}: `{}` of {bob} is also `{}` of {alice} on line {}",
                line(b),
                b.value,
                a.value,
                line(a)
            );
            Failure::usage(said).hint(
                "an account belongs to one person; if two share it, give each entry a `where` that tells their requests apart",
            )
        }
        Wrong::Everybody { at } => {
            let at = of(at).map_or(0, |(account, _)| line(account));
            Failure::usage(format!("line {at}: this account is everybody's")).hint("name part of it")
        }
        Wrong::Filter { entry } => {
            let at = entries.get(entry).map_or(0, |entry| line(&entry.person));
            Failure::usage(format!(
                "line {at}: `where` cannot ask for persons or for the past, nor be false of everything"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_lines() {
        let alice = "- person: Alice <a@x>\n  team: platform\n  accounts: [\"oidc:7f*\", kubernetes-admin]\n";
        let people = parse(alice).unwrap();
        assert_eq!(people.of_name("oidc:7f3c").map(|p| p.name.as_str()), Some("Alice <a@x>"));
        for (more, said) in [
            (
                "- person: Bob\n  accounts:\n  - bob\n  - oidc:7fff\n",
                "line 7: `oidc:7fff` of Bob is also `oidc:7f*` of Alice <a@x> on line 3",
            ),
            ("- person: Bob\n  accounts: ['*']\n", "line 5: this account is everybody's"),
            ("- person: Bob\n  accounts: []\n", "line 4: `accounts` is empty"),
            ("- person: ''\n  accounts: [b]\n", "line 4: `person` is empty"),
            ("- person: Bob\n  accounts: ['']\n", "line 5: an account has no name"),
            (
                "- person: Bob\n  accounts: [b]\n  where: 'usr:x'\n",
                "line 6: `where`: there is no field `usr`",
            ),
            ("- person: Bob\n  accounts: [b]\n  where: 'user.person:x'\n", "line 4: `where` cannot ask"),
            ("- person: Bob\n  account: b\n", "account"),
        ] {
            let failure = parse(&format!("{alice}{more}")).err().unwrap();
            assert!(failure.message.contains(said), "{more}: {}", failure.message);
        }
        assert!(parse("# nobody yet\n").unwrap().is_empty());
    }
}
