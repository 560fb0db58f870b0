//! What the lake costs: keeping a corpus, its size on disk, and questions to it, beside DuckDB on the same files.
//!
//! Keeping is one run of `klio ingest`. Questions are asked in this process of an open lake: each once to warm
//! footers and the system's cache, then `runs` times; the median of the CPU time of all threads counts. No answer is
//! kept from one to the next.

use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use klio_detect::rule::{Dialect, RuleFile};
use klio_detect::sigma;
use klio_model::{Event, FieldRef, Filter, TimeRange, Timestamp};
use klio_store::{Lake, Settings};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::Value;

use crate::error::Error;
use crate::speed::Scratch;
use crate::{klio, measure};

/// Rules of the retro-hunt, by their pages in `rules/`.
const RULES: [&str; 5] = [
    "anonymous-request-allowed",
    "cluster-admin-binding",
    "events-deleted",
    "exec-into-system-pod",
    "key-secret-read",
];

/// A question and what it cost.
pub struct Asked {
    /// What was asked.
    pub name: &'static str,
    /// The bar, in milliseconds of CPU time.
    pub bar: f64,
    /// Median milliseconds of CPU time.
    pub cpu: f64,
    /// Rows of the answer.
    pub rows: u64,
    /// The same with DuckDB.
    pub duckdb: Option<f64>,
}

/// All that was measured.
pub struct Measured {
    /// Events and bytes of the corpus.
    pub events: u64,
    pub bytes: u64,
    /// `zstd -3` of the corpus.
    pub zstd: u64,
    /// Bytes of the data directory.
    pub disk: u64,
    /// The same after `klio lake compact`, and the CPU seconds that it took.
    pub merged: u64,
    pub merging_cpu: f64,
    /// The same content as DuckDB writes Parquet.
    pub duckdb_disk: Option<u64>,
    /// Events as other engines count them in the same tables.
    pub readers: Vec<(String, u64)>,
    /// CPU seconds and peak memory of `klio ingest`.
    pub ingest_cpu: f64,
    pub ingest_peak: u64,
    /// The questions.
    pub asked: Vec<Asked>,
}

/// Keeps a corpus and asks about it.
pub fn measure(corpus: &Path, runs: usize) -> Result<Measured, Error> {
    let scratch = Scratch::new()?;
    let data = scratch.0.join("lake");
    let words = [
        klio::program()?,
        "ingest".into(),
        corpus.display().to_string(),
        "--data".into(),
        data.display().to_string(),
    ];
    let cost = measure::apart(&words, None)?;
    let settings = Settings::default();
    let mut lake = Lake::open(&data, &settings).map_err(other)?;
    let everything = TimeRange::default();
    let events = lake.count(&Filter::All, everything).map_err(other)?.matched;
    let mut asked = questions(&mut lake, runs)?;
    let duckdb = duckdb(&data, &scratch.0, &asked, runs);
    if let Some(told) = &duckdb {
        for question in &mut asked {
            question.duckdb = told["ms"][question.name].as_f64();
        }
    }
    let disk = size(&data)?;
    drop(lake);
    let words = [klio::program()?, "lake".into(), "compact".into(), "--grace".into(), "0".into()];
    let words = [words.as_slice(), &["--data".into(), data.display().to_string()]].concat();
    let merging_cpu = measure::apart(&words, None)?.cpu;
    // Files that were replaced are removed by the next run.
    measure::apart(&words, None)?;
    Ok(Measured {
        merged: size(&data)?,
        merging_cpu,
        events,
        bytes: fs::metadata(corpus)?.len(),
        zstd: packed(corpus)?,
        disk,
        readers: duckdb.as_ref().and_then(|told| told["readers"].as_object()).map_or_else(Vec::new, |all| {
            all.iter().map(|(name, n)| (name.clone(), n.as_u64().unwrap_or(0))).collect()
        }),
        duckdb_disk: duckdb.and_then(|told| told["bytes"].as_u64()),
        ingest_cpu: cost.cpu,
        ingest_peak: cost.peak,
        asked,
    })
}

/// Asks a lake that is already there.
pub fn ask(data: &Path, runs: usize) -> Result<Vec<Asked>, Error> {
    questions(&mut Lake::open(data, &Settings::default()).map_err(other)?, runs)
}

