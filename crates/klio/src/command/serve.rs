//! `klio serve`

use std::io::IsTerminal;

use klio_store::own_place;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::data::{Data, refused};
use crate::failure::Failure;
use crate::pack::Rules;
use crate::serve;
use crate::traces::{SPANS, Traces};

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
        let filter = filter.and(filter_fn(|meta| meta.target() != SPANS));
        let log = fmt::layer().with_writer(std::io::stderr).with_target(false);
        let log = match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
            LogFormat::Json => log.json().flatten_event(true).with_filter(filter).boxed(),
        };
        // Klio is not to stand still since its traces cannot be sent.
        let (traces, wrong) =
            Traces::begin().map_or_else(|wrong| (None, Some(wrong)), |traces| (traces, None));
        registry().with(log).with(traces.as_ref().map(Traces::layer)).init();
        if let Some(wrong) = wrong {
            tracing::warn!(error = %wrong.message, "there are no traces");
        }
        let dir = self.data.own()?;
        own_place(&dir).map_err(refused)?;
        let config = self.data.config()?;
        let rules = self.rules.with(&config);
        let ended = serve::run(dir, self.data.config_path()?, config, &rules);
        traces.into_iter().for_each(Traces::end);
        ended
    }
}
