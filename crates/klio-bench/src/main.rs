//! `klio-bench`: makes the corpus and measures Klio on it. Never shipped; `cargo xtask` runs it.
//!
//! Every measurement runs the real `klio` as a process of its own, so that what is measured is what a user
//! pays: reading, decoding, rules and output together.

mod bad;
mod bars;
mod corpus;
mod error;
mod eval;
mod fuzz;
mod klio;
mod lake;
mod load;
mod measure;
mod parse;
mod rng;
mod rules;
mod speed;
mod window;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Error;

/// The command line.
#[derive(Debug, Parser)]
#[command(about = "Makes the corpus and measures Klio on it")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Task {
    /// Multiply the recorded events into a corpus.
    Corpus {
        /// Where to write it.
        out: PathBuf,
        /// Bytes to write at least.
        #[arg(long, default_value_t = 1 << 30)]
        bytes: u64,
        /// Seed of every choice.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The bare typed parse that the scan is compared with.
    Parse {
        /// JSON lines.
        file: PathBuf,
    },
    /// Run a program and print its CPU seconds, wall seconds and peak memory.
    Measure {
        /// Where its standard output goes (nowhere by default).
        #[arg(long)]
        stdout: Option<PathBuf>,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Write so many distinct Sigma rules of realistic mix.
    Rules {
        /// The folder, made when missing.
        out: PathBuf,
        /// How many.
        #[arg(long, default_value_t = 300)]
        count: usize,
        /// Seed of every choice.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Measure the scan's speed, scaling and memory against the bare parse.
    Scan {
        /// The corpus.
        file: PathBuf,
        /// Interleaved runs; the median counts.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Markdown file the table is appended to.
        #[arg(long)]
        record: Option<PathBuf>,
    },
    /// Measure the lake: keeping the corpus, its size, and questions, beside DuckDB.
    Lake {
        /// The corpus.
        file: PathBuf,
        /// Runs of each question; the median counts.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Markdown file the table is appended to.
        #[arg(long)]
        record: Option<PathBuf>,
    },
    /// Measure the lake's questions alone, of a lake that is already there.
    Questions {
        /// The lake's directory.
        data: PathBuf,
        /// Runs of each question; the median counts.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Put a running server under a steady load, as API servers post events.
    Load {
        /// The corpus.
        file: PathBuf,
        /// Events a second.
        #[arg(long, default_value_t = 20_000)]
        rate: u64,
        /// For how long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Look at the window with a browser: how long its pages take.
    Window {
        /// The corpus.
        file: PathBuf,
        /// How often each page is looked at.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Compare findings and stories on the recorded attacks with their labels.
    Eval {
        /// The recorded data.
        #[arg(default_value = "fixtures/recorded")]
        recorded: PathBuf,
        /// One JSON object instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Feed the scan broken input and check that it copes.
    Bad,
    /// Feed mutated input to every decoder, parser and compiler.
    Fuzz {
        /// Seconds for each.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Seed of every choice.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Every bar of the project: required, measured, pass or fail.
    Bars {
        /// The corpus; the speed bars are left unmeasured without it.
        #[arg(long)]
        corpus: Option<PathBuf>,
        /// The corpus of the lake's bars, 1.5 GB; left unmeasured without it.
        #[arg(long)]
        lake: Option<PathBuf>,
        /// Bars that tests have measured, as `cargo xtask bars` writes them.
        #[arg(long)]
        tested: Option<PathBuf>,
        /// Interleaved runs of the speed measurements.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "klio-bench: {error}");
            ExitCode::from(3)
        }
    }
}

/// Does one task; `false` means that it was done and a bar was missed.
fn run(task: Task) -> Result<bool, Error> {
    let mut out = std::io::stdout().lock();
    match task {
        Task::Corpus { out: path, bytes, seed } => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            // Written beside and renamed: a corpus that exists is complete.
            let partial = path.with_extension("partial");
            let mut file = File::create(&partial)?;
            let plan = corpus::Plan { bytes, seed };
            let made = corpus::generate(&klio::recorded(), &plan, &mut file)?;
            std::fs::rename(&partial, &path)?;
            writeln!(out, "{}", json(&made))?;
        }
        Task::Parse { file } => writeln!(out, "{}", json(&parse::parse(&file)?))?,
        Task::Measure { stdout, command } => {
            writeln!(out, "{}", json(&measure::run(&command, stdout.as_deref())?))?;
        }
        Task::Rules { out: folder, count, seed } => rules::write(&folder, count, seed)?,
        Task::Scan { file, runs, record } => {
            let speed = speed::measure(&file, runs)?;
            let table = speed.table();
            write!(out, "{table}")?;
            if let Some(path) = record {
                let mut log = File::options().append(true).open(path)?;
                write!(log, "\n{table}")?;
            }
        }
        Task::Lake { file, runs, record } => {
            let table = lake::measure(&file, runs)?.table();
            write!(out, "{table}")?;
            if let Some(path) = record {
                let mut log = File::options().append(true).open(path)?;
                write!(log, "\n{table}")?;
            }
        }
        Task::Questions { data, runs } => {
            for asked in lake::ask(&data, runs)? {
                writeln!(
                    out,
                    "{:8.1} ms of {:3.0} ms, {:6} rows: {}",
                    asked.cpu, asked.bar, asked.rows, asked.name
                )?;
            }
        }
        Task::Load { file, rate, seconds } => writeln!(out, "{}", json(&load::run(&file, rate, seconds)?))?,
        Task::Window { file, rounds } => match window::measure(&file, rounds)? {
            Some(window) => write!(out, "{}", window.table())?,
            None => writeln!(out, "there is no browser here, or `cargo xtask ui` was not run")?,
        },
        Task::Eval { recorded, json: as_json } => {
            let result = eval::evaluate(&recorded)?;
            if as_json {
                writeln!(out, "{}", json(&result))?;
            } else {
                write!(out, "{}", result.table())?;
            }
        }
        Task::Bad => {
            let cases = bad::run()?;
            for case in &cases {
                writeln!(out, "{} {}: {}", if case.passed { "ok  " } else { "FAIL" }, case.name, case.said)?;
            }
            return Ok(cases.iter().all(|case| case.passed));
        }
        Task::Fuzz { seconds, seed } => return fuzz::run(seconds, seed, &mut out),
        Task::Bars { corpus, lake, tested, runs } => {
            return bars::run(corpus.as_deref(), lake.as_deref(), tested.as_deref(), runs, &mut out);
        }
    }
    Ok(true)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
