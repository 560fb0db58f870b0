//! For an issue or a wiki.

use std::io::{self, Write};

use klio_detect::coverage::heat::Row;
use klio_detect::coverage::{Coverage, matrices};

use super::table::{mend, remark};
use super::{Basis, lacks, level, requests, sorted, sum};
use crate::output::cell;

pub(super) fn print(all: &[Coverage<'_>], basis: &Basis, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Rule coverage\n")?;
    writeln!(out, "{} rules and correlations by {}: {}.\n", all.len(), cell(&basis.said), sum(all))?;
    writeln!(
        out,
        "| Verdict | Severity | Rule | Needs | Requests | Not recorded |\n|---|---|---|---|---|---|"
    )?;
    for c in sorted(all) {
        let title = cell(&c.about.title);
        let (verdict, severity) = (c.verdict.name(), c.about.severity);
        let (requests, lacks) = (cell(&requests(c)), cell(&lacks(c)));
        writeln!(out, "| {verdict} | {severity} | {title} | {} | {requests} | {lacks} |", level(c))?;
    }
    let mut rules = Vec::new();
    mend(all, &mut rules)?;
    if !rules.is_empty() {
        // No line of it can end the block: each is a comment or a key.
        writeln!(out, "\n## What would mend them\n\n```yaml")?;
        out.write_all(&rules)?;
        writeln!(out, "```")?;
    }
    let matrices = matrices(all.iter().map(|one| (one.about, one.verdict)));
    heat("MITRE ATT&CK", &matrices.attack, out)?;
    heat("Microsoft's Threat Matrix for Kubernetes", &matrices.microsoft, out)
}

fn heat(title: &str, rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n## {title}\n")?;
    writeln!(
        out,
        "| Tactic | Technique | Works | Partly | Blind | Unproven | |\n|---|---|---:|---:|---:|---:|---|"
    )?;
    for row in rows {
        for c in &row.cells {
            let r = c.rules;
            writeln!(
                out,
                "| {} | {} {} | {} | {} | {} | {} | {} |",
                row.tactic,
                c.id,
                c.name,
                r.works,
                r.partly,
                r.blind,
                r.unproven,
                cell(&remark(c))
            )?;
        }
    }
    Ok(())
}
