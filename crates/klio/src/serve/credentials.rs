//! Who may deliver events of which cluster.
//!
//! A cluster is known by a bearer token, of which only the SHA-256 is kept, or by the common name of a client certificate. The
//! tokens are 256 bits of chance, so that a plain hash is enough: there is nothing to guess from.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use klio_seal::Hash;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::tls;
use crate::config::{Config, check_cluster};
use crate::data;
use crate::failure::Failure;

/// What the names of clusters' certificates begin with, when Klio makes them.
const PREFIX: &str = "klio:cluster:";
/// Tries with wrong credentials that one address has each minute; then it is told to wait. Right ones are always taken.
const TRIES: usize = 20;
const MINUTE: Duration = Duration::from_mins(1);
/// Addresses that are watched.
const WATCHED: usize = 10_000;

/// The credential of a cluster as `klio connect cluster` keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// SHA-256 of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_sha256: Option<Hash>,
    /// SHA-256 of the client certificate that Klio made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<Hash>,
    /// When it was made, RFC 3339.
    created: String,
}

/// All credentials.
#[derive(Default)]
pub struct Credentials {
    tokens: HashMap<Hash, String>,
    certificates: HashMap<String, String>,
    /// Certificates that Klio made, by their SHA-256: a new one takes the place of the old.
    prints: HashMap<Hash, String>,
}

fn place(dir: &Path, cluster: &str) -> PathBuf {
    dir.join("clusters").join(format!("{cluster}.json"))
}

impl Credentials {
    /// Reads them: from `klio.yaml`, and what `klio connect cluster` made.
    pub fn read(dir: &Path, config: &Config) -> Result<Self, Failure> {
        let mut all = Self::default();
        for (name, cluster) in &config.clusters {
            if let Some(token) = &cluster.token {
                let token = token.read()?;
                if token.len() < 20 {
                    return Err(Failure::usage(format!("clusters.{name}.token: shorter than 20 characters"))
                        .hint("`klio connect cluster` makes one that cannot be guessed"));
                }
                all.token(Hash::of(token.as_bytes()), name)?;
            }
            if let Some(common) = &cluster.certificate {
                if let Some(other) = all.certificates.insert(common.clone(), name.clone()) {
                    return Err(Failure::usage(format!(
                        "clusters {other} and {name} have the same certificate `{common}`"
                    )));
                }
            }
        }
        let entries = match std::fs::read_dir(dir.join("clusters")) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(all),
            Err(e) => return Err(Failure::world(format!("{}: {e}", dir.join("clusters").display()))),
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Some(name) = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".json")) else {
                continue;
            };
            check_cluster(name)?;
            let wrong = |said: String| Failure::world(format!("{}: {said}", path.display()));
            let text = std::fs::read_to_string(&path).map_err(|e| data::failed(&path, &e))?;
            let kept: Kept = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
            if let Some(token) = kept.token_sha256 {
                all.token(token, name)?;
            }
            if let Some(print) = kept.certificate_sha256 {
                all.prints.insert(print, name.to_owned());
            }
        }
        Ok(all)
    }

    fn token(&mut self, digest: Hash, name: &str) -> Result<(), Failure> {
        match self.tokens.insert(digest, name.to_owned()) {
            Some(other) if other != name => {
                Err(Failure::usage(format!("clusters {other} and {name} have the same token")))
            }
            _ => Ok(()),
        }
    }

    /// Which cluster shows this.
    pub fn cluster(&self, token: Option<&str>, certificate: Option<&CertificateDer<'_>>) -> Option<String> {
        let by_token = || self.tokens.get(&Hash::of(token?.as_bytes())).cloned();
        let by_certificate = || {
            let shown = certificate?;
            let own = self.prints.get(&Hash::of(shown.as_ref()));
            own.or_else(|| self.certificates.get(&tls::common_name(shown)?)).cloned()
        };
        match (token.is_some(), by_token(), by_certificate()) {
            // Whoever shows both must be the same by both.
            (true, by_token, Some(certified)) => by_token.filter(|name| *name == certified),
            (true, by_token, None) => by_token,
            (false, _, certified) => certified,
        }
    }

    /// The clusters that have one.
    pub fn clusters(&self) -> BTreeSet<String> {
        let names = self.tokens.values().chain(self.certificates.values()).chain(self.prints.values());
        names.cloned().collect()
    }
}

/// Makes a token for a cluster, in place of the credential it had; returns it, and it cannot be read again.
pub fn issue(dir: &Path, cluster: &str) -> Result<String, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(Failure::world)?;
    let token = format!("klio_c_{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    keep(dir, cluster, Some(Hash::of(token.as_bytes())), None)?;
    Ok(token)
}

