//! `klio verify`

use std::fs;
use std::path::{Path, PathBuf};

use klio_seal::evidence::verify_bundle;
use klio_seal::{Policy, Verifier};
use klio_store::{Depth, Trusted};

use crate::data::Data;
use crate::failure::Failure;
use crate::output::plain;

/// Check that nothing was altered, removed or added since it was sealed.
///
/// Whoever has the lake's signing key can rewrite everything and sign it again. That is found with a checkpoint that
/// was kept elsewhere (--checkpoint), or with witnesses (--witness): see `docs/lake.md`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio verify
  klio verify --key 'klio/1b2c…+…' --checkpoint mail/2026-11-20.checkpoint
  klio verify --bundle ./evidence --key lake.pub      needs no lake")]
pub struct Verify {
    /// Check an exported bundle of evidence instead of a lake.
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// The log's public key, or a file that holds it: as `klio lake public-key` printed it when you trusted it.
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// A signed checkpoint that was kept elsewhere.
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
    /// A witness's public key, or a file that holds it.
    #[arg(long = "witness", value_name = "KEY")]
    pub witnesses: Vec<String>,
    /// How many witnesses must have cosigned; all unless given.
    #[arg(long, value_name = "N")]
    pub quorum: Option<usize>,
    /// Only hash files; do not compute the rows' trees again.
    #[arg(long)]
    pub quick: bool,
    /// The report as one JSON document.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub data: Data,
}

impl Verify {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let keys = self.keys.iter().map(|k| key(k)).collect::<Result<Vec<_>, _>>()?;
        if let Some(bundle) = &self.bundle {
            return self.check_bundle(bundle, &keys);
        }
        let read = |path: &PathBuf| {
            fs::read_to_string(path).map_err(|e| Failure::world(format!("{}: {e}", path.display())))
        };
        let witnesses = self.witnesses.iter().map(|k| key(k)).collect::<Result<Vec<_>, _>>()?;
        let quorum = self.quorum.unwrap_or(witnesses.len());
        if quorum > witnesses.len() {
            return Err(Failure::usage(format!("{quorum} of {} witnesses cannot be", witnesses.len())));
        }
        let trusted = Trusted {
            keys,
            checkpoints: self.checkpoints.iter().map(read).collect::<Result<_, _>>()?,
            witnesses: Policy { witnesses, quorum },
        };
        let depth = if self.quick { Depth::Files } else { Depth::Rows };
        let dir = self.data.dir()?;
        if !dir.exists() {
            return Err(Failure::world(format!("there is no lake in {}", dir.display())).hint("give --data DIR"));
        }
        let report =
            klio_store::verify(&dir, &self.data.config()?.lake, &trusted, depth).map_err(Failure::world)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::world)?);
        } else {
            println!(
                "{}: {} entries, root {}; {} files, {} bytes, {} rows in {} segments; {} batches in the spool",
                dir.display(),
                report.entries,
                report.root,
                report.files,
                report.bytes,
                report.rows,
                report.segments,
                report.spooled,
            );
            report.facts.iter().for_each(|fact| println!("note: {}", plain(fact)));
            for problem in &report.problems {
                let since = problem.since.map(|t| format!(" (in order at {t})")).unwrap_or_default();
                println!("problem: {}: {}{since}", plain(&problem.place), plain(&problem.what));
                println!("         {}", problem.kind.advice());
            }
            if report.problems.is_empty() {
                println!("verified: nothing was altered, removed or added");
            }
        }
        if report.problems.is_empty() { Ok(()) } else { Err(Failure::found()) }
    }

    fn check_bundle(&self, bundle: &Path, keys: &[Verifier]) -> Result<(), Failure> {
        let report = verify_bundle(bundle, (!keys.is_empty()).then_some(keys));
        if let Some(about) = &report.bundle {
            println!(
                "{} events for `{}`, exported by {}",
                about.events,
                plain(&about.export.query),
                plain(&about.export.exported_by)
            );
        }
        if let Some(hash) = report.hash {
            println!("bundle.json has SHA-256 {hash}");
        }
        println!("{} events are proven", report.proven);
        for problem in &report.problems {
            println!("problem: {}", plain(&problem.to_string()));
        }
        if report.more > 0 {
            println!("and {} more problems", report.more);
        }
        if !report.problems.is_empty() {
            return Err(Failure::found());
        }
        if !report.trusted {
            println!("The bundle agrees with itself. Whether it comes from the lake only its public key tells:");
            println!("give --key, as `klio lake public-key` prints it where the lake is.");
            return Err(Failure::found());
        }
        println!("verified: every event stands in the signed log as it is here");
        Ok(())
    }
}

/// A public key, or a file that holds one.
fn key(text: &str) -> Result<Verifier, Failure> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::usage(format!("`{text}` is no public key: {e}")).hint("`klio lake public-key` prints it")
    };
    match fs::read_to_string(text) {
        Ok(content) => content.trim().parse().map_err(|e| wrong(&e)),
        Err(_) => text.trim().parse().map_err(|e| wrong(&e)),
    }
}
