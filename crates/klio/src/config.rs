//! `klio.yaml`: how the lake is kept, what is removed, where the server listens and which clusters it hears.

pub mod reference;
pub mod schema;
mod sign_in;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use klio_desk::Place;
use klio_source::redact::Policy;
use klio_store::Settings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::failure::Failure;
use crate::lookup::Lists;

pub use sign_in::{IN_CLUSTER, Kubernetes, Oidc, SignIn};

/// All settings.
#[derive(Deserialize, JsonSchema, Default, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How the lake is kept.
    pub lake: Settings,
    /// What is removed from records before they are kept.
    pub redaction: Policy,
    /// Where and how the server listens.
    pub server: Server,
    /// The clusters that are heard, by name.
    #[schemars(extend("propertyNames" = schema::cluster_name()))]
    pub clusters: BTreeMap<String, Cluster>,
    /// The file that says which person uses which accounts.
    pub people: Option<PathBuf>,
    /// Where users, tokens and sessions are kept.
    pub desk: DeskPlace,
    /// Files that tell more about requests than audit logs do; those of the command line count first.
    pub lookup: Lists,
    /// Who else says who somebody is.
    pub sign_in: SignIn,
}

/// Where users, tokens and sessions are kept.
#[derive(Deserialize, JsonSchema, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct DeskPlace {
    /// A PostgreSQL server, `postgres://user:password@host/database`; a file in the data directory unless given.
    pub postgres: Option<Reference>,
}

/// Where and how the server listens.
#[derive(Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// HTTPS: the audit webhook and the API.
    #[schemars(regex(pattern = schema::ADDRESS))]
    pub listen: SocketAddr,
    /// HTTP without credentials: health and metrics.
    #[schemars(regex(pattern = schema::ADDRESS))]
    #[serde(deserialize_with = "door")]
    pub ops: SocketAddr,
    /// The address that clusters reach it under, such as `https://klio.example.org:8443`.
    pub url: Option<String>,
    /// Proxies before the server whose `X-Forwarded-For` is believed: networks or addresses.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub proxies: Vec<IpNet>,
    /// Its certificate; made by Klio unless given.
    pub tls: Tls,
    /// Most bytes of one body.
    #[schemars(range(min = 1))]
    pub body_bytes: u64,
    /// Most bytes of all bodies that are being taken.
    pub in_flight_bytes: u64,
    /// Most connections at once.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// Seconds that an event waits for others before it is written to a file of the lake.
    #[schemars(range(min = 1))]
    pub flush_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            ops: SocketAddr::from(([127, 0, 0, 1], 8080)),
            url: None,
            proxies: Vec::new(),
            tls: Tls::default(),
            body_bytes: 64 << 20,
            in_flight_bytes: 192 << 20,
            connections: 16_384,
            flush_seconds: 10,
        }
    }
}

/// Certificates, as PEM files. They are read again when they change.
#[derive(Deserialize, JsonSchema, Clone, Default, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("dependentRequired" = { "certificate": ["key"], "key": ["certificate"] }))]
pub struct Tls {
    /// The server's certificate and those above it.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Certificates of clients are checked against these.
    pub client_ca: Option<PathBuf>,
    /// Names and addresses in the certificate that Klio makes, besides `localhost` and those of the machine.
    pub names: Vec<String>,
}

/// A cluster that is heard.
#[derive(Deserialize, JsonSchema, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// The token that its API servers show; besides those that `klio connect cluster` made.
    pub token: Option<Reference>,
    /// The common name in the certificates that its API servers show.
    pub certificate: Option<String>,
    /// Audit log files on this machine: paths, directories or patterns.
    pub files: Vec<String>,
    /// All its API servers, whose counters prove that nothing is missing.
    pub apiservers: Vec<Apiserver>,
}

/// An API server whose metrics are read.
#[derive(Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Apiserver {
    /// Its address, such as `https://10.0.0.1:6443`: its own and not that of a balancer, which would show one after the other.
    #[schemars(regex(pattern = "^https://"))]
    pub url: String,
    /// PEM file that its certificate is checked against; the system's authorities unless given.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The token that is shown; its user may `get` the path `/metrics`.
    #[serde(default)]
    pub token: Option<Reference>,
}

/// A secret that is named and not written: `env:NAME` or `file:PATH`.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    /// The secret.
    pub fn read(&self) -> Result<String, Failure> {
        let failed = |said: String| {
            Failure::usage(format!("{}: {said}", self.0))
                .hint("env:NAME must be set, file:PATH readable for this user, and neither empty")
        };
        let text = match self.0.split_once(':') {
            Some(("env", name)) => std::env::var(name).map_err(|e| failed(e.to_string()))?,
            Some(("file", path)) => std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?,
            _ => return Err(failed("this is no reference".into())),
        };
        let text = text.trim();
        if text.is_empty() { Err(failed("it is empty".into())) } else { Ok(text.to_owned()) }
    }
}

impl Reference {
    /// The file that holds it, if it is one.
    pub fn file(&self) -> Option<PathBuf> {
        self.0.strip_prefix("file:").map(PathBuf::from)
    }
}

impl<'d> Deserialize<'d> for Reference {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.starts_with("env:") || text.starts_with("file:") {
            return Ok(Self(text));
        }
        Err(serde::de::Error::custom("a secret is not written here but named: `env:NAME` or `file:PATH`"))
    }
}

