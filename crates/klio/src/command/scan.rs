//! `klio scan`

use std::io::IsTerminal;
use std::path::PathBuf;

use klio_detect::engine::FalcoMatching;
use klio_model::{Filter, Severity, TimeRange, Timestamp};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::pack::{self, Rules};
use crate::{people, scan};

/// Find the attacks in audit logs.
///
/// Reads audit.k8s.io/v1 events from JSON lines, EventLists, arrays and pretty-printed JSON, plain, gzip or zstd,
/// also as EKS, AKS and GKE export them, and judges each request. What cannot be read is counted and named;
/// the rest goes on.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio scan audit.log
  klio scan /var/log/kubernetes/audit/ --since 24h
  klio scan 'audit-2026-*.log.gz' --min-severity high -o jsonl
  klio scan audit.log --rules ./sigma --falco-rules k8s_audit_rules.yaml --falco-matching all
  klio scan audit.log --where 'not user:system\\:*' --timeline
  zcat audit.log.gz | klio scan - --fail-on high -o sarif > klio.sarif
  klio scan audit.log -o html > report.html")]
pub struct Scan {
    /// Files, directories, patterns, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub rules: Rules,
    /// Of several Falco rules that match an event: the first in file order, or all.
    #[arg(long, value_enum, default_value = "first", help_heading = "Rules")]
    pub falco_matching: Matching,
    #[command(flatten)]
    pub window: Window,
    /// Show only findings and stories of this severity or above.
    #[arg(long, value_name = "LEVEL", help_heading = "Output")]
    pub min_severity: Option<Severity>,
    /// Exit with 1 if there is a finding of this severity or above.
    #[arg(long, value_name = "LEVEL", help_heading = "Output")]
    pub fail_on: Option<Severity>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table", help_heading = "Output")]
    pub output: Format,
    /// Show the requests of each story as a chronological table.
    #[arg(long, help_heading = "Output")]
    pub timeline: bool,
    /// Threads to use; 0 for one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// `--falco-matching`
#[derive(clap::ValueEnum, Clone, Copy, Default)]
pub enum Matching {
    /// As Falco does by default.
    #[default]
    First,
    /// Every matching rule.
    All,
}

/// Which events count.
#[derive(clap::Args, Default, Clone)]
pub struct Window {
    /// Only events for which this filter is true.
    #[arg(id = "where", long = "where", value_name = "FILTER", help_heading = "Which events")]
    pub filter: Option<String>,
    /// Only events from this time on: RFC 3339, a date, or an age such as 24h or 7d.
    #[arg(long, value_name = "TIME", help_heading = "Which events")]
    pub since: Option<String>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", help_heading = "Which events")]
    pub until: Option<String>,
}

impl Window {
    /// Whether nothing was given.
    pub fn is_open(&self) -> bool {
        self.filter.is_none() && self.since.is_none() && self.until.is_none()
    }

    /// The filter; true of all events if none was given.
    pub fn filter(&self) -> Result<Filter, Failure> {
        self.filter.as_deref().map_or(Ok(Filter::All), parse_filter)
    }

    /// The range of time.
    pub fn range(&self) -> Result<TimeRange, Failure> {
        let time = |t: &Option<String>| t.as_deref().map(parse_time).transpose();
        let range = TimeRange { start: time(&self.since)?, end: time(&self.until)? };
        match (range.start, range.end) {
            (Some(start), Some(end)) if start >= end => {
                Err(Failure::usage(format!("--since {start} is not before --until {end}"))
                    .hint("no event can lie in between"))
            }
            _ => Ok(range),
        }
    }
}

/// Reads a filter or says where it is wrong.
pub fn parse_filter(text: &str) -> Result<Filter, Failure> {
    Filter::parse(text).map_err(|e| Failure::usage(format!("the filter is wrong\n{}", e.render(text))))
}

/// RFC 3339, a date, or an age.
pub fn parse_time(text: &str) -> Result<Timestamp, Failure> {
    if let Some(time) = Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z"))) {
        return Ok(time);
    }
    let unit = text.char_indices().last().map_or("", |(i, _)| &text[i..]);
    let number = text.strip_suffix(unit).and_then(|n| n.parse::<i64>().ok()).filter(|n| *n >= 0);
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        "w" => Some(604_800),
        _ => None,
    };
    match number.zip(seconds).and_then(|(n, s)| n.checked_mul(s)?.checked_mul(1_000_000)) {
        Some(age) => Ok(Timestamp(jiff::Timestamp::now().as_microsecond().saturating_sub(age))),
        None => Err(Failure::usage(format!("`{text}` is not a time"))
            .hint("write 2026-11-21T08:00:00Z, 2026-11-21, or an age: 90s, 30m, 24h, 7d, 2w")),
    }
}

impl Scan {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let filter = self.window.filter()?;
        let range = self.window.range()?;
        let (set, wrong) = self.rules.load()?.told();
        people::demand(&filter, &set.people, "give --people FILE")?;
        if set.rules.is_empty() && set.correlations.is_empty() {
            pack::verdict(wrong)?;
            return Err(Failure::usage("no rules to run")
                .hint("give --rules or --falco-rules, or leave out --only-rules"));
        }
        let options = scan::Options {
            paths: self.paths,
            filter,
            range,
            threads: self.threads,
            matching: match self.falco_matching {
                Matching::First => FalcoMatching::First,
                Matching::All => FalcoMatching::All,
            },
            listing: self.output.lists_findings(),
            progress: std::io::stderr().is_terminal(),
        };
        let mut report = scan::run(&options, &set)?;
        let view = output::View { min_severity: self.min_severity, timeline: self.timeline, rules: &set };
        output::print(self.output, &mut report, &view)?;
        let unread =
            report.summary.events == 0 && report.summary.filtered == 0 && report.summary.rejected > 0;
        if unread {
            return Err(Failure::world("no audit event could be read")
                .hint("the summary names each file and line with the reason"));
        }
        pack::verdict(wrong)?;
        if !report.summary.missing.is_empty() {
            return Err(Failure::world(report.summary.missing.join("\n      ")).hint("the rest was scanned"));
        }
        match self.fail_on {
            Some(level) if report.summary.findings.by_severity.keys().any(|s| *s >= level) => {
                Err(Failure::found())
            }
            _ => Ok(()),
        }
    }
}
