//! `klio tail`

use std::io::Write;
use std::time::Duration;

use klio_model::{Event, Filter};

use super::hunt::HuntFormat;
use super::scan::parse_filter;
use crate::data::{Clusters, Data};
use crate::failure::Failure;

/// Print the newest events of the lake, and with -f those that come.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio tail
  klio tail -f 'user.kind:human and not verb:get'
  klio tail -n 100 -o jsonl")]
pub struct Tail {
    /// Only events for which this filter is true.
    pub filter: Option<String>,
    /// How many events to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Go on with what is acknowledged from now on, until interrupted.
    #[arg(short, long)]
    pub follow: bool,
    /// table, wide, or jsonl: the events exactly as they were received.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: HuntFormat,
    #[command(flatten)]
    pub clusters: Clusters,
    #[command(flatten)]
    pub data: Data,
}

impl Tail {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let filter = self.data.asked(self.filter.as_deref().map_or(Ok(Filter::All), parse_filter)?)?;
        let mut lake = self.clusters.lake(&self.data)?;
        // Before the last ones are read, so that none falls in between.
        let mut cursor = lake.cursor().map_err(Failure::world)?;
        for kept in lake.last(&filter, self.lines).map_err(Failure::world)? {
            self.show(&kept.raw)?;
        }
        if !self.follow {
            return Ok(());
        }
        loop {
            std::thread::park_timeout(Duration::from_millis(500));
            for kept in lake.follow(&filter, &mut cursor).map_err(Failure::world)? {
                self.show(&kept.raw)?;
            }
        }
    }

    fn show(&self, raw: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if let Ok(event) = Event::parse(raw) {
            self.output.show(&event, raw.as_bytes(), &mut out)?;
        }
        out.flush()?;
        Ok(())
    }
}
