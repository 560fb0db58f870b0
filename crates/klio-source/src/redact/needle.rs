//! One pass over the raw text that finds out whether an event has to be looked at more closely.

use aho_corasick::packed::{Config, MatchKind, Searcher};

/// Short texts of which at least one is in whatever the rules remove. The first ones make the whole event worth a walk,
/// the others are looked at where they stand.
const NEEDLES: [&str; 38] = [
    // Places.
    "\"env",
    "\"args",
    "\"command",
    "\"Secret",
    "kind: Secret",
    "tringData",
    "patch.webhook",
    "\"TokenRe",
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
    "eyJ",
    "AKIA",
    "ASIA",
    "://",
    "earer ",
    "EARER ",
    "asic ",
    "ASIC ",
    "glpat-",
    "xox",
    "AIza",
    "hvs.",
    "hvb.",
    "hvr.",
    "nvalid value: ",
    "error found in #",
];

/// The prefilter.
pub(super) struct Needles {
    searcher: Option<Searcher>,
}

impl Needles {
    pub(super) fn new() -> Self {
        let searcher =
            Config::new().match_kind(MatchKind::LeftmostFirst).builder().extend(NEEDLES.iter()).build();
        Self { searcher }
    }

    /// Whether something in the text asks for a closer look.
    pub(super) fn any(&self, text: &str) -> bool {
        let Some(searcher) = &self.searcher else { return true };
        let bytes = text.as_bytes();
        memchr::memchr3_iter(b'=', b'_', b'~', bytes).any(|at| is_sign(bytes, at))
            || searcher.find_iter(text).any(|hit| {
                NEEDLES
                    .get(hit.pattern().as_usize())
                    .is_none_or(|needle| worth(text.as_bytes(), needle, hit.end()))
            })
    }
}

/// Whether the byte at `at`, one of `=`, `_` and `~`, ends a word that comes before a secret.
fn is_sign(b: &[u8], at: usize) -> bool {
    let before = b.get(at.saturating_sub(4)..at).unwrap_or_default();
    match b.get(at) {
        Some(b'=') => {
            // A value follows.
            let value = b.get(at + 1).is_some_and(|c| !matches!(c, b'"' | b'=' | b',' | b' '));
            let last = [0, 1, 2, 3].map(|i| before.get(i).map_or(0, u8::to_ascii_lowercase));
            value
                && matches!(
                    &last,
                    b"word"
                        | b"sswd"
                        | b"pass"
                        | b"_pwd"
                        | b"-pwd"
                        | b"cret"
                        | b"oken"
                        | b"ture"
                        | b"tial"
                        | b"ials"
                        | b"rase"
                )
                || (value
                    && matches!(
                        last,
                        [.., b'k', b'e', b'y'] | [.., b's', b'i', b'g'] | [.., b'p', b'w', b'd']
                    ))
        }
        Some(b'_') => {
            matches!(before, [.., b'g', b'h', b'p' | b'o' | b'u' | b's' | b'r'] | [.., b'n', b'p', b'm'])
                || matches!(before, [.., b'p', b'a', b't'] | [.., b'o', b'p'] | b"live")
        }
        _ => before.ends_with(b"256"),
    }
}

#[cfg(test)]
impl Needles {
    /// The first needle that asks for a closer look.
    pub(super) fn is_ready(&self) -> bool {
        self.searcher.is_some()
    }

    pub(super) fn first(&self, text: &str) -> Option<&'static str> {
        let bytes = text.as_bytes();
        if let Some(at) = memchr::memchr3_iter(b'=', b'_', b'~', bytes).find(|at| is_sign(bytes, *at)) {
            return Some(if bytes[at] == b'=' { "=" } else { "_" });
        }
        let mut hits = self.searcher.as_ref()?.find_iter(text);
        let hit = hits.find(|hit| worth(text.as_bytes(), NEEDLES[hit.pattern().as_usize()], hit.end()))?;
        Some(NEEDLES[hit.pattern().as_usize()])
    }
}

/// Whether a hit is more than a coincidence; `end` is the byte after the needle.
fn worth(b: &[u8], needle: &str, end: usize) -> bool {
    let rest = b.get(end..).unwrap_or_default();
    let word = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
    match needle {
        "://" => {
            // The host: is there a user before it?
            let host =
                rest.iter().take(512).position(|c| matches!(c, b'/' | b'?' | b'#' | b'"' | b' ' | b'@'));
            // A slash may be part of a password; then the `@` comes later in the same word.
            let word =
                rest.iter().take(512).position(|c| matches!(c, b'"' | b' ' | b'?' | b'#')).unwrap_or(512);
            host.is_none()
                || memchr::memchr(b'@', rest.get(..word.min(rest.len())).unwrap_or_default()).is_some()
        }
        "eyJ" => {
            let run = rest.iter().position(|c| !word(c)).unwrap_or(rest.len());
            run >= 8 && rest.get(run) == Some(&b'.')
        }
        "earer " | "EARER " | "asic " | "ASIC " => {
            rest.iter().take_while(|c| word(c) || matches!(c, b'.' | b'~' | b'+' | b'/' | b'=')).count() >= 4
        }
        "AKIA" | "ASIA" => rest.iter().take_while(|c| word(c)).count() >= 16,
        "\"env" => matches!(rest.first(), Some(b'"' | b'\\')),
        "\\u00" => matches!(rest.first(), Some(b'4'..=b'7')),
        "xox" => rest.get(1) == Some(&b'-'),
        _ => true,
    }
}
