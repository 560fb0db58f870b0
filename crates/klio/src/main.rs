//! `klio`: Kubernetes auditing on the command line.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 findings at or above `--fail-on` (or a lint or test
//! failed), 2 usage or configuration, 3 the world refused, 70 a bug.

// What only the lake asks for, and what can only be reached with it.
#![cfg_attr(not(feature = "lake"), allow(dead_code, unreachable_code, unused_mut, unused_variables))]

mod allow;
mod command;
#[cfg(feature = "lake")]
mod config;
#[cfg(feature = "lake")]
mod data;
mod failure;
mod files;
mod hunts;
#[cfg_attr(not(feature = "lake"), path = "keep/off.rs")]
mod keep;
mod lab;
#[cfg(feature = "lake")]
mod line;
mod lookup;
mod output;
mod pack;
mod people;
#[cfg(feature = "lake")]
mod pipeline;
mod scan;
#[cfg(feature = "lake")]
mod serve;
#[cfg(feature = "lake")]
mod traces;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Many small values of many threads: a tenth less CPU than the C library's own, and far less than musl's
/// (docs/decisions/0029-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hears what a Kubernetes cluster says about itself and tells what happened.
#[derive(Parser)]
#[command(name = "klio", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Examples:
  klio demo                                 the recorded attacks that come with Klio
  klio demo --lab                           learn to find them yourself
  klio scan /var/log/kubernetes/audit/      find the attacks in audit logs
  klio hunt 'verb:delete and resource:events' audit.log
  klio rule list                            what Klio looks for

Exit codes: 0 done, 1 findings at or above --fail-on, 2 usage, 3 the world refused, 70 a bug.")]
struct Cli {
    #[command(subcommand)]
    command: command::Command,
}

fn main() -> ExitCode {
    // Threads of a scan wait for each other's results: a panic in one ends the program at once, except where
    // somebody stands ready to catch it.
    std::panic::set_hook(Box::new(|info| {
        if klio_detect::sigma::catches_panics() {
            return;
        }
        // A reader of the talk that has seen enough (`2>&1 | head`) is no bug, as one of the data is none.
        let said = info.to_string();
        if said.contains("failed printing to std") && said.contains("Broken pipe") {
            std::process::exit(0);
        }
        let text = format!("klio: a bug: {said}\nPlease report it with the command you ran.\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
        std::process::exit(70);
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("klio: {}", failure.message);
            }
            for hint in &failure.hints {
                eprintln!("  hint: {hint}");
            }
            ExitCode::from(failure.code())
        }
    }
}
