//! Removes secrets from events before anything is written to disk.
//!
//! A value that goes is replaced where it stands by a marker that tells the rule, the length and a keyed hash, so that
//! equal secrets are seen to be equal; all other bytes stay as they are. Most events hold nothing: the parsed event
//! and one pass over its text tell so ([`needle`]), and only the others are walked ([`walk`]). What each rule does and
//! what it cannot do: `docs/redaction.md`.

mod policy;
mod rule;

mod needle;

mod tape;
mod view;
mod walk;

mod kind;
mod name;

mod message;
mod text;
mod uri;
mod words;

mod cut;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use klio_model::Event;
use sha2::Sha256;

pub use policy::{Allow, Policy, PolicyError, Rules};

use cut::Cut;
use kind::Kind;
use rule::Rule;

/// Removes secrets as a policy says.
pub struct Redactor {
    mac: Hmac<Sha256>,
    policy: Policy,
    id: String,
    compiled: policy::Compiled,
    needles: needle::Needles,
    finder: text::Finder,
}

/// What was removed from one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    rules: BTreeMap<String, u32>,
    bytes: u64,
}

impl Removed {
    /// How many values each rule removed.
    pub fn by_rule(&self) -> impl Iterator<Item = (&str, u32)> {
        self.rules.iter().map(|(rule, count)| (rule.as_str(), *count))
    }

    /// How many values were removed.
    pub fn count(&self) -> u32 {
        self.rules.values().sum()
    }

    /// Bytes of the removed values.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Redactor {
    /// Ready to redact. The key makes the hashes in markers: with another key the same secret has another hash.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy has a regular expression, path or name that means nothing.
    pub fn new(key: [u8; 32], policy: Policy) -> Result<Self, PolicyError> {
        let compiled = policy.compile()?;
        // HMAC fills a short key with zeros to the length of a block (RFC 2104).
        let mut block = [0; 64];
        block[..32].copy_from_slice(&key);
        Ok(Self {
            mac: Hmac::new(&block.into()),
            id: policy.id(),
            finder: text::Finder::new(&policy.rules),
            needles: needle::Needles::new(),
            compiled,
            policy,
        })
    }

    /// A short hash of the policy and the version of the built-in rules.
    pub fn policy_id(&self) -> &str {
        &self.id
    }

    /// Writes the event without its secrets to `out` and returns what was removed; `None`, with `out` empty, when there
    /// is nothing to remove. `event` is what [`Event::parse`] makes of `json`.
    pub fn redact(&self, json: &str, event: &Event<'_>, out: &mut String) -> Option<Removed> {
        out.clear();
        if self.policy.off || !self.is_suspicious(json, event) {
            return None;
        }
        let Some(cuts) = walk::event(self, json, event) else {
            // No event that was parsed comes here; one that was not must not pass.
            out.push_str("{}");
            return Some(self.tally(&[]));
        };
        if cuts.is_empty() {
            return None;
        }
        cut::splice(json, &cuts, out);
        Some(self.tally(&cuts))
    }

    fn tally(&self, cuts: &[Cut]) -> Removed {
        let mut removed = Removed::default();
        for cut in cuts {
            *removed.rules.entry(self.name(cut.rule).to_owned()).or_default() += 1;
            removed.bytes += cut.len as u64;
        }
        removed
    }

    /// Whether an event may hold a secret.
    fn is_suspicious(&self, json: &str, event: &Event<'_>) -> bool {
        if event
            .request_uri
            .as_ref()
            .is_some_and(|uri| uri::is_unusual(&uri.0) && !uri::cuts(self, &uri.0).is_empty())
        {
            return true;
        }
        let bodies = event.request_object.text().is_some() || event.response_object.text().is_some();
        if bodies {
            // What a JSON patch writes stands beside its path.
            let patch = [&event.request_object, &event.response_object]
                .iter()
                .any(|body| body.text().is_some_and(|body| body.starts_with('[')));
            if patch || Kind::of_event(event) != Kind::Other {
                return true;
            }
        }
        !self.compiled.patterns.is_empty()
            || (bodies && !self.compiled.places.is_empty())
            || self.needles.any(json)
    }

    fn rules(&self) -> &Rules {
        &self.policy.rules
    }

    fn compiled(&self) -> &policy::Compiled {
        &self.compiled
    }

