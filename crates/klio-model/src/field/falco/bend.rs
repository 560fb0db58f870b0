//! Transformers and comparisons between values (falcosecurity/libs, `sinsp_filter_transformers` and
//! `sinsp_filtercheck_multivalue_transformer.cpp`).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::read::{Answer, Got};
use super::{Function, Seen};

pub(super) fn apply(function: Function, mut args: Vec<Got<'_>>) -> Answer<'_> {
    use Function as F;
    if function == F::List {
        let items: Vec<_> = args.into_iter().flat_map(texts).collect();
        return Ok(Got::List(items));
    }
    if matches!(function, F::ToLower | F::ToUpper | F::Base64 | F::Basename | F::Len) {
        let value = if args.is_empty() { return Err(Seen::Absent) } else { args.swap_remove(0) };
        return bent(function, value);
    }
    let mut args = args.into_iter();
    let (Some(a), Some(b)) = (args.next(), args.next()) else { return Err(Seen::Absent) };
    Ok(match function {
        F::Join => Got::Text(texts(b).join(&*text(a)).into()),
        F::Concat => Got::Text([a, b].into_iter().chain(args).flat_map(texts).collect::<String>().into()),
        F::GetOpt => return options(&texts(a), &text(b), args.next().map(text).as_deref()),
        _ => Got::Text(if compare(function, a, b) { "true" } else { "false" }.into()),
    })
}

/// A list of texts, whatever it is.
fn texts(got: Got<'_>) -> Vec<Cow<'_, str>> {
    match got {
        Got::List(items) => items,
        other => vec![text(other)],
    }
}

fn text(got: Got<'_>) -> Cow<'_, str> {
    match got {
        Got::Text(text) => text,
        Got::Number(n) => n.to_string().into(),
        Got::List(items) => items.into_iter().next().unwrap_or_default(),
    }
}

fn bent(function: Function, value: Got<'_>) -> Answer<'_> {
    if function == Function::Len {
        return Ok(Got::Number(match &value {
            Got::List(items) => items.len(),
            Got::Text(text) => text.len(),
            Got::Number(_) => return Err(Seen::Absent),
        } as i64));
    }
    match value {
        Got::List(items) => items
            .into_iter()
            .map(|item| bent_text(function, item))
            .collect::<Option<_>>()
            .map(Got::List)
            .ok_or(Seen::Absent),
        other => bent_text(function, text(other)).map(Got::Text).ok_or(Seen::Absent),
    }
}

fn bent_text(function: Function, text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    Some(match function {
        Function::ToLower => text.to_ascii_lowercase().into(),
        Function::ToUpper => text.to_ascii_uppercase().into(),
        Function::Basename => text.rsplit_once('/').map_or(text.clone(), |(_, last)| last.to_owned().into()),
        Function::Base64 => {
            let lenient =
                GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
            let bytes = engine.decode(text.trim_end_matches('=')).ok()?;
            // Falco's texts end at a NUL.
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned().into()
        }
        _ => return None,
    })
}

fn compare(function: Function, a: Got<'_>, b: Got<'_>) -> bool {
    use Function as F;
    if let (Got::Number(a), b) = (&a, &b) {
        let b = match b {
            Got::Number(b) => Some(*b),
            Got::Text(t) => t.parse().ok(),
            Got::List(_) => None,
        };
        if let Some(b) = b {
            return match function {
                F::Equal | F::In | F::Intersects => *a == b,
                F::Unequal => *a != b,
                F::Less => *a < b,
                F::AtMost => *a <= b,
                F::Greater => *a > b,
                F::AtLeast => *a >= b,
                _ => false,
            };
        }
    }
    if matches!(function, F::In | F::Intersects) {
        let set = texts(b);
        let mut items = texts(a).into_iter();
        return if function == F::In {
            items.all(|i| set.contains(&i))
        } else {
            items.any(|i| set.contains(&i))
        };
    }
    let (a, b) = (text(a), text(b));
    match function {
        F::Equal => a == b,
        F::Unequal => a != b,
        F::Less => a.as_bytes() < b.as_bytes(),
        F::AtMost => a.as_bytes() <= b.as_bytes(),
        F::Greater => a.as_bytes() > b.as_bytes(),
        F::AtLeast => a.as_bytes() >= b.as_bytes(),
        F::Contains => a.contains(&*b),
        F::IContains => a.to_ascii_lowercase().contains(&b.to_ascii_lowercase()),
        F::StartsWith => a.starts_with(&*b),
        F::EndsWith => a.ends_with(&*b),
        _ => false,
    }
}

/// `getopt(args, optstring)[c]`: what `getopt(3)` finds in a command line; the letters with their values, or
/// the value of one letter (the letter itself if it takes none).
fn options<'e>(words: &[Cow<'e, str>], letters: &str, wanted: Option<&str>) -> Answer<'e> {
    let colon = letters.starts_with(':');
    let takes = |c: char| letters.match_indices(c).any(|(i, _)| letters[i + c.len_utf8()..].starts_with(':'));
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        let Some(cluster) = word.strip_prefix('-').filter(|c| !c.is_empty()) else { continue };
        for (i, c) in cluster.char_indices() {
            if c == ':' || !letters.contains(c) {
                found.push(("?".to_owned(), None));
                continue;
            }
            if !takes(c) {
                found.push((c.to_string(), None));
                continue;
            }
            let rest = &cluster[i + c.len_utf8()..];
            let value =
                if rest.is_empty() { words.next().map(ToString::to_string) } else { Some(rest.to_owned()) };
            match value {
                Some(value) => found.push((c.to_string(), Some(value))),
                None => found.push((if colon { ":" } else { "?" }.to_owned(), None)),
            }
            break;
        }
    }
    match wanted {
        Some(wanted) => {
            let last = found.into_iter().rfind(|(letter, _)| letter == wanted);
            last.map(|(letter, value)| Got::Text(value.unwrap_or(letter).into())).ok_or(Seen::Absent)
        }
        None if found.is_empty() => Err(Seen::Absent),
        None => Ok(Got::List(
            found.into_iter().flat_map(|(l, v)| std::iter::once(l).chain(v)).map(Cow::Owned).collect(),
        )),
    }
}
