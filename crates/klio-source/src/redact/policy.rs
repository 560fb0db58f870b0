//! What the user wants removed and kept.

use std::collections::BTreeMap;
use std::fmt::Write;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Changes with the built-in rules, so that the policy's id tells which of them an event went through.
const RULES_VERSION: u32 = 1;

/// What is removed from events before they are written anywhere.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Removes nothing at all.
    pub off: bool,
    /// The built-in rules.
    pub rules: Rules,
    /// More places, by resource (`secrets`, `externalsecrets.*`): paths such as `spec.target.template.data.*`. `*` is
    /// one member or any part of a name, `**` any number of members; lists are passed through without a segment.
    pub paths: BTreeMap<String, Vec<String>>,
    /// More texts, by a name of one's own: regular expressions. Where there is a group, only the group is removed.
    pub patterns: BTreeMap<String, String>,
    /// Values that stay.
    pub allow: Vec<Allow>,
}

/// Values that one rule leaves alone.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// The rule as it stands in markers; `*` is any part of it.
    pub rule: String,
    /// A regular expression that the whole value matches.
    pub value: String,
}

/// The built-in rules, each on or off.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// `data` and `stringData` of Secrets.
    pub secrets: bool,
    /// Tokens of TokenRequest answers and TokenReview requests.
    pub tokens: bool,
    /// Bodies of CertificateSigningRequests.
    pub csr: bool,
    /// Environment variables by name.
    pub env: bool,
    /// Arguments of commands, in pods and in the URL of an exec.
    pub args: bool,
    /// Parameters of URLs.
    pub url_tokens: bool,
    /// The password in `scheme://user:password@host`.
    pub url_passwords: bool,
    /// `Bearer` and `Basic` headers.
    pub bearer: bool,
    /// Private keys in PEM.
    pub pem: bool,
    /// JSON web tokens.
    pub jwt: bool,
    /// Access keys of AWS.
    pub aws_keys: bool,
    /// Tokens that are known by their beginning (GitHub, GitLab, Slack, Vault and others).
    pub vendor_tokens: bool,
    /// `password=…` and the like in texts.
    pub assignments: bool,
    /// Values of ConfigMaps by their key.
    pub configmaps: bool,
    /// Members of custom resources by their key.
    pub custom_resources: bool,
    /// Error messages that quote the input.
    pub messages: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            secrets: true,
            tokens: true,
            csr: true,
            env: true,
            args: true,
            url_tokens: true,
            url_passwords: true,
            bearer: true,
            pem: true,
            jwt: true,
            aws_keys: true,
            vendor_tokens: true,
            assignments: true,
            configmaps: true,
            custom_resources: true,
            messages: true,
        }
    }
}

/// What is wrong with a policy.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// A regular expression that does not compile.
    #[error(
        "{place}: `{text}` is no regular expression: {why}; write it as Rust's regex crate takes it, without look-around"
    )]
    Regex {
        /// Where in the policy.
        place: String,
        /// What stands there.
        text: String,
        /// What the compiler says.
        why: String,
    },
    /// A path, resource or name that cannot mean anything.
    #[error("{place}: `{text}` {why}")]
    Meaningless {
        /// Where in the policy.
        place: String,
        /// What stands there.
        text: String,
        /// What is wrong and what to write instead.
        why: &'static str,
    },
}

/// A path of the policy: the resource and the segments.
pub(super) struct Place {
    pub(super) resource: String,
    pub(super) segments: Vec<String>,
}

/// A policy ready for use.
#[derive(Default)]
pub(super) struct Compiled {
    pub(super) places: Vec<Place>,
    pub(super) patterns: Vec<(String, Regex)>,
    pub(super) allow: Vec<(String, Regex)>,
}

impl Policy {
    /// Whether the policy means something throughout.
    ///
    /// # Errors
    /// [`PolicyError`] for the first place that does not.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.compile().map(|_| ())
    }

    pub(super) fn compile(&self) -> Result<Compiled, PolicyError> {
        let mut compiled = Compiled::default();
        for (resource, paths) in &self.paths {
            let place = format!("paths.{resource}");
            let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '*' | '/'));
            if resource.is_empty() || resource.contains(odd) {
                let why = "is no resource: write its plural, a dot and its group, such as `externalsecrets.external-secrets.io`";
                return Err(PolicyError::Meaningless { place, text: resource.clone(), why });
            }
            for path in paths {
                let segments: Vec<_> =
                    path.trim_start_matches("$.").split('.').map(str::to_lowercase).collect();
                if segments.iter().any(|s| s.is_empty() || s.contains(['[', ']', '/'])) {
                    let why = "is no path: write member names with dots between them, without brackets (`spec.env.value`)";
                    return Err(PolicyError::Meaningless { place, text: path.clone(), why });
                }
                compiled.places.push(Place { resource: resource.to_lowercase(), segments });
            }
        }
        for (name, text) in &self.patterns {
            let place = format!("patterns.{name}");
            let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
            if name.is_empty() || name.len() > 40 || name.contains(odd) {
                let why = "is no name for a marker: use letters, digits, dots and dashes, at most 40";
                return Err(PolicyError::Meaningless { place, text: name.clone(), why });
            }
            let regex = regex(&place, text)?;
            if regex.is_match("") {
                let why = "matches the empty text and so every place: ask for at least one character";
                return Err(PolicyError::Meaningless { place, text: text.clone(), why });
            }
            compiled.patterns.push((name.clone(), regex));
        }
        for (i, allow) in self.allow.iter().enumerate() {
            let value = format!("^(?:{})$", allow.value);
            regex(&format!("allow[{i}].value"), &allow.value)?;
            compiled.allow.push((allow.rule.to_lowercase(), regex(&format!("allow[{i}].value"), &value)?));
        }
        Ok(compiled)
    }

    /// Short and stable: the same policy and the same built-in rules give the same id.
    pub(super) fn id(&self) -> String {
        // `Debug` of plain fields and ordered maps; a change of its form gives a new id, never a wrong one.
        let digest = Sha256::digest(format!("{RULES_VERSION} {self:?}").as_bytes());
        let mut id = String::from("r");
        for byte in digest.iter().take(6) {
            let _ = write!(id, "{byte:02x}");
        }
        id
    }
}

fn regex(place: &str, text: &str) -> Result<Regex, PolicyError> {
    Regex::new(text).map_err(|error| PolicyError::Regex {
        place: place.to_owned(),
        text: text.to_owned(),
        why: error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

/// Whether a text is as a glob says: `*` is any characters.
pub(super) fn glob(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(tail)
}

/// Whether a path leads to a place of the policy or below it.
pub(super) fn leads(segments: &[String], path: &[String]) -> bool {
    // Which positions in `segments` the path so far can stand at.
    let mut at = vec![false; segments.len() + 1];
    if let Some(first) = at.first_mut() {
        *first = true;
    }
    let reach = |at: &mut Vec<bool>| {
        for i in 0..segments.len() {
            if at[i] && segments[i] == "**" {
                at[i + 1] = true;
            }
        }
    };
    reach(&mut at);
    for name in path {
        if at.last() == Some(&true) {
            return true;
        }
        let mut next = vec![false; at.len()];
        for i in (0..segments.len()).filter(|i| at[*i]) {
            if segments[i] == "**" {
                next[i] = true;
            } else if glob(&segments[i], name) {
                next[i + 1] = true;
            }
        }
        at = next;
        reach(&mut at);
    }
    at.last() == Some(&true)
}
