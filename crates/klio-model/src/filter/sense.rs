//! Tests that no event can pass, whoever wrote them: a filter that finds nothing should say so at once.

use ipnet::IpNet;

use super::{Matcher, Piece, Test, TextMatch};
use crate::field::{Field, FieldRef, Holds};
use crate::time::Timestamp;

/// Why a test is never true, and what to write instead.
pub(super) struct Objection {
    pub message: String,
    pub help: String,
}

/// What every value of the field is; `None` for paths below objects, where anything may stand.
pub(super) fn holds(field: &FieldRef) -> Option<Holds> {
    let info = field.field().info();
    let below = info.holds == Holds::Object || (info.holds == Holds::Strings && field.path().is_empty());
    (!below || info.holds == Holds::Strings).then_some(info.holds)
}

/// The text that a pattern without wildcards stands for.
pub(super) fn literal(text: &TextMatch) -> Option<&str> {
    match text.pieces() {
        [] => Some(""),
        [Piece::Literal(literal)] => Some(literal),
        _ => None,
    }
}

pub(super) fn objection(test: &Test) -> Option<Objection> {
    let name = test.field.name();
    let holds = holds(&test.field)?;
    let what = match holds {
        Holds::Text => "text",
        Holds::Number => "a number",
        Holds::Bool => "true or false",
        Holds::Strings => "texts",
        Holds::Time => "a time",
        Holds::Object => return None,
    };
    let object = |message: String, help: String| Some(Objection { message, help });
    match &test.matcher {
        Matcher::Compare(how, _) if matches!(holds, Holds::Bool | Holds::Time) => object(
            format!("{name} holds {what}, which no number compares with"),
            match holds {
                Holds::Time => format!("write for example `{name} {} 2026-11-21`", how.symbol()),
                _ => format!("write `{name}:true` or `{name}:false`"),
            },
        ),
        Matcher::When(how, _) if holds != Holds::Time => object(
            format!("{name} holds {what} and no time"),
            format!("for when the request came write `time {} …`", how.symbol()),
        ),
        Matcher::TimePart(..) if holds != Holds::Time => {
            object(format!("{name} holds {what} and no time"), "write for example `time:hour(3)`".to_owned())
        }
        Matcher::Cidr(_) if !matches!(holds, Holds::Text | Holds::Strings) => object(
            format!("{name} holds {what} and no address"),
            "write for example `source.ip:cidr(10.0.0.0/8)`".to_owned(),
        ),
        Matcher::Text(text) => of_text(&test.field, holds, text),
        Matcher::OneOf(texts) => texts.iter().find_map(|text| of_text(&test.field, holds, text)),
        _ => None,
    }
}

fn of_text(field: &FieldRef, holds: Holds, text: &TextMatch) -> Option<Objection> {
    let literal = literal(text)?;
    let name = field.name();
    let object = |message: String, help: String| Some(Objection { message, help });
    match holds {
        Holds::Number if literal.parse::<f64>().is_err() => object(
            format!("{name} holds a number, and `{literal}` is none"),
            format!("write for example `{name}:403` or `{name}:4??`"),
        ),
        Holds::Bool if !["true", "false"].contains(&literal.to_lowercase().as_str()) => object(
            format!("{name} is true or false, never `{literal}`"),
            format!("write `{name}:true` or `{name}:false`"),
        ),
        Holds::Time if !literal.contains('.') || Timestamp::parse(literal).is_none() => object(
            format!("{name} holds a time, and `{literal}` is none"),
            format!(
                "write `{name}:2026-11-21` for a day, `{name}:2026-11` for a month, or `{name} >= 2026-11-21T01:00:00Z`"
            ),
        ),
        Holds::Text | Holds::Strings
            if matches!(field.field(), Field::SourceIp | Field::SourceIps)
                && literal.contains('/')
                && literal.parse::<IpNet>().is_ok() =>
        {
            object(
                format!("`{literal}` is a network, which equals no address"),
                format!("write `{name}:cidr({literal})`"),
            )
        }
        _ => None,
    }
}
