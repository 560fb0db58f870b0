//! How fast is the scan, told as multiples that hold on any machine.
//!
//! Runs are interleaved so that a machine that slows down slows everything; the median of CPU seconds counts.

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;

use crate::error::Error;
use crate::measure::{Cost, apart, median};
use crate::{klio, rules};

/// What was measured.
#[derive(Debug, Default)]
pub struct Speed {
    /// The corpus' name and size in bytes.
    pub corpus: (String, u64),
    /// CPU seconds of the bare parse.
    pub parse: f64,
    /// CPU seconds of the scan with every rule, one thread.
    pub scan: f64,
    /// CPU seconds of the same when every finding is listed as JSON.
    pub listed: f64,
    /// Seconds on the clock with one thread and with two.
    pub wall: [f64; 2],
    /// Peak memory of the scan with two threads, in bytes.
    pub peak: u64,
    /// CPU seconds with 10 and with 300 generated rules.
    pub generated: [f64; 2],
    /// CPU seconds of DuckDB with five rules, when it is installed.
    pub duckdb: Option<f64>,
    /// Events that one core judges in a second, with Klio's pack, all other rules and the memory.
    pub judged_per_second: f64,
    /// Runs of each.
    pub runs: usize,
    /// Which rules ran.
    pub with: String,
}

impl Speed {
    /// The scan's price as a multiple of the bare parse.
    pub fn ratio(&self) -> f64 {
        self.scan / self.parse
    }

    /// How much faster two threads are.
    pub fn two_threads(&self) -> f64 {
        self.wall[0] / self.wall[1]
    }

    /// What 300 rules cost compared with 10.
    pub fn growth(&self) -> f64 {
        self.generated[1] / self.generated[0]
    }

    /// For people and for `docs/benchmarks.md`.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let megabytes = self.corpus.1 as f64 / 1e6;
        let _ = writeln!(
            text,
            "### {} ({megabytes:.0} MB), median of {} interleaved runs, {}\n\n\
             | what | CPU s | MB a CPU second | against the bare parse |\n|---|---:|---:|---:|",
            self.corpus.0, self.runs, self.with
        );
        let mut row = |what: &str, cpu: f64| {
            let _ =
                writeln!(text, "| {what} | {cpu:.2} | {:.0} | {:.2}× |", megabytes / cpu, cpu / self.parse);
        };
        row("bare typed sonic-rs parse", self.parse);
        row("`klio scan`, one thread", self.scan);
        row("`klio scan -o jsonl`, one thread", self.listed);
        row("`klio scan`, 10 generated rules", self.generated[0]);
        row("`klio scan`, 300 generated rules", self.generated[1]);
        if let Some(cpu) = self.duckdb {
            row("DuckDB `read_json`, five rules", cpu);
        }
        let _ = writeln!(
            text,
            "\nTwo threads: {:.2} s instead of {:.2} s on the clock ({:.2}×). Peak memory: {:.0} MB. \
             10 to 300 rules: {:.2}×. One core judges {:.0} events a second.{}",
            self.wall[1],
            self.wall[0],
            self.two_threads(),
            self.peak as f64 / 1e6,
            self.growth(),
            self.judged_per_second,
            if self.duckdb.is_none() { " DuckDB is not installed: not measured." } else { "" }
        );
        text
    }
}

