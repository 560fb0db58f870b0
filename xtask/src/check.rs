//! `demo` and `test`: the two commands a newcomer needs.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::{arrows, cluster, deploy, house, links, run, s3};

/// Seconds that each fuzz target runs in CI.
const FUZZ_SECONDS: &str = "2";

/// Requests that the tests with a real API server make in CI.
const E2E_EVENTS: &str = "10000";

/// Minutes that the window of the demo stays open.
const OPEN: &str = "60";

/// Builds Klio and lets it find the recorded attacks; then opens the window on them, for an hour, and says where it is.
pub fn demo(arguments: &[String]) -> Result<(), String> {
    let mut command = run::cargo(&["run", "--quiet", "--package", "klio", "--", "demo"]);
    command.args(arguments);
    run::run(command)?;
    if arguments.is_empty() { open() } else { Ok(()) }
}

/// Starts a server that outlives this program, and passes on what it says until its window is open.
fn open() -> Result<(), String> {
    println!("\nThe same in the window: the logs are kept in a lake of their own …");
    let mut serve = Command::new(run::built("debug", "klio"));
    serve.args(["demo", "--serve", "--minutes", OPEN]).process_group(0);
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = serve.spawn().map_err(|error| format!("{serve:?}: {error}"))?;
    let said = server.stdout.take().ok_or("the server's output is not there")?;
    for line in BufReader::new(said).lines() {
        let line = line.map_err(|error| error.to_string())?;
        println!("{line}");
        if line.contains("It closes") {
            return Ok(());
        }
    }
    let status = server.wait().map_err(|error| error.to_string())?;
    Err(format!("the window did not open ({status}); `klio demo --serve` says why"))
}

/// Everything CI runs. Every step runs even if an earlier one failed; the last line counts.
pub fn test() -> ExitCode {
    let mut tally = Tally::default();
    for (name, tests) in [
        ("KLIO_TEST_SIGMA_RULES", "the tests that read those rule files are"),
        ("KLIO_TEST_FALCO_RULES", "the tests that read those rule files are"),
        ("KLIO_INTEROP", "the test in which Go verifies our log is"),
    ] {
        if std::env::var_os(name).is_none() {
            println!("{name} is not set: {tests} skipped");
        }
    }
    tally.step("format", || run::run(run::cargo(&["fmt", "--all", "--check"])));
    tally.step("house", house::check);
    tally.step("links", links::check);
    tally.step("arrows", arrows::check);
    tally.step("deploy", deploy::check);
    let lints = |which: &[&str]| {
        let mut clippy = run::cargo(&["clippy", "--quiet", "--locked"]);
        clippy.args(which).args(["--", "--deny", "warnings"]);
        run::run(clippy)
    };
    tally.step("lints", || lints(&["--workspace", "--all-targets"]));
    tally.step("lints without the lake", || lints(&["--package", "klio", "--no-default-features"]));
    tally.tests();
    // The suite is trimmed here and not the API server; `cargo xtask e2e` runs the whole.
    tally.step("a real cluster", || {
        let Some(bin) = cluster::build()? else {
            println!("skipped: there is no Go here, and without it no API server");
            return Ok(());
        };
        let mut tests = cluster::tests(&bin, &[]);
        tests.env("KLIO_E2E_TOTAL", E2E_EVENTS);
        run::run(tests)
    });
    tally.step("build", || {
        run::run(run::cargo(&[
            "build",
            "--quiet",
            "--locked",
            "--package",
            "klio",
            "--package",
            "klio-bench",
        ]))
    });
    let klio = run::built("debug", "klio");
    let bench = run::built("debug", "klio-bench");
    let program = |path: &std::path::Path, words: &[&str]| {
        let mut command = Command::new(path);
        command.args(words).env("KLIO_BIN", &klio);
        run::run(command)
    };
    tally.step("rule cases", || program(&klio, &["rule", "test"]));
    tally.step("bad input", || program(&bench, &["bad"]));
    tally.step("fuzz", || program(&bench, &["fuzz", "--seconds", FUZZ_SECONDS]));
    tally.end()
}

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    broken: Vec<String>,
}

impl Tally {
    /// Runs one step that passes or fails as a whole.
    fn step(&mut self, name: &str, what: impl FnOnce() -> Result<(), String>) {
        println!("── {name}");
        let begun = Instant::now();
        match what() {
            Ok(()) => {
                self.passed += 1;
                println!("   {name} passed in {:.1} s", begun.elapsed().as_secs_f64());
            }
            Err(said) => self.fail(name, &said),
        }
    }

    /// Runs the tests and counts each.
    fn tests(&mut self) {
        println!("── tests");
        let mut command = run::cargo(&["test", "--quiet", "--workspace", "--locked", "--no-fail-fast"]);
        let own = std::env::var_os("KLIO_TEST_S3").is_none();
        let server = own.then(s3::start).transpose().unwrap_or_else(|said| {
            println!("the test of object storage is skipped: no S3 server could be started: {said}");
            None
        });
        if let Some(server) = &server {
            command.env("KLIO_TEST_S3", &server.endpoint);
        }
        let (mut passed, mut failed) = (0, 0);
        let ended = run::watched(command, |line| {
            if let Some(result) = line.strip_prefix("test result: ") {
                passed += count(result, "passed");
                failed += count(result, "failed");
            }
        });
        self.passed += passed;
        self.failed += failed;
        match ended {
            Ok(true) => {}
            // A test program that could not be built or that crashed has no line of its own.
            Ok(false) if failed > 0 => self.broken.push("tests".to_owned()),
            Ok(false) => self.fail("tests", "cargo test failed before it counted"),
            Err(said) => self.fail("tests", &said),
        }
    }

    fn fail(&mut self, name: &str, said: &str) {
        self.failed += 1;
        self.broken.push(name.to_owned());
        println!("   {name} FAILED: {said}");
    }

    fn end(self) -> ExitCode {
        if !self.broken.is_empty() {
            println!("failed: {}", self.broken.join(", "));
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The number before `word` in `ok. 12 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).filter(|w| !w.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn results_are_read() {
        let line = "ok. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (12, 3));
    }
}
