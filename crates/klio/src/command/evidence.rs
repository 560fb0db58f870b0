//! `klio evidence`

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use klio_model::TimeRange;
use klio_store::{Request, Writer};

use super::scan::{Window, parse_filter};
use crate::data::{Data, refused};
use crate::failure::Failure;

/// Export events with the proofs that they were sealed.
///
/// A bundle is checked on any machine with `klio verify --bundle DIR --key KEY`, or by hand as its VERIFY.md says.
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:
  klio evidence export 'user:mallory' --since 7d --to ./case-4711 --by 'A. Auditor' --reason 'case 4711'
  klio evidence prove 1f0c8e3a-8f5f-4e57-9f0a-0d8c5f1f7a11 > event.proof")]
pub enum Evidence {
    /// Write a bundle: events, proofs, checkpoint, the question, who asked, and how to check it.
    Export(Export),
    /// Print the proof of each event with an audit id, one JSON object per line; `klio verify --proof` checks it.
    Prove {
        /// The audit id.
        audit_id: String,
        #[command(flatten)]
        data: Data,
    },
}

/// `klio evidence export`
#[derive(clap::Args)]
pub struct Export {
    /// Which events.
    filter: String,
    #[command(flatten)]
    window: Window,
    /// A new or empty directory.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Who exports.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    by: String,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    #[command(flatten)]
    data: Data,
}

impl Evidence {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Export(export) => export.run(),
            Self::Prove { audit_id, data } => {
                let mut lake = data.lake()?;
                let proofs = lake.prove(&audit_id).map_err(Failure::world)?;
                let shredded = lake.shredded(TimeRange::default()).map_err(Failure::world)?;
                if shredded > 0 {
                    eprintln!("klio: {shredded} files cannot be read: their key was destroyed");
                }
                if proofs.is_empty() {
                    return Err(Failure::world(format!("no sealed event has the audit id {audit_id}"))
                        .hint("what is still in the spool is sealed with the next flush"));
                }
                for proof in proofs {
                    writeln!(stdout(), "{}", serde_json::to_string(&proof).map_err(Failure::world)?)?;
                }
                Ok(())
            }
        }
    }
}

impl Export {
    fn run(self) -> Result<(), Failure> {
        let filter = klio_model::Filter::and([parse_filter(&self.filter)?, self.window.filter()?]);
        let filter = self.data.asked(filter)?;
        let range = self.window.range()?;
        let mut query = match &self.window.filter {
            Some(more) => format!("({}) and ({more})", self.filter),
            None => self.filter.clone(),
        };
        for (word, time) in [("since", range.start), ("until", range.end)] {
            query.extend(time.map(|time| format!(", {word} {time}")));
        }
        if self.to.read_dir().is_ok_and(|mut inside| inside.next().is_some()) {
            return Err(Failure::usage(format!("{} is not empty", self.to.display()))
                .hint("a bundle has a directory of its own; remove what an interrupted export left there"));
        }
        let request = Request { filter: &filter, range, query: &query, who: &self.by, why: &self.reason };
        drop(self.data.lake()?);
        let mut writer = Writer::open(&self.data.dir()?, &self.data.config()?.lake).map_err(refused)?;
        let done = writer.export_evidence(&self.to, &request).map_err(refused)?;
        eprintln!("klio: {} events from {} files in {}", done.events, done.files, self.to.display());
        eprintln!("klio: bundle.json has SHA-256 {}; the signed log says so too", done.hash);
        if done.events == 0 {
            eprintln!("klio: nothing matches: a name is compared whole, and `user:alice*` is what begins so");
        }
        if done.fresh > 0 {
            eprintln!("klio: {} more match and are not sealed yet", done.fresh);
        }
        Ok(())
    }
}