/// Measures everything on `corpus`.
pub fn measure(corpus: &Path, runs: usize) -> Result<Speed, Error> {
    let path = corpus.display().to_string();
    let size = corpus.metadata().map_err(|source| Error::Open { path: corpus.into(), source })?.len();
    let this = std::env::current_exe()?.display().to_string();
    let scratch = Scratch::new()?;
    let mut sets = Vec::new();
    for count in [10, 300] {
        let folder = scratch.0.join(format!("rules-{count}"));
        rules::write(&folder, count, 1)?;
        sets.push(folder.display().to_string());
    }
    let own_only = |folder: &str| -> Result<Vec<String>, Error> {
        let program = klio::program()?;
        let words = [&program, "scan", &path, "--threads", "1", "--only-rules", "--rules", folder];
        Ok(words.map(String::from).into())
    };
    let parse = [this, "parse".to_owned(), path.clone()];
    let commands = [
        parse.into(),
        klio::scan(&path, 1, "table")?,
        klio::scan(&path, 2, "table")?,
        klio::scan(&path, 1, "jsonl")?,
        own_only(&sets[0])?,
        own_only(&sets[1])?,
    ];
    let duckdb = duckdb_command(&path);

    let mut costs: [Vec<Cost>; 6] = Default::default();
    let mut duck = Vec::new();
    for _ in 0..runs.max(1) {
        for (slot, command) in commands.iter().enumerate() {
            costs[slot].push(apart(command, None)?);
        }
        if let Some(command) = &duckdb {
            duck.push(apart(command, None)?.cpu);
        }
    }
    let cpu = |slot: usize| median(costs[slot].iter().map(|cost| cost.cpu).collect());
    let wall = |slot: usize| median(costs[slot].iter().map(|cost| cost.wall).collect());
    let events = lines(corpus)?;
    Ok(Speed {
        judged_per_second: events as f64 / cpu(1),
        corpus: (corpus.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(), size),
        parse: cpu(0),
        scan: cpu(1),
        wall: [wall(1), wall(2)],
        peak: costs[1..4].iter().flatten().map(|cost| cost.peak).max().unwrap_or(0),
        listed: cpu(3),
        generated: [cpu(4), cpu(5)],
        duckdb: (!duck.is_empty()).then(|| median(duck)),
        runs: runs.max(1),
        with: match (klio::sigma_rules(), klio::falco_rules()) {
            (Some(_), Some(_)) => "Klio's pack, SigmaHQ's and Falco's rules",
            (Some(_), None) => "Klio's pack and SigmaHQ's rules",
            (None, Some(_)) => "Klio's pack and Falco's rules",
            (None, None) => "Klio's pack only",
        }
        .to_owned(),
    })
}

/// How many lines a file has.
fn lines(path: &Path) -> Result<usize, Error> {
    let mut file = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?);
    let (mut count, mut line) = (0, Vec::new());
    while file.read_until(b'\n', &mut line)? > 0 {
        count += 1;
        line.clear();
    }
    Ok(count)
}

/// DuckDB answering five rules as SQL over the same file, when Python can import it.
fn duckdb_command(path: &str) -> Option<Vec<String>> {
    const QUERY: &str = "\
import duckdb, sys
c = duckdb.connect()
rows = c.execute('''
  select count(*) filter (verb = 'create' and objectRef.resource = 'clusterrolebindings'),
         count(*) filter (verb in ('get', 'list') and objectRef.resource = 'secrets'
                          and not starts_with(\"user\".username, 'system:')),
         count(*) filter (verb in ('get', 'create') and objectRef.resource = 'pods'
                          and objectRef.subresource in ('exec', 'attach', 'portforward')),
         count(*) filter (verb in ('delete', 'deletecollection') and objectRef.resource = 'events'),
         count(*) filter (\"user\".username = 'system:anonymous' and responseStatus.code < 400)
  from read_json(?, format = 'newline_delimited', maximum_object_size = 16777216, columns = {
    verb: 'VARCHAR',
    objectRef: 'STRUCT(resource VARCHAR, subresource VARCHAR)',
    \"user\": 'STRUCT(username VARCHAR)',
    responseStatus: 'STRUCT(code INTEGER)'})''', [sys.argv[1]]).fetchall()
print(rows)
";
    let python = std::env::var("KLIO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = std::process::Command::new(&python).args(["-c", "import duckdb"]).output().ok()?;
    there.status.success().then(|| [&python, "-c", QUERY, path].map(String::from).into())
}

/// A folder of this process, gone when dropped.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new() -> Result<Self, Error> {
        let folder = std::env::temp_dir().join(format!("klio-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
