//! `klio export`

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use klio_model::Filter;
use klio_store::{ExportColumns, Format};

use super::hunt::scanned_note;
use super::scan::{Window, parse_filter};
use crate::data::Data;
use crate::failure::Failure;

/// Write the matching events of the lake to a file, however many there are.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio export 'namespace:payments' --since 30d > payments.jsonl
  klio export --format parquet --to all.parquet
  klio export 'verb:delete' --format csv --columns time,user,verb,resource,name")]
pub struct Export {
    /// Only events for which this filter is true.
    pub filter: Option<String>,
    #[command(flatten)]
    pub window: Window,
    /// jsonl: the records as they are kept; csv and parquet: columns.
    #[arg(short, long, value_enum, default_value = "jsonl")]
    pub format: Kind,
    /// The columns of csv and parquet, as fields.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Leave texts in csv as they are that a spreadsheet would run as formulas.
    #[arg(long)]
    pub unguarded: bool,
    /// A file that does not exist yet; standard output unless given.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    #[command(flatten)]
    pub data: Data,
}

/// `--format`
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The records as they are kept, one a line.
    Jsonl,
    /// RFC 4180 with a heading.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Export {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let filter = self.filter.as_deref().map_or(Ok(Filter::All), parse_filter)?;
        let filter = self.data.asked(Filter::and([filter, self.window.filter()?]))?;
        let range = self.window.range()?;
        let columns = if self.columns.is_empty() {
            ExportColumns::default()
        } else {
            ExportColumns::parse(&self.columns)
                .map_err(|e| Failure::usage(e).hint("docs/fields.md lists the fields"))?
        };
        if self.format == Kind::Jsonl && !self.columns.is_empty() {
            return Err(Failure::usage("JSON lines hold the records as they are kept, without columns")
                .hint("--columns goes with --format csv or parquet"));
        }
        let format = match self.format {
            Kind::Jsonl => Format::Jsonl,
            Kind::Csv => Format::Csv { columns, guarded: !self.unguarded },
            Kind::Parquet => Format::Parquet { columns },
        };
        let started = Instant::now();
        let mut lake = self.data.lake()?;
        let scanned = match &self.to {
            Some(path) => {
                let failed = |e: std::io::Error| Failure::world(format!("{}: {e}", path.display()));
                let file = File::create_new(path).map_err(failed)?;
                let mut out = BufWriter::new(file);
                let scanned = lake.export(&filter, range, &format, &mut out).map_err(Failure::world)?;
                out.into_inner().map_err(|e| failed(e.into_error()))?.sync_all().map_err(failed)?;
                scanned
            }
            None if self.format == Kind::Parquet && stdout().is_terminal() => {
                return Err(Failure::usage("Parquet is not for a terminal").hint("give --to FILE"));
            }
            None => {
                let mut out = BufWriter::new(stdout());
                let scanned = lake.export(&filter, range, &format, &mut out);
                let scanned = scanned.map_err(|e| match e {
                    // A reader that has seen enough is no failure.
                    klio_store::StoreError::Io { source, .. } => source.into(),
                    e => Failure::world(e),
                })?;
                out.flush()?;
                scanned
            }
        };
        scanned_note(&scanned, started.elapsed());
        Ok(())
    }
}