fn questions(lake: &mut Lake, runs: usize) -> Result<Vec<Asked>, Error> {
    let everything = TimeRange::default();
    // The five-hundredth deletion: somewhere in the middle, the same in each run.
    let (mut id, mut user, mut begin, mut number) = (String::new(), String::new(), None, 0);
    let deletions = filter("verb:delete")?;
    let found = lake.find(&deletions, everything, &mut |kept| {
        number += 1;
        if let Ok(event) = Event::parse(&kept.raw) {
            id = event.audit_id.as_ref().map_or_else(String::new, |s| s.0.to_string());
            event.text_of(klio_model::Field::User).unwrap_or_default().clone_into(&mut user);
            begin = kept.time;
        }
        if number == 500 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found.map_err(other)?;
    let hour = TimeRange { start: begin, end: begin.map(|t| Timestamp(t.micros() + 3_600_000_000)) };
    let field = |name: &str| FieldRef::parse(name).map_err(other);
    let (code, three) = (field("code")?, [field("user")?, field("resource")?, field("verb")?]);
    let mut asked = Vec::new();
    let mut ask =
        |name, bar, f: &mut dyn FnMut() -> Result<u64, klio_store::StoreError>| -> Result<(), Error> {
            let mut rows = f().map_err(other)?;
            let mut times = Vec::new();
            for _ in 0..runs.max(1) {
                let before = cpu();
                rows = f().map_err(other)?;
                times.push(cpu() - before);
            }
            times.sort_by(f64::total_cmp);
            let cpu = times.get(times.len() / 2).copied().unwrap_or_default();
            asked.push(Asked { name, bar, cpu, rows, duckdb: None });
            Ok(())
        };
    let by_id = filter(&format!("audit.id:\"{id}\""))?;
    ask("an event by its audit id", 15.0, &mut || full(lake, &by_id, everything))?;
    let by_user = filter(&format!("user:\"{user}\""))?;
    ask("one user's hour, full records", 40.0, &mut || full(lake, &by_user, hour))?;
    ask("top 20 by status", 15.0, &mut || {
        Ok(lake.top(&code, &Filter::All, everything, 20)?.values.len() as u64)
    })?;
    ask("events per minute", 10.0, &mut || {
        Ok(lake.histogram(&Filter::All, everything, 60_000_000)?.steps.len() as u64)
    })?;
    ask("distinct user, resource, verb", 35.0, &mut || {
        Ok(lake.distinct(&three, &Filter::All, everything, 1_000_000)?.rows.len() as u64)
    })?;
    let word = filter("\"payments-api-7\"")?;
    ask("a text inside words of the record", 300.0, &mut || full(lake, &word, everything))?;
    let rules = rules()?;
    ask("retro-hunt of five rules", 100.0, &mut || {
        let counted = lake.count_each(&rules, everything)?;
        Ok(counted.iter().map(|scanned| scanned.matched).sum())
    })?;
    Ok(asked)
}

fn full(lake: &mut Lake, filter: &Filter, range: TimeRange) -> Result<u64, klio_store::StoreError> {
    let mut bytes = 0;
    let scanned = lake.find(filter, range, &mut |kept| {
        bytes += kept.raw.len();
        ControlFlow::Continue(())
    })?;
    Ok(scanned.matched)
}

/// The predicates of five shipped rules.
fn rules() -> Result<Vec<Filter>, Error> {
    let root = klio::recorded().join("../../rules");
    let mut open = vec![root];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if RULES.contains(&name.as_str()) {
                files.push(RuleFile {
                    name: path.display().to_string(),
                    text: fs::read_to_string(&path)?.into(),
                });
            }
        }
    }
    let (set, _) = sigma::compile(&files, Dialect::Klio);
    let filters: Vec<Filter> = set.rules.into_iter().map(|rule| rule.filter).collect();
    if filters.len() == RULES.len() {
        Ok(filters)
    } else {
        Err(other("the five rules of the retro-hunt are not all there"))
    }
}

fn filter(text: &str) -> Result<Filter, Error> {
    Filter::parse(text).map_err(other)
}

/// Milliseconds of CPU time of this process, all threads.
fn cpu() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |used| {
        (used.user_time().num_microseconds() + used.system_time().num_microseconds()) as f64 / 1e3
    })
}

