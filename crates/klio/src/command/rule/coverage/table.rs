//! For a terminal.

use std::io::{self, Write};

use klio_detect::coverage::heat::{Cell, Row};
use klio_detect::coverage::{Coverage, Heat, matrices, together};

use super::{Basis, lacks, level, requests, sorted, sum};
use crate::output::{Grid, plain};

pub(super) fn print(all: &[Coverage<'_>], basis: &Basis, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} rules and correlations by {}: {}\n", all.len(), plain(&basis.said), sum(all))?;
    let mut grid = Grid::new(&["verdict", "severity", "rule", "needs", "requests", "not recorded"]);
    for c in sorted(all) {
        grid.row(vec![
            c.verdict.name().into(),
            c.about.severity.name().into(),
            c.about.title.clone(),
            level(c).into(),
            requests(c),
            lacks(c),
        ]);
    }
    writeln!(out, "{grid}")?;
    mend(all, out)?;
    let matrices = matrices(all.iter().map(|one| (one.about, one.verdict)));
    writeln!(out, "\nMITRE ATT&CK\n")?;
    heat(&matrices.attack, out)?;
    writeln!(out, "\nMicrosoft's Threat Matrix for Kubernetes\n")?;
    heat(&matrices.microsoft, out)
}

/// The rules for the policy, and what they cannot say.
pub(super) fn mend(all: &[Coverage<'_>], out: &mut dyn Write) -> io::Result<()> {
    let rules = together(all);
    if !rules.is_empty() {
        writeln!(out, "# What would mend them: put this above the other rules of the audit policy.")?;
        for (rule, titles) in rules {
            for title in titles {
                writeln!(out, "  # {}", plain(title))?;
            }
            write!(out, "{}", rule.yaml())?;
        }
    }
    for c in sorted(all) {
        for note in &c.mend.notes {
            writeln!(out, "# {}: {}", plain(&c.about.title), plain(note))?;
        }
    }
    Ok(())
}

fn heat(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let mut grid = Grid::new(&["tactic", "technique", "", "works", "partly", "blind", "unproven", ""]);
    let number = |n: usize| if n == 0 { String::new() } else { n.to_string() };
    for row in rows {
        let mut tactic = row.tactic.name().to_owned();
        for cell in &row.cells {
            grid.row(vec![
                std::mem::take(&mut tactic),
                cell.id.clone(),
                cell.name.into(),
                number(cell.rules.works),
                number(cell.rules.partly),
                number(cell.rules.blind),
                number(cell.rules.unproven),
                remark(cell),
            ]);
        }
    }
    write!(out, "{grid}")
}

/// What the numbers do not say.
pub(super) fn remark(cell: &Cell) -> String {
    match (cell.heat(), cell.hidden) {
        (Heat::NoRule, _) => "no rule".to_owned(),
        (Heat::Hidden, Some(why)) => format!("not in audit data: {why}"),
        (_, Some(why)) => format!("not in audit data as such: {why}"),
        (Heat::Blind, None) => "cannot be seen with this".to_owned(),
        _ => String::new(),
    }
}
