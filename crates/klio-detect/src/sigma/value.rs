//! One value of a detection item as a test of its field.

use klio_model::field::Holds;
use klio_model::filter::{Case, Comparison, Piece, RegexMatch, TimePart};
use klio_model::{Field, FieldRef, Filter, Matcher, TextMatch};

use super::alias;
use super::encode::Draft;
use super::modifier::{Kind, Modifiers, Position};
use super::notes::Notes;
use super::yaml::{self, Node};

/// The pieces of a value; `\` takes the meaning from `*`, `?` and itself.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    TextMatch::glob(text, Case::Sensitive).pieces().to_vec()
}

/// All texts that a value stands for after encodings and position.
pub(super) fn texts(m: &Modifiers, value: &Node, notes: &mut Notes) -> Vec<TextMatch> {
    let Some(raw) = value.scalar() else {
        notes.error(
            value,
            format!("expected a text, not {}", value.describe()),
            "write a string or a number",
        );
        return Vec::new();
    };
    let case = if m.cased { Case::Sensitive } else { Case::Insensitive };
    let mut out = Vec::new();
    let mut drafts = vec![Draft::Text(pieces(&raw))];
    for encoding in &m.encodings {
        let mut next = Vec::new();
        for draft in &drafts {
            match encoding.apply(draft) {
                Ok(more) => next.extend(more),
                Err((message, advice)) => {
                    notes.error(value, message, advice);
                    return Vec::new();
                }
            }
        }
        drafts = next;
    }
    for draft in drafts {
        let mut pieces = match draft {
            Draft::Text(pieces) => pieces,
            Draft::Bytes(bytes) => {
                if let Ok(text) = String::from_utf8(bytes) {
                    vec![Piece::Literal(text)]
                } else {
                    notes.error(
                        value,
                        "this UTF-16 is no text, and audit events are text",
                        "add `|base64` or `|base64offset|contains` after it",
                    );
                    return Vec::new();
                }
            }
        };
        if matches!(m.position, Position::End | Position::Anywhere) {
            pieces.insert(0, Piece::Many);
        }
        if matches!(m.position, Position::Start | Position::Anywhere) {
            pieces.push(Piece::Many);
        }
        out.push(TextMatch::new(pieces, case));
    }
    out
}

/// The test of one value.
pub(super) fn test(field: &FieldRef, m: &Modifiers, value: &Node, notes: &mut Notes) -> Filter {
    if let Some(part) = m.part {
        let info = field.field().info();
        let time = match info.holds {
            Holds::Time => true,
            // What stands below an object may be a time, such as `creationTimestamp`.
            Holds::Object => !field.path().is_empty(),
            _ => false,
        };
        if !time {
            notes.error(
                value,
                format!("`{}` holds no time", field.name()),
                "a part of a time is asked of `requestReceivedTimestamp` or `stageTimestamp`",
            );
            return Filter::Nothing;
        }
        return time_part(field, part, m.kind, value, notes);
    }
    let one = |matcher| Filter::test(field.clone(), matcher);
    match m.kind {
        Kind::Text if value.kind == yaml::Kind::Null => {
            if m.position != Position::Whole || !m.encodings.is_empty() {
                notes.error(value, "null is no text", "compare null without text modifiers");
            }
            Filter::not(one(Matcher::Present))
        }
        Kind::Text => Filter::or(texts(m, value, notes).into_iter().map(|t| text_test(field, t))),
        Kind::Exists => match truth(value) {
            Some(true) => one(Matcher::Present),
            Some(false) => Filter::not(one(Matcher::Present)),
            None => {
                notes.error(
                    value,
                    format!("`exists` takes true or false, not {}", value.describe()),
                    "write `true` or `false`",
                );
                Filter::Nothing
            }
        },
        Kind::Regex => match value.scalar().map(|pattern| RegexMatch::new(&pattern, &m.flags)) {
            Some(Ok(regex)) => one(Matcher::Regex(regex)),
            Some(Err(error)) => {
                // The compiler's message draws the pattern over several lines; its last line says what is wrong.
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                notes.error(
                    value,
                    format!("bad regular expression: {reason}"),
                    if reason.contains("size limit") {
                        "repeat shorter parts, or write several patterns"
                    } else {
                        "Sigma's patterns have no look-around and no back-references; escape special characters with `\\`"
                    },
                );
                Filter::Nothing
            }
            None => wrong_type(value, "`re` takes a pattern", notes),
        },
        Kind::Compare(how) => match number(value) {
            Some(n) => one(Matcher::Compare(how, n)),
            None => wrong_type(value, "lt, lte, gt and gte take a number", notes),
        },
        Kind::Cidr => cidr(field, value, notes),
        Kind::FieldRef => match value.text().map(alias::resolve) {
            Some(Ok(other)) => one(Matcher::Same(other)),
            Some(Err(error)) => {
                notes.error(value, error.to_string(), "`fieldref` names a field of the same event");
                Filter::Nothing
            }
            None => wrong_type(value, "`fieldref` takes the name of a field", notes),
        },
    }
}

