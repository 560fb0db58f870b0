//! The verdicts of all rules by technique.

use std::collections::BTreeMap;

use klio_model::Tactic;

use super::Verdict;
use super::matrix::{ATTACK, THREATS};
use crate::About;

/// How many rules are for a technique, by verdict.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs)]
pub struct Tally {
    pub works: usize,
    pub partly: usize,
    pub blind: usize,
    pub unproven: usize,
}

/// What stands in a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heat {
    /// A rule works.
    Seen,
    /// None works, one does partly.
    Partly,
    /// There are rules, and none can work.
    Blind,
    /// There are rules, and the logs show nothing of what they are about.
    Unproven,
    /// There is no rule.
    NoRule,
    /// No audit log shows it.
    Hidden,
}

/// One technique.
#[derive(Clone, Debug)]
pub struct Cell {
    /// `T1611` or `MS-TA9018`.
    pub id: String,
    /// Its name; empty for one that Klio does not know.
    pub name: &'static str,
    /// Whether it stands in the Containers matrix (all of Microsoft's do in theirs).
    pub listed: bool,
    /// Why audit data cannot show it. A rule may all the same come near.
    pub hidden: Option<&'static str>,
    /// Rules for it.
    pub rules: Tally,
}

/// One tactic with its techniques.
#[derive(Clone, Debug)]
pub struct Row {
    /// The tactic.
    pub tactic: Tactic,
    /// All rules for it, each once.
    pub rules: Tally,
    /// In the order of their ids.
    pub cells: Vec<Cell>,
}

/// Both matrices.
#[derive(Clone, Debug)]
pub struct Matrices {
    /// MITRE ATT&CK: the Containers matrix and what rules tag besides.
    pub attack: Vec<Row>,
    /// Microsoft's Threat Matrix for Kubernetes.
    pub microsoft: Vec<Row>,
}

impl Tally {
    /// Of some rules.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        verdicts.into_iter().fold(Self::default(), |mut tally, verdict| {
            tally.add(verdict);
            tally
        })
    }

    fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Works => &mut self.works,
            Verdict::Partly => &mut self.partly,
            Verdict::Blind => &mut self.blind,
            Verdict::Unproven => &mut self.unproven,
        } += 1;
    }

    /// All together.
    pub fn all(self) -> usize {
        self.works + self.partly + self.blind + self.unproven
    }
}

impl Cell {
    /// What it shows.
    pub fn heat(&self) -> Heat {
        match self.rules {
            Tally { works: 1.., .. } => Heat::Seen,
            Tally { partly: 1.., .. } => Heat::Partly,
            Tally { blind: 1.., .. } => Heat::Blind,
            Tally { unproven: 1.., .. } => Heat::Unproven,
            _ if self.hidden.is_some() => Heat::Hidden,
            _ => Heat::NoRule,
        }
    }
}

/// Sums up what was judged. Rules that only serve a correlation count with it.
pub fn matrices<'a>(all: impl IntoIterator<Item = (&'a About, Verdict)>) -> Matrices {
    let all: Vec<(&About, Verdict)> = all.into_iter().filter(|(about, _)| about.reports).collect();
    Matrices { attack: attack(&all), microsoft: microsoft(&all) }
}

/// Where a rule stands in the matrix: tactics and ids of techniques. A technique stands under those of its tactics that the rule names,
/// and under all of them if it names none of those.
pub fn places(about: &About) -> Vec<(Tactic, String)> {
    let own = &about.tactics;
    let mut places = Vec::new();
    for technique in &about.techniques {
        let id = technique.to_string();
        let usual = ATTACK.iter().find(|k| k.id == id).map_or(&[][..], |k| k.tactics);
        let both: Vec<Tactic> = usual.iter().copied().filter(|t| own.contains(t)).collect();
        let tactics = match (both.is_empty(), usual.is_empty()) {
            (false, _) => &both,
            (true, false) => usual,
            (true, true) => own.as_slice(),
        };
        places.extend(tactics.iter().map(|tactic| (*tactic, id.clone())));
    }
    places
}

fn attack(all: &[(&About, Verdict)]) -> Vec<Row> {
    let mut cells: BTreeMap<Tactic, BTreeMap<String, Cell>> = BTreeMap::new();
    for known in ATTACK.iter().filter(|k| k.containers) {
        for tactic in known.tactics {
            let cell = Cell {
                id: known.id.to_owned(),
                name: known.name,
                listed: true,
                hidden: known.hidden,
                rules: Tally::default(),
            };
            cells.entry(*tactic).or_default().insert(cell.id.clone(), cell);
        }
    }
    for (about, verdict) in all {
        for (tactic, id) in places(about) {
            let known = ATTACK.iter().find(|k| k.id == id);
            let cell = cells.entry(tactic).or_default().entry(id.clone()).or_insert_with(|| Cell {
                id,
                name: known.map_or("", |k| k.name),
                listed: known.is_some_and(|k| k.containers),
                hidden: known.and_then(|k| k.hidden),
                rules: Tally::default(),
            });
            cell.rules.add(*verdict);
        }
    }
    let of = |tactic: Tactic| {
        Tally::of(
            all.iter().filter(|(about, _)| about.tactics.contains(&tactic)).map(|(_, verdict)| *verdict),
        )
    };
    Tactic::ALL
        .into_iter()
        .filter_map(|tactic| {
            let cells: Vec<Cell> = cells.remove(&tactic).unwrap_or_default().into_values().collect();
            let rules = of(tactic);
            (!cells.is_empty() || rules.all() > 0).then_some(Row { tactic, rules, cells })
        })
        .collect()
}

fn microsoft(all: &[(&About, Verdict)]) -> Vec<Row> {
    let tagged = |about: &About, number: u16| {
        let tag = format!("tmfk.ms-ta{number}");
        about.labels.iter().any(|l| l.eq_ignore_ascii_case(&tag))
    };
    Tactic::ALL
        .into_iter()
        .filter_map(|tactic| {
            let threats: Vec<_> = THREATS.iter().filter(|t| t.tactic == tactic).collect();
            let cells = threats.iter().map(|threat| Cell {
                id: format!("MS-TA{}", threat.number),
                name: threat.name,
                listed: true,
                hidden: threat.hidden,
                rules: Tally::of(
                    all.iter().filter(|(about, _)| tagged(about, threat.number)).map(|(_, verdict)| *verdict),
                ),
            });
            let of = all.iter().filter(|(about, _)| threats.iter().any(|t| tagged(about, t.number)));
            let rules = Tally::of(of.map(|(_, verdict)| *verdict));
            (!threats.is_empty()).then(|| Row { tactic, rules, cells: cells.collect() })
        })
        .collect()
}
