//! `sign_in`: who else says who somebody is, and what he becomes.

use std::collections::HashSet;
use std::path::PathBuf;

use klio_desk::{Kind, Mapping, MappingRule};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Reference, Server, at, check_name};
use crate::failure::Failure;

/// The address of the cluster that Klio runs in.
pub const IN_CLUSTER: &str = "in-cluster";

/// Who else says who somebody is, and what he becomes.
#[derive(Deserialize, JsonSchema, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct SignIn {
    /// OpenID Connect providers.
    pub oidc: Vec<Oidc>,
    /// Clusters that are asked about tokens of their service accounts and users.
    pub kubernetes: Vec<Kubernetes>,
    /// Whether people are known by client certificates that `server.tls.client_ca` verifies.
    pub certificates: bool,
    /// What they become.
    #[schemars(with = "Vec<MappingRule>")]
    pub mapping: Mapping,
}

/// An OpenID Connect provider.
#[derive(Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// As it is called here, in addresses and rules.
    pub name: String,
    /// As it calls itself, `https://…`.
    pub issuer: String,
    /// As it calls Klio.
    pub client_id: String,
    /// The secret that it gave Klio; none of a public client.
    #[serde(default)]
    pub client_secret: Option<Reference>,
    /// What is asked for, besides `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim of the ID token that is somebody's name.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// The claim of the ID token that lists his groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// ID tokens for these are taken as bearer tokens too, besides those for `client_id`.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// PEM file that its certificate is checked against; the system's authorities unless given.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).into()
}

fn name_claim() -> String {
    "email".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

/// A cluster that is asked about tokens (TokenReview).
#[derive(Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// As it is called here, in rules.
    pub name: String,
    /// Its API server, `https://…`, or `in-cluster`.
    pub url: String,
    /// PEM file that its certificate is checked against; the system's authorities unless given.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The token that Klio shows; its user may create `tokenreviews`.
    #[serde(default)]
    pub token: Option<Reference>,
    /// Tokens must be for one of these.
    #[serde(default = "audiences")]
    pub audiences: Vec<String>,
    /// Of JWTs only those of this issuer are shown to it.
    #[serde(default)]
    pub issuer: Option<String>,
}

fn audiences() -> Vec<String> {
    vec!["klio".to_owned()]
}

impl SignIn {
    /// Refuses what makes no sense.
    pub fn check(&self, server: &Server) -> Result<(), Failure> {
        for (n, oidc) in self.oidc.iter().enumerate() {
            oidc.check().map_err(|failure| at(format!("sign_in.oidc[{n}]"), failure))?;
        }
        for (n, cluster) in self.kubernetes.iter().enumerate() {
            cluster.check().map_err(|failure| at(format!("sign_in.kubernetes[{n}]"), failure))?;
        }
        once("sign_in.oidc: `name`", self.oidc.iter().map(|oidc| &oidc.name))?;
        once("sign_in.oidc: `issuer`", self.oidc.iter().map(|oidc| &oidc.issuer))?;
        once("sign_in.kubernetes: `name`", self.kubernetes.iter().map(|cluster| &cluster.name))?;
        if !self.oidc.is_empty() && server.url.as_ref().is_none_or(|url| !url.starts_with("https://")) {
            return Err(Failure::usage(
                "sign_in.oidc: providers send browsers back to server.url, which is not set",
            )
            .hint("set server.url to where browsers find Klio, such as https://klio.example.org:8443"));
        }
        if self.certificates && server.tls.client_ca.is_none() {
            return Err(Failure::usage("sign_in.certificates: server.tls.client_ca is not set").hint(
                "certificates of people are checked against it, and never against Klio's own authority",
            ));
        }
        self.check_rules()
    }

