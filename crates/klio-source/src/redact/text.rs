//! Secrets that are known by what they look like, wherever they stand in a text.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::Regex;

use super::name;
use super::policy::Rules;
use super::rule::Rule;

/// The compiled rules for texts.
pub(super) struct Finder {
    parts: Vec<(Rule, Regex)>,
    blob: Option<Regex>,
    jwt: Option<Regex>,
    assignment: Option<Regex>,
    pairs: Option<Regex>,
}

/// Something that was found: where, and what was decoded if the value was wrapped.
pub(super) struct Found {
    pub(super) range: Range<usize>,
    pub(super) rule: Rule,
    pub(super) plain: Option<Vec<u8>>,
}

const JWT: &str = r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}";
const PEM: &str = r"(?s)-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:.*?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|.*)";
const BLOB: &str = r"[A-Za-z0-9+/]{24,}={0,2}";
const VENDOR: &str = concat!(
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}",
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{30,}|[sr]k_live_[A-Za-z0-9]{16,}|hv[sbr]\.[A-Za-z0-9_-]{20,}",
    r"|sha256~[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|dop_v1_[a-f0-9]{40,}",
);
const ASSIGN: &str = concat!(
    r#"(?i)(?:password|passwd|passphrase|\bpass|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key"#,
    r#"|private[_-]?key|secret[_-]?key|signature|\bsig|credentials?)=("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s&;,"'<>)\]]+)"#,
);
const PAIRS: &str = concat!(
    r#"(?im)(?:password|passwd|passphrase|pwd|client[_-]?secret|secret[_-]?key|secret[_-]?access[_-]?key|api[_-]?key"#,
    r#"|api[_-]?token|access[_-]?token|auth[_-]?token|bearer[_-]?token|refresh[_-]?token|private[_-]?key|account[_-]?key"#,
    r#"|connection[_-]?string|encryption[_-]?key|^\s*-?\s*token|^\s*-?\s*secret)["']?[ \t]*(?::[ \t]+|:|=[ \t]*)"#,
    r#"("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'#,}]+)"#,
);

impl Finder {
    pub(super) fn new(rules: &Rules) -> Self {
        // Constants of this file, and a test compiles each of them.
        let compile = |on: bool, text: &str| if on { Regex::new(text).ok() } else { None };
        let wanted = [
            (Rule::Pem, rules.pem, PEM),
            (Rule::UrlPassword, rules.url_passwords, r#"://[^\s/?#@"'<>:]*:([^\s/?#"'<>]+)@"#),
            (Rule::UrlToken, rules.url_tokens, r"://([A-Za-z0-9_%~.-]{16,})@[^\s@]"),
            (Rule::Bearer, rules.bearer, r"(?i)\bbearer[ +]+([A-Za-z0-9._~+/=-]{12,})"),
            (
                Rule::Bearer,
                rules.bearer,
                r"(?i)authorization['\x22]?\s*[:=]\s*['\x22]?basic\s+([A-Za-z0-9+/=_-]{4,})",
            ),
            (Rule::AwsKey, rules.aws_keys, r"\b((?:AKIA|ASIA)[0-9A-Z]{16})\b"),
            (
                Rule::AwsKey,
                rules.aws_keys,
                r#"(?i)aws_?(?:secret|session)[_a-z]*["']?\s*[:=]\s*["']?([A-Za-z0-9/+=]{30,})"#,
            ),
            (Rule::VendorToken, rules.vendor_tokens, VENDOR),
            (Rule::Jwt, rules.jwt, JWT),
        ];
        Self {
            parts: wanted
                .into_iter()
                .filter_map(|(rule, on, text)| Some((rule, compile(on, text)?)))
                .collect(),
            blob: compile(rules.pem || rules.jwt, BLOB),
            jwt: compile(rules.jwt, JWT),
            assignment: compile(rules.assignments, ASSIGN),
            pairs: compile(rules.assignments, PAIRS),
        }
    }

    /// What a text holds. `config` is for the contents of files, where `password: x` is an assignment too.
    pub(super) fn find(&self, text: &str, config: bool, found: &mut Vec<Found>) {
        for (rule, regex) in &self.parts {
            for captures in regex.captures_iter(text) {
                if let Some(part) = captures.get(1).or_else(|| captures.get(0)) {
                    found.push(Found { range: part.range(), rule: *rule, plain: None });
                }
            }
        }
        if let Some(blob) = &self.blob {
            for part in blob.find_iter(text) {
                if let Some((rule, plain)) = self.inside(part.as_str()) {
                    found.push(Found { range: part.range(), rule, plain: Some(plain) });
                }
            }
        }
        let pairs = self.pairs.iter().filter(|_| config);
        for regex in self.assignment.iter().chain(pairs) {
            for part in regex.captures_iter(text).filter_map(|captures| captures.get(1)) {
                let mut range = part.range();
                let value = part.as_str();
                if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                    range.start += 1;
                    if value.len() > 1 && value.ends_with(quote) {
                        range.end -= 1;
                    }
                }
                if !text
                    .get(range.clone())
                    .is_none_or(|v| name::is_harmless(v) || v.starts_with("[redacted:"))
                {
                    found.push(Found { range, rule: Rule::Assignment, plain: None });
                }
            }
        }
    }

    /// What base64 wraps, if that is a secret.
    fn inside(&self, blob: &str) -> Option<(Rule, Vec<u8>)> {
        let bytes = blob.trim_end_matches('=').as_bytes();
        // A blob cut out of something longer may begin anywhere.
        (0..4).find_map(|skip| {
            let rest = bytes.get(skip..)?;
            let whole = if rest.len() % 4 == 1 { rest.get(..rest.len() - 1)? } else { rest };
            let plain = lenient(whole)?;
            let key = memchr::memmem::find(&plain, b"PRIVATE KEY-----").is_some();
            if key {
                return Some((Rule::Pem, plain));
            }
            let jwt = self.jwt.as_ref()?;
            let text = String::from_utf8_lossy(&plain);
            let token = jwt.find(&text)?;
            let value = if token.len() + 2 > plain.len() {
                token.as_str().as_bytes().to_vec()
            } else {
                plain.clone()
            };
            Some((Rule::Jwt, value))
        })
    }
}

fn lenient(text: &[u8]) -> Option<Vec<u8>> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    STANDARD_NO_PAD.decode(text).ok().or_else(|| {
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        GeneralPurpose::new(&STANDARD, config).decode(text).ok()
    })
}
