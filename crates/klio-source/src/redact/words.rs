//! Secrets among the arguments of a command.

use std::ops::Range;

use super::name;

/// Programs with a short option for a password: the option, and whether the value may follow as a word of its own.
const PROGRAMS: [(&str, &str, bool); 16] = [
    ("mysql", "-p", false),
    ("mysqldump", "-p", false),
    ("mysqladmin", "-p", false),
    ("mysqlsh", "-p", false),
    ("mariadb", "-p", false),
    ("mariadb-dump", "-p", false),
    ("mongo", "-p", true),
    ("mongosh", "-p", true),
    ("mongodump", "-p", true),
    ("sshpass", "-p", true),
    ("docker", "-p", true),
    ("helm", "-p", true),
    ("redis-cli", "-a", true),
    ("ldapsearch", "-w", true),
    ("ldapmodify", "-w", true),
    ("sqlcmd", "-P", true),
];

/// What of these arguments is secret: which argument, and where in it.
pub(super) fn secrets(arguments: &[&str]) -> Vec<(usize, Range<usize>)> {
    let mut state = State::default();
    let mut found = Vec::new();
    for (i, argument) in arguments.iter().enumerate() {
        let whole = Word { start: 0, text: argument };
        let spaced = argument.contains([' ', '\t', '\n', ';', '|']);
        if state.waits() || !spaced || argument.starts_with('-') {
            if let Some(range) = state.word(&whole) {
                found.push((i, range));
                continue;
            }
        }
        if spaced {
            let mut inner = State::default();
            found.extend(split(argument).filter_map(|word| inner.word(&word)).map(|range| (i, range)));
        }
    }
    found
}

struct Word<'a> {
    start: usize,
    text: &'a str,
}

#[derive(Default)]
struct State {
    /// The next word is the value of an option.
    next: bool,
    /// The next word is `user:password`.
    user: bool,
    program: Option<&'static (&'static str, &'static str, bool)>,
    curl: bool,
}

impl State {
    fn waits(&self) -> bool {
        self.next || self.user
    }

    fn word(&mut self, word: &Word<'_>) -> Option<Range<usize>> {
        let all = word.text;
        let cut = |from: usize| {
            let value = all.get(from..).unwrap_or_default();
            let (from, value) = unquote(from, value);
            let free = name::is_harmless(value) || value.starts_with("[redacted:");
            (!free).then(|| word.start + from..word.start + from + value.len())
        };
        if std::mem::take(&mut self.user) {
            return all.find(':').and_then(|at| cut(at + 1));
        }
        if std::mem::take(&mut self.next) && !all.starts_with("--") {
            return cut(0);
        }
        if let Some((_, option, apart)) = self.program
            && let Some(rest) = all.strip_prefix(option)
        {
            if rest.is_empty() {
                self.next = *apart;
                return None;
            }
            return cut(option.len());
        }
        let flag = all.trim_start_matches('-');
        let dashes = all.len() - flag.len();
        if dashes > 0 {
            let (option, value) = flag.split_once('=').map_or((flag, None), |(o, v)| (o, Some(v)));
            if self.curl && matches!(option, "u" | "user" | "proxy-user" | "U") {
                self.user = value.is_none();
                return value.and_then(|v| v.find(':')).and_then(|at| cut(dashes + option.len() + 2 + at));
            }
            if self.curl && dashes == 1 && option.starts_with('u') && option.contains(':') {
                return all.find(':').and_then(|at| cut(at + 1));
            }
            if !of_flag(option) {
                return None;
            }
            self.next = value.is_none();
            return value.and_then(|_| cut(dashes + option.len() + 1));
        }
        if let Some((variable, _)) = all.split_once('=')
            && variable.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        {
            let lower = variable.to_ascii_lowercase();
            let shouted = !variable.bytes().any(|b| b.is_ascii_lowercase()) && name::of_variable(&lower);
            return if shouted || name::of_parameter(&lower) { cut(variable.len() + 1) } else { None };
        }
        let base = unquote(0, all).1.rsplit('/').next().unwrap_or_default();
        if let Some(program) = PROGRAMS.iter().find(|(name, ..)| *name == base) {
            self.program = Some(program);
        }
        self.curl |= matches!(base, "curl" | "wget" | "http");
        None
    }
}

/// Ends of option names that say something about a secret without being it.
const ABOUT: [&str; 8] = ["syncs", "expiration", "webhook", "burst", "qps", "url", "auth", "stdin"];

fn of_flag(option: &str) -> bool {
    let lower = option.to_ascii_lowercase();
    let promising =
        ["pass", "token", "cred"].iter().any(|part| lower.contains(part)) || name::of_parameter(&lower);
    promising
        && name::of_variable_or_strict(&lower)
        && !ABOUT.iter().any(|end| lower.len() > end.len() && lower.ends_with(end))
}

fn unquote(from: usize, value: &str) -> (usize, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            return (from + 1, inner.strip_suffix(quote).unwrap_or(inner));
        }
    }
    (from, value)
}

/// Words as a shell has them, roughly: spaces within quotes do not part.
fn split(text: &str) -> impl Iterator<Item = Word<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let apart = |b: u8| b.is_ascii_whitespace() || matches!(b, b';' | b'|' | b'&' | b'(' | b')');
        while bytes.get(at).is_some_and(|b| apart(*b)) {
            at += 1;
        }
        let start = at;
        let mut quote = None;
        while let Some(&b) = bytes.get(at) {
            match (quote, b) {
                (_, b'\\') => at += 1,
                (Some(q), b) if q == b => quote = None,
                (None, b'"' | b'\'') => quote = Some(b),
                (None, b) if apart(b) => break,
                _ => {}
            }
            at += 1;
        }
        at = at.min(bytes.len());
        // A backslash before a letter of several bytes.
        while !text.is_char_boundary(at) {
            at += 1;
        }
        (start < at).then(|| Word { start, text: text.get(start..at).unwrap_or_default() })
    })
}
