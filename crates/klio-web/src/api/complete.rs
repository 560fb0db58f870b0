//! Completion of filters: names of fields, and values that occur.

use axum::Json;
use axum::extract::State;
use klio_model::field::{FIELDS, Holds};
use klio_model::{Field, FieldRef, Filter, Matcher, TextMatch, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, newest};
use crate::input::{Asked, Which, field};
use crate::view::{CompletionItem, CompletionView};
use crate::visitor::Visitor;
use crate::{Problem, Web, bodies};

/// Ways to go on that are shown.
const ITEMS: usize = 12;
/// Values among which those are looked for that begin as the word does.
const VALUES: usize = 2_000;
/// Longer ones are no help.
const LONGEST: usize = 256;
/// Without a time that is asked for, values of the time before the newest event, microseconds.
const USUAL: i64 = 86_400_000_000;
/// Nearly each event has a value of its own.
const UNIQUE: [Field; 2] = [Field::AuditId, Field::Uri];

/// A filter that is being written.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Writing {
    /// The filter as far as it is written.
    text: String,
    /// The byte before which the cursor stands; its end without one.
    at: Option<u32>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w); the day before the newest event without one.
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
}

/// How a filter may go on: fields, and values that occur among the events of that time. None of audit ids and addresses: nearly each
/// request has its own.
#[utoipa::path(get, path = "/api/v1/complete", tag = "events", params(Writing),
    responses((status = 200, description = "What may stand at the cursor", body = CompletionView)))]
pub(crate) async fn complete(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(writing): Asked<Writing>,
) -> Answer<CompletionView> {
    let Writing { text, at, cluster, from, to } = writing;
    let end = at.map_or(text.len(), |at| at as usize);
    let before = text.get(..end).ok_or_else(|| Problem::bad("`at` is no place in the text"))?;
    let start = word(before);
    let written = before.get(start..).unwrap_or_default();
    let mut view = CompletionView { start: start as u32, end: end as u32, items: Vec::new() };
    view.items = match written.split_once(':') {
        None => names(written, visitor.bodies()),
        Some((name, value)) => {
            let Ok(field) = field(name, &visitor) else { return Ok(Json(view)) };
            let which = Which { filter: None, cluster, from, to };
            values(&web, &visitor, which, field, value.trim_start_matches('"')).await?
        }
    };
    visitor.note.rows(view.items.len());
    Ok(Json(view))
}

/// Where the word begins at whose end the cursor stands: after the last blank or parenthesis that is not within quotes.
fn word(before: &str) -> usize {
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in before.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\t' | '\n' | '(' | ')' if !quoted => start = at + c.len_utf8(),
            _ => {}
        }
    }
    start
}

/// Fields whose names begin so, then those that hold it, then the words between tests.
fn names(written: &str, with_bodies: bool) -> Vec<CompletionItem> {
    let lower = written.to_ascii_lowercase();
    let open = |name: &str| with_bodies || bodies::is_open(name);
    let rank = |name: &str| {
        if name.starts_with(&lower) {
            Some(0)
        } else if name.contains(&lower) {
            Some(1)
        } else {
            None
        }
    };
    let mut found: Vec<_> =
        FIELDS.iter().filter(|f| open(f.name)).filter_map(|f| Some((rank(f.name)?, f))).collect();
    found.sort_by_key(|(rank, _)| *rank);
    let field = |(_, info): (i32, &klio_model::field::FieldInfo)| CompletionItem {
        label: info.name.to_owned(),
        insert: if info.holds == Holds::Object {
            format!("{}.", info.name)
        } else {
            format!("{}:", info.name)
        },
        about: info.doc.to_owned(),
    };
    let words = ["and", "or", "not"].into_iter().filter(|word| !lower.is_empty() && word.starts_with(&lower));
    let word = |word: &str| CompletionItem {
        label: word.to_owned(),
        insert: format!("{word} "),
        about: String::new(),
    };
    words.map(word).chain(found.into_iter().map(field)).take(ITEMS).collect()
}

/// Values of a field that occur and begin as is written, the most frequent first; then those that hold it.
async fn values(
    web: &Web,
    visitor: &Visitor,
    which: Which,
    field: FieldRef,
    written: &str,
) -> Result<Vec<CompletionItem>, Problem> {
    if UNIQUE.contains(&field.field()) {
        return Ok(Vec::new());
    }
    let mut question = which.question(web, visitor)?;
    let (asked, now) = (field.clone(), web.now());
    let top = visitor.ask(web, move |a, sight, patience| {
        if question.range.start.is_none() {
            let time = newest(a, sight, patience, &question, now)?;
            question.range.start = time.map(|time| Timestamp(time.micros().saturating_sub(USUAL)));
        }
        a.top(sight, patience, &question, &asked, VALUES)
    });
    let top = top.await?;
    let lower = written.to_lowercase();
    let (first, then): (Vec<_>, Vec<_>) = top
        .values
        .into_iter()
        .filter(|(value, _)| value.len() <= LONGEST && value.to_lowercase().contains(&lower))
        .partition(|(value, _)| value.to_lowercase().starts_with(&lower));
    let item = |(value, count): (String, u64)| CompletionItem {
        insert: Filter::test(field.clone(), Matcher::Text(TextMatch::exactly(&value))).to_string(),
        about: format!("{count} {}", if count == 1 { "event" } else { "events" }),
        label: value,
    };
    Ok(first.into_iter().chain(then).take(ITEMS).map(item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_at_the_cursor_is_found() {
        let word = |text: &str| text[word(text)..].to_owned();
        assert_eq!(word("verb:get and reso"), "reso");
        assert_eq!(word("not (user:al"), "user:al");
        assert_eq!(word("name:\"a b"), "name:\"a b");
        assert_eq!(word("name:\"a \\\" b\" "), "");
        assert_eq!(word("é ü"), "ü");
    }

    #[test]
    fn fields_that_begin_so_come_first() {
        let labels = |text| names(text, false).into_iter().map(|item| item.label).collect::<Vec<_>>();
        assert_eq!(labels("verb")[0], "verb");
        assert!(labels("ip").contains(&"source.ip".to_owned()));
        assert_eq!(labels("an")[0], "and");
        assert!(!labels("container").iter().any(|name| name.starts_with("container")), "a body");
    }
}
