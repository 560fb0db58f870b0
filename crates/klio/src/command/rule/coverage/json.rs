//! One document.

use std::io::{self, Write};

use klio_detect::coverage::heat::{Row, Tally};
use klio_detect::coverage::{Coverage, Heat, Kept, Sight, Verdict, matrices, together};
use serde_json::{Value, json};

use super::{Basis, name_of, sorted};

pub(super) fn print(all: &[Coverage<'_>], basis: &Basis, out: &mut dyn Write) -> io::Result<()> {
    let count = |v: Verdict| all.iter().filter(|c| c.verdict == v).count();
    let counts: serde_json::Map<String, Value> =
        Verdict::ALL.into_iter().map(|v| (v.name().to_owned(), count(v).into())).collect();
    let matrices = matrices(all.iter().map(|one| (one.about, one.verdict)));
    let policy: String = together(all).into_iter().map(|(rule, _)| rule.yaml()).collect();
    let document = json!({
        "type": "coverage",
        "by": basis.said,
        "events": basis.events,
        "counts": counts,
        "rules": sorted(all).into_iter().map(rule).collect::<Vec<_>>(),
        "mend": policy,
        "attack": matrices.attack.iter().map(row).collect::<Vec<_>>(),
        "microsoft": matrices.microsoft.iter().map(row).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn rule(c: &Coverage<'_>) -> Value {
    // Of a rule about any request only what lacks is listed: the rest is everything there is.
    let listed = |s: &&Sight| !c.any || !s.any || matches!(s.kept, Kept::Nothing | Kept::Some);
    json!({
        "id": c.about.id,
        "title": c.about.title,
        "severity": c.about.severity,
        "dialect": c.about.dialect.name(),
        "verdict": c.verdict.name(),
        "any_request": c.any,
        "unproven_findings": c.guesses,
        "requests": c.sights.iter().filter(listed).map(sight).collect::<Vec<_>>(),
        "sources": c.sources,
        "mend": c.mend.yaml(),
        "notes": c.mend.notes,
    })
}

fn sight(s: &Sight) -> Value {
    let kept = match s.kept {
        Kept::All => "all",
        Kept::Some => "some",
        Kept::Nothing => "nothing",
        Kept::Unseen => "unseen",
    };
    json!({
        "group": s.subject.group(),
        "on": s.subject.entry(),
        "verb": s.verb,
        "least_level": name_of(Some(s.need.least)),
        "level": name_of(Some(s.need.full)),
        "stages": s.need.stages.iter().map(|s| s.name()).collect::<Vec<_>>(),
        "recorded": kept,
        "counts": !s.noise,
    })
}

fn row(row: &Row) -> Value {
    let cells = row.cells.iter().map(|c| {
        let heat = match c.heat() {
            Heat::Seen => "works",
            Heat::Partly => "partly",
            Heat::Blind => "blind",
            Heat::Unproven => "unproven",
            Heat::NoRule => "no-rule",
            Heat::Hidden => "not-in-audit-data",
        };
        json!({
            "id": c.id, "name": c.name, "in_matrix": c.listed, "heat": heat, "not_in_audit_data": c.hidden,
            "rules": tally(c.rules),
        })
    });
    json!({"tactic": row.tactic, "rules": tally(row.rules), "techniques": cells.collect::<Vec<_>>()})
}

fn tally(t: Tally) -> Value {
    json!({"works": t.works, "partly": t.partly, "blind": t.blind, "unproven": t.unproven})
}
