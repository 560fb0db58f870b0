//! `klio serve`

use std::io::IsTerminal;

use klio_store::own_place;
use tracing_subscriber::EnvFilter;

use crate::data::{Data, refused};
use crate::failure::Failure;
use crate::pack::Rules;
use crate::serve;

/// How the server's own log is written.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Take the audit stream of clusters, judge it as it comes, and keep it.
///
/// API servers post to https://HOST:8443/audit; `klio connect cluster NAME` prints what they need. An event is
/// acknowledged when it is durable, and not before. SIGTERM ends the server within ten seconds; settings, credentials,
/// certificates and rules are read again when they change.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio serve
  klio serve --data /var/lib/klio --log-format json
  klio connect cluster prod-eu --url https://klio.example.org:8443")]
pub struct Serve {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub rules: Rules,
    /// How the server's own log is written, to stderr.
    #[arg(long, env = "KLIO_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or directives such as klio=debug.
    #[arg(long, env = "KLIO_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

impl Serve {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        // A level alone is ours: the libraries say much that helps nobody.
        let plain = ["off", "error", "warn", "info", "debug", "trace"].contains(&self.log.as_str());
        let log = if plain { format!("error,klio={}", self.log) } else { self.log.clone() };
        let filter = EnvFilter::try_new(log).map_err(|e| {
            Failure::usage(format!("--log {}: {e}", self.log)).hint("info, debug, klio=debug,warn …")
        })?;
        let log =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        let dir = self.data.dir()?;
        own_place(&dir).map_err(refused)?;
        serve::run(dir, self.data.config_path()?, self.data.config()?, &self.rules)
    }
}
