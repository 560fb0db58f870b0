//! One comparison as a filter.
//!
//! A value that cannot be had makes every comparison false, `!=` too: `a != b` is *a is there and is not b*.

use klio_model::field::falco::{Expr, Function, Kind};
use klio_model::filter::{Case, Comparison, Piece, RegexMatch};
use klio_model::{Field, FieldRef, Filter, Matcher, Quantifier, Test, TextMatch};

use super::fields::{Misuse, Reading, is_audit, kind, reading};
use super::parse::{Check, Right};
use super::pattern;

/// Longer lists after `oneof` are refused: each item is compared with each other.
const MAX_ONEOF: usize = 64;

/// What is wrong with a comparison; `right` says on which side.
pub(super) struct Bad {
    pub misuse: Misuse,
    pub right: bool,
}

fn bad<T>(message: impl Into<String>, advice: Option<&str>, right: bool) -> Result<T, Bad> {
    Err(Bad {
        misuse: Misuse { message: message.into(), advice: advice.map(str::to_owned), unknown: false },
        right,
    })
}

/// The filter of a comparison. Without `audited` (an event that has no `auditID`) those of `ka.*` are false.
pub(super) fn filter(check: &Check, audited: bool) -> Result<Filter, Bad> {
    let left = kind(&check.left).map_err(|misuse| Bad { misuse, right: false })?;
    if let Right::Expr(right) = &check.right {
        let kind = kind(right).map_err(|misuse| Bad { misuse, right: true })?;
        if kind != left {
            return bad(
                "the two sides are of different kinds",
                Some("compare a list with a list, a text with a text"),
                true,
            );
        }
    }
    let made = made(check, left)?;
    let reads_audit = is_audit(&check.left) || matches!(&check.right, Right::Expr(e) if is_audit(e));
    Ok(if reads_audit && !audited { Filter::Nothing } else { made })
}

fn made(check: &Check, left: Kind) -> Result<Filter, Bad> {
    let field = match reading(&check.left) {
        Reading::Field(field) => field,
        Reading::Never => return Ok(Filter::Nothing),
        Reading::RawTime => {
            if let Some(constant) = rawtime(check) {
                return Ok(constant);
            }
            check.left.field_ref()
        }
    };
    if check.op == "exists" {
        return Ok(Filter::test(field, Matcher::Present));
    }
    if let Right::Expr(right) = &check.right {
        return between(check, left, right);
    }
    if let (Some(modifier), Right::List(items)) = (check.modifier, &check.right) {
        if left == Kind::List {
            return list_only(check.op);
        }
        let each =
            items.iter().map(|item| single(check, &field, left, item)).collect::<Result<Vec<_>, _>>()?;
        return Ok(match modifier {
            _ if each.is_empty() => Filter::Nothing,
            "anyof" => Filter::or(each),
            "allof" => Filter::and(each),
            _ if each.len() > MAX_ONEOF => {
                return bad("the list after `oneof` is too long", Some("use `anyof`"), true);
            }
            _ => Filter::or((0..each.len()).map(|chosen| {
                Filter::and(
                    each.iter()
                        .enumerate()
                        .map(|(i, f)| if i == chosen { f.clone() } else { Filter::not(f.clone()) }),
                )
            })),
        });
    }
    match &check.right {
        Right::List(items) => list(check, field, left, items),
        Right::Value(_) if left == Kind::List => list_only(check.op),
        Right::Value(value) => single(check, &field, left, value),
        Right::None | Right::Expr(_) => bad("the right side is missing", None, true),
    }
}

fn list_only(op: &str) -> Result<Filter, Bad> {
    let advice = "`in (…)` asks whether all its values are in a set, `intersects (…)` whether any is; join() makes one text of them";
    bad(format!("`{op}` does not compare lists"), Some(advice), false)
}

/// `in`, `intersects`, `pmatch` with a list of values.
fn list(check: &Check, field: FieldRef, left: Kind, items: &[String]) -> Result<Filter, Bad> {
    if check.op == "pmatch" {
        if left != Kind::Text {
            return list_only(check.op);
        }
        if items.is_empty() {
            return Ok(Filter::Nothing);
        }
        let regex = pattern::prefixes(items).map_err(|message| too_much(&message))?;
        return Ok(Filter::test(field, Matcher::Regex(regex)));
    }
    if items.is_empty() {
        return Ok(Filter::Nothing);
    }
    let matcher = match items {
        [item] => Matcher::Text(TextMatch::exactly(&spelled(left, item))),
        items => Matcher::OneOf(
            items.iter().map(|item| TextMatch::exactly(&spelled(left, item))).collect::<Vec<_>>().into(),
        ),
    };
    let every = check.op == "in" && left == Kind::List;
    let quantifier = if every { Quantifier::Every } else { Quantifier::Any };
    Ok(Filter::Test(Test { field, quantifier, matcher }))
}

/// Numbers compare by value: `0x10` is 16.
fn spelled(kind: Kind, value: &str) -> String {
    if kind != Kind::Number {
        return value.to_owned();
    }
    let digits = value.strip_prefix('+').unwrap_or(value);
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).map_or_else(|_| value.to_owned(), |n| n.to_string()),
        None => digits.parse::<i64>().map_or_else(|_| value.to_owned(), |n| n.to_string()),
    }
}

