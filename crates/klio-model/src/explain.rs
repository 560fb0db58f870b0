//! One event as one English sentence: who did what to what, when, from where, with which outcome, and by
//! whose leave.
//!
//! Names, commands and messages come from whoever sent the request. What could pass for the sentence's own
//! words is quoted, what a terminal would act on is escaped, and long texts are cut.

mod action;
mod authority;

use crate::event::{Event, Outcome, Stage, UserKind, text};
use crate::filter::text::escaped;
use crate::people::Person;
use crate::time::Timestamp;

use action::Action;

/// Longer names, commands and messages are cut.
const MAX_TEXT: usize = 240;

/// The sentence for an event.
///
/// ```
/// let event = klio_model::Event::parse(
///     r#"{"verb":"get","user":{"username":"alice"},"requestReceivedTimestamp":"2026-11-21T01:01:58.390059Z",
///         "objectRef":{"resource":"secrets","namespace":"shop","name":"db"},"responseStatus":{"code":200}}"#,
/// )?;
/// assert_eq!(klio_model::explain(&event), "On 2026-11-21 at 01:01:58 UTC, alice read secret shop/db.");
/// # Ok::<(), klio_model::ParseError>(())
/// ```
pub fn explain(event: &Event<'_>) -> String {
    let action = Action::of(event);
    let mut out = format!("{}, {}{}{} ", when(event), actor(event), acting_as(event), whence(event));
    out.push_str(&deed(event, &action));
    if event.outcome() == Outcome::Allowed
        && !matches!(event.stage, Stage::Panic | Stage::RequestReceived)
        && let Some(leave) = authority::of(event)
    {
        out.push_str("; ");
        out.push_str(&leave);
    }
    out.push('.');
    let mut chars = out.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

/// The same without the time and by whose leave: `alice (from 198.51.100.7 with kubectl/v1.36.1) changed deployment shop/cart`.
pub fn brief(event: &Event<'_>) -> String {
    let deed = deed(event, &Action::of(event));
    format!("{}{}{} {deed}", actor(event), acting_as(event), whence(event))
}

fn when(event: &Event<'_>) -> String {
    event.time().and_then(moment).unwrap_or_else(|| "at an unrecorded time".to_owned())
}

/// `on 2026-11-21 at 01:01:58 UTC`
pub(crate) fn moment(time: Timestamp) -> Option<String> {
    let t = time.calendar()?;
    Some(format!("on {} at {:02}:{:02}:{:02} UTC", t.date(), t.hour(), t.minute(), t.second()))
}

fn actor(event: &Event<'_>) -> String {
    let person = event.people.and_then(|people| people.of(event));
    account(text(&event.user.name), person)
}

/// A user name, with the person who uses it.
pub(crate) fn account(user: Option<&str>, person: Option<&Person>) -> String {
    let name = identity(user);
    // What a site writes of its people stands as it is.
    person.map_or_else(|| name.clone(), |person| format!("{name} ({})", escaped(&person.name)))
}

/// A user name as a person would say it.
fn identity(user: Option<&str>) -> String {
    let user = user.unwrap_or_default();
    let account = user.strip_prefix("system:serviceaccount:").and_then(|a| a.split_once(':'));
    match (UserKind::of(Some(user)), account) {
        (UserKind::Unauthenticated, _) => "someone without valid credentials".to_owned(),
        (UserKind::Anonymous, _) => "an anonymous client".to_owned(),
        (UserKind::Node, _) => format!("node {}", name(user.trim_start_matches("system:node:"))),
        (UserKind::System, Some((_, controller))) => format!("controller {}", name(controller)),
        (_, Some((namespace, account))) => format!("service account {}/{}", name(namespace), name(account)),
        (UserKind::System, None) => match user.trim_start_matches("system:") {
            part @ ("kube-scheduler"
            | "kube-controller-manager"
            | "cloud-controller-manager"
            | "kube-proxy") => {
                format!("the {part}")
            }
            "apiserver" => "the API server itself".to_owned(),
            _ => name(user),
        },
        _ => name(user),
    }
}

fn acting_as(event: &Event<'_>) -> String {
    let Some(other) = &event.impersonated else { return String::new() };
    let who = text(&other.name).map_or_else(|| "someone else".to_owned(), |n| identity(Some(n)));
    let groups: Vec<_> = other
        .groups
        .tree()
        .map(crate::Json::items)
        .unwrap_or_default()
        .iter()
        .filter_map(crate::Json::as_str)
        // Every authenticated user has this one.
        .filter(|g| *g != "system:authenticated")
        .take(4)
        .map(name)
        .collect();
    if groups.is_empty() {
        format!(" acting as {who}")
    } else {
        format!(" acting as {who} of {}", groups.join(", "))
    }
}

/// Address and program.
fn whence(event: &Event<'_>) -> String {
    let ip = event.source_ip().map(|ip| format!("from {}{}", name(ip), lies_in(event)));
    // What the control plane calls itself says no more than its name does.
    let informative = !matches!(event.user_kind(), UserKind::System | UserKind::Node);
    let agent = text(&event.user_agent)
        .filter(|_| informative)
        .and_then(|a| a.split([' ', '(']).find(|word| !word.is_empty()))
        .map(|program| format!("with {}", name(program)));
    let parts: Vec<_> = [ip, agent].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(" ")) }
}

