//! Which rules can work with what is recorded, and what the audit policy would have to record for the others.
//!
//! A rule is asked, symbolically, which requests it can be true of and what must be recorded of each ([`targets`]):
//! nothing is declared by hand. A [`Recording`] is an audit [`Policy`], or what one left in logs ([`Observed`]). Each
//! target is held against it for a few requesters, namespaces and names who stand for all. What comes out is a
//! [`Verdict`], and a [`Mend`] for what does not work; [`heat`] sums it up by ATT&CK technique.

pub mod heat;

mod matrix;

mod target;

mod cases;

mod catalog;

mod named;

mod requester;

mod probe;

mod outcome;

pub mod policy;

mod observed;

mod stages;

mod sight;

mod mend;

use klio_model::{FieldRef, Level};

use crate::correlate::{Correlation, CorrelationKind, CorrelationSource};
use crate::rule::{About, Rule, RuleSet};

pub use heat::{Heat, matrices, places};
pub use mend::{Mend, together};
pub use observed::{Levels, Observed};
pub use policy::{Policy, PolicyError};
pub use sight::{Kept, Recording, Sight};
pub use stages::Stages;
pub use target::{Need, Subject, Target, is_any, targets, words};

/// Correlations watch correlations no deeper than their compiler allows; this only keeps the walk from trusting it.
const MAX_CHAIN: usize = 16;

/// Whether a rule can work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// All that it looks at is recorded.
    Works,
    /// Some of it.
    Partly,
    /// Not enough of any request for a certain yes.
    Blind,
    /// The logs hold no request that it is about.
    Unproven,
}

impl Verdict {
    /// All, the best first.
    pub const ALL: [Self; 4] = [Self::Works, Self::Partly, Self::Blind, Self::Unproven];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Partly => "partly",
            Self::Blind => "blind",
            Self::Unproven => "unproven",
        }
    }
}

/// What is to be said of a rule or correlation.
#[derive(Clone, Debug)]
pub struct Coverage<'s> {
    /// Which.
    pub about: &'s About,
    /// Whether it can work.
    pub verdict: Verdict,
    /// It says nothing of what requests are about, so that it is about any.
    pub any: bool,
    /// What it is about, and how much of each is recorded; of a correlation, nothing.
    pub sights: Vec<Sight>,
    /// Where it is blind it says yes all the same, as its dialect reads what is missing: such findings are unproven.
    pub guesses: bool,
    /// The rules that a correlation watches.
    pub sources: Vec<&'s str>,
    /// What the policy would have to say.
    pub mend: Mend,
}

/// Judges all rules, then all correlations, in their order.
pub fn assess<'s>(set: &'s RuleSet, recording: Recording<'_>) -> Vec<Coverage<'s>> {
    let of = |rule| of_rule(set, rule, recording);
    let mut all: Vec<Coverage<'s>> = set.rules.iter().map(of).collect();
    let verdicts: Vec<Verdict> = all.iter().map(|c| c.verdict).collect();
    for correlation in &set.correlations {
        all.push(Coverage {
            about: &correlation.about,
            verdict: of_correlation(set, &verdicts, correlation, recording, 0),
            any: false,
            sights: Vec::new(),
            guesses: false,
            sources: correlation.sources.iter().map(|s| s.rule.as_str()).collect(),
            mend: Mend::default(),
        });
    }
    all
}

fn of_rule<'s>(set: &RuleSet, rule: &'s Rule, recording: Recording<'_>) -> Coverage<'s> {
    let seen = sight::look(&rule.filter, Level::Metadata, recording);
    if let Some(lack) = set.lookup.lacks(&rule.filter) {
        let mend = Mend { notes: vec![lack.advice().to_owned()], ..Mend::default() };
        let (verdict, sights) = (Verdict::Blind, seen.sights);
        return Coverage {
            about: &rule.about,
            verdict,
            any: true,
            sights,
            guesses: false,
            sources: Vec::new(),
            mend,
        };
    }
    let verdict = sight::verdict(&seen.sights);
    let any = seen.sights.iter().any(|s| s.any && s.subject.group() == Some("example.com"));
    let mend = if matches!(verdict, Verdict::Partly | Verdict::Blind) {
        seen.gaps.mend(recording)
    } else {
        Mend::default()
    };
    let guesses = verdict != Verdict::Works && seen.guesses;
    Coverage { about: &rule.about, verdict, any, sights: seen.sights, guesses, sources: Vec::new(), mend }
}

/// What a correlation can do follows from its sources: an order needs each of them, a count any.
fn of_correlation(
    set: &RuleSet,
    verdicts: &[Verdict],
    correlation: &Correlation,
    recording: Recording<'_>,
    depth: usize,
) -> Verdict {
    if depth > MAX_CHAIN {
        return Verdict::Unproven;
    }
    let mut found: Vec<Verdict> = correlation
        .sources
        .iter()
        .map(|source| {
            let rule = set.rules.iter().position(|r| r.id == source.rule);
            if let Some(index) = rule {
                return of_source(&set.rules[index], verdicts[index], source, recording);
            }
            let other = set.correlations.iter().find(|c| c.id == source.rule);
            other.map_or(Verdict::Blind, |c| of_correlation(set, verdicts, c, recording, depth + 1))
        })
        .collect();
    found.sort_unstable_by_key(|v| match v {
        Verdict::Works => 0,
        Verdict::Partly => 1,
        Verdict::Unproven => 2,
        Verdict::Blind => 3,
    });
    let wanted = match correlation.kind {
        CorrelationKind::TemporalOrdered => found.len(),
        // So many of the rules must match; all, unless the condition says less.
        CorrelationKind::Temporal => {
            correlation.need().map_or(found.len(), |n| (n.max(1.0) as usize).min(found.len()))
        }
        _ => 1,
    };
    found.get(wanted.saturating_sub(1)).copied().unwrap_or(Verdict::Blind)
}

/// A source whose matches must hand on values of a body needs that body.
fn of_source(rule: &Rule, verdict: Verdict, source: &CorrelationSource, recording: Recording<'_>) -> Verdict {
    let names = source.keys.iter().chain(&source.fields);
    let level = names.filter_map(|name| FieldRef::parse(name).ok()).map(|f| f.level()).max();
    match level {
        Some(level) if level > Level::Metadata => {
            sight::verdict(&sight::look(&rule.filter, level, recording).sights)
        }
        _ => verdict,
    }
}

#[cfg(test)]
mod tests;
