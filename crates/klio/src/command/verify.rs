//! `klio verify`

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use klio_seal::evidence::verify_bundle;
use klio_seal::{Note, Policy, Verifier};
use klio_store::{Depth, Proof, Trusted};

use crate::data::{self, Data, refused};
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
    /// Check proofs as `klio evidence prove` prints them.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle", requires = "keys")]
    pub proof: Option<PathBuf>,
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
            if !bundle.is_dir() {
                return Err(Failure::world(format!("there is no directory {}", bundle.display())));
            }
            return check_bundle(bundle, &keys);
        }
        let read = |path: &PathBuf| {
            fs::read_to_string(path).map_err(|e| Failure::world(format!("{}: {e}", path.display())))
        };
        if let Some(proof) = &self.proof {
            return check_proofs(&read(proof)?, &keys);
        }
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
        // What is left of a lake is a lake; the rest is for the verification to find out.
        if !["lake.json", "seal", "seal.pub", "spool", "events"].iter().any(|part| dir.join(part).exists()) {
            return Err(Failure::world(format!("there is no lake in {}", dir.display()))
                .hint("--data DIR or KLIO_DATA says where it lies"));
        }
        // What this user may not read is not damaged.
        for part in ["seal", "spool"] {
            if let Err(e) = fs::read_dir(dir.join(part)) {
                if e.kind() == std::io::ErrorKind::PermissionDenied {
                    return Err(data::failed(&dir.join(part), &e));
                }
            }
        }
        for (path, text) in self.checkpoints.iter().zip(&trusted.checkpoints) {
            Note::parse(text).map_err(|e| {
                Failure::usage(format!("{} is no checkpoint: {e}", path.display()))
                    .hint("`klio lake checkpoint` prints one, to be kept elsewhere")
            })?;
        }
        let report = klio_store::verify(&dir, &self.data.config()?.lake, &trusted, depth).map_err(refused)?;
        if self.json {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&report).map_err(Failure::world)?)?;
        } else {
            writeln!(
                stdout(),
                "{}: {} entries, root {}; {} files, {} bytes, {} rows in {} segments; {} batches in the spool",
                dir.display(),
                report.entries,
                report.root,
                report.files,
                report.bytes,
                report.rows,
                report.segments,
                report.spooled,
            )?;
            for fact in &report.facts {
                writeln!(stdout(), "note: {}", plain(fact))?;
            }
            for problem in &report.problems {
                let since = problem.since.map(|t| format!(" (in order at {t})")).unwrap_or_default();
                writeln!(stdout(), "problem: {}: {}{since}", plain(&problem.place), plain(&problem.what))?;
                writeln!(stdout(), "         {}", problem.kind.advice())?;
            }
            if report.problems.is_empty() {
                let what = if self.quick { "no file" } else { "nothing" };
                writeln!(stdout(), "verified: {what} was altered, removed or added")?;
            }
        }
        if report.problems.is_empty() { Ok(()) } else { Err(Failure::found()) }
    }
}

fn check_bundle(bundle: &Path, keys: &[Verifier]) -> Result<(), Failure> {
    let report = verify_bundle(bundle, (!keys.is_empty()).then_some(keys));
    if let Some(about) = &report.bundle {
        writeln!(
            stdout(),
            "{} events for `{}`, exported by {}",
            about.events,
            plain(&about.export.query),
            plain(&about.export.exported_by)
        )?;
    }
    if let Some(hash) = report.hash {
        writeln!(stdout(), "bundle.json has SHA-256 {hash}")?;
    }
    writeln!(stdout(), "{} events are proven", report.proven)?;
    for problem in &report.problems {
        writeln!(stdout(), "problem: {}", plain(&problem.to_string()))?;
    }
    if report.more > 0 {
        writeln!(stdout(), "and {} more problems", report.more)?;
    }
    if !report.problems.is_empty() {
        return Err(Failure::found());
    }
    if !report.trusted {
        writeln!(
            stdout(),
            "The bundle agrees with itself. Whether it comes from the lake only its public key tells:"
        )?;
        writeln!(stdout(), "give --key, as `klio lake public-key` prints it where the lake is.")?;
        return Err(Failure::found());
    }
    writeln!(stdout(), "verified: every event stands in the signed log as it is here")?;
    Ok(())
}

/// Checks proofs, one on each line.
fn check_proofs(text: &str, keys: &[Verifier]) -> Result<(), Failure> {
    let mut wrong = 0;
    for (number, line) in text.lines().enumerate() {
        let checked = serde_json::from_str::<Proof>(line).map_err(|e| e.to_string());
        let number = number + 1;
        match checked.and_then(|proof| proof.verify(keys).map(|()| proof)) {
            Ok(proof) => {
                writeln!(stdout(), "line {number}: proven by entry {} of the signed log", proof.index)?
            }
            Err(why) => {
                wrong += 1;
                writeln!(stdout(), "line {number}: not proven: {}", plain(&why))?;
            }
        }
    }
    if text.is_empty() {
        return Err(Failure::usage("there is no proof in the file"));
    }
    if wrong == 0 { Ok(()) } else { Err(Failure::found()) }
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
