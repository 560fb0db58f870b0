//! `klio tune`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use klio_detect::RuleSet;
use klio_model::filter::alike::{MARKS, Mark, alike, mark};
use klio_model::{Severity, Timestamp};
use serde_json::Value;

use super::scan::Window;
use crate::failure::Failure;
use crate::output::{plain, plural};

use crate::pack::{self, Rules};
use crate::scan::{self, Options, Report};

/// Say what could be added to the allow-list, or what an allow-list would have removed.
///
/// Judges history, with the allow-lists that --allow names. What fired again and again in the same way, outside of every incident of medium or above, is
/// printed as entries to be looked at: `owner` is empty, and an entry without one is refused. With --try the same history is judged with
/// and without one more list, and the difference is told.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio tune /var/log/kubernetes/audit/ > allow.yaml
  klio tune audit.log --try allow.yaml          what it removes, and whether an incident is among it
  klio scan audit.log --allow allow.yaml")]
pub struct Tune {
    /// Files, directories, patterns, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub rules: Rules,
    #[command(flatten)]
    pub window: Window,
    /// An allow-list to try on this history.
    #[arg(long = "try", value_name = "FILE")]
    pub tried: Option<PathBuf>,
    /// Suggest what fired at least so often.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub least: u64,
    /// Days that a suggested entry holds after the last event.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    pub days: u16,
}

/// One finding, as far as it matters here.
struct Finding {
    id: String,
    rule: String,
    time: Option<Timestamp>,
    /// In an incident of medium or above.
    is_told: bool,
    /// What it has in common with others: fields and values, by which an entry would know them.
    marks: Vec<Mark>,
}

/// A rule, and what its findings have in common.
type Group = (String, Vec<Mark>);

impl Tune {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let (mut set, wrong) = self.rules.load()?.told();
        let before = self.judge(&set)?;
        match &self.tried {
            Some(path) => {
                set.allow.extend(crate::allow::read(path, &set)?);
                let after = self.judge(&set)?;
                compare(path, before, after)?;
            }
            None => self.suggest(before)?,
        }
        pack::verdict(wrong)
    }

    fn judge(&self, set: &RuleSet) -> Result<Report, Failure> {
        let mut options = Options::of(self.paths.clone());
        (options.filter, options.range) = (self.window.filter()?, self.window.range()?);
        let report = scan::run(&options, set)?;
        if !report.summary.missing.is_empty() {
            return Err(Failure::world(report.summary.missing.join("\n      ")));
        }
        Ok(report)
    }

    fn suggest(&self, mut report: Report) -> Result<(), Failure> {
        let last = report.summary.time_range.end;
        let until = last.map_or_else(
            || "2027-01-01".to_owned(),
            |last| {
                let end = Timestamp(last.micros() + i64::from(self.days) * 86_400_000_000);
                end.to_string().get(..10).unwrap_or_default().to_owned()
            },
        );
        let mut groups: BTreeMap<Group, (u64, BTreeSet<i64>)> = BTreeMap::new();
        for finding in findings(&mut report)?.into_iter().filter(|finding| !finding.is_told) {
            let group = groups.entry((finding.rule, finding.marks)).or_default();
            group.0 += 1;
            group.1.extend(finding.time.map(|time| time.micros().div_euclid(86_400_000_000)));
        }
        let mut groups: Vec<_> = groups.into_iter().filter(|(_, (count, _))| *count >= self.least).collect();
        groups.sort_by(|a, b| (b.1.0, &a.0).cmp(&(a.1.0, &b.0)));
        let mut out = std::io::stdout().lock();
        if groups.is_empty() {
            eprintln!("klio: nothing fired {} times or more outside of incidents", self.least);
        }
        for ((rule, marks), (count, days)) in groups {
            let days = plural(days.len() as u64, "day");
            writeln!(out, "# {} on {days}, none in an incident.", plural(count, "finding"))?;
            writeln!(out, "- rule: {}", yaml(&rule))?;
            writeln!(out, "  where: {}", yaml(&alike(&marks).to_string()))?;
            writeln!(out, "  owner: ''   # who answers for it")?;
            writeln!(out, "  reason: ''  # why it is right")?;
            writeln!(out, "  until: '{until}'")?;
        }
        Ok(())
    }
}

/// What the list removed.
fn compare(path: &Path, mut before: Report, after: Report) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let incidents =
        |report: &Report| report.stories.iter().filter(|s| s.severity >= Severity::Medium).count();
    let counts = (incidents(&before), incidents(&after));
    let mut after = after;
    let left: BTreeSet<String> = findings(&mut after)?.into_iter().map(|finding| finding.id).collect();
    let removed: Vec<Finding> =
        findings(&mut before)?.into_iter().filter(|finding| !left.contains(&finding.id)).collect();
    let told = removed.iter().filter(|finding| finding.is_told).count();
    writeln!(
        out,
        "{}: removes {} findings, {told} of them in incidents; incidents {} before, {} after",
        path.display(),
        removed.len(),
        counts.0,
        counts.1
    )?;
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    for finding in &removed {
        *rules.entry(&finding.rule).or_default() += 1;
    }
    for (rule, count) in rules {
        writeln!(out, "  {count:>6}  {}", plain(rule))?;
    }
    for entry in &after.summary.allowed {
        let unused = if entry.findings == 0 { ": is it needed?" } else { "" };
        writeln!(
            out,
            "  entry of {}: {} findings{unused}  {}",
            plain(&entry.owner),
            entry.findings,
            plain(&entry.filter)
        )?;
    }
    Ok(())
}

/// All findings, with what they have in common with others.
fn findings(report: &mut Report) -> Result<Vec<Finding>, Failure> {
    let grave: Vec<bool> = report.stories.iter().map(|story| story.severity >= Severity::Medium).collect();
    let stories = report.story_of.clone();
    let mut all = Vec::new();
    report.findings.each(&mut |number, json| {
        let finding: Value = serde_json::from_slice(json)?;
        let story = stories.get(number as usize).copied().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (actor, object) = (&finding["actor"], &finding["object"]);
        let values = [
            &actor["user"],
            &actor["user_agent"],
            &object["resource"],
            &object["subresource"],
            &object["namespace"],
        ];
        let marks = MARKS.into_iter().zip(values).filter_map(|(field, value)| mark(field, value.as_str()));
        all.push(Finding {
            id: text(&finding["id"]),
            rule: text(&finding["rule"]["title"]),
            time: finding["time"].as_str().and_then(Timestamp::parse),
            is_told: story.is_some_and(|story| grave.get(story as usize).copied().unwrap_or_default()),
            marks: marks.collect(),
        });
        Ok(())
    })?;
    Ok(all)
}

/// A text as YAML quotes it. What cannot be printed is no part of it: filters and titles have none.
fn yaml(text: &str) -> String {
    format!("'{}'", plain(text).replace('\'', "''"))
}
