//! What a recording keeps of the requests that a rule is about.

use klio_model::event::UserKind;
use klio_model::{Filter, Level};

use super::Verdict;
use super::cases::{Case, Cases};
use super::mend::Gaps;
use super::named::Named;
use super::observed::Observed;
use super::policy::{Attributes, On, Policy};
use super::requester::{self, Requester};
use super::stages::Stages;
use super::target::{Need, Subject};

/// Where it is known from what is recorded.
#[derive(Clone, Copy, Debug)]
pub enum Recording<'r> {
    /// From the policy.
    Policy(&'r Policy),
    /// From what it left in logs.
    Logs(&'r Observed),
}

/// How much of a request is recorded, as a rule needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// All that the rule looks at.
    All,
    /// Enough for some of what the rule looks for, or for some of those who ask.
    Some,
    /// Not enough.
    Nothing,
    /// No such request was seen.
    Unseen,
}

/// What lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lack {
    Level { has: Option<Level> },
    Stage(Stages),
}

/// A target, and how much of it is recorded.
#[derive(Clone, Debug)]
pub struct Sight {
    /// On what.
    pub subject: Subject,
    /// By which verb.
    pub verb: &'static str,
    /// What must be recorded.
    pub need: Need,
    /// What is.
    pub kept: Kept,
    /// The rule says nothing of this resource; it is one of all.
    pub any: bool,
    /// The cluster asks it of itself all the time, and the rule does not name it: its absence is told, but does not count.
    pub noise: bool,
}

/// All that is to be said of one filter.
pub(super) struct Seen {
    pub sights: Vec<Sight>,
    pub guesses: bool,
    pub gaps: Gaps,
}

impl Recording<'_> {
    /// How much of a request is kept; what lacks if that is not all; whether the rule's dialect says yes without it.
    fn keeps(self, case: &Case<'_>) -> (Kept, Option<Lack>, bool) {
        let need = &case.need;
        let (least, most, stages) = match self {
            Self::Policy(policy) => {
                let decision = policy.decide(&attributes(case));
                let Some(level) = decision.level else {
                    return (Kept::Nothing, Some(Lack::Level { has: None }), false);
                };
                (level, level, Some(need.stages.without(decision.omitted)))
            }
            Self::Logs(observed) => {
                let Some(seen) = observed.of(case.subject, case.verb) else {
                    return (Kept::Unseen, None, false);
                };
                // Which stages a request has depends on how it went; only those that a rule names are missed.
                let among = need.stages.without(need.stages.without(seen.stages));
                (seen.least, seen.most, need.by_stage.then_some(among))
            }
        };
        if stages.is_some_and(Stages::is_empty) {
            return (Kept::Nothing, Some(Lack::Stage(need.stages)), false);
        }
        if least >= need.full {
            return (Kept::All, None, false);
        }
        let lack = Some(Lack::Level { has: Some(least) });
        if most >= need.least { (Kept::Some, lack, false) } else { (Kept::Nothing, lack, most >= need.guess) }
    }
}

impl Recording<'_> {
    /// The highest level that some such request has, whoever makes it and wherever: a rule above the others that says less
    /// would take it away.
    pub(super) fn ceiling(self, subject: &Subject, verb: &str) -> Option<Level> {
        let policy = match self {
            Self::Policy(policy) => policy,
            Self::Logs(observed) => return observed.of(subject, verb).map(|seen| seen.most),
        };
        let requesters = requester::all(&Named::default());
        let places = ["", "default", "kube-system"].into_iter().flat_map(|n| [(n, ""), (n, "some-name")]);
        let levels = places.flat_map(|(namespace, name)| {
            requesters
                .iter()
                .filter_map(move |who| policy.decide(&asked(subject, verb, who, namespace, name)).level)
        });
        levels.max()
    }
}

fn attributes<'c>(case: &Case<'c>) -> Attributes<'c> {
    asked(case.subject, case.verb, case.who, case.namespace, case.name)
}

fn asked<'c>(
    subject: &'c Subject,
    verb: &'c str,
    who: &'c Requester,
    namespace: &'c str,
    name: &'c str,
) -> Attributes<'c> {
    let known = who.kind != UserKind::Unauthenticated;
    Attributes {
        user: known.then_some(who.name.as_str()),
        groups: &who.groups,
        verb,
        on: match subject {
            Subject::Resource { group, resource, subresource } => {
                On::Resource { group, resource, subresource, namespace, name }
            }
            Subject::Path(path) => On::Path(path),
        },
    }
}

/// What is recorded of the requests that a filter is about, for a reader who needs at least a level.
pub(super) fn look(filter: &Filter, at_least: Level, recording: Recording<'_>) -> Seen {
    let cases = Cases::of(filter);
    let mut sights: Vec<Sight> = Vec::new();
    let mut guesses = false;
    let mut gaps = Gaps::of(cases.named());
    cases.each(&mut |case| {
        let case = &Case { need: case.need.at_least(at_least), ..*case };
        let (kept, lack, guess) = recording.keeps(case);
        guesses |= guess;
        if let Some(lack) = lack {
            gaps.add(case, lack);
        }
        match sights.last_mut() {
            Some(last) if last.subject == *case.subject && last.verb == case.verb => {
                last.need = last.need.join(case.need);
                if last.kept != kept {
                    last.kept = Kept::Some;
                }
            }
            _ => sights.push(Sight {
                subject: case.subject.clone(),
                verb: case.verb,
                need: case.need,
                kept,
                any: case.any,
                noise: case.noise,
            }),
        }
    });
    Seen { sights, guesses, gaps }
}

/// The verdict over targets: noise counts only where there is nothing else.
pub(super) fn verdict(sights: &[Sight]) -> Verdict {
    let only_noise = sights.iter().all(|s| s.noise);
    let count = |kept| sights.iter().filter(|s| (only_noise || !s.noise) && s.kept == kept).count();
    match (count(Kept::All), count(Kept::Some), count(Kept::Nothing)) {
        (0, 0, 0) => Verdict::Unproven,
        (_, 0, 0) => Verdict::Works,
        (0, 0, _) => Verdict::Blind,
        _ => Verdict::Partly,
    }
}
