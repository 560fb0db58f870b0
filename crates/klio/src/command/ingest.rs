//! `klio ingest`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use klio_detect::engine::FalcoMatching;
use klio_model::{Filter, TimeRange};
use klio_store::Verdict;

use crate::data::{Data, redaction_key};
use crate::failure::Failure;
use crate::keep::{Keeper, Terms};
use crate::pack::{self, Rules};
use crate::{output, scan};

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
    #[arg(long, value_name = "NAME", default_value = "default")]
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
        let dir = self.data.dir()?;
        let config = self.data.config()?;
        let (set, wrong) = self.rules.load()?.told();
        let terms = Terms::new(&self.cluster, &config.lake, redaction_key(&dir)?, config.redaction)?;
        let terms = Arc::new(terms);
        let keeper = Keeper::open(&dir, &config.lake, terms.clone())?;
        let options = scan::Options {
            paths: self.paths,
            filter: Filter::All,
            range: TimeRange::default(),
            threads: self.threads,
            matching: FalcoMatching::First,
            listing: true,
            progress: std::io::stderr().is_terminal(),
        };
        let (report, keeper) = scan::keep(&options, &set, Some((keeper, terms)))?;
        let Some(mut keeper) = keeper else { return Ok(()) };
        let incidents = report.stories.iter().map(|story| {
            let (title, json) = output::story(story, &report);
            Verdict {
                id: story.id.clone(),
                time: story.first,
                cluster: self.cluster.clone(),
                severity: story.severity.name(),
                rule: String::new(),
                title,
                actor: story.actors.first().and_then(|a| a.user.clone()).unwrap_or_default(),
                json,
            }
        });
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
        pack::verdict(wrong)?;
        if !summary.missing.is_empty() {
            return Err(Failure::world(summary.missing.join("\n      ")).hint("the rest was kept"));
        }
        Ok(())
    }
}
