//! `klio ingest`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::NonEmptyStringValueParser;
use klio_store::own_place;

use crate::data::{Data, redaction_key, refused};
use crate::failure::Failure;
use crate::keep::{Keeper, Terms, incident};
use crate::output::plain;
use crate::pack::{self, Rules};
use crate::scan;

/// Troubles that are named one by one.
const TROUBLES: usize = 10;

/// Keep audit logs in the lake, judged and sealed.
///
/// Each record is cleared of secrets, made durable, judged by the rules, written to the lake's tables and sealed in
/// the signed log. Files that were read before go on where they ended; interrupted runs lose and repeat nothing.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio ingest /var/log/kubernetes/audit/
  klio ingest audit.log --cluster prod-eu --data ./lake
  zcat audit-*.log.gz | klio ingest - --cluster prod-eu")]
pub struct Ingest {
    /// Files, directories, patterns, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The cluster that the records come from.
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    pub cluster: String,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub rules: Rules,
    /// Threads to use; 0 for one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

impl Ingest {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let dir = self.data.own()?;
        own_place(&dir).map_err(refused)?;
        let config = self.data.config()?;
        let (set, wrong) = self.rules.with(&config, &dir).load()?.told();
        let terms = Terms::new(&self.cluster, &config.lake, redaction_key(&dir)?, config.redaction)?;
        let terms = Arc::new(terms);
        let keeper = Keeper::open(&dir, &config.lake, terms.clone())?;
        let options = scan::Options {
            threads: self.threads,
            progress: std::io::stderr().is_terminal(),
            ..scan::Options::of(self.paths)
        };
        let (report, keeper) = scan::keep(&options, &set, Some((keeper, terms)))?;
        let Some(mut keeper) = keeper else { return Ok(()) };
        let incidents = report.stories.iter().map(|story| incident(story, &report.rules, &self.cluster));
        keeper.finish(incidents.collect())?;
        let summary = &report.summary;
        eprintln!(
            "klio: kept {} events in {} ({} were there before, {} delivered twice, {} could not be read); \
             {} findings, {} incidents",
            keeper.kept,
            dir.display(),
            keeper.known,
            summary.duplicates,
            summary.rejected,
            summary.findings.by_severity.values().sum::<u64>(),
            report.stories.len(),
        );
        tell_troubles(summary);
        pack::verdict(wrong)?;
        let read = keeper.kept + keeper.known + summary.duplicates;
        if read == 0 && (summary.files == 0 || summary.rejected > 0) {
            let hint = "give audit log files, directories, patterns, or -";
            return Err(Failure::world("no audit event could be read").hint(hint));
        }
        if !summary.missing.is_empty() {
            return Err(Failure::world("some paths could not be read").hint("the rest was kept"));
        }
        Ok(())
    }
}

/// Names what could not be read, the first of it.
fn tell_troubles(summary: &scan::Summary) {
    for (told, trouble) in summary.rejected_reasons.iter().chain(&summary.skipped_reasons).enumerate() {
        if told == TROUBLES {
            eprintln!("  and more; `klio scan -o json` lists up to a thousand");
            break;
        }
        let place = if trouble.line > 0 {
            format!("{}:{}", trouble.file, trouble.line)
        } else {
            trouble.file.clone()
        };
        let more =
            if trouble.count > 1 { format!(" (and {} more)", trouble.count - 1) } else { String::new() };
        eprintln!("  {}{more}: {}", plain(&place), plain(&trouble.reason));
    }
}
