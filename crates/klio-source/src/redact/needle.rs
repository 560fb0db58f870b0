//! One pass over the raw text that finds out whether an event has to be looked at more closely.

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::scan::{skip_value, skip_ws};

/// Short texts of which at least one is in whatever the rules remove. None has less than four bytes: a search for
/// shorter ones has far more false alarms.
const NEEDLES: [&str; 44] = [
    // Places.
    "\"env",
    "\"args",
    "\"command",
    "\"Secret",
    "kind: Secret",
    "tringData",
    "patch.webhook",
    // Letters of a key or value hidden in escapes; Go writes none of these itself.
    "\\u00",
    // Texts.
    "PRIVATE KEY",
    "UFJJVkFURSBLRV",
    "BSSVZBVEUgS0VZ",
    "QUklWQVRFIEtFW",
    "ZXlKaGJHY2lPa",
    "V5SmhiR2NpT2",
    "leUpoYkdjaU9p",
    "ZXlKcmFXUWlPa",
    "V5SnJhV1FpT2",
    "leUpyYVdRaU9p",
    "ZXlKMGVYQWlPa",
    "V5SjBlWEFpT2",
    "leUowZVhBaU9p",
    "eyJh",
    "eyJ0",
    "eyJr",
    "eyJj",
    "eyJl",
    "eyJ4",
    "eyJq",
    "eyJ6",
    "EARER ",
    "256~",
    "ASIA",
    "\"TokenRe",
    "AKIA",
    "earer ",
    "asic ",
    "glpat-",
    "xoxb",
    "xoxp",
    "xoxe",
    "AIza",
    "hvs.",
    "nvalid value: ",
    "error found in #",
];

/// The prefilter.
pub(super) struct Needles {
    searcher: Option<Searcher>,
    words: Option<AhoCorasick>,
}

/// Words, in any case, of which one is in each list of arguments or variables that holds a secret.
const WORDS: [&str; 21] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "cred",
    "auth",
    "dsn",
    "conn",
    "sig",
    "curl",
    "wget",
    "mysql",
    "mariadb",
    "mongo",
    "redis-cli",
    "ldap",
    "sqlcmd",
    "docker",
    "helm",
    "bearer",
];

impl Needles {
    pub(super) fn new() -> Self {
        let searcher =
            Config::new().match_kind(MatchKind::LeftmostFirst).builder().extend(NEEDLES.iter()).build();
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(WORDS)
            .ok();
        Self { searcher, words }
    }

    /// Whether something in the text asks for a closer look.
    pub(super) fn any(&self, text: &str) -> bool {
        let Some(searcher) = &self.searcher else { return true };
        let bytes = text.as_bytes();
        memchr::memchr3_iter(b'=', b'_', b'@', bytes).any(|at| is_sign(bytes, at))
            || searcher.find_iter(text).any(|hit| self.is_worth(bytes, hit.pattern().as_usize(), hit.end()))
    }

    /// Where something asks for a closer look, in order.
    pub(super) fn hits(&self, text: &str) -> Vec<usize> {
        let bytes = text.as_bytes();
        let signs = memchr::memchr3_iter(b'=', b'_', b'@', bytes).filter(|at| is_sign(bytes, *at));
        let mut hits: Vec<_> = signs.collect();
        let searcher = self.searcher.iter();
        hits.extend(searcher.flat_map(|searcher| {
            let found = searcher.find_iter(text);
            found
                .filter(|hit| self.is_worth(bytes, hit.pattern().as_usize(), hit.end()))
                .map(|hit| hit.start())
        }));
        hits.sort_unstable();
        hits
    }

    /// Whether a text speaks of secrets at all.
    pub(super) fn speaks(&self, text: &str) -> bool {
        self.words.as_ref().is_none_or(|words| words.is_match(text))
    }

    fn is_worth(&self, b: &[u8], needle: usize, end: usize) -> bool {
        let Some(needle) = NEEDLES.get(needle) else { return true };
        match *needle {
            "\"env" | "\"args" | "\"command" => match b.get(end) {
                Some(b'"') => self.list_speaks(b, end + 1),
                Some(b'\\') => true,
                _ => false,
            },
            needle => worth(b, needle, end),
        }
    }

    /// Whether the value of a key that ends at `end` names a secret.
    fn list_speaks(&self, b: &[u8], end: usize) -> bool {
        let colon = skip_ws(b, end);
        if b.get(colon) != Some(&b':') {
            return false;
        }
        let start = skip_ws(b, colon + 1);
        let Ok(end) = skip_value(b, start) else { return true };
        let list = b.get(start..end).unwrap_or_default();
        self.words.as_ref().is_none_or(|words| words.is_match(list))
    }
}

/// Whether the byte at `at`, one of `=`, `_` and `@`, stands beside a secret.
fn is_sign(b: &[u8], at: usize) -> bool {
    let before = b.get(at.saturating_sub(4)..at).unwrap_or_default();
    match b.get(at) {
        Some(b'=') => {
            // A value follows.
            let value = b.get(at + 1).is_some_and(|c| !matches!(c, b'"' | b'=' | b',' | b' '));
            let last = [4, 3, 2, 1].map(|back| {
                before.len().checked_sub(back).and_then(|i| before.get(i)).map_or(0, u8::to_ascii_lowercase)
            });
            let long = matches!(
                &last,
                b"word" | b"sswd" | b"pass" | b"cret" | b"oken" | b"ture" | b"tial" | b"ials" | b"rase"
            );
            let short =
                matches!(last, [.., b'k', b'e', b'y'] | [.., b's', b'i', b'g'] | [.., b'p', b'w', b'd']);
            value && (long || short)
        }
        Some(b'_') => {
            matches!(before, [.., b'g', b'h', b'p' | b'o' | b'u' | b's' | b'r'] | [.., b'n', b'p', b'm'])
                || matches!(before, [.., b'p', b'a', b't'] | [.., b'o', b'p'] | b"live")
        }
        // Is it a user's, before a host?
        _ => {
            let word = b.get(at.saturating_sub(512)..at).unwrap_or_default();
            let start = word.iter().rposition(|c| matches!(c, b'"' | b' ')).unwrap_or(0);
            memchr::memmem::rfind(word.get(start..).unwrap_or_default(), b"://").is_some()
        }
    }
}

#[cfg(test)]
impl Needles {
    /// Whether the processor has what the searcher needs; without it every event is walked.
    pub(super) fn is_ready(&self) -> bool {
        self.searcher.is_some()
    }
}

/// Whether a hit is more than a coincidence; `end` is the byte after the needle.
fn worth(b: &[u8], needle: &str, end: usize) -> bool {
    let rest = b.get(end..).unwrap_or_default();
    let word = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
    match needle {
        "eyJh" | "eyJ0" | "eyJr" | "eyJj" | "eyJl" | "eyJ4" | "eyJq" | "eyJ6" => {
            let run = rest.iter().position(|c| !word(c)).unwrap_or(rest.len());
            run >= 8 && rest.get(run) == Some(&b'.')
        }
        "earer " | "EARER " | "asic " => {
            rest.iter().take_while(|c| word(c) || matches!(c, b'.' | b'~' | b'+' | b'/' | b'=')).count() >= 4
        }
        "AKIA" | "ASIA" => rest.iter().take_while(|c| word(c)).count() >= 16,
        "\\u00" => matches!(rest.first(), Some(b'4'..=b'7')),
        _ => true,
    }
}