    /// A rule about a provider's users must not fit another provider's: each names its users as it likes.
    fn check_rules(&self) -> Result<(), Failure> {
        let oidc: Vec<&str> = self.oidc.iter().map(|oidc| oidc.name.as_str()).collect();
        let clusters: Vec<&str> = self.kubernetes.iter().map(|cluster| cluster.name.as_str()).collect();
        for (n, rule) in self.mapping.rules().iter().enumerate() {
            let place = format!("sign_in.mapping[{n}]");
            let known = match rule.kind {
                Kind::Oidc => &oidc,
                Kind::Kubernetes => &clusters,
                _ => continue,
            };
            match &rule.by {
                Some(by) if !known.contains(&by.as_str()) => {
                    return Err(Failure::usage(format!(
                        "{place}: sign_in.{} has no `{by}`",
                        rule.kind.name()
                    ))
                    .hint(format!("`by` is one of: {}", known.join(", "))));
                }
                None if known.len() > 1 && rule.subject.is_none() => {
                    return Err(Failure::usage(format!(
                        "{place}: fits whomever any of {} calls so",
                        known.join(", ")
                    ))
                    .hint("say whose users are meant: `by: NAME`"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ties rules that name nobody to the one whom they can mean, so that they never fit sessions of one who was there before.
    pub(super) fn settle(&mut self) {
        if let [oidc] = self.oidc.as_slice() {
            self.mapping.tie(Kind::Oidc, &oidc.name);
        }
        if let [cluster] = self.kubernetes.as_slice() {
            self.mapping.tie(Kind::Kubernetes, &cluster.name);
        }
    }

    /// Reads all files and secrets that are named, to say early what is missing.
    pub fn check_files(&self) -> Result<(), Failure> {
        let secrets = self.oidc.iter().filter_map(|oidc| oidc.client_secret.as_ref());
        for secret in secrets.chain(self.kubernetes.iter().filter_map(|cluster| cluster.token.as_ref())) {
            secret.read()?;
        }
        let authorities = self.oidc.iter().filter_map(|oidc| oidc.ca.as_ref());
        for ca in authorities.chain(self.kubernetes.iter().filter_map(|cluster| cluster.ca.as_ref())) {
            std::fs::read(ca).map_err(|e| Failure::usage(format!("{}: {e}", ca.display())))?;
        }
        Ok(())
    }
}

fn once<'n>(what: &str, names: impl Iterator<Item = &'n String>) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Failure::usage(format!("{what} {name} stands there twice")));
        }
    }
    Ok(())
}

fn https(key: &str, url: &str) -> Result<(), Failure> {
    let parsed = url::Url::parse(url).map_err(|e| Failure::usage(format!("{key}: {url}: {e}")))?;
    let is_plain = parsed.query().is_none() && parsed.fragment().is_none() && parsed.username().is_empty();
    if parsed.scheme() == "https" && is_plain {
        return Ok(());
    }
    Err(Failure::usage(format!("{key}: {url} is not such as https://id.example.org/path"))
        .hint("https, and neither user, query nor fragment"))
}

impl Oidc {
    fn check(&self) -> Result<(), Failure> {
        check_name(&self.name)?;
        https("issuer", &self.issuer)?;
        let texts = self.scopes.iter().chain(&self.audiences).chain([
            &self.client_id,
            &self.name_claim,
            &self.groups_claim,
        ]);
        if texts.into_iter().any(|text| text.trim().is_empty()) {
            return Err(Failure::usage("`client_id`, scopes, claims and audiences are not empty"));
        }
        Ok(())
    }
}

impl Kubernetes {
    fn check(&self) -> Result<(), Failure> {
        check_name(&self.name)?;
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(Failure::usage("audiences: there must be one")
                .hint("without one, tokens that were made for somebody else would let in here"));
        }
        if self.url == IN_CLUSTER {
            return Ok(());
        }
        https("url", &self.url)?;
        if self.token.is_none() {
            return Err(Failure::usage("token: not given").hint(
                "the token of a service account with the ClusterRole system:auth-delegator, as file:PATH",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const CORP: &str = "server:\n  url: https://klio.example.org\nsign_in:\n  oidc:\n    - {name: corp, issuer: https://id.example.org, client_id: klio}\n";

    fn told(text: &str) -> String {
        let failure = Config::parse(text).err().unwrap_or_else(|| panic!("{text}"));
        format!("{} {}", failure.message, failure.hints.join(" "))
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_place_and_advice() {
        let corp = Config::parse(CORP).unwrap();
        assert_eq!(corp.sign_in.oidc[0].name_claim, "email");
        let more = |text: &str| format!("{CORP}{text}");
        let other = "    - {name: lab, issuer: https://lab.example.org, client_id: klio}\n";
        let rule = |rule: &str| {
            format!("{CORP}{other}  mapping:\n    - {{kind: oidc, role: viewer, scope: prod, {rule}}}\n")
        };
        assert!(Config::parse(&rule("by: lab, user: ana")).is_ok());
        assert!(Config::parse(&rule("subject: https://lab.example.org#7")).is_ok());
        for (text, words) in [
            (CORP.replace("https://id", "http://id"), "sign_in.oidc[0]: issuer"),
            (CORP.replace("example.org,", "example.org?x,"), "neither user, query nor fragment"),
            (CORP.replace("name: corp", "name: a/b"), "sign_in.oidc[0]"),
            (CORP.replace("  url: https://klio.example.org\n", "  flush_seconds: 1\n"), "set server.url"),
            (CORP.replace("client_id: klio", "client_id: klio, client_secret: hunter2"), "env:NAME"),
            (CORP.replace("client_id: klio", "client_id: klio, isuer: x"), "isuer"),
            (more(&other.replace("lab,", "corp,")), "twice"),
            (more(&other.replace("lab.", "id.")), "twice"),
            (more("  certificates: true\n"), "server.tls.client_ca"),
            (more("  kubernetes:\n    - {name: a, url: https://k8s}\n"), "sign_in.kubernetes[0]: token"),
            (more("  kubernetes:\n    - {name: a, url: in-cluster, audiences: []}\n"), "there must be one"),
            (rule("user: ana"), "`by: NAME`"),
            (rule("by: lob, user: ana"), "one of: corp, lab"),
            (rule("by: lab"), "fits everybody"),
        ] {
            let told = told(&text);
            assert!(told.contains(words), "{words}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
