//! JSON lines, a JSON document and YAML: the same objects, each with its `type`.

use std::io::{self, Write};

use klio_detect::story::Story;
use klio_model::{Actor, Severity, Timestamp};
use serde::Serialize;

use super::view::{View, summary};
use crate::scan::{Report, Summary};

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
}

#[derive(Serialize)]
struct SummaryLine<'s> {
    r#type: &'static str,
    #[serde(flatten)]
    summary: &'s Summary,
}

fn story_line<'s>(story: &'s Story, report: &Report) -> StoryLine<'s> {
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
        summary: summary(story, report),
    }
}

/// Calls `f` with the JSON of each finding, story and the summary, in this order.
fn each(report: &mut Report, view: &View<'_>, f: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let ids: Vec<String> = report.stories.iter().map(|s| s.id.clone()).collect();
    let story_of = std::mem::take(&mut report.story_of);
    let mut line = String::new();
    report.findings.each(&mut |number, json| {
        let json = std::str::from_utf8(json).map_err(io::Error::other)?;
        if view.min_severity.is_some() && !view.shows(severity_of(json)) {
            return Ok(());
        }
        line.clear();
        line.push_str("{\"type\":\"finding\",");
        let story = story_of.get(number as usize).copied().flatten().and_then(|s| ids.get(s as usize));
        line.push_str("\"story\":");
        match story {
            Some(id) => line.extend(["\"", id, "\","]),
            None => line.push_str("null,"),
        }
        line.push_str(json.get(1..).unwrap_or_default());
        f(&line)
    })?;
    report.story_of = story_of;
    for story in report.stories.iter().filter(|s| view.shows(s.severity)) {
        f(&serde_json::to_string(&story_line(story, report))?)?;
    }
    f(&serde_json::to_string(&SummaryLine { r#type: "summary", summary: &report.summary })?)
}

/// The severity in a finding's JSON, without reading all of it.
fn severity_of(json: &str) -> Severity {
    sonic_rs::get(json, ["severity"])
        .ok()
        .and_then(|v| v.as_raw_str().trim_matches('"').parse().ok())
        .unwrap_or(Severity::Medium)
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
    let mut part = "";
    let mut first = true;
    out.write_all(b"{")?;
    each(report, view, &mut |json| {
        let kind = sonic_rs::get(json, ["type"]).map_err(io::Error::other)?.as_raw_str().to_owned();
        let list = match kind.trim_matches('"') {
            "finding" => "findings",
            "story" => "stories",
            _ => "summary",
        };
        for missing in ["findings", "stories"] {
            let wanted = (missing == "findings" && part.is_empty())
                || (missing == "stories" && part == "findings" && list != "findings");
            if wanted {
                out.write_all(if part.is_empty() { b"" } else { b"\n],\n" })?;
                write!(out, "\"{missing}\":[")?;
                part = missing;
                first = true;
            }
        }
        if list == "summary" {
            return write!(out, "\n],\n\"summary\":{json}}}");
        }
        out.write_all(if first { b"\n" } else { b",\n" })?;
        first = false;
        out.write_all(json.as_bytes())
    })?;
    out.write_all(b"\n")
}

/// One YAML document per object, like JSON lines.
pub(super) fn yaml(report: &mut Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    each(report, view, &mut |json| {
        let value: serde_json::Value = serde_json::from_str(json)?;
        let text = serde_saphyr::to_string(&value).map_err(io::Error::other)?;
        write!(out, "---\n{}\n", text.trim_end())
    })
}

/// Calls `f` with each shown finding as a JSON value and the id of its story.
pub(super) fn findings(
    report: &mut Report,
    view: &View<'_>,
    f: &mut dyn FnMut(&serde_json::Value, Option<&str>) -> io::Result<()>,
) -> io::Result<()> {
    let ids: Vec<String> = report.stories.iter().map(|s| s.id.clone()).collect();
    let story_of = std::mem::take(&mut report.story_of);
    report.findings.each(&mut |number, json| {
        let value: serde_json::Value = serde_json::from_slice(json)?;
        let severity = value["severity"].as_str().and_then(|s| s.parse().ok()).unwrap_or(Severity::Medium);
        if !view.shows(severity) {
            return Ok(());
        }
        let story = story_of.get(number as usize).copied().flatten().and_then(|s| ids.get(s as usize));
        f(&value, story.map(String::as_str))
    })?;
    report.story_of = story_of;
    Ok(())
}