    fn is_on(&self, rule: Rule) -> bool {
        let rules = &self.policy.rules;
        match rule {
            Rule::SecretData | Rule::LastApplied => rules.secrets,
            Rule::Token => rules.tokens,
            Rule::Csr => rules.csr,
            Rule::Env => rules.env,
            Rule::Args => rules.args,
            Rule::UrlToken => rules.url_tokens,
            Rule::UrlPassword => rules.url_passwords,
            Rule::Bearer => rules.bearer,
            Rule::Pem => rules.pem,
            Rule::Jwt => rules.jwt,
            Rule::AwsKey => rules.aws_keys,
            Rule::VendorToken => rules.vendor_tokens,
            Rule::Assignment => rules.assignments,
            Rule::ConfigMapKey => rules.configmaps,
            Rule::CustomResource => rules.custom_resources,
            Rule::Message => rules.messages,
            Rule::Deep | Rule::Path | Rule::Pattern(_) => true,
        }
    }

    fn name(&self, rule: Rule) -> &str {
        match rule {
            Rule::Pattern(i) => {
                self.compiled.patterns.get(usize::from(i)).map_or("pattern", |(name, _)| name)
            }
            rule => rule.name(),
        }
    }

    /// A cut of `range`; `value` is what it means. None where the policy keeps it or where a marker stands already.
    fn cut(&self, range: Range<usize>, value: &[u8], rule: Rule, quoted: bool) -> Option<Cut> {
        let text = String::from_utf8_lossy(value);
        if range.is_empty()
            || !self.is_on(rule)
            || cut::is_marker(text.trim_matches('"'))
            || self.allows(rule, &text)
        {
            return None;
        }
        let hash = self.mac.clone().chain_update(value).finalize().into_bytes();
        let marker = cut::marker(self.name(rule), value.len(), &hash);
        let quote = if quoted { "\"".to_owned() } else { String::new() };
        Some(Cut { range, rule, marker, quote, depth: 0, len: value.len() })
    }

    /// The same for a value in base64: what it stands for counts.
    fn cut_base64(&self, range: Range<usize>, value: &str, rule: Rule) -> Option<Cut> {
        if cut::is_marker(value) {
            return None;
        }
        // Go's decoder passes over line breaks.
        let plain: Cow<'_, str> =
            if value.contains(['\n', '\r']) { value.replace(['\n', '\r'], "").into() } else { value.into() };
        let decoded = STANDARD.decode(plain.as_bytes()).or_else(|_| STANDARD_NO_PAD.decode(plain.as_bytes()));
        match decoded {
            Ok(bytes) => self.cut(range, &bytes, rule, false),
            Err(_) => self.cut(range, value.as_bytes(), rule, false),
        }
    }

    fn allows(&self, rule: Rule, value: &str) -> bool {
        let mut allow = self.compiled.allow.iter();
        allow.any(|(name, regex)| policy::glob(name, self.name(rule)) && regex.is_match(value))
    }

    /// What a text holds by its looks.
    fn in_text(&self, text: &str, config: bool, cuts: &mut Vec<Cut>) {
        self.patterns(text, cuts);
        if text.contains("kind: Secret") || text.contains("kind: \"Secret\"") {
            // A manifest in YAML.
            cuts.extend(self.cut(0..text.len(), text.as_bytes(), Rule::SecretData, false));
            return;
        }
        if (config && self.needles.speaks(text)) || self.needles.any(text) {
            self.found(text, config, |_| true, cuts);
        }
    }

    /// The same for a URL without its escapes, of which the parameters were looked at.
    fn in_url(&self, text: &str, cuts: &mut Vec<Cut>) {
        self.patterns(text, cuts);
        if self.needles.any(text) || self.needles.speaks(text) || text.contains('@') {
            self.found(text, false, |rule| rule != Rule::Assignment, cuts);
        }
    }

    fn found(&self, text: &str, config: bool, wanted: fn(Rule) -> bool, cuts: &mut Vec<Cut>) {
        let mut found = Vec::new();
        self.finder.find(text, config, &mut found);
        for found in found.into_iter().filter(|found| wanted(found.rule)) {
            let value = text.get(found.range.clone()).unwrap_or_default();
            let plain = found.plain.as_deref().unwrap_or(value.as_bytes());
            cuts.extend(self.cut(found.range, plain, found.rule, false));
        }
    }

    fn patterns(&self, text: &str, cuts: &mut Vec<Cut>) {
        for (i, (_, regex)) in self.compiled.patterns.iter().enumerate() {
            for captures in regex.captures_iter(text) {
                if let Some(part) = captures.get(1).or_else(|| captures.get(0)) {
                    cuts.extend(self.cut(
                        part.range(),
                        part.as_str().as_bytes(),
                        Rule::Pattern(i as u16),
                        false,
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