fn wrong_type(value: &Node, what: &str, notes: &mut Notes) -> Filter {
    notes.error(value, format!("{what}, not {}", value.describe()), "change the value or the modifier");
    Filter::Nothing
}

/// A text test; `*` alone means that the field is there, and an object counts.
pub(super) fn text_test(field: &FieldRef, text: TextMatch) -> Filter {
    let matcher = if text.pieces() == [Piece::Many] { Matcher::Present } else { Matcher::Text(text) };
    if let Matcher::Text(text) = &matcher {
        let word = text.folded_literal();
        // The core group and a whole object are written by leaving the member out.
        if word == Some("") && matches!(field.field(), Field::ApiGroup | Field::Subresource) {
            return Filter::or([
                Filter::test(field.clone(), matcher),
                Filter::not(Filter::test(field.clone(), Matcher::Present)),
            ]);
        }
        // Rules take the authorizer's decision for a status code, which is a number in every event.
        if field.field() == Field::Code {
            let decision = match word.map(str::to_ascii_lowercase).as_deref() {
                Some("allow") => Some("allow"),
                Some("forbid") => Some("forbid"),
                _ => None,
            };
            if let Some(decision) = decision {
                return Filter::test(
                    FieldRef::of(Field::Decision),
                    Matcher::Text(TextMatch::literal(decision)),
                );
            }
        }
    }
    Filter::test(field.clone(), matcher)
}

fn truth(value: &Node) -> Option<bool> {
    match &value.kind {
        yaml::Kind::Bool(b) => Some(*b),
        yaml::Kind::Text(t) if ["yes", "true"].contains(&t.to_ascii_lowercase().as_str()) => Some(true),
        yaml::Kind::Text(t) if ["no", "false"].contains(&t.to_ascii_lowercase().as_str()) => Some(false),
        _ => None,
    }
}

fn number(value: &Node) -> Option<f64> {
    match value.kind {
        yaml::Kind::Int(n) => Some(n as f64),
        yaml::Kind::Float(bits) => Some(f64::from_bits(bits)).filter(|n| n.is_finite()),
        _ => None,
    }
}

fn cidr(field: &FieldRef, value: &Node, notes: &mut Notes) -> Filter {
    let Some(raw) = value.scalar() else { return wrong_type(value, "`cidr` takes a network", notes) };
    let address = || raw.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from);
    let Some(net) = raw.parse::<ipnet::IpNet>().ok().or_else(address) else {
        notes.error(value, format!("`{raw}` is no network"), "write for example 10.0.0.0/8 or fd00::/8");
        return Filter::Nothing;
    };
    Filter::test(field.clone(), Matcher::Cidr(net.trunc()))
}

/// Equality with a part of a time; an order becomes the values that satisfy it.
fn time_part(field: &FieldRef, part: TimePart, kind: Kind, value: &Node, notes: &mut Notes) -> Filter {
    let range = match part {
        TimePart::Minute => 0..=59,
        TimePart::Hour => 0..=23,
        TimePart::Day => 1..=31,
        TimePart::Week => 1..=53,
        TimePart::Month => 1..=12,
        TimePart::Year => 1970..=2169,
    };
    let yaml::Kind::Int(n) = value.kind else {
        return wrong_type(value, "a part of a time is compared with a whole number", notes);
    };
    if !range.contains(&n) {
        notes.error(
            value,
            format!("{n} is out of range"),
            format!("this part of a time lies between {} and {}", range.start(), range.end()),
        );
        return Filter::Nothing;
    }
    let Kind::Compare(how) = kind else {
        return Filter::test(field.clone(), Matcher::TimePart(part, n));
    };
    let holds = |v: i64| match how {
        Comparison::Less => v < n,
        Comparison::AtMost => v <= n,
        Comparison::Greater => v > n,
        Comparison::AtLeast => v >= n,
    };
    let values: Vec<i64> = range.filter(|v| holds(*v)).collect();
    Filter::or(values.into_iter().map(|v| Filter::test(field.clone(), Matcher::TimePart(part, v))))
}
