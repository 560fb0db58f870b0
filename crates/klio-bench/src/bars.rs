//! Every bar of the project in one table: what is required, what was measured, whether it passes.

mod judge;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::{bad, eval, klio, lake, load, speed, window};

/// One line of the table.
#[derive(Deserialize)]
struct Bar {
    name: String,
    required: String,
    /// Nothing when it could not be measured here.
    measured: Option<String>,
    passed: bool,
}

/// Measures and prints; `false` when a bar was missed.
pub fn run(
    corpus: Option<&Path>,
    lake: Option<&Path>,
    tested: Option<&Path>,
    runs: usize,
    out: &mut dyn Write,
) -> Result<bool, Error> {
    let mut bars = vec![
        loads("SigmaHQ's Kubernetes rules load unmodified", "16", klio::sigma_rules(), 16)?,
        loads("Falco's k8s_audit rules load unmodified", "48", klio::falco_rules(), 48)?,
    ];
    let cases = Command::new(klio::program()?).args(["rule", "test"]).output()?;
    let said = String::from_utf8_lossy(&cases.stdout).into_owned() + &String::from_utf8_lossy(&cases.stderr);
    bars.push(Bar {
        name: "Cases on the pages of Klio's rules".into(),
        required: "all".into(),
        measured: said.trim().lines().last().map(str::to_owned),
        passed: cases.status.success(),
    });

    bars.extend(judge::bars(&eval::evaluate(&klio::recorded())?)?);

    if let Some(tested) = tested {
        bars.extend(
            serde_json::from_slice::<Vec<Bar>>(&std::fs::read(tested)?).map_err(std::io::Error::other)?,
        );
    }
    bars.extend(proven()?);
    if let Some(corpus) = lake {
        for row in lake::measure(corpus, runs)?.rows() {
            let measured = match row.duckdb {
                Some(duckdb) => format!("{} (DuckDB: {duckdb})", row.measured),
                None => row.measured,
            };
            bars.push(Bar {
                name: row.name,
                required: row.required,
                measured: Some(measured),
                passed: row.passed,
            });
        }
    }
    if let Some(corpus) = lake {
        bars.extend(served(corpus)?);
        bars.extend(seen(corpus, runs)?);
    }
    match corpus {
        Some(corpus) => bars.extend(fast(&speed::measure(corpus, runs)?)),
        None => bars.push(Bar {
            name: "Speed and memory".into(),
            required: "see `bench scan`".into(),
            measured: None,
            passed: false,
        }),
    }
    let cases = bad::run()?;
    let failed: Vec<&str> = cases.iter().filter(|case| !case.passed).map(|case| case.name).collect();
    let mut told = format!("{} of {}", cases.len() - failed.len(), cases.len());
    if !failed.is_empty() {
        told = format!("{told}; failed: {}", failed.join(", "));
    }
    bars.push(bar("Bad input counted, named, survived", "all", told, failed.is_empty()));
    print(&bars, out)
}

/// The server under load.
fn served(corpus: &Path) -> Result<Vec<Bar>, Error> {
    let slow = load::run(corpus, 4_000, 20)?;
    let middle = load::run(corpus, 10_000, 30)?;
    let fast = load::run(corpus, 20_000, 60)?;
    // Sent in time, and all of it in the lake.
    let whole = fast.kept == fast.events && fast.seconds < 63.0;
    let kept = format!(
        "{} of {} in {:.1} s, {} pushed back, {:.0} s CPU",
        fast.kept, fast.events, fast.seconds, fast.pushed_back, fast.cpu_s
    );
    Ok(vec![
        bar(
            "Acknowledgement at 4,000 events/s, p99",
            "< 100 ms",
            format!("{:.0} ms", slow.p99_ms),
            slow.p99_ms < 100.0,
        ),
        bar(
            "Event to finding in the API at 10,000 events/s, p99",
            "< 2 s",
            format!(
                "{:.2} s of {} probes; to verdict ≤ {:.2} s",
                middle.shown_p99_s, middle.probes, middle.verdict_p99_s
            ),
            middle.shown_p99_s < 2.0
                && middle.probes >= 20
                && middle.verdict_p99_s < 2.0
                && middle.kept == middle.events,
        ),
        bar("20,000 events/s for 60 s, all durable", "all", kept, whole),
        bar("Memory of the server at that", "< 768 MB", format!("{} MB", fast.rss_mb), fast.rss_mb < 768),
    ])
}

/// The window, in a browser.
fn seen(corpus: &Path, runs: usize) -> Result<Vec<Bar>, Error> {
    let names = [
        "First paint of Overview, a million events",
        "First paint of Explore",
        "A press on a value of Explore",
        "What browsers load beside a page, packed",
    ];
    let required = ["< 300 ms", "< 300 ms", "< 500 ms", "< 200 kB"];
    let Some(window) = window::measure(corpus, runs)? else {
        let missing = |(name, required): (&str, &str)| Bar {
            name: name.into(),
            required: required.into(),
            measured: None,
            passed: false,
        };
        return Ok(names.into_iter().zip(required).map(missing).collect());
    };
    let (overview, day, all, facet) =
        (window.page("/"), window.page("/explore"), window.page("/explore?from=1970"), window.facet());
    Ok(vec![
        bar(names[0], required[0], format!("{overview:.0} ms"), overview < 300.0),
        bar(
            names[1],
            required[1],
            format!("{day:.0} ms of the newest day, {all:.0} ms of all time"),
            day < 300.0 && all < 300.0,
        ),
        bar(names[2], required[2], format!("{facet:.0} ms"), facet < 500.0),
        bar(names[3], required[3], format!("{:.1} kB", window.assets as f64 / 1e3), window.assets < 200_000),
    ])
}

