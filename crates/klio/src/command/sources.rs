//! `klio sources`

use std::io::Write;
use std::path::PathBuf;

use serde::Deserialize;

use crate::data::Data;
use crate::failure::Failure;
use crate::line::{Answer, Line, send};
use crate::output::Grid;

/// Most bytes of an answer.
const MOST: usize = 64 << 20;

/// Show how each source of a running server is: when it was heard last, how fast it is, what it lost.
///
/// Asks the server's API, with a token that `klio user token` made. The completeness is the part of what the API servers counted that
/// has come (`clusters.NAME.apiservers` in klio.yaml); without their counters it is unproven.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  KLIO_TOKEN=klio_… klio sources
  klio sources --url https://klio.example.org:8443 -o json")]
pub struct Sources {
    /// The server's address; `server.url` or `server.listen` of klio.yaml unless given.
    #[arg(long, env = "KLIO_URL", value_name = "URL")]
    pub url: Option<String>,
    /// An API token.
    #[arg(long, env = "KLIO_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: String,
    /// PEM file with the authority of its certificate; Klio's own of the data directory, if it is there, unless given.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// table, or json as the API has it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Form,
    #[command(flatten)]
    pub data: Data,
}

/// How it is printed.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For a terminal.
    Table,
    /// One JSON document.
    Json,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    cluster: String,
    source: String,
    last_seen: Option<String>,
    events: u64,
    rate: Option<f64>,
    lag_seconds: Option<f64>,
    errors: u64,
    dead_letters: u64,
    completeness: Completeness,
}

#[derive(Deserialize)]
struct Completeness {
    ratio: Option<f64>,
    #[serde(default)]
    counted: u64,
    #[serde(default)]
    unsure: u64,
}

impl std::fmt::Display for Completeness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(ratio) = self.ratio else { return f.write_str("unproven") };
        write!(f, "{:.3} %", 100.0 * ratio)?;
        // What lies at the borders of the time that was compared is not missing.
        if ratio < 1.0 && self.unsure > 0 {
            write!(f, " ± {:.3}", 100.0 * self.unsure as f64 / self.counted.max(1) as f64)?;
        }
        Ok(())
    }
}

impl Sources {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let text = runtime.map_err(Failure::world)?.block_on(self.ask())?;
        if self.output == Form::Json {
            writeln!(std::io::stdout(), "{text}")?;
            return Ok(());
        }
        let page: Page = serde_json::from_str(&text).map_err(Failure::world)?;
        let mut grid = Grid::new(&[
            "cluster",
            "source",
            "last seen",
            "events",
            "rate",
            "lag",
            "errors",
            "dead letters",
            "complete",
        ]);
        for source in page.items {
            let number =
                |n: Option<f64>, unit: &str| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.1}{unit}"));
            grid.row(vec![
                source.cluster,
                source.source,
                source.last_seen.unwrap_or_else(|| "never".into()),
                source.events.to_string(),
                number(source.rate, "/s"),
                number(source.lag_seconds, " s"),
                source.errors.to_string(),
                source.dead_letters.to_string(),
                source.completeness.to_string(),
            ]);
        }
        write!(std::io::stdout(), "{grid}")?;
        Ok(())
    }

    async fn ask(&self) -> Result<String, Failure> {
        let (dir, config) = (self.data.dir()?, self.data.config()?);
        let url =
            self.url.as_deref().map_or_else(|| config.url(), |url| url.trim_end_matches('/').to_owned());
        let own = dir.join("tls/ca.pem");
        let line = Line::new(self.ca.clone().or_else(|| own.is_file().then_some(own)));
        let client = line.client().map_err(Failure::usage)?;
        let request = client.get(format!("{url}/api/v1/sources")).bearer_auth(&self.token);
        let Answer { status, body, .. } = send(request, MOST).await.map_err(|said| {
            Failure::world(format!("{url} cannot be reached: {said}")).hint("is `klio serve` running there?")
        })?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        Err(Failure::world(format!("{url} answered {status}: {}", text.trim()))
            .hint("`klio user token NAME --name cli` makes a token"))
    }
}
