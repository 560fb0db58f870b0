//! Broken input: each case must be counted and named, the rest processed, and nothing may panic.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::klio;
use crate::speed::Scratch;

/// How one case went.
#[derive(Debug)]
pub struct Case {
    /// What was wrong with the input.
    pub name: &'static str,
    /// Whether the scan coped.
    pub passed: bool,
    /// What it said.
    pub said: String,
}

/// An event that every case holds once, to see that the rest is processed.
const GOOD: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"ID","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"list","user":{"username":"alice","groups":["system:authenticated"]},"sourceIPs":["198.51.100.7"],"userAgent":"kubectl","objectRef":{"resource":"pods","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-21T01:00:00.000000Z","stageTimestamp":"2026-11-21T01:00:00.100000Z"}"#;
/// A gzip bomb of this size when unpacked.
const BOMB: usize = 512 << 20;

/// Runs every case.
pub fn run() -> Result<Vec<Case>, Error> {
    let scratch = Scratch::new()?;
    let root = &scratch.0;
    let good = |id: &str| format!("{}\n", GOOD.replace("\"ID\"", &format!("\"{id}\"")));
    let around = |middle: &[u8]| [good("first").as_bytes(), middle, b"\n", good("last").as_bytes()].concat();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let long = format!("{{\"kind\":\"Event\",\"userAgent\":\"{}\"}}", "x".repeat(100 << 20));
    let wide = format!("{{{}\"z\":1}}", "\"k\":{},".repeat(2_000_000));
    let mut invalid = good("utf8").into_bytes();
    let place = memchr::memmem::find(&invalid, b"alice").unwrap_or(0);
    invalid[place] = 0xFF;

    // (name, content, events expected at least, rejects expected at least)
    let files: Vec<(&'static str, Vec<u8>, u64, u64)> = vec![
        ("truncated line", around(&GOOD.as_bytes()[..300]), 2, 1),
        ("truncated last line", [good("first").as_bytes(), &GOOD.as_bytes()[..200]].concat(), 1, 1),
        ("invalid UTF-8", around(&invalid), 2, 1),
        ("100 MB line", around(long.as_bytes()), 2, 1),
        ("deeply nested JSON", around(deep.as_bytes()), 2, 1),
        ("JSON with two million keys", around(wide.as_bytes()), 2, 1),
        ("binary noise", around(&noise(1 << 20)), 2, 1),
        // Blanks to a reader: what a file system leaves of blocks that were never written.
        ("NUL bytes", around(&[0u8; 4096]), 2, 0),
        ("empty file", Vec::new(), 0, 0),
        (
            "mixed formats",
            around(format!("[{0},{0}]", GOOD.replace("\"ID\"", "\"in array\"")).as_bytes()),
            2,
            0,
        ),
    ];
    let mut cases = Vec::new();
    for (name, content, events, rejects) in files {
        let file = root.join(format!("{}.log", name.replace(' ', "-")));
        std::fs::write(&file, content)?;
        cases.push(judge(name, &[&file], events, rejects)?);
        std::fs::remove_file(&file)?;
    }

    let bomb = root.join("bomb.log.zst");
    let mut packed = zstd::Encoder::new(std::fs::File::create(&bomb)?, 1)?;
    packed.write_all(good("before").as_bytes())?;
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..BOMB >> 20 {
        packed.write_all(&zeros)?;
    }
    packed.write_all(format!("\n{}", good("after")).as_bytes())?;
    packed.finish()?;
    cases.push(judge("compression bomb of 512 MiB", &[&bomb], 1, 1)?);

    let cut = root.join("cut.log.zst");
    let whole = std::fs::read(&bomb)?;
    std::fs::write(&cut, &whole[..whole.len() / 2])?;
    cases.push(judge("compressed file cut in the middle", &[&cut], 1, 1)?);
    std::fs::remove_file(&cut)?;
    std::fs::remove_file(&bomb)?;

    let looped = root.join("loop");
    std::fs::create_dir_all(&looped)?;
    std::fs::write(looped.join("audit.log"), good("in loop"))?;
    std::os::unix::fs::symlink(&looped, looped.join("again"))?;
    cases.push(judge("directory loop", &[&looped], 1, 0)?);

    let dangling = root.join("dangling");
    std::fs::create_dir_all(&dangling)?;
    std::fs::write(dangling.join("audit.log"), good("beside"))?;
    std::os::unix::fs::symlink("/nonexistent/audit.log", dangling.join("gone.log"))?;
    cases.push(judge("unreadable file in a directory", &[&dangling], 1, 1)?);
    Ok(cases)
}

/// Scans and checks exit code, events and rejects; a reject must be named as `file:line`.
fn judge(name: &'static str, paths: &[&Path], events: u64, rejects: u64) -> Result<Case, Error> {
    let output = Command::new(klio::program()?)
        .arg("scan")
        .args(paths)
        .args(["-o", "jsonl", "--threads", "1"])
        .output()?;
    let code = output.status.code().unwrap_or(-1);
    let summary: Option<Value> = output
        .stdout
        .split(|b| *b == b'\n')
        .rfind(|line| !line.is_empty())
        .and_then(|line| serde_json::from_slice(line).ok());
    let Some(summary) = summary.filter(|line| line["type"] == "summary") else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Nothing to read at all may be refused, as long as it is said.
        let refused = matches!(code, 0 | 3) && events == 0 && !stderr.is_empty();
        let said = format!("exit {code}, no summary: {}", stderr.lines().next().unwrap_or_default());
        return Ok(Case { name, passed: refused, said });
    };
    let read = summary["events"].as_u64().unwrap_or(0);
    let troubles = summary["rejected"].as_u64().unwrap_or(0) + summary["skipped"].as_u64().unwrap_or(0);
    let named = &summary["rejected_reasons"];
    let first = named.as_array().and_then(|list| list.first()).or_else(|| summary["skipped_reasons"].get(0));
    let passed = code == 0 && read >= events && troubles >= rejects && (rejects == 0 || first.is_some());
    let why = first.map(ToString::to_string).unwrap_or_default();
    Ok(Case { name, passed, said: format!("exit {code}, {read} events, {troubles} named {why}") })
}

fn noise(len: usize) -> Vec<u8> {
    let mut rng = crate::rng::Rng::new(7);
    (0..len).map(|_| (rng.next() & 0xFF) as u8).filter(|b| *b != b'\n').collect()
}