/// What DuckDB needs for the same, if the Python that `KLIO_PYTHON` names has it.
fn duckdb(data: &Path, scratch: &Path, asked: &[Asked], runs: usize) -> Option<Value> {
    let python = std::env::var_os("KLIO_PYTHON")?;
    let script = include_str!("lake.py");
    let names: Vec<&str> = asked.iter().map(|a| a.name).collect();
    let output = Command::new(python)
        .args(["-c", script])
        .arg(data.join("events"))
        .arg(scratch.join("duckdb.parquet"))
        .arg(runs.to_string())
        .arg(serde_json::to_string(&names).ok()?)
        .output()
        .ok()?;
    if !output.status.success() {
        eprintln!("DuckDB: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    serde_json::from_slice(&output.stdout).ok()
}

/// Bytes of a file under `zstd -3`.
fn packed(path: &Path) -> Result<u64, Error> {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    zstd::stream::copy_encode(fs::File::open(path)?, &mut count, 3)?;
    Ok(count.0)
}

/// Bytes of all files below a directory.
fn size(dir: &Path) -> Result<u64, Error> {
    let (mut open, mut bytes) = (vec![PathBuf::from(dir)], 0);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

fn other(e: impl std::fmt::Display) -> Error {
    Error::Io(std::io::Error::other(e.to_string()))
}

impl Measured {
    /// As a Markdown table.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} events, {} bytes; `zstd -3` of the file: {} bytes ({:.1} per event)\n",
            self.events,
            self.bytes,
            self.zstd,
            self.zstd as f64 / self.events.max(1) as f64,
        );
        let _ = writeln!(out, "| lake | required | measured | DuckDB | |\n|---|---|---|---|---|");
        for row in self.rows() {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                row.name,
                row.required,
                row.measured,
                row.duckdb.unwrap_or_else(|| "-".into()),
                if row.passed { "pass" } else { "**FAIL**" },
            );
        }
        out
    }

    /// Each bar.
    pub fn rows(&self) -> Vec<Row> {
        // The bars are for 1.5 GB.
        let share = self.bytes as f64 / 1.5e9;
        let (cpu, peak) = (self.ingest_cpu / share.max(1e-9), self.ingest_peak as f64 / 1e6);
        let ratio = self.disk as f64 / self.zstd.max(1) as f64;
        let mut rows = vec![
            Row {
                name: "Durable ingest with rules and seal, CPU per 1.5 GB".into(),
                required: "≤ 7 s".into(),
                measured: format!("{cpu:.1} s"),
                duckdb: None,
                passed: cpu <= 7.0,
            },
            Row {
                name: "Ingest, peak memory".into(),
                required: "≤ 300 MB".into(),
                measured: format!("{peak:.0} MB"),
                duckdb: None,
                passed: peak <= 300.0,
            },
            Row {
                name: "On disk, of `zstd -3`".into(),
                required: "≤ 1.15×".into(),
                measured: format!(
                    "{ratio:.2}× ({:.1} B per event)",
                    self.disk as f64 / self.events.max(1) as f64
                ),
                duckdb: None,
                passed: ratio <= 1.15,
            },
            Row {
                name: "The same, files merged, beside DuckDB's Parquet".into(),
                required: "less".into(),
                measured: format!(
                    "{:.2}×, merged in {:.1} CPU s",
                    self.merged as f64 / self.zstd.max(1) as f64,
                    self.merging_cpu
                ),
                duckdb: self.duckdb_disk.map(|b| format!("{:.2}×", b as f64 / self.zstd.max(1) as f64)),
                passed: self.duckdb_disk.is_none_or(|duck| self.merged < duck),
            },
        ];
        rows.extend(self.readers.iter().map(|(name, count)| Row {
            name: format!("The table as {name} reads it"),
            required: format!("{} events", self.events),
            measured: count.to_string(),
            duckdb: None,
            passed: *count == self.events,
        }));
        rows.extend(self.asked.iter().map(|a| Row {
            name: format!("{} ({} rows)", a.name, a.rows),
            required: format!("≤ {:.0} ms", a.bar),
            measured: format!("{:.1} ms", a.cpu),
            duckdb: a.duckdb.map(|ms| format!("{ms:.1} ms")),
            passed: a.cpu <= a.bar,
        }));
        rows
    }
}

/// One bar.
pub struct Row {
    pub name: String,
    pub required: String,
    pub measured: String,
    pub duckdb: Option<String>,
    pub passed: bool,
}