/// Makes a client certificate for a cluster, in place of the credential it had; returns it with its key, as PEM.
pub fn certify(dir: &Path, config: &Config, cluster: &str) -> Result<(String, String), Failure> {
    check_cluster(cluster)?;
    let (certificate, key) = tls::client(dir, &config.tls(), &format!("{PREFIX}{cluster}"))?;
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(Failure::world)?;
    keep(dir, cluster, None, Some(Hash::of(der.as_ref())))?;
    Ok((certificate, key))
}

fn keep(dir: &Path, cluster: &str, token: Option<Hash>, certificate: Option<Hash>) -> Result<(), Failure> {
    check_cluster(cluster)?;
    let created = jiff::Timestamp::now().to_string();
    let kept = Kept { token_sha256: token, certificate_sha256: certificate, created };
    let path = place(dir, cluster);
    std::fs::create_dir_all(dir.join("clusters")).map_err(|e| data::failed(dir, &e))?;
    data::write(&path, &serde_json::to_string_pretty(&kept).map_err(Failure::world)?)
}

/// Takes it away.
pub fn revoke(dir: &Path, cluster: &str) -> Result<(), Failure> {
    let path = place(dir, cluster);
    std::fs::remove_file(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::usage(format!("{cluster} has no credential that `klio connect cluster` made"))
                .hint("one that klio.yaml names is taken away there")
        }
        _ => Failure::world(format!("{}: {e}", path.display())),
    })
}

/// Whether a cluster has a token that `klio connect cluster` made.
pub fn has(dir: &Path, cluster: &str) -> bool {
    place(dir, cluster).is_file()
}

/// Counts tries with wrong credentials, by address.
#[derive(Default)]
pub struct Strangers(Mutex<HashMap<IpAddr, VecDeque<Instant>>>);

impl Strangers {
    /// A try with wrong credentials; how many there were within the minute, and true if it is to be told to wait.
    pub fn refused(&self, address: IpAddr) -> (usize, bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_old = |at: &Instant| now.duration_since(*at) > MINUTE;
        if all.len() >= WATCHED && !all.contains_key(&address) {
            all.retain(|_, tries| tries.back().is_some_and(|last| !is_old(last)));
            if all.len() >= WATCHED {
                return (0, true);
            }
        }
        let tries = all.entry(address).or_default();
        while tries.front().is_some_and(is_old) {
            tries.pop_front();
        }
        if tries.len() <= TRIES {
            tries.push_back(now);
        } else if let Some(last) = tries.back_mut() {
            *last = now;
        }
        (tries.len(), tries.len() > TRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_known_by_its_token_or_certificate_and_nobody_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse("clusters:\n  prod:\n    certificate: apiserver\n").unwrap();
        let shown = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let named = |name: &str| shown(&tls::client(dir.path(), &config.tls(), name).unwrap().0);
        let first = issue(dir.path(), "prod").unwrap();
        let token = issue(dir.path(), "prod").unwrap();
        let other = issue(dir.path(), "test").unwrap();
        let lost = shown(&certify(dir.path(), &config, "edge").unwrap().0);
        let edge = shown(&certify(dir.path(), &config, "edge").unwrap().0);
        let all = Credentials::read(dir.path(), &config).unwrap();
        let cluster =
            |token: Option<&str>, certificate: Option<&CertificateDer<'_>>| all.cluster(token, certificate);
        let (prod, is) = (named("apiserver"), |name: &str| Some(name.to_owned()));
        assert_eq!(cluster(Some(&token), None), is("prod"));
        assert_eq!(cluster(Some(&other), None), is("test"));
        assert_eq!(cluster(Some(&first), None), None, "a new token takes the place of the old one");
        assert_eq!(cluster(None, None), None);
        assert_eq!(cluster(Some(""), None), None);
        assert_eq!(cluster(None, Some(&prod)), is("prod"));
        assert_eq!(cluster(None, Some(&edge)), is("edge"));
        assert_eq!(cluster(None, Some(&lost)), None, "a new certificate takes the place of the old one");
        for name in ["klio:cluster:edge", "klio:cluster:klio", "klio:cluster:../x", "somebody"] {
            assert_eq!(cluster(None, Some(&named(name))), None, "{name}");
        }
        assert_eq!(cluster(Some(&token), Some(&edge)), None, "two identities are none");
        assert_eq!(cluster(Some("wrong"), Some(&prod)), None);
        assert_eq!(cluster(Some(&token), Some(&prod)), is("prod"));
        assert!(issue(dir.path(), "klio").is_err(), "that is Klio's own audit");
    }

    #[test]
    fn strangers_are_told_to_wait_each_for_himself() {
        let strangers = Strangers::default();
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let waits: Vec<bool> = (0..TRIES + 2).map(|_| strangers.refused(a).1).collect();
        assert_eq!(waits.iter().filter(|w| **w).count(), 2);
        assert!(!strangers.refused(b).1);
    }
}