/// Where the address lies, if a database knows: ` [DE, AS64496]`.
fn lies_in(event: &Event<'_>) -> String {
    let Some(place) = event.outside.as_ref().and_then(|outside| outside.place.as_ref()) else {
        return String::new();
    };
    let country = place.country.as_deref().map(name);
    let asn = place.asn.map(|asn| format!("AS{asn}"));
    let known: Vec<_> = [country, asn].into_iter().flatten().collect();
    if known.is_empty() { String::new() } else { format!(" [{}]", known.join(", ")) }
}

/// The action in the tense that the stage and the outcome ask for.
fn deed(event: &Event<'_>, action: &Action) -> String {
    let Action { base, past, rest } = action;
    let code = event.code.map_or_else(String::new, |c| format!(" ({c})"));
    let message = text(&event.message)
        .filter(|m| !m.is_empty())
        .map_or_else(String::new, |m| format!(": {}", quote(m)));
    let dry = event.dry_run();
    let trying = if dry { "tried out (dry run), in vain, to" } else { "tried to" };
    match (event.stage, event.outcome()) {
        (Stage::RequestReceived, _) if dry => format!("asked to try out (dry run) to {base}{rest}"),
        (Stage::RequestReceived, _) => format!("asked to {base}{rest}; the answer is in a later event"),
        (Stage::Panic, _) => format!("{trying} {base}{rest}, and the API server panicked{code}"),
        (_, Outcome::Denied) if event.code == Some(401) => {
            format!("{trying} {base}{rest} and was turned away as unauthenticated (401){message}")
        }
        (_, Outcome::Denied) => format!("{trying} {base}{rest} and was refused{code}{message}"),
        (_, Outcome::Failed) => format!("{trying} {base}{rest}, which failed{code}{message}"),
        (Stage::ResponseStarted, Outcome::Allowed) => format!("began to {base}{rest}"),
        (_, Outcome::Allowed) if dry => format!("tried out (dry run) to {base}{rest}"),
        (_, Outcome::Allowed) => format!("{past}{rest}"),
        (_, Outcome::Unknown) => format!("asked to {base}{rest}; the outcome is not recorded"),
    }
}

/// A name as it is, or in quotes when it holds more than names usually do.
pub(crate) fn name(text: &str) -> String {
    let usual = |c: char| {
        c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':' | '/' | '+' | '=' | '%' | '*' | '|')
    };
    if !text.is_empty() && text.chars().count() <= MAX_TEXT && text.chars().all(usual) {
        text.to_owned()
    } else {
        quote(text)
    }
}

/// Escaped, cut and in double quotes.
fn quote(text: &str) -> String {
    let plain = |b: u8| (b == b' ' || b.is_ascii_graphic()) && !matches!(b, b'"' | b'\\');
    if text.len() <= MAX_TEXT && text.bytes().all(plain) {
        return format!("\"{text}\"");
    }
    format!(
        "\"{}\"",
        cut(text).replace('\\', "\\\\").replace('"', "\\\"").chars().map(shown).collect::<String>()
    )
}

/// Escaped, cut and in backticks.
fn code(text: &str) -> String {
    format!("`{}`", cut(text).replace('`', "\\`").chars().map(shown).collect::<String>())
}

fn shown(c: char) -> String {
    escaped(c.encode_utf8(&mut [0; 4]))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
