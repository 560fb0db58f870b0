//! Shell patterns and path prefixes.

use klio_model::filter::{Case, Matcher, Piece, RegexMatch, TextMatch};

/// `glob` and `iglob`: the whole text, `*`, `?` and `[…]` as in fnmatch(3) without flags.
pub(super) fn glob(pattern: &str, case: Case) -> Result<Matcher, String> {
    if pattern.contains('[') {
        let flags = if case == Case::Insensitive { "is" } else { "s" };
        return RegexMatch::new(&format!(r"\A{}\z", as_regex(pattern, ".")), flags).map(Matcher::Regex);
    }
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Many,
            '?' => Piece::One,
            '\\' => Piece::Literal(chars.next().unwrap_or('\\').to_string()),
            c => Piece::Literal(c.to_string()),
        });
    }
    Ok(Matcher::Text(TextMatch::new(pieces, case)))
}

/// A shell pattern as a regular expression; `any` is what `?` stands for.
fn as_regex(pattern: &str, any: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => {
                out.push_str(any);
                out.push('*');
            }
            '?' => out.push_str(any),
            '[' => match set(rest) {
                Some((class, after)) => {
                    out.push_str(&class);
                    rest = after;
                }
                // A bracket without its end is itself.
                None => out.push_str(r"\["),
            },
            '\\' => {
                let escaped = rest.chars().next().unwrap_or('\\');
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                out.push_str(&regex_escape(escaped));
            }
            c => out.push_str(&regex_escape(c)),
        }
    }
    out
}

/// A bracket expression after its `[`: the class, and what follows.
fn set(text: &str) -> Option<(String, &str)> {
    let negated = text.starts_with(['!', '^']);
    let body = &text[usize::from(negated)..];
    // A `]` at the beginning belongs to the set.
    let first = body.chars().next()?.len_utf8();
    let end = first + body[first..].find(']')?;
    let mut class = String::from(if negated { "[^" } else { "[" });
    let members: Vec<char> = body[..end].chars().collect();
    for (i, c) in members.iter().enumerate() {
        let is_range = *c == '-' && i > 0 && i + 1 < members.len();
        class.push_str(&if is_range { "-".to_owned() } else { regex_escape(*c) });
    }
    class.push(']');
    Some((class, &body[end + 1..]))
}

fn regex_escape(c: char) -> String {
    if c.is_alphanumeric() || c == '_' || !c.is_ascii() || c.is_ascii_control() || c == ' ' {
        c.to_string()
    } else {
        format!("\\{c}")
    }
}

/// `pmatch`: one of the paths is the path or a directory above it; parts may be shell patterns, and repeated
/// slashes count once.
pub(super) fn prefixes(paths: &[String]) -> Result<RegexMatch, String> {
    let each: Vec<_> = paths
        .iter()
        .map(|path| {
            let parts = path.split('/').filter(|p| !p.is_empty());
            parts
                .map(|part| ["/*", &as_regex(part, "[^/]"), r"(?:/|\z)"].concat())
                .collect::<Vec<_>>()
                .concat()
        })
        .collect();
    RegexMatch::new(&format!(r"\A(?:{})", each.join("|")), "s")
}