fn fast(speed: &speed::Speed) -> Vec<Bar> {
    let ratio = speed.ratio();
    let twice = speed.two_threads();
    let growth = speed.growth();
    vec![
        bar(
            "Scan against the bare parse, CPU",
            "≤ 1.65×",
            format!("{ratio:.2}× ({:.2} s / {:.2} s; {})", speed.scan, speed.parse, speed.with),
            ratio <= 1.65,
        ),
        Bar {
            name: "Scan against DuckDB with five rules, CPU".into(),
            required: "less".into(),
            measured: speed.duckdb.map(|duck| format!("{:.2} s / {duck:.2} s", speed.scan)),
            passed: speed.duckdb.is_none_or(|duck| speed.scan < duck),
        },
        bar(
            "Judging with everything on: events a second of one core",
            "≥ 200,000",
            format!("{:.0}", speed.judged_per_second),
            speed.judged_per_second >= 200_000.0,
        ),
        bar("Two cores", "≥ 1.8×", format!("{twice:.2}×"), twice >= 1.8),
        bar(
            "Peak memory",
            "≤ 200 MB",
            format!("{:.0} MB", speed.peak as f64 / 1e6),
            speed.peak <= 200_000_000,
        ),
        bar("10 to 300 rules, CPU", "≤ 2×", format!("{growth:.2}×"), growth <= 2.0),
    ]
}

/// Whether a folder or file of other people's rules loads whole.
fn loads(name: &str, required: &str, path: Option<String>, count: usize) -> Result<Bar, Error> {
    let Some(path) = path else {
        return Ok(Bar { name: name.into(), required: required.into(), measured: None, passed: true });
    };
    let loaded = rules(&["--only-rules", "--rules", &path])?;
    Ok(bar(name, required, loaded.to_string(), loaded >= count))
}

/// How many rules `klio rule list` shows with these arguments.
fn rules(arguments: &[&str]) -> Result<usize, Error> {
    let output =
        Command::new(klio::program()?).args(["rule", "list", "-o", "jsonl"]).args(arguments).output()?;
    let lines = output.stdout.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    Ok(lines.filter(|line| serde_json::from_slice::<Value>(line).is_ok()).count())
}

/// What the store's own tests show, with more of each than CI has time for.
fn proven() -> Result<Vec<Bar>, Error> {
    let kills = std::env::var("KLIO_KILLS").unwrap_or_else(|_| "1000".to_owned());
    let questions = std::env::var("KLIO_QUESTIONS").unwrap_or_else(|_| "10000".to_owned());
    let asked = [
        ("Lake and `MemoryArchive` agree on random questions", &questions, "oracle"),
        ("Random kills: nothing acknowledged lost or doubled, `verify` passes", &kills, "kills"),
        ("Tampering named by `verify`, also by who has the key", &"each case".to_owned(), "tamper"),
        ("Planted secrets and encrypted data found by a byte search", &"none".to_owned(), "encrypted"),
    ];
    let mut bars = Vec::new();
    for (name, required, test) in asked {
        let variables = [("KLIO_KILLS", kills.as_str()), ("KLIO_QUESTIONS", questions.as_str())];
        bars.push(tested(name, required, &[test], &variables)?);
    }
    Ok(bars)
}

/// What a test of the workspace shows: the line that it begins with `measured: `, or else its result.
fn tested(name: &str, required: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Bar, Error> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // All of the workspace, so that nothing is built anew for other features.
    cargo.args(["test", "--quiet", "--workspace", "--test"]).args(arguments);
    cargo.env_remove("CARGO_MANIFEST_DIR").envs(variables.iter().copied());
    let output = cargo.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told =
        |start: &str| said.lines().rfind(|line| line.starts_with(start)).map(|l| l[start.len()..].to_owned());
    let measured = told("measured: ").or_else(|| told("test result: "));
    // A test that was renamed is not one that passed.
    let ran = !said.contains("test result: ok. 0 passed");
    Ok(Bar { name: name.into(), required: required.into(), measured, passed: output.status.success() && ran })
}

fn bar(name: &str, required: &str, measured: String, passed: bool) -> Bar {
    Bar { name: name.into(), required: required.into(), measured: Some(measured), passed }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn print(bars: &[Bar], out: &mut dyn Write) -> Result<bool, Error> {
    writeln!(out, "| bar | required | measured | |\n|---|---|---|---|")?;
    for bar in bars {
        let verdict = match (&bar.measured, bar.passed) {
            (None, _) => "–",
            (Some(_), true) => "pass",
            (Some(_), false) => "**fail**",
        };
        let measured = bar.measured.as_deref().unwrap_or("not measured");
        writeln!(out, "| {} | {} | {measured} | {verdict} |", bar.name, bar.required)?;
    }
    Ok(bars.iter().all(|bar| bar.passed || bar.measured.is_none()))
}
