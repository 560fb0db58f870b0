//! Values as pages and commands write them.

// Templates hand over references.
#![allow(clippy::trivially_copy_pass_by_ref)]

use std::fmt::Write as _;

use klio_model::{Event, TimeRange, Timestamp};
use serde_json::Value;

use crate::view::{EventView, FindingView};

/// `2026-11-21 01:17:05.043`; the zone, UTC, stands on the page.
pub(crate) fn time(time: &Timestamp) -> String {
    let text = time.to_string();
    let whole = text.split('Z').next().unwrap_or_default();
    let whole = whole.get(..whole.len().saturating_sub(3)).unwrap_or(whole);
    whole.replacen('T', " ", 1)
}

/// The same of a time that may be missing.
pub(crate) fn maybe_time(of: Option<&Timestamp>) -> String {
    of.map_or_else(|| "without a time".to_owned(), time)
}

/// `2026-11-21 01:17`.
pub(crate) fn minute(of: Option<&Timestamp>) -> String {
    let text = maybe_time(of);
    if of.is_some() { text.get(..16).unwrap_or(&text).to_owned() } else { text }
}

/// All of it, as RFC 3339.
pub(crate) fn full_time(of: Option<&Timestamp>) -> String {
    of.map(Timestamp::to_string).unwrap_or_default()
}

/// When a finding was.
pub(crate) fn when(finding: &FindingView) -> String {
    maybe_time(finding.time.as_deref().and_then(Timestamp::parse).as_ref())
}

/// What a finding says beside its rule's title and its time.
pub(crate) fn deed(finding: &FindingView) -> String {
    let message = finding.message.as_str();
    let said =
        message.strip_prefix(&finding.rule.title).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message);
    let timed = said.strip_prefix("On ").and_then(|rest| rest.split_once(" UTC, "));
    timed.map_or(said, |(_, deed)| deed).to_owned()
}

/// JSON in one line; a text without its quotes.
pub(crate) fn json(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// To the second.
fn seconds(of: Timestamp) -> String {
    let text = time(&of);
    text.split('.').next().unwrap_or(&text).to_owned()
}

/// A span of time in words.
pub(crate) fn range(range: TimeRange) -> String {
    match (range.start, range.end) {
        (None, None) => "All time".to_owned(),
        // Before there was Kubernetes.
        (Some(start), None) if start.micros() <= 0 => "All time".to_owned(),
        (Some(start), None) => format!("Since {}", seconds(start)),
        (None, Some(end)) => format!("Until {}", seconds(end)),
        (Some(start), Some(end)) => format!("{} to {}", seconds(start), seconds(end)),
    }
}

/// A number with its thousands apart.
pub(crate) fn number(n: &u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An account as people call it: `kube-system:coredns` for the service account `system:serviceaccount:kube-system:coredns`.
pub(crate) fn account(name: &str) -> &str {
    name.strip_prefix("system:serviceaccount:").unwrap_or(name)
}

/// What a request was about: `pods shop/cart`.
pub(crate) fn object(event: &Event<'_>) -> String {
    let text = |text: &Option<klio_model::json::Str<'_>>| text.as_ref().map(|text| text.0.to_string());
    let object = &event.object;
    let Some(resource) = text(&object.resource) else {
        return event.path().unwrap_or_default().to_owned();
    };
    let resource = match text(&object.subresource) {
        Some(part) => format!("{resource}/{part}"),
        None => resource,
    };
    match (text(&object.namespace), text(&object.name)) {
        (Some(namespace), Some(name)) if !namespace.is_empty() => format!("{resource} {namespace}/{name}"),
        (Some(namespace), None) if !namespace.is_empty() => format!("{resource} in {namespace}"),
        (_, Some(name)) => format!("{resource} {name}"),
        _ => resource,
    }
}

/// The same of an event's view.
pub(crate) fn object_of(event: &EventView) -> String {
    Event::parse(event.event.get()).map(|event| object(&event)).unwrap_or_default()
}

/// Options of a command that are not empty.
pub(crate) fn options<'a>(all: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let given = all.into_iter().filter(|(_, value)| !value.is_empty());
    given.fold(String::new(), |out, (name, value)| out + " " + name + " " + &shell(&value))
}

/// The options of the clusters and the time of a question.
pub(crate) fn limits(cluster: &str, start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    options([("--cluster", cluster.to_owned()), ("--since", text(start)), ("--until", text(end))])
}

/// A word of a POSIX shell's command line.
pub(crate) fn shell(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) {
        // Terminals obey what is pasted: ANSI-C quoting, as bash, zsh and ksh read it.
        let escaped = text.chars().fold(String::from("$'"), |mut out, character| {
            let _ = match character {
                '\'' | '\\' => write!(out, "\\{character}"),
                c if c.is_control() => {
                    c.to_string().bytes().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
                }
                c => write!(out, "{c}"),
            };
            out
        });
        return escaped + "'";
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_for_people() {
        let at = Timestamp::parse("2026-11-21T01:17:05.043210Z").unwrap();
        assert_eq!(time(&at), "2026-11-21 01:17:05.043");
        assert_eq!(number(&1_234_567), "1,234,567");
        assert_eq!(number(&999), "999");
        assert_eq!(range(TimeRange { start: Some(at), end: None }), "Since 2026-11-21 01:17:05");
        assert_eq!(shell("user:\"it's\""), r#"'user:"it'\''s"'"#);
        assert_eq!(shell("verb:get"), "verb:get");
        assert_eq!(shell(""), "''");
        assert_eq!(shell("a'\u{1b}[201~\nb"), r"$'a\'\x1b[201~\x0ab'");
    }
}
