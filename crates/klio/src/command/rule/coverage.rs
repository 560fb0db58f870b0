//! `klio rule coverage`

mod json;
mod markdown;
mod table;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use klio_detect::coverage::{Coverage, Kept, Observed, Policy, Recording, Verdict, assess, words};
use klio_model::{Event, Level};
use klio_source::{Chunks, Item, Options, Pool, decode, discover};

use crate::failure::Failure;
use crate::output::plain;
use crate::pack::{self, Rules};
use crate::scan::named;

/// No audit policy is larger.
const POLICY_CAP: u64 = 4 << 20;
/// More kinds of requests than this are counted, not listed.
const LISTED: usize = 4;

/// Say for each rule whether it can work with what is recorded, and what the audit policy must say for the others.
///
/// A rule works if all that it looks at is recorded, for whoever asks; it works partly if some is; it is blind if nothing is
/// that could make it true for certain. From logs alone it may also be unproven: no request that it is about was seen.
/// What mends a rule is printed as rules of an audit policy, to be put above the others.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio rule coverage --policy /etc/kubernetes/audit-policy.yaml
  klio rule coverage /var/log/kubernetes/audit/
  klio rule coverage --policy audit-policy.yaml --rules ./sigma --only-rules -o json
  klio rule coverage audit.log -o md > coverage.md")]
pub struct Cover {
    /// Audit logs: files, directories, patterns, or - for standard input.
    #[arg(value_name = "PATH", required_unless_present = "policy", conflicts_with = "policy")]
    paths: Vec<PathBuf>,
    /// An audit policy (audit.k8s.io/v1) in place of logs.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    rules: Rules,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: CoverageFormat,
}

/// `-o` of coverage.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum CoverageFormat {
    /// For a terminal.
    Table,
    /// One document.
    Json,
    /// For an issue or a wiki.
    Md,
}

/// What the verdicts rest on, in words.
struct Basis {
    said: String,
    events: Option<u64>,
}

impl Cover {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let (set, wrong) = self.rules.load()?.told();
        let (coverage, basis) = if let Some(path) = &self.policy {
            let policy = read(path)?;
            let basis = Basis { said: format!("the policy {}", path.display()), events: None };
            (assess(&set, Recording::Policy(&policy)), basis)
        } else {
            let seen = observe(&self.paths)?;
            let said = format!("{} events", seen.events());
            if seen.left_out() > 0 {
                eprintln!("klio: {} events of rare kinds of requests were left out", seen.left_out());
            }
            let basis = Basis { said, events: Some(seen.events()) };
            (assess(&set, Recording::Logs(&seen)), basis)
        };
        let mut out = BufWriter::new(std::io::stdout().lock());
        match self.output {
            CoverageFormat::Table => table::print(&coverage, &basis, &mut out)?,
            CoverageFormat::Json => json::print(&coverage, &basis, &mut out)?,
            CoverageFormat::Md => markdown::print(&coverage, &basis, &mut out)?,
        }
        out.flush()?;
        pack::verdict(wrong)
    }
}