fn too_much(message: &str) -> Bad {
    Bad {
        misuse: Misuse {
            message: message.to_owned(),
            advice: Some("write RE2 syntax without look-around or back-references".to_owned()),
            unknown: false,
        },
        right: true,
    }
}

/// A comparison with one constant.
fn single(check: &Check, field: &FieldRef, left: Kind, value: &str) -> Result<Filter, Bad> {
    let test = |matcher| Ok(Filter::test(field.clone(), matcher));
    let text = |pieces: [Option<Piece>; 3], case| {
        test(Matcher::Text(TextMatch::new(pieces.into_iter().flatten(), case)))
    };
    let literal = || Some(Piece::Literal(value.to_owned()));
    match check.op {
        "=" | "==" => test(Matcher::Text(TextMatch::exactly(&spelled(left, value)))),
        "!=" => {
            let equal = Filter::test(field.clone(), Matcher::Text(TextMatch::exactly(&spelled(left, value))));
            Ok(Filter::and([Filter::test(field.clone(), Matcher::Present), Filter::not(equal)]))
        }
        "<" | "<=" | ">" | ">=" => Ok(ordered(check, field, value)),
        op if left == Kind::Number => {
            bad(format!("`{op}` does not compare numbers"), Some("use = != < <= > >= in"), false)
        }
        "contains" => text([Some(Piece::Many), literal(), Some(Piece::Many)], Case::Sensitive),
        "icontains" => text([Some(Piece::Many), literal(), Some(Piece::Many)], Case::Insensitive),
        "startswith" => text([literal(), Some(Piece::Many), None], Case::Sensitive),
        "endswith" => text([Some(Piece::Many), literal(), None], Case::Sensitive),
        "glob" => test(pattern::glob(value, Case::Sensitive).map_err(|m| too_much(&m))?),
        "iglob" => test(pattern::glob(value, Case::Insensitive).map_err(|m| too_much(&m))?),
        "regex" => {
            let regex = RegexMatch::new(&format!(r"\A(?:{value})\z"), "").map_err(|m| too_much(&m))?;
            test(Matcher::Regex(regex))
        }
        op @ ("bcontains" | "bstartswith") => bad(
            format!("`{op}` searches raw bytes, and the fields of audit events are text"),
            Some("use `contains` or `startswith`"),
            false,
        ),
        op => bad(format!("`{op}` takes no single value"), None, true),
    }
}

/// `<` and its like compare texts byte by byte. A status code has three digits, so with a number of three
/// digits that is the order of the numbers, which the engine can use.
fn ordered(check: &Check, field: &FieldRef, value: &str) -> Filter {
    let (function, comparison) = order(check.op);
    if field.field() == Field::Code
        && value.len() == 3
        && let Ok(number) = value.parse::<u16>()
    {
        return Filter::test(field.clone(), Matcher::Compare(comparison, f64::from(number)));
    }
    let value = if kind(&check.left).is_ok_and(|k| k == Kind::Number) {
        spelled(Kind::Number, value)
    } else {
        value.to_owned()
    };
    is_true(Expr::Call(function, vec![check.left.clone(), Expr::Literal(value)]))
}

fn order(op: &str) -> (Function, Comparison) {
    match op {
        "<" => (Function::Less, Comparison::Less),
        "<=" => (Function::AtMost, Comparison::AtMost),
        ">" => (Function::Greater, Comparison::Greater),
        _ => (Function::AtLeast, Comparison::AtLeast),
    }
}

/// A comparison of two values of the event is a field of its own, which is `true` or `false`.
fn is_true(comparison: Expr) -> Filter {
    Filter::test(comparison.field_ref(), Matcher::Text(TextMatch::exactly("true")))
}

fn between(check: &Check, left: Kind, right: &Expr) -> Result<Filter, Bad> {
    let function = match check.op {
        "in" => Function::In,
        "intersects" => Function::Intersects,
        _ if left == Kind::List => return list_only(check.op),
        "=" | "==" => Function::Equal,
        "!=" => Function::Unequal,
        "<" | "<=" | ">" | ">=" => order(check.op).0,
        "contains" => Function::Contains,
        "icontains" => Function::IContains,
        "startswith" => Function::StartsWith,
        "endswith" => Function::EndsWith,
        op => {
            return bad(
                format!("`{op}` takes no field on its right"),
                Some("write the pattern itself"),
                true,
            );
        }
    };
    Ok(is_true(Expr::Call(function, vec![check.left.clone(), right.clone()])))
}

/// `jevt.rawtime` is the stage's time in nanoseconds. Falco takes no event without it, and rule files use it
/// for *always* and *never*: it exists, and it is not 0 or any other time before there was Kubernetes.
fn rawtime(check: &Check) -> Option<Filter> {
    match (check.op, &check.right) {
        ("exists", _) => Some(Filter::All),
        ("=" | "==", Right::Value(value)) if is_early(value) => Some(Filter::Nothing),
        ("!=", Right::Value(value)) if is_early(value) => Some(Filter::All),
        _ => None,
    }
}

/// Before 2001, or no time at all.
fn is_early(value: &str) -> bool {
    value.parse::<u64>().map_or(true, |n| n < 1_000_000_000_000_000_000)
}
