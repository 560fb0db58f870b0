//! Markdown for an issue, a wiki or a chat.

use std::io::{self, Write};

use super::plain;
use super::view::{View, behind, cut, findings, role, summary};
use crate::scan::Report;

pub(super) fn print(report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let s = &report.summary;
    writeln!(out, "# Klio scan\n")?;
    writeln!(out, "| | |\n|---|---|")?;
    writeln!(out, "| Events | {} ({} duplicates, {} rejected) |", s.events, s.duplicates, s.rejected)?;
    if let (Some(a), Some(b)) = (s.time_range.start, s.time_range.end) {
        writeln!(out, "| Time | {a} – {b} |")?;
    }
    writeln!(out, "| Findings | {} |", findings(s, |_, text| text))?;
    if let Some(text) = cut(s) {
        writeln!(out, "| Cut | {} |", cell(&text))?;
    }
    writeln!(out, "| Rules | {} ran, {} blind |", s.rules_run, s.rules_blind.len())?;
    for (i, story) in report.stories.iter().filter(|s| view.shows(s.severity)).enumerate() {
        writeln!(out, "\n## Story {}: {} ({})\n", i + 1, story.severity, story.id)?;
        writeln!(out, "{}\n", cell(&summary(story, &report.rules)))?;
        writeln!(out, "| Time | Severity | Finding | Count |\n|---|---|---|---|")?;
        for r in &story.rules {
            let time = r.first.map(|t| t.to_string()).unwrap_or_default();
            let message = behind(r).map_or_else(|| r.message.clone(), |by| format!("{} {by}", r.message));
            writeln!(out, "| {time} | {} | {} | {} |", r.severity, cell(&message), r.count)?;
        }
        if let Some(next) = view.next_step(story) {
            writeln!(out, "\n**Next:** {next}")?;
        }
        if view.timeline {
            writeln!(out, "\n| Time | Role | Request | Audit ID |\n|---|---|---|---|")?;
            for e in &story.events {
                let time = e.time.map(|t| t.to_string()).unwrap_or_default();
                writeln!(out, "| {time} | {} | {} | {} |", role(e.role), cell(&e.what), cell(&e.audit_id))?;
            }
        }
    }
    if s.rejected > 0 {
        writeln!(out, "\n## Not read\n")?;
        for t in s.rejected_reasons.iter().take(50) {
            writeln!(out, "- `{}:{}` {} ({}×)", cell(&t.file), t.line, cell(&t.reason), t.count)?;
        }
    }
    Ok(())
}

/// Text from a log that cannot break out of a table cell or become markup.
pub fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
