//! `klio doctor`

mod certificates;
mod chart;
mod clusters;
mod doors;
mod memory;
mod people;
mod place;
mod secrets;

use std::io::Write;

use tokio::runtime::Runtime;

use super::sources::Form;
use crate::config::Config;
use crate::data::Data;
use crate::failure::Failure;
use chart::{Chart, State};

/// Look at everything that a server needs, and say what is wrong and what to do about it.
///
/// Runs beside a server and without one, and takes no lock that a server needs. Run it as the user that the server runs as, with its
/// environment: what that user cannot read is found only by that user.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio doctor
  sudo -u klio klio doctor --data /var/lib/klio
  klio doctor -o json | jq '.checks[] | select(.state != \"ok\")'

Exit codes: 0 nothing fails, 1 something does.")]
pub struct Doctor {
    /// table, or json.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Form,
    #[command(flatten)]
    pub data: Data,
}

impl Doctor {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(Failure::world)?;
        let mut chart = Chart::default();
        examine(&runtime, &self.data, &mut chart)?;
        // What does not answer is not waited for.
        runtime.shutdown_background();
        let mut out = std::io::stdout().lock();
        match self.output {
            Form::Table => write!(out, "{}", chart.grid())?,
            Form::Json => {
                serde_json::to_writer_pretty(&mut out, &chart).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        if chart.state() == State::Fail { Err(Failure::found()) } else { Ok(()) }
    }
}

fn examine(runtime: &Runtime, data: &Data, chart: &mut Chart) -> Result<(), Failure> {
    let dir = data.dir()?;
    let Some(config) = settings(data, chart) else { return Ok(()) };
    secrets::look(&dir, &config, chart);
    place::look(&dir, &config, chart);
    certificates::look(&dir, &config, chart);
    let running = doors::look(runtime, &dir, &config, chart);
    let lake = memory::look(&dir, &config, chart);
    clusters::look(runtime, &dir, &config, running.as_ref(), lake, chart);
    people::look(runtime, &dir, &config, chart);
    Ok(())
}

fn settings(data: &Data, chart: &mut Chart) -> Option<Config> {
    let read = data.config_path().and_then(|path| {
        let config = Config::read(&path)?;
        super::config::check(&config)?;
        Ok((path, config))
    });
    match read {
        Ok((path, config)) => {
            let found = if path.exists() { "is right" } else { "is not there: all defaults hold" };
            chart.ok("settings", format!("{} {found}", path.display()));
            Some(config)
        }
        Err(failure) => {
            chart.failed("settings", &failure, "`klio config explain KEY` says what a setting means; the rest is looked at when this is right");
            None
        }
    }
}
