//! JSON lines, a JSON document and YAML: the same objects, each with its `type`.

use std::io::{self, Write};

use klio_detect::story::contain::{self, Step};
use klio_detect::story::{Reach, Story};
use klio_model::{Actor, Severity, Timestamp};
use serde::Serialize;

use super::cause::{FirstCause, causes};
use super::narrative::{Paragraph, narrative};
use super::view::{View, summary};
use crate::scan::{Report, RuleCount, Summary};

#[derive(Serialize)]
struct StoryLine<'s> {
    r#type: &'static str,
    id: &'s str,
    severity: Severity,
    score: u32,
    actor: Option<&'s Actor>,
    actors: &'s [Actor],
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    findings: &'s [String],
    finding_count: u64,
    events: &'s [klio_detect::story::StoryEvent],
    unlisted_events: u64,
    summary: String,
    narrative: Vec<Paragraph>,
    first_cause: Option<FirstCause>,
    causes: Vec<Paragraph>,
    reach: Reach,
    containment: Vec<Step>,
}

#[derive(Serialize)]
struct SummaryLine<'s> {
    r#type: &'static str,
    #[serde(flatten)]
    summary: &'s Summary,
}

fn story_line<'s>(story: &'s Story, rules: &[RuleCount]) -> StoryLine<'s> {
    let reach = Reach::of(story);
    StoryLine {
        r#type: "story",
        id: &story.id,
        severity: story.severity,
        score: story.score,
        actor: story.actors.first(),
        actors: &story.actors,
        first: story.first,
        last: story.last,
        findings: &story.findings,
        finding_count: story.finding_count,
        events: &story.events,
        unlisted_events: story.unlisted,
        summary: summary(story, rules),
        narrative: narrative(story, &reach, rules),
        first_cause: FirstCause::of(story),
        causes: causes(story),
        containment: contain::steps(story, &reach),
        reach,
    }
}

/// A story's summary, and the story as JSON.
pub(super) fn story(story: &Story, rules: &[RuleCount]) -> (String, String) {
    let line = story_line(story, rules);
    (line.summary.clone(), serde_json::to_string(&line).unwrap_or_default())
}

/// Calls `f` with the JSON of each finding and the id of its story.
pub(super) fn walk(
    report: &mut Report,
    f: &mut dyn FnMut(&str, Option<&str>) -> io::Result<()>,
) -> io::Result<()> {
    let Report { findings, stories, story_of, .. } = report;
    findings.each(&mut |number, json| {
        let json = std::str::from_utf8(json).map_err(io::Error::other)?;
        let story = story_of.get(number as usize).copied().flatten().and_then(|s| stories.get(s as usize));
        f(json, story.map(|s| s.id.as_str()))
    })
}

/// Calls `f` with each shown finding as a JSON value and the id of its story.
pub(super) fn findings(
    report: &mut Report,
    view: &View<'_>,
    f: &mut dyn FnMut(&serde_json::Value, Option<&str>) -> io::Result<()>,
) -> io::Result<()> {
    walk(report, &mut |json, story| {
        if hidden(json, view) { Ok(()) } else { f(&serde_json::from_str(json)?, story) }
    })
}

/// Whether a finding is left out: told without reading all of it.
fn hidden(json: &str, view: &View<'_>) -> bool {
    let severity = || sonic_rs::get(json, ["severity"]).ok()?.as_raw_str().trim_matches('"').parse().ok();
    view.min_severity.is_some() && !view.shows(severity().unwrap_or(Severity::Medium))
}

type Each<'f> = &'f mut dyn FnMut(&str) -> io::Result<()>;

/// Calls `f` with the line of each shown finding.
fn each_finding(report: &mut Report, view: &View<'_>, f: Each<'_>) -> io::Result<()> {
    let mut line = String::new();
    walk(report, &mut |json, story| {
        if hidden(json, view) {
            return Ok(());
        }
        line.clear();
        line.push_str("{\"type\":\"finding\",\"story\":");
        match story {
            Some(id) => line.extend(["\"", id, "\","]),
            None => line.push_str("null,"),
        }
        line.push_str(json.get(1..).unwrap_or_default());
        f(&line)
    })
}

/// Calls `f` with the line of each shown story.
fn each_story(report: &Report, view: &View<'_>, f: Each<'_>) -> io::Result<()> {
    let mut shown = report.stories.iter().filter(|s| view.shows(s.severity));
    shown.try_for_each(|story| f(&serde_json::to_string(&story_line(story, &report.rules))?))
}

fn summary_line(report: &Report) -> io::Result<String> {
    Ok(serde_json::to_string(&SummaryLine { r#type: "summary", summary: &report.summary })?)
}

/// Calls `f` with each finding, story and the summary, in this order.
fn each(report: &mut Report, view: &View<'_>, f: Each<'_>) -> io::Result<()> {
    each_finding(report, view, f)?;
    each_story(report, view, f)?;
    f(&summary_line(report)?)
}

/// One object per line.
pub(super) fn lines(report: &mut Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    each(report, view, &mut |json| {
        out.write_all(json.as_bytes())?;
        out.write_all(b"\n")
    })
}

/// One object with `findings`, `stories` and `summary`.
pub(super) fn document(report: &mut Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let item = |separator: &mut &str, json: &str, out: &mut dyn Write| {
        out.write_all(std::mem::replace(separator, ",\n").as_bytes())?;
        out.write_all(json.as_bytes())
    };
    out.write_all(b"{\"findings\":[")?;
    let mut separator = "\n";
    each_finding(report, view, &mut |json| item(&mut separator, json, out))?;
    out.write_all(b"\n],\n\"stories\":[")?;
    let mut separator = "\n";
    each_story(report, view, &mut |json| item(&mut separator, json, out))?;
    writeln!(out, "\n],\n\"summary\":{}}}", summary_line(report)?)
}

/// One YAML document per object, like JSON lines.
pub(super) fn yaml(report: &mut Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    each(report, view, &mut |json| {
        let value: serde_json::Value = serde_json::from_str(json)?;
        let text = serde_saphyr::to_string(&value).map_err(io::Error::other)?;
        write!(out, "---\n{}\n", text.trim_end())
    })
}
