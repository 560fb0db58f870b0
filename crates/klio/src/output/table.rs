//! The report for a terminal: summary first, then the stories with their evidence and the next step.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use klio_detect::story::{Role, Story};
use klio_model::{Severity, Timestamp};

use super::view::{View, behind, busiest, count, cut, findings, plural, role, short, tactics, who};
use super::{Paint, json, plain};
use crate::scan::{Report, Summary};

/// Stories that are told in full; the rest is counted.
const STORIES: usize = 25;
/// Requests of a story shown with `--timeline`.
const TIMELINE: usize = 200;

pub(super) fn print(report: &mut Report, view: &View<'_>, wide: bool, out: &mut dyn Write) -> io::Result<()> {
    let sources = if wide { Some(Sources::read(report)?) } else { None };
    let report = &*report;
    let paint = Paint::of_stdout();
    overview(&report.summary, paint, out)?;
    let stories: Vec<&Story> = report.stories.iter().filter(|s| view.shows(s.severity)).collect();
    for (i, story) in stories.iter().take(STORIES).enumerate() {
        tell(i + 1, story, report, view, sources.as_ref(), paint, out)?;
    }
    if stories.len() > STORIES {
        writeln!(out, "\n… and {} more stories; -o jsonl lists all.", stories.len() - STORIES)?;
    }
    rest(report, view, paint, out)?;
    troubles(&report.summary, paint, out)
}

/// Audit id, file and line of the first finding of each rule in each story.
#[derive(Default)]
struct Sources(HashMap<(String, String), (Option<Timestamp>, String)>);

impl Sources {
    fn read(report: &mut Report) -> io::Result<Self> {
        let mut sources = Self::default();
        json::walk(report, &mut |json, story| {
            let Some(story) = story else { return Ok(()) };
            let finding: serde_json::Value = serde_json::from_str(json)?;
            let time = finding["time"].as_str().and_then(Timestamp::parse);
            let key = (story.to_owned(), finding["rule"]["id"].as_str().unwrap_or_default().to_owned());
            if sources.0.get(&key).is_none_or(|(known, _)| time < *known) {
                sources.0.insert(key, (time, source(&finding["evidence"])));
            }
            Ok(())
        })?;
        Ok(sources)
    }

    fn of(&self, story: &Story, rule: &str) -> Option<&str> {
        self.0.get(&(story.id.clone(), rule.to_owned())).map(|(_, text)| text.as_str())
    }
}

/// `audit-id  file:line`, and how many more events there are.
fn source(evidence: &serde_json::Value) -> String {
    let text = |key: &str| evidence[0][key].as_str().unwrap_or_default();
    let mut out = format!("{}  {}", text("audit_id"), text("file"));
    if let Some(line) = evidence[0]["line"].as_u64().filter(|n| *n > 0) {
        out.push_str(&format!(":{line}"));
    }
    let more = evidence.as_array().map_or(0, Vec::len).saturating_sub(1);
    if more > 0 {
        out.push_str(&format!(" and {more} more"));
    }
    out
}

fn overview(s: &Summary, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let rate = if s.seconds > 0.0 { s.bytes as f64 / s.seconds / 1e6 } else { 0.0 };
    writeln!(
        out,
        "{}  {} of {} {} in {}, {:.1} MB, {:.1} s ({rate:.0} MB/s)",
        paint.bold("Read     "),
        plural(s.events, "event"),
        count(s.identities_seen),
        if s.identities_seen == 1 { "identity" } else { "identities" },
        plural(s.files, "file"),
        s.bytes as f64 / 1e6,
        s.seconds
    )?;
    if let (Some(start), Some(end)) = (s.time_range.start, s.time_range.end) {
        writeln!(out, "{}  {} to {}", paint.bold("Time     "), short(start), short(end))?;
    }
    if !s.gaps.is_empty() {
        let longest = s.gaps.iter().max_by_key(|g| g.seconds);
        let text = longest
            .map_or(String::new(), |g| format!("the longest {} min from {}", g.seconds / 60, short(g.start)));
        writeln!(out, "{}  {}, {text}", paint.bold("Gaps     "), plural(s.gaps.len() as u64, "silence"))?;
    }
    writeln!(out, "{}  {}", paint.bold("Busiest  "), busiest(s, 4))?;
    let found = findings(s, |level, text| paint.severity(level, &text));
    writeln!(out, "{}  {found}  ({} rules ran)", paint.bold("Findings "), s.rules_run)?;
    if !s.findings.by_tactic.is_empty() {
        writeln!(out, "{}  {}", paint.bold("Tactics  "), tactics(s))?;
    }
    if s.duplicates + s.filtered > 0 {
        writeln!(
            out,
            "{}  {} delivered twice, {} outside the window",
            paint.bold("Left out "),
            count(s.duplicates),
            count(s.filtered)
        )?;
    }
    if let Some(cut) = cut(s) {
        writeln!(out, "{}  {}", paint.bold("Cut      "), plain(&cut))?;
    }
    let allowed: u64 = s.allowed.iter().map(|entry| entry.findings).sum();
    if !s.allowed.is_empty() {
        writeln!(
            out,
            "{}  {} by {} of the allow-list",
            paint.bold("Excused  "),
            plural(allowed, "finding"),
            plural(s.allowed.len() as u64, "entry").replace("entrys", "entries")
        )?;
    }
    if !s.rules_blind.is_empty() {
        let names: Vec<&str> = s.rules_blind.iter().take(3).map(|r| r.title.as_str()).collect();
        let more = if s.rules_blind.len() > 3 { " …" } else { "" };
        writeln!(
            out,
            "{}  {} bodies that this audit policy does not record: {}{more}",
            paint.bold("Blind    "),
            if s.rules_blind.len() == 1 {
                "1 rule needs".to_owned()
            } else {
                format!("{} rules need", s.rules_blind.len())
            },
            names.join("; ")
        )?;
    }
    Ok(())
}

