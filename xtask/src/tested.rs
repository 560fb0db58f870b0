//! Bars that tests measure: what a real API server is told, what a hostile world does, who sees what.

use std::path::Path;

use crate::{cluster, run};

/// A bar: its name, what is required, what was measured if it could be, and whether it passed.
type Row = (&'static str, &'static str, Option<String>, bool);

/// Runs the tests, and writes a JSON list of bars.
pub fn write(path: &Path) -> Result<(), String> {
    let rows = [
        apiserver()?,
        passes(
            "serve_hostile",
            "Full disk, read-only disk, clock, certificates, slow and many clients: tests",
        )?,
        passes("api", "Roles × scopes × routes, in memory and over the lake: tests")?,
        passes("window", "Journeys in a real browser, axe, three widths, two themes, no scripts: tests")?,
    ];
    let rows = rows.map(|(name, required, measured, passed)| {
        let measured = measured.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""));
        format!(r#"{{"name":"{name}","required":"{required}","measured":{measured},"passed":{passed}}}"#)
    });
    std::fs::write(path, format!("[{}]", rows.join(","))).map_err(|e| format!("{}: {e}", path.display()))
}

fn apiserver() -> Result<Row, String> {
    let (name, required) = ("Real API server, ten SIGKILLs: lost and doubled", "0 and 0 of ≥ 50,000");
    let Some(bin) = cluster::build()? else { return Ok((name, required, None, false)) };
    let (mut events, mut differ) = (0, None);
    let test = "nothing_is_lost_or_doubled_while_the_server_is_killed_ten_times".to_owned();
    let is_ok = run::watched(cluster::tests(&bin, &[test]), |line| {
        if let Some((count, _)) = line.split_once(" events in the API server's log") {
            events = count.trim().parse().unwrap_or(0);
        }
        let lost = line.strip_prefix("lost ").and_then(|rest| rest.split_once(", doubled "));
        differ = lost.map(|(lost, doubled)| (lost.to_owned(), doubled.to_owned())).or(differ.take());
    })?;
    let measured = differ.map(|(lost, doubled)| format!("{lost} and {doubled} of {events}"));
    Ok((name, required, measured, is_ok && events >= 50_000))
}

/// All tests of a file.
fn passes(file: &str, name: &'static str) -> Result<Row, String> {
    let (mut passed, mut failed) = (0, 0);
    let tests = run::cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--test", file]);
    let is_ok = run::watched(tests, |line| {
        if line.starts_with("test result: ") {
            passed += count(line, " passed");
            failed += count(line, " failed");
        }
    })?;
    Ok((name, "all", Some(format!("{passed} of {}", passed + failed)), is_ok && passed > 0))
}

/// The number before a word.
fn count(line: &str, word: &str) -> u32 {
    let before = line.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
