//! The project's own chores, on the standard library alone: `cargo xtask` prints what there is.
#![allow(clippy::print_stdout, reason = "these chores talk to a person in a terminal, and nobody pipes them")]

mod arrows;
mod check;
mod cluster;
mod deploy;
mod house;
mod links;
mod measure;
mod picture;
mod run;
mod s3;
mod tested;
mod ui;

use std::process::ExitCode;

const CONTENTS: &str = "\
cargo xtask COMMAND

  demo [ARG…]           build Klio and let it find the recorded attacks
  test                  everything CI runs: format, lints, arrows, links, tests, rule cases, fuzz, bad input

  e2e                   a real API server, built from its Go modules, against Klio
  bars [--runs N]       every bar of the project: required, measured, pass or fail
  eval                  findings and stories on the recorded attacks, compared with their labels
  corpus [SIZE] [SEED]  multiply the recorded events to corpus/mixed-SIZE.jsonl (1g by default)
  bench scan [SIZE]     speed against a bare parse, scaling, memory, many rules (--record appends the table
                        to docs/benchmarks.md)
  bench lake [SIZE]     keeping, size and questions of the lake beside DuckDB (1500m is what the bars are for)
  bench window          how long the window's pages take in a browser, on a million events
  bench load [RATE]     a running server under a steady load of events, 20,000 a second unless another rate is given
  fuzz [SECONDS]        mutated input against every decoder and compiler, so many seconds each

  ui                    fetch the browser's libraries with npm; whatever builds Klio does so itself
  arrows                which crate may depend on what
  deploy                chart, dashboard and alerts fit the program; helm is built if there is Go and no helm
  links                 links between the documents
  house                 file lengths and names
  picture               draw docs/scan.svg from what `klio demo` prints

Other people's rule files take part when the environment names them:
  KLIO_TEST_SIGMA_RULES   folder of SigmaHQ's Kubernetes audit rules
  KLIO_TEST_FALCO_RULES   Falco's k8s_audit_rules.yaml, or its folder
and an S3 server of one's own, else one is installed from PyPI and started:
  KLIO_TEST_S3            its endpoint, http://127.0.0.1:5000";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rest = words.get(1..).unwrap_or_default();
    if let Err(error) = std::env::set_current_dir(run::root()) {
        eprintln!("xtask: {}: {error}", run::root().display());
        return ExitCode::from(3);
    }
    // All that builds Klio needs them.
    let builds =
        ["demo", "test", "e2e", "bars", "eval", "corpus", "bench", "fuzz", "picture", "deploy", "ui"];
    if words.first().is_some_and(|word| builds.contains(&word.as_str()))
        && let Err(said) = ui::fetch()
    {
        eprintln!("xtask: {said}");
        return ExitCode::from(3);
    }
    let result = match words.first().map(String::as_str) {
        Some("ui") => Ok(()),
        Some("demo") => check::demo(rest),
        Some("test") => return check::test(),
        Some("e2e") => cluster::e2e(rest),
        Some("bars") => measure::bars(rest),
        Some("eval") => measure::eval(rest),
        Some("corpus") => measure::corpus(rest).map(|_| ()),
        Some("bench") => measure::bench(rest),
        Some("fuzz") => measure::fuzz(rest),
        Some("arrows") => arrows::check(),
        Some("deploy") => deploy::check(),
        Some("links") => links::check(),
        Some("house") => house::check(),
        Some("picture") => picture::draw(),
        None | Some("help" | "--help" | "-h") => {
            println!("{CONTENTS}");
            Ok(())
        }
        Some(other) => {
            eprintln!("xtask: there is no `{other}`\n\n{CONTENTS}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(said) => {
            eprintln!("xtask: {said}");
            ExitCode::FAILURE
        }
    }
}
