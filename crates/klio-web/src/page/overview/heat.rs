//! MITRE ATT&CK, coloured by what was found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use klio_detect::About as Rule;
use klio_detect::coverage::{Verdict, matrices, places};
use klio_model::Tactic;

use crate::page::address::Address;
use crate::view::{CoveragePage, RuleHits, TacticView, TechniqueView, capital};

/// A tactic as a column.
pub(super) struct Heat {
    pub(super) name: String,
    pub(super) hits: u64,
    pub(super) cells: Vec<Cell>,
}

/// A technique.
pub(super) struct Cell {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) hits: u64,
    /// How hot it is, 0 to 4; `none` and `hidden` for those that nothing looks for.
    pub(super) class: &'static str,
    /// What stands in place of a number.
    pub(super) word: &'static str,
    pub(super) title: String,
    pub(super) href: Option<String>,
}

/// The matrix, with the rules' findings and, as far as that is known, whether they can work with what is recorded.
pub(super) fn attack(rules: &[Rule], hits: &[RuleHits], covered: Option<&CoveragePage>) -> Vec<TacticView> {
    let verdicts: BTreeMap<&str, &str> = covered
        .map(|page| page.items.iter().map(|item| (item.rule.as_str(), item.verdict)).collect())
        .unwrap_or_default();
    let verdict = |about: &Rule| {
        let told = verdicts.get(about.id.as_str());
        let named = Verdict::ALL.into_iter().find(|verdict| told == Some(&verdict.name()));
        named.unwrap_or(Verdict::Works)
    };
    let of: BTreeMap<&str, u64> = hits.iter().map(|hit| (hit.rule.as_str(), hit.hits)).collect();
    let mut found: BTreeMap<(Tactic, String), u64> = BTreeMap::new();
    let mut sums: BTreeMap<Tactic, u64> = BTreeMap::new();
    for rule in rules {
        let hits = of.get(rule.id.as_str()).copied().unwrap_or(0);
        let places = places(rule);
        for tactic in places.iter().map(|(tactic, _)| *tactic).collect::<BTreeSet<_>>() {
            *sums.entry(tactic).or_default() += hits;
        }
        for place in places {
            *found.entry(place).or_default() += hits;
        }
    }
    let rows = matrices(rules.iter().map(|rule| (rule, verdict(rule))))
        .attack
        .into_iter()
        .filter(|row| !row.cells.is_empty());
    let rows = rows.map(|row| TacticView {
        tactic: row.tactic.name().to_owned(),
        hits: sums.get(&row.tactic).copied().unwrap_or(0),
        techniques: row
            .cells
            .into_iter()
            .map(|cell| TechniqueView {
                hits: found.get(&(row.tactic, cell.id.clone())).copied().unwrap_or(0),
                rules: cell.rules.all(),
                blind: cell.rules.blind,
                name: cell.name,
                hidden: cell.hidden,
                id: cell.id,
            })
            .collect(),
    });
    rows.collect()
}

/// As it is drawn.
pub(super) fn columns(attack: &[TacticView]) -> Vec<Heat> {
    let column = |tactic: &TacticView| {
        let mut techniques: Vec<&TechniqueView> = tactic.techniques.iter().collect();
        // What was found stands above what was not, and that above what cannot be.
        techniques.sort_by_key(|t| (Reverse(t.hits), t.rules == 0, t.hidden.is_some()));
        Heat {
            name: capital(&tactic.tactic.replace('-', " ")),
            hits: tactic.hits,
            cells: techniques.into_iter().map(|technique| cell(&tactic.tactic, technique)).collect(),
        }
    };
    attack.iter().map(column).collect()
}

fn cell(tactic: &str, technique: &TechniqueView) -> Cell {
    let TechniqueView { id, name, rules, blind, hits, hidden } = technique;
    let counted = match rules {
        1 => "1 rule".to_owned(),
        n => format!("{n} rules"),
    };
    let (class, word, said) = match (hits, rules, hidden) {
        (0, 0, Some(why)) => ("hidden", "invisible", format!("no audit log shows it: {why}")),
        (0, 0, None) => ("none", "no rule", "no rule looks for it".to_owned()),
        (0, all, _) if blind == all => (
            "blind",
            "blind",
            format!("{counted}, blind: the audit policy does not record what they look at"),
        ),
        (0, ..) => ("h0", "", format!("{counted}, no finding")),
        (1..=4, ..) => ("h1", "", format!("{counted}, {hits} findings")),
        (5..=24, ..) => ("h2", "", format!("{counted}, {hits} findings")),
        (25..=99, ..) => ("h3", "", format!("{counted}, {hits} findings")),
        _ => ("h4", "", format!("{counted}, {hits} findings")),
    };
    let to = || Address::new("/detections").with("tactic", tactic).with("technique", id).to_string();
    Cell {
        title: format!("{id} {name}: {said}"),
        href: (*rules > 0).then(to),
        id: id.clone(),
        name,
        hits: *hits,
        class,
        word,
    }
}
