//! Broken input: each case must be counted and named, the rest processed, and nothing may panic.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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
/// A bomb has this size when unpacked.
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

    // (name, content, events expected at least, line to be named)
    let files: Vec<(&'static str, Vec<u8>, u64, Option<u64>)> = vec![
        ("truncated line", around(&GOOD.as_bytes()[..300]), 2, Some(2)),
        ("truncated last line", [good("first").as_bytes(), &GOOD.as_bytes()[..200]].concat(), 1, Some(2)),
        ("invalid UTF-8", around(&invalid), 2, Some(2)),
        ("100 MB line", around(long.as_bytes()), 2, Some(2)),
        ("deeply nested JSON", around(deep.as_bytes()), 2, Some(2)),
        ("JSON with two million keys", around(wide.as_bytes()), 2, Some(2)),
        ("binary noise", around(&noise(1 << 20)), 2, Some(2)),
        ("NUL bytes", around(&[0u8; 4096]), 2, Some(2)),
        ("empty file", Vec::new(), 0, Some(0)),
        (
            "mixed formats",
            around(format!("[{0},{0}]", GOOD.replace("\"ID\"", "\"in array\"")).as_bytes()),
            2,
            None,
        ),
    ];
    let mut cases = Vec::new();
    for (name, content, events, line) in files {
        let file = root.join(format!("{}.log", name.replace(' ', "-")));
        std::fs::write(&file, content)?;
        cases.push(judge(name, &file, events, line.map(|line| (&*file, line, "")))?);
        std::fs::remove_file(&file)?;
    }

    let zeros = vec![b'0'; 1 << 20];
    let noise = noise(8 << 20);
    for (bomb, cut, kind) in [
        ("zstd bomb of 512 MiB", "zstd file cut in the middle", "zst"),
        ("gzip bomb of 512 MiB", "gzip file cut in the middle", "gz"),
    ] {
        let file = root.join(format!("bomb.log.{kind}"));
        pack(&file, &good("before"), &vec![&zeros[..]; BOMB >> 20])?;
        cases.push(judge(bomb, &file, 1, Some((&file, 2, "bomb")))?);
        pack(&file, &good("before"), &[&noise[..]])?;
        let whole = std::fs::read(&file)?;
        std::fs::write(&file, &whole[..whole.len() / 2])?;
        cases.push(judge(cut, &file, 1, Some((&file, 2, "damaged")))?);
        std::fs::remove_file(&file)?;
    }

    let looped = root.join("loop");
    std::fs::create_dir_all(&looped)?;
    std::fs::write(looped.join("audit.log"), good("in loop"))?;
    std::os::unix::fs::symlink(&looped, looped.join("again"))?;
    cases.push(judge("directory loop", &looped, 1, Some((&looped.join("again"), 0, "loop")))?);

    let dangling = root.join("dangling");
    std::fs::create_dir_all(&dangling)?;
    std::fs::write(dangling.join("audit.log"), good("beside"))?;
    std::os::unix::fs::symlink("/nonexistent/audit.log", dangling.join("gone.log"))?;
    cases.push(judge(
        "unreadable file in a directory",
        &dangling,
        1,
        Some((&dangling.join("gone.log"), 0, "no such file")),
    )?);
    Ok(cases)
}

/// A compressed file of a line and these pieces; the name says how.
fn pack(file: &Path, line: &str, pieces: &[&[u8]]) -> Result<(), Error> {
    let write = |out: &mut dyn Write| -> std::io::Result<()> {
        out.write_all(line.as_bytes())?;
        pieces.iter().try_for_each(|piece| out.write_all(piece))
    };
    let packed = std::fs::File::create(file)?;
    if file.extension().is_some_and(|kind| kind == "zst") {
        let mut zstd = zstd::Encoder::new(packed, 1)?;
        write(&mut zstd)?;
        zstd.finish()?;
    } else {
        let mut gzip = Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(packed).spawn()?;
        if let Some(mut input) = gzip.stdin.take() {
            write(&mut input)?;
        }
        gzip.wait()?;
    }
    Ok(())
}

/// Scans and checks exit code and events, and that the summary names the bad input by file and line (0 = the whole
/// file) with a reason that holds the word.
fn judge(
    name: &'static str,
    path: &Path,
    events: u64,
    bad: Option<(&Path, u64, &str)>,
) -> Result<Case, Error> {
    let output = Command::new(klio::program()?)
        .arg("scan")
        .arg(path)
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
        // Nothing to read at all may be refused, as long as it is said of which file.
        let told = stderr.contains(&path.display().to_string());
        let refused = matches!(code, 0 | 3) && events == 0 && told;
        let said = format!("exit {code}, no summary: {}", stderr.lines().next().unwrap_or_default());
        return Ok(Case { name, passed: refused, said });
    };
    let read = summary["events"].as_u64().unwrap_or(0);
    let troubles: Vec<&Value> = ["rejected_reasons", "skipped_reasons"]
        .iter()
        .filter_map(|list| summary[*list].as_array())
        .flatten()
        .collect();
    let named = |(file, line, word): (&Path, u64, &str)| {
        troubles.iter().copied().find(|t| {
            t["file"].as_str() == file.to_str()
                && t["line"] == line
                && t["reason"].as_str().is_some_and(|why| !why.is_empty() && why.contains(word))
        })
    };
    let (told, why) = match bad {
        Some(bad) => (named(bad).is_some(), named(bad).map(ToString::to_string)),
        None => (troubles.is_empty(), None),
    };
    let why = why.or_else(|| troubles.first().map(ToString::to_string)).unwrap_or_default();
    let said = format!("exit {code}, {read} events, {} named {why}", troubles.len());
    Ok(Case { name, passed: code == 0 && read >= events && told, said })
}

fn noise(len: usize) -> Vec<u8> {
    let mut rng = crate::rng::Rng::new(7);
    (0..len).map(|_| (rng.next() & 0xFF) as u8).filter(|b| *b != b'\n').collect()
}
