//! Spans, sizes and shares as people say them.

// Templates hand over references.
#![allow(clippy::trivially_copy_pass_by_ref)]

use klio_model::Timestamp;

use super::draw;

/// `3 min ago`, or `in 3 min` of what is to come.
pub(crate) fn ago(now: &Timestamp, then: &Timestamp) -> String {
    let micros = now.micros().saturating_sub(then.micros());
    let said = seconds(&((micros.unsigned_abs() / 1_000_000) as f64));
    match micros {
        0..1_000_000 => "just now".to_owned(),
        1_000_000.. => format!("{said} ago"),
        _ => format!("in {said}"),
    }
}

/// A span in its greatest unit: `48 s`, `3 min`, `5 h`, `12 days`.
pub(crate) fn seconds(seconds: &f64) -> String {
    let whole = |unit: f64| (seconds / unit).floor();
    match *seconds {
        s if s > 0.0 && s < 0.1 => "< 0.1 s".to_owned(),
        s if s < 10.0 && s.fract() > 0.0 => format!("{s:.1} s"),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{} min", whole(60.0)),
        s if s < 172_800.0 => format!("{} h", whole(3_600.0)),
        _ => format!("{} days", whole(86_400.0)),
    }
}

/// From one time to another: `5 min`, or `at once`.
pub(crate) fn lasting(from: Option<&Timestamp>, to: Option<&Timestamp>) -> String {
    let (Some(from), Some(to)) = (from, to) else { return "for an unknown time".to_owned() };
    match to.micros().saturating_sub(from.micros()) {
        ..100_000 => "at once".to_owned(),
        micros => format!("within {}", seconds(&(micros as f64 / 1e6))),
    }
}

/// A number and what it counts: `1 event`, `2 events`.
pub(crate) fn count(n: &u64, one: &str, many: &str) -> String {
    format!("{} {}", draw::number(n), if *n == 1 { one } else { many })
}

/// `1.4 KiB`.
pub(crate) fn bytes(n: &u64) -> String {
    let mut size = *n as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "bytes" { format!("{n} {unit}") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// A part of a whole in percent. What is not all of it never reads `100 %`.
pub(crate) fn percent(ratio: &f64) -> String {
    if *ratio >= 1.0 {
        return "100 %".to_owned();
    }
    let thousandths = (ratio * 100_000.0).floor() / 1_000.0;
    format!("{thousandths:.3} %")
}

/// What an HTML `pattern` that only this text fits looks like.
pub(crate) fn pattern(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if r"^$\.*+?()[]{}|/".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_shares_are_said_for_people() {
        let now = Timestamp(1_000_000_000_000);
        let at = |seconds: i64| Timestamp(now.micros() - seconds * 1_000_000);
        assert_eq!(ago(&now, &at(0)), "just now");
        assert_eq!(ago(&now, &at(48)), "48 s ago");
        assert_eq!(ago(&now, &at(200)), "3 min ago");
        assert_eq!(ago(&now, &at(-7_200)), "in 2 h");
        assert_eq!(ago(&now, &at(86_400 * 12)), "12 days ago");
        assert_eq!(seconds(&0.34), "0.3 s");
        assert_eq!(seconds(&0.02), "< 0.1 s");
        assert_eq!(percent(&0.999_999_9), "99.999 %");
        assert_eq!(percent(&1.0), "100 %");
        assert_eq!(count(&1, "event", "events"), "1 event");
        assert_eq!(bytes(&900), "900 bytes");
        assert_eq!(bytes(&1_500), "1.5 KiB");
        assert_eq!(pattern("a.b@c+d-e"), r"a\.b@c\+d-e");
    }
}
