//! `klio connect`

mod guide;
mod knock;

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

use crate::config::{Config, check_cluster};
use crate::data::{self, Data};
use crate::failure::Failure;
use crate::serve::{credentials, tls};
pub use guide::{Platform, of_platform};

/// The audit policy that Klio's rules see most with.
const POLICY: &str = include_str!("../../../../deploy/audit-policy.yaml");

/// Connect clusters to the server.
#[derive(clap::Subcommand)]
pub enum Connect {
    /// Make a credential for a cluster, write what its API server needs, say how to install it, and wait for the first event.
    Cluster(Cluster),
    /// Deliver a test event as an API server would, with the kubeconfig that `connect cluster` wrote.
    Test(Test),
    /// Take away the credential that `connect cluster` made: what is delivered by it is refused from now on.
    Revoke(Revoke),
}

/// What a cluster needs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio connect cluster prod-eu --url https://klio.example.org:8443
  klio connect cluster lab --platform k3s --out ./lab --no-wait
  klio connect cluster prod-eu --mtls --replace
  klio connect test ./prod-eu/klio-webhook.yaml")]
pub struct Cluster {
    /// The cluster's name.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub data: Data,
    /// The server's address as the API server reaches it; `server.url` of klio.yaml unless given.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// How the cluster is run.
    #[arg(long, value_enum, default_value_t)]
    pub platform: Platform,
    /// A client certificate in place of a token.
    #[arg(long)]
    pub mtls: bool,
    /// Take the place of the credential that the cluster has; what is delivered by that one is refused from now on.
    #[arg(long)]
    pub replace: bool,
    /// Where the files are written; a directory of the cluster's name unless given. With - the kubeconfig is printed, and no file is
    /// written but the credential in the data directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How long to wait for the first event, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub wait: u64,
    /// Write and print, and do not wait.
    #[arg(long)]
    pub no_wait: bool,
}

/// A test delivery.
#[derive(clap::Args)]
pub struct Test {
    /// The webhook's kubeconfig.
    #[arg(value_name = "FILE")]
    pub kubeconfig: PathBuf,
}

/// A credential that counts no more.
#[derive(clap::Args)]
pub struct Revoke {
    /// The cluster's name.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub data: Data,
}

impl Connect {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Cluster(c) => c.run(),
            Self::Test(c) => {
                let said = knock::deliver(&c.kubeconfig)?;
                writeln!(std::io::stdout(), "{said}")?;
                Ok(())
            }
            Self::Revoke(c) => {
                check_cluster(&c.name)?;
                credentials::revoke(&c.data.own()?, &c.name)?;
                eprintln!("klio: {} has no credential any more", c.name);
                Ok(())
            }
        }
    }
}

impl Cluster {
    fn run(self) -> Result<(), Failure> {
        check_cluster(&self.name)?;
        let dir = self.data.own()?;
        klio_store::own_place(&dir).map_err(data::refused)?;
        let mut config = self.data.config()?;
        let url = self.url.clone().unwrap_or_else(|| config.url());
        if !url.starts_with("https://") {
            return Err(Failure::usage(format!("{url}: the server's address begins with https://")));
        }
        if self.platform.is_managed() {
            let nothing = Path::new("");
            writeln!(std::io::stdout(), "{}", guide::text(self.platform, &self.name, nothing, nothing))?;
            return Ok(());
        }
        if credentials::has(&dir, &self.name) && !self.replace {
            return Err(Failure::usage(format!("{} has a credential, and can deliver by it", self.name)).hint(
                "--replace makes a new one; the old one counts no more, and what is delivered by it is refused",
            ));
        }
        reachable(&config, &url);
        config.server.url = Some(url.clone());
        let url = format!("{}/audit/{}", url.trim_end_matches('/'), self.name);
        let began = jiff::Timestamp::now();
        let authority = tls::authority(&dir, &config.tls())?;
        let user = if self.mtls {
            let (certificate, key) = credentials::certify(&dir, &config, &self.name)?;
            format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                BASE64_STANDARD.encode(certificate),
                BASE64_STANDARD.encode(key)
            )
        } else {
            format!("    token: {}\n", credentials::issue(&dir, &self.name)?)
        };
        let text = webhook(&url, authority.as_deref(), &user);
        if self.out.as_deref() == Some("-".as_ref()) {
            // From a container, say, in which no file can be fetched.
            write!(std::io::stdout(), "{text}")?;
            let (kubeconfig, policy) = ("klio-webhook.yaml".as_ref(), "audit-policy.yaml".as_ref());
            eprintln!("{}", guide::text(self.platform, &self.name, kubeconfig, policy));
            return Ok(());
        }
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        std::fs::create_dir_all(&out).map_err(|e| Failure::world(format!("{}: {e}", out.display())))?;
        let kubeconfig = out.join("klio-webhook.yaml");
        data::write(&kubeconfig, &text)?;
        let policy = out.join("audit-policy.yaml");
        std::fs::write(&policy, POLICY).map_err(|e| Failure::world(format!("{}: {e}", policy.display())))?;
        writeln!(std::io::stdout(), "{}", guide::text(self.platform, &self.name, &kubeconfig, &policy))?;
        if self.no_wait {
            return Ok(());
        }
        eprintln!(
            "klio: waiting for the first event of {} (Ctrl-C ends the waiting, and nothing else)",
            self.name
        );
        let said = knock::wait(&kubeconfig, began, Duration::from_secs(self.wait))?;
        writeln!(std::io::stdout(), "{said}")?;
        Ok(())
    }
}

/// Says what keeps clusters from reaching the server at this address, as far as the settings tell.
fn reachable(config: &Config, url: &str) {
    let Some(host) = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)) else { return };
    let host = host.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let listen = config.server.listen;
    if is_here {
        eprintln!(
            "klio: {url} is this machine alone: other machines need server.listen and server.url in klio.yaml, or --url"
        );
    } else if listen.ip().is_loopback() {
        eprintln!(
            "klio: server.listen is {listen}: nobody else reaches it there; set it in klio.yaml, such as 0.0.0.0:{}",
            listen.port()
        );
    }
    let tls = config.tls();
    if !is_here && tls.certificate.is_none() && !tls.names.iter().any(|name| name == host) {
        eprintln!(
            "klio: {host} is not in the server's certificate: set server.url or server.tls.names in klio.yaml to it"
        );
    }
}

/// The kubeconfig of an audit webhook (kubernetes.io/docs/tasks/debug/debug-cluster/audit).
fn webhook(url: &str, authority: Option<&str>, user: &str) -> String {
    let authority = authority
        .map(|pem| format!("    certificate-authority-data: {}\n", BASE64_STANDARD.encode(pem)))
        .unwrap_or_default();
    format!(
        "apiVersion: v1\nkind: Config\npreferences: {{}}\nclusters:\n- name: klio\n  cluster:\n    server: {url}\n\
         {authority}users:\n- name: audit\n  user:\n{user}contexts:\n- name: audit\n  context:\n    cluster: klio\n    \
         user: audit\ncurrent-context: audit\n"
    )
}