impl JsonSchema for Reference {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(env|file):" })
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a cluster.
pub fn check_cluster(name: &str) -> Result<(), Failure> {
    if name == klio_web::OWN_CLUSTER {
        return Err(Failure::usage(format!("`{name}` is the name of Klio's own audit"))
            .hint("give the cluster another"));
    }
    check_name(name)
}

/// A name that can stand in a path and in a URL.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 63 && name.chars().all(is_plain) && !name.starts_with('.') {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` cannot be a name here"))
        .hint("1 to 63 letters, digits, `-`, `_` or `.`, not beginning with `.`"))
}

/// Where an address to listen on is reached from here.
pub fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// An address with its port.
fn door<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "`{text}` is no address with a port, such as 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443"
        ))
    })
}

/// Networks as texts: `10.0.0.0/8`, or one address.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: String| {
        let one = text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or(one).map_err(|_| {
            D::Error::custom(format!("`{text}` is neither a network such as 10.0.0.0/8 nor an address"))
        })
    };
    texts.into_iter().map(network).collect()
}

/// A failure, with the key or file that it is about.
pub fn at(place: impl fmt::Display, failure: Failure) -> Failure {
    Failure { message: format!("{place}: {}", failure.message), ..failure }
}

impl Config {
    /// The secrets that are named, by key.
    pub fn references(&self) -> Vec<(String, &Reference)> {
        let mut all = Vec::new();
        for (name, cluster) in &self.clusters {
            all.extend(cluster.token.iter().map(|token| (format!("clusters.{name}.token"), token)));
            let of = |one: &Apiserver| format!("clusters.{name}.apiservers {} token", one.url);
            all.extend(cluster.apiservers.iter().filter_map(|one| Some((of(one), one.token.as_ref()?))));
        }
        for oidc in &self.sign_in.oidc {
            let of = format!("sign_in.oidc {} client_secret", oidc.name);
            all.extend(oidc.client_secret.iter().map(|secret| (of.clone(), secret)));
        }
        for cluster in &self.sign_in.kubernetes {
            let of = format!("sign_in.kubernetes {} token", cluster.name);
            all.extend(cluster.token.iter().map(|token| (of.clone(), token)));
        }
        all.extend(self.desk.postgres.iter().map(|url| ("desk.postgres".to_owned(), url)));
        all
    }

    /// The database of users.
    pub fn desk(&self, dir: &Path) -> Result<Place, Failure> {
        match &self.desk.postgres {
            Some(url) => Ok(Place::Postgres(url.read()?.into())),
            None => Ok(Place::File(dir.join("desk.db"))),
        }
    }

    /// Where the server is reached, without a slash at the end: as this machine does where nothing is said.
    pub fn url(&self) -> String {
        let url =
            self.server.url.clone().unwrap_or_else(|| format!("https://{}", reached(self.server.listen)));
        url.trim_end_matches('/').to_owned()
    }

    /// The certificates, with the host of `server.url` among the names.
    pub fn tls(&self) -> Tls {
        let mut tls = self.server.tls.clone();
        let url = self.server.url.as_deref().and_then(|url| Url::parse(url).ok());
        let host = url.and_then(|url| Some(url.host_str()?.trim_matches(['[', ']']).to_owned()));
        tls.names.extend(host);
        tls
    }

    /// Reads a file of settings, if there is one.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Failure::world(format!("{}: {e}", path.display()))),
        };
        Self::parse(&text).map_err(|failure| at(path.display(), failure))
    }

    /// Reads and checks settings.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        // No excerpt: whoever wrote a secret here is not to find it in a log.
        let options = serde_saphyr::options! { with_snippet: false };
        // A file of nothing but comments is no mapping.
        let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let mut config: Self = if is_empty {
            Self::default()
        } else {
            serde_saphyr::from_str_with_options(text, options).map_err(Failure::usage)?
        };
        config.clusters.keys().try_for_each(|name| check_cluster(name))?;
        for (name, cluster) in &config.clusters {
            if let Some(one) = cluster.apiservers.iter().find(|one| !one.url.starts_with("https://")) {
                return Err(Failure::usage(format!(
                    "clusters.{name}.apiservers: {} does not begin with https://",
                    one.url
                )));
            }
        }
        let server = &config.server;
        if server.tls.certificate.is_some() != server.tls.key.is_some() {
            return Err(Failure::usage("server.tls: `certificate` and `key` belong together"));
        }
        if server.in_flight_bytes < server.body_bytes {
            return Err(Failure::usage("server.in_flight_bytes must be at least server.body_bytes"));
        }
        if server.flush_seconds == 0 || server.connections == 0 || server.body_bytes == 0 {
            return Err(Failure::usage(
                "server: `flush_seconds`, `connections` and `body_bytes` must be at least 1",
            ));
        }
        config.sign_in.check(server)?;
        config.sign_in.settle();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_and_never_shown() {
        let written = Config::parse("clusters:\n  prod:\n    token: hunter2hunter2\n").err().unwrap();
        assert!(written.message.contains("env:NAME"), "{}", written.message);
        assert!(!written.message.contains("hunter2"), "{}", written.message);
        let named = Config::parse("clusters:\n  prod:\n    token: env:KLIO_NO_SUCH_VARIABLE\n").unwrap();
        assert!(named.clusters["prod"].token.as_ref().unwrap().read().is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "clusters:\n  a/b: {}\n",
            "clusters:\n  ..: {}\n",
            "server:\n  listen: nowhere\n",
            "server:\n  tls:\n    certificate: a.pem\n",
            "server:\n  flush_seconds: 0\n",
            "server:\n  lisen: 127.0.0.1:1\n",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
        assert!(Config::parse("# nothing\n").is_ok());
    }
}