fn read(path: &Path) -> Result<Policy, Failure> {
    let refused = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let meta = std::fs::metadata(path)
        .map_err(|e| refused(&e).hint("give the file that the API server reads (--audit-policy-file)"))?;
    if meta.len() > POLICY_CAP {
        return Err(refused(&"larger than any audit policy"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| refused(&e))?;
    Policy::parse(&text).map_err(|e| {
        Failure::usage(format!("{}:{}: {}", path.display(), e.line, plain(&e.message))).hint(plain(&e.advice))
    })
}

/// Reads logs, as far as they can be read.
fn observe(paths: &[PathBuf]) -> Result<Observed, Failure> {
    let found = discover(paths);
    if found.inputs.is_empty() {
        return Err(
            Failure::world("nothing to read").hint("give audit log files, directories, patterns, or -")
        );
    }
    let (options, pool) = (Options::default(), Pool::default());
    let (mut seen, mut rejected) = (Observed::default(), 0u64);
    for input in &found.inputs {
        for chunk in Chunks::new(input, &options, &pool) {
            decode(&chunk, &mut |item| match item {
                Item::Record(record) => match Event::parse(record.json) {
                    Ok(mut event) => {
                        event.salvaged = record.salvaged;
                        seen.note(&event);
                    }
                    Err(_) => rejected += 1,
                },
                Item::Rejected(r) => rejected += r.count,
                Item::Skipped(_) => {}
            });
        }
    }
    if rejected > 0 {
        eprintln!("klio: {rejected} records could not be read; `klio scan` names them");
    }
    for trouble in found.rejected.iter().take(5) {
        eprintln!("klio: {}", plain(&trouble.to_string()));
    }
    if seen.events() == 0 {
        return Err(Failure::world("no audit event could be read"));
    }
    if !named(paths, &found.rejected).is_empty() {
        return Err(Failure::world("some paths could not be read").hint("give those that can"));
    }
    Ok(seen)
}

/// What may be said of what: the worst first, then the gravest.
fn sorted<'c, 's>(all: &'c [Coverage<'s>]) -> Vec<&'c Coverage<'s>> {
    let mut rows: Vec<&Coverage<'s>> = all.iter().collect();
    let rank = |v: Verdict| match v {
        Verdict::Blind => 0,
        Verdict::Partly => 1,
        Verdict::Unproven => 2,
        Verdict::Works => 3,
    };
    rows.sort_by(|a, b| {
        let key = |c: &Coverage<'_>| (rank(c.verdict), std::cmp::Reverse(c.about.severity));
        key(a).cmp(&key(b)).then_with(|| a.about.title.cmp(&b.about.title))
    });
    rows
}

/// The requests that a rule is about, in a cell.
fn requests(c: &Coverage<'_>) -> String {
    if !c.sources.is_empty() {
        return format!("a correlation of {}", count(c.sources.len(), "rule"));
    }
    if c.any {
        return "any request".to_owned();
    }
    short(words(c.sights.iter().map(|s| (&s.subject, s.verb))))
}

/// Of which of them not enough is recorded.
fn lacks(c: &Coverage<'_>) -> String {
    if !c.sources.is_empty() {
        let same = matches!(c.verdict, Verdict::Works | Verdict::Unproven);
        return if same { String::new() } else { "see its rules".to_owned() };
    }
    let lack = |s: &&klio_detect::coverage::Sight| !s.noise && matches!(s.kept, Kept::Nothing | Kept::Some);
    match c.verdict {
        Verdict::Partly => short(words(c.sights.iter().filter(lack).map(|s| (&s.subject, s.verb)))),
        Verdict::Blind if c.guesses => "all; it finds without proof".to_owned(),
        Verdict::Blind => "all".to_owned(),
        Verdict::Works | Verdict::Unproven => String::new(),
    }
}

/// The level at which a rule sees all that it looks for.
fn level(c: &Coverage<'_>) -> &'static str {
    name_of(c.sights.iter().filter(|s| !s.noise).map(|s| s.need.full).max())
}

fn name_of(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Metadata) => "Metadata",
        Some(Level::Request) => "Request",
        Some(Level::RequestResponse) => "RequestResponse",
        Some(Level::Unstated) | None => "",
    }
}

fn short(mut words: Vec<String>) -> String {
    let more = words.len().saturating_sub(LISTED);
    words.truncate(LISTED);
    let cut = |w: &String| match w.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &w[..end]),
        None => w.clone(),
    };
    let mut text = words.iter().map(cut).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text += &format!("; {more} more");
    }
    text
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// How many have each verdict, in words.
fn sum(all: &[Coverage<'_>]) -> String {
    let of = |verdict: Verdict| {
        let n = all.iter().filter(|c| c.verdict == verdict).count();
        format!("{n} {}", verdict.name())
    };
    Verdict::ALL.map(of).join(", ")
}
