//! One pass over the raw text that finds out whether an event has to be looked at more closely.

use aho_corasick::packed::{Config, MatchKind, Searcher};

/// Short texts of which at least one is in whatever the rules remove. The first ones make the whole event worth a walk,
/// the others are looked at where they stand.
const NEEDLES: &[&str] = &[
    // Places.
    "\"env\"",
    "\"env\\",
    "\"args",
    "\"command",
    "Secret\"",
    "Secret\\",
    "SecretList",
    "kind: Secret",
    "tringData",
    "patch.webhook",
    "TokenRe",
    // Letters of a key or value hidden in escapes; Go writes none of these itself.
    "\\u004",
    "\\u005",
    "\\u006",
    "\\u007",
    "\\u017",
    "\\u212",
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
    "word=",
    "WORD=",
    "pass=",
    "asswd=",
    "PASS=",
    "pwd=",
    "PWD=",
    "phrase=",
    "secret=",
    "SECRET=",
    "oken=",
    "OKEN=",
    "Key=",
    "_key=",
    "-key=",
    "KEY=",
    "ignature=",
    "sig=",
    "ential=",
    "entials=",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "AIza",
    "k_live_",
    "hvs.",
    "hvb.",
    "hvr.",
    "sha256~",
    "npm_",
    "dop_v1_",
    "nvalid value: ",
    "error found in #",
    "aws_s",
    "AWS_S",
    "awsS",
];

/// The prefilter.
pub(super) struct Needles {
    searcher: Option<Searcher>,
}

impl Needles {
    pub(super) fn new() -> Self {
        let searcher = Config::new().match_kind(MatchKind::LeftmostFirst).builder().extend(NEEDLES).build();
        Self { searcher }
    }

    /// Whether something in the text asks for a closer look.
    pub(super) fn any(&self, text: &str) -> bool {
        let Some(searcher) = &self.searcher else { return true };
        searcher.find_iter(text).any(|hit| {
            NEEDLES
                .get(hit.pattern().as_usize())
                .is_none_or(|needle| worth(text.as_bytes(), needle, hit.end()))
        })
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
        "xox" => rest.get(1) == Some(&b'-'),
        _ => true,
    }
}