fn tell(
    number: usize,
    story: &Story,
    report: &Report,
    view: &View<'_>,
    sources: Option<&Sources>,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let badge = paint.severity(story.severity, &format!(" {} ", story.severity.name().to_uppercase()));
    let actor = story.actors.first().map(who).unwrap_or_default();
    writeln!(
        out,
        "\n{badge} {}  {}",
        paint.bold(&format!("Story {number}: {}", plain(&actor))),
        paint.dim(&story.id)
    )?;
    for other in story.actors.iter().skip(1).take(5) {
        writeln!(out, "          also {}", plain(&who(other)))?;
    }
    if story.actors.len() > 6 {
        writeln!(out, "          and {} more identities", story.actors.len() - 6)?;
    }
    let evidence = story.events.iter().filter(|e| e.role == Role::Evidence).count();
    let span = match (story.first, story.last) {
        (Some(a), Some(b)) if day(a) == day(b) => format!("{} to {}", short(a), clock(b)),
        (Some(a), Some(b)) => format!("{} to {}", short(a), short(b)),
        _ => "at an unknown time".into(),
    };
    writeln!(
        out,
        "  {span}, {}, {evidence} of them evidence, score {}",
        plural(story.events.len() as u64 + story.unlisted, "request"),
        story.score
    )?;
    let mut said = HashSet::new();
    for r in &story.rules {
        let title = report.rules.get(r.rule as usize).map_or("", |c| c.rule.title.as_str());
        let is_later = |at: &Timestamp| story.first.is_some_and(|first| day(first) != day(*at));
        let time = r.first.map(|at| if is_later(&at) { short(at) } else { clock(at) }).unwrap_or_default();
        let times = if r.count > 1 { format!(" ×{}", r.count) } else { String::new() };
        let level = paint.severity(r.severity, &format!("{:<13}", r.severity.name()));
        writeln!(out, "  {} {level} {}{times}", paint.dim(&time), paint.bold(&plain(title)))?;
        let message =
            r.message.strip_prefix(title).map_or(r.message.as_str(), |m| m.trim_start_matches(": "));
        writeln!(out, "             {}", plain(message))?;
        if let Some(behind) = behind(r).filter(|text| said.insert(text.clone())) {
            writeln!(out, "             {}", paint.dim(&plain(&behind)))?;
        }
        if let Some(source) = report.rules.get(r.rule as usize).and_then(|c| sources?.of(story, &c.rule.id)) {
            writeln!(out, "             {}", paint.dim(&plain(source)))?;
        }
    }
    if let Some(next) = view.next_step(story) {
        writeln!(out, "  {} {}", paint.bold("Next:"), next)?;
    }
    if view.timeline {
        writeln!(out, "  {}", paint.dim("TIME             ROLE      REQUEST"))?;
        for event in story.events.iter().take(TIMELINE) {
            let time = event.time.map_or_else(|| "?".into(), clock);
            let id = if sources.is_some() {
                format!("  {}", paint.dim(&plain(&event.audit_id)))
            } else {
                String::new()
            };
            writeln!(out, "  {time:<16} {:<8}  {}{id}", role(event.role), plain(&event.what))?;
        }
        let more = story.events.len().saturating_sub(TIMELINE) as u64 + story.unlisted;
        if more > 0 {
            writeln!(out, "  … and {more} more requests")?;
        }
    }
    Ok(())
}

/// Findings that belong to no story, by rule.
fn rest(report: &Report, view: &View<'_>, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let mut told: BTreeMap<u32, u64> = BTreeMap::new();
    for rule in report.stories.iter().flat_map(|s| &s.rules) {
        *told.entry(rule.rule).or_default() += rule.count;
    }
    let mut loose: Vec<(Severity, u64, &str)> = report
        .rules
        .iter()
        .enumerate()
        .map(|(i, r)| {
            (
                r.severity,
                r.count.saturating_sub(told.get(&(i as u32)).copied().unwrap_or(0)),
                r.rule.title.as_str(),
            )
        })
        .filter(|(severity, n, _)| *n > 0 && view.shows(*severity))
        .collect();
    loose.sort_by(|a, b| b.cmp(a));
    if loose.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold("Outside any story"))?;
    for (severity, n, title) in loose {
        writeln!(
            out,
            "  {} {n:>6}  {}",
            paint.severity(severity, &format!("{:<13}", severity.name())),
            plain(title)
        )?;
    }
    Ok(())
}

fn troubles(s: &Summary, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    if s.rejected > 0 {
        writeln!(
            out,
            "\n{}",
            paint.severity(Severity::Medium, &format!("{} could not be read", plural(s.rejected, "record")))
        )?;
        for t in s.rejected_reasons.iter().take(10) {
            let times = if t.count > 1 { format!(" ({}×)", t.count) } else { String::new() };
            writeln!(out, "  {}:{}: {}{times}", plain(&t.file), t.line, plain(&t.reason))?;
        }
        if s.rejected_reasons.len() > 10 {
            writeln!(out, "  … and more; -o jsonl lists them in its summary")?;
        }
    }
    for t in s.skipped_reasons.iter().take(10) {
        writeln!(
            out,
            "{} {}:{}: {} ({}×)",
            paint.dim("skipped"),
            plain(&t.file),
            t.line,
            plain(&t.reason),
            t.count
        )?;
    }
    Ok(())
}

/// Days since 1970.
fn day(time: Timestamp) -> i64 {
    time.micros().div_euclid(86_400_000_000)
}

/// `01:01:58.390`
fn clock(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}
