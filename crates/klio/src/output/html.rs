//! One self-contained HTML file: no scripts, no network, fit to mail.

use std::io::{self, Write};

use super::plain;
use super::view::{View, behind, busiest, count, cut, findings, plural, role, summary, tactics, who};
use crate::scan::Report;

/// Requests shown per story.
const EVENTS: usize = 500;

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#5b6571;--line:#d7dce1;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e4e8ec;--soft:#97a1ac;--line:#333b44;--card:#1c2229}}
body{font:15px/1.5 system-ui,sans-serif;background:var(--bg);color:var(--fg);max-width:70rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;margin:0 0 1rem}h2{font-size:1.1rem;margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0 0 1.5rem}dt{color:var(--soft)}dd{margin:0}
section{border:1px solid var(--line);border-radius:8px;padding:1rem 1.2rem;margin:1rem 0;background:var(--card)}
.level{display:inline-block;border-radius:4px;padding:0 .5rem;font-size:.8rem;font-weight:600;color:#fff}
.critical{background:#8b1a1a}.high{background:#b3401c}.medium{background:#8a5a00}.low{background:#1d5f8a}.informational{background:#5b6571}
table{border-collapse:collapse;width:100%;margin:.6rem 0;font-size:.88rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
th,.level{white-space:nowrap}td:nth-child(n+3){overflow-wrap:anywhere}
th{color:var(--soft);font-weight:500}td.t{white-space:nowrap;font-variant-numeric:tabular-nums}
code,.id{font:.85em ui-monospace,monospace;color:var(--soft)}details summary{cursor:pointer;color:var(--soft)}
.evidence td{font-weight:600}.next{border-left:3px solid var(--line);padding-left:.8rem}
";

pub(super) fn print(report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let s = &report.summary;
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Klio scan</title><style>{STYLE}</style></head><body>\n<h1>Klio scan</h1>\n<dl>"
    )?;
    let mut fact = |name: &str, value: String| write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    fact(
        "Events",
        format!(
            "{} in {}, {}, {} rejected",
            count(s.events),
            plural(s.files, "file"),
            plural(s.duplicates, "duplicate"),
            count(s.rejected)
        ),
    )?;
    if let (Some(a), Some(b)) = (s.time_range.start, s.time_range.end) {
        fact("Time", format!("{a} – {b}"))?;
    }
    fact("Findings", findings(s, |_, text| text))?;
    fact("Tactics", tactics(s))?;
    fact("Busiest", busiest(s, 6))?;
    if let Some(cut) = cut(s) {
        fact("Cut", cut)?;
    }
    let blind: Vec<&str> = s.rules_blind.iter().map(|r| r.title.as_str()).collect();
    fact(
        "Rules",
        format!(
            "{} ran, {} blind{}{}",
            s.rules_run,
            blind.len(),
            if blind.is_empty() { "" } else { ": " },
            blind.join("; ")
        ),
    )?;
    writeln!(out, "</dl>")?;
    for (i, story) in report.stories.iter().filter(|s| view.shows(s.severity)).enumerate() {
        let name = story.actors.first().map(who).unwrap_or_default();
        write!(
            out,
            "<section id=\"s{}\"><h2><span class=\"level {}\">{}</span> Story {}: {} <span class=\"id\">{}</span></h2>\n<p>{}</p>\n",
            story.id,
            story.severity,
            story.severity,
            i + 1,
            escape(&name),
            story.id,
            escape(&summary(story, &report.rules))
        )?;
        writeln!(out, "<table><tr><th>First</th><th>Severity</th><th>Finding</th><th>Count</th></tr>")?;
        for r in &story.rules {
            let time = r.first.map(|t| t.to_string()).unwrap_or_default();
            writeln!(
                out,
                "<tr><td class=\"t\">{time}</td><td><span class=\"level {0}\">{0}</span></td><td>{1}</td><td>{2}</td></tr>",
                r.severity,
                escape(&behind(r).map_or_else(|| r.message.clone(), |by| format!("{} {by}", r.message))),
                r.count
            )?;
        }
        writeln!(out, "</table>")?;
        if let Some(next) = view.next_step(story) {
            writeln!(out, "<p class=\"next\"><b>Next:</b> {}</p>", escape(&next))?;
        }
        let open = if view.timeline { " open" } else { "" };
        writeln!(
            out,
            "<details{open}><summary>{}</summary><table><tr><th>Time</th><th>Role</th><th>Request</th><th>Audit ID</th></tr>",
            plural(story.events.len() as u64 + story.unlisted, "request")
        )?;
        for e in story.events.iter().take(EVENTS) {
            writeln!(
                out,
                "<tr class=\"{0}\"><td class=\"t\">{1}</td><td>{0}</td><td>{2}</td><td><code>{3}</code></td></tr>",
                role(e.role),
                e.time.map(|t| t.to_string()).unwrap_or_default(),
                escape(&e.what),
                escape(&e.audit_id)
            )?;
        }
        writeln!(out, "</table></details></section>")?;
    }
    if s.rejected > 0 {
        write!(out, "<section><h2>Not read</h2><table>")?;
        for t in s.rejected_reasons.iter().take(200) {
            writeln!(
                out,
                "<tr><td><code>{}:{}</code></td><td>{} ({}×)</td></tr>",
                escape(&t.file),
                t.line,
                escape(&t.reason),
                t.count
            )?;
        }
        write!(out, "</table></section>")?;
    }
    writeln!(out, "</body></html>")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
