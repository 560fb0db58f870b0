//! Asks each event only the rules that could match it.
//!
//! Most rules name verbs, resources, users or codes. [`dispatch`] turns those into bit sets, so that a few lookups
//! and ANDs leave the rules worth asking, and of these only what the lookups did not answer. The answer is honest:
//! a value that was not recorded is unknown. If the rule's answer is unknown, it is asked again as its dialect reads
//! missing values: a yes there is a finding that is *unproven*.

mod cost;
mod dispatch;

use klio_model::{Event, FieldRef, Filter, Missing, Stage, Tri};

use crate::rule::{Dialect, Rule};
use dispatch::{Dispatch, Memory};

/// Which of several matching Falco rules count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FalcoMatching {
    /// The first in file order, as Falco does by default.
    #[default]
    First,
    /// Every one.
    All,
}

/// A rule's yes to an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Index of the rule.
    pub rule: u32,
    /// Whether every value that decides was recorded.
    pub proven: bool,
    /// No yes yet: the rule reads what a memory knows and the event carries no facts. Whoever keeps the memory sets
    /// [`Event::facts`] and asks [`Engine::again`].
    pub later: bool,
}

/// How often a rule could not answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sight {
    /// Events for which the answer was unknown and the dialect says no.
    pub unknown: u64,
    /// Events that the rule could answer and that had what it reads.
    pub decided: u64,
}

/// What one thread needs while it judges.
#[derive(Debug)]
pub struct Bench {
    memory: Memory,
    /// Per rule, how often it could not answer.
    pub sight: Vec<Sight>,
}

/// Compiled rules with their dispatch.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Rule>,
    dispatch: Dispatch,
    /// Rules that read bodies: only those can be blind.
    reads_body: Vec<bool>,
    /// Rules that read memory fields.
    reads_past: Vec<bool>,
    matching: FalcoMatching,
}

impl Engine {
    /// Prepares rules; their order decides which Falco rule is first.
    pub fn new(mut rules: Vec<Rule>, matching: FalcoMatching) -> Self {
        for rule in &mut rules {
            cost::cheapest_first(&mut rule.filter);
        }
        let dispatch = Dispatch::new(&rules);
        let reads = |what: fn(&FieldRef) -> bool| {
            let any = |rule: &Rule| {
                let mut any = false;
                rule.filter.each_field(&mut |f| any |= what(f));
                any
            };
            rules.iter().map(any).collect()
        };
        let (reads_body, reads_past) = (reads(FieldRef::needs_body), reads(FieldRef::needs_memory));
        Self { rules, dispatch, reads_body, reads_past, matching }
    }

    /// The rules, in the order of their indices.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Scratch space for one thread.
    pub fn bench(&self) -> Bench {
        Bench { memory: Memory::default(), sight: vec![Sight::default(); self.rules.len()] }
    }

    /// Calls `yes` for each rule that matches. Events of stage RequestReceived have no outcome: only rules that
    /// judge every stage see them.
    pub fn judge(&self, event: &Event<'_>, bench: &mut Bench, yes: &mut dyn FnMut(Verdict)) {
        self.dispatch.candidates(event, &mut bench.memory);
        let early = event.stage == Stage::RequestReceived;
        let mut falco_done = false;
        let mut bits = Bits::default();
        while let Some(first) = bits.next(&bench.memory.possible) {
            let Some(branch) = self.dispatch.branches.get(first) else { break };
            let index = branch.rule;
            let rule = &self.rules[index];
            if (early && !rule.every_stage) || (falco_done && rule.dialect == Dialect::Falco) {
                continue;
            }
            let answer = self.ask(first, event, &bench.memory, &mut bits);
            let sight = &mut bench.sight[index];
            let proven = match answer {
                Tri::True => true,
                Tri::False => {
                    if self.reads_body[index] && event.request_object.text().is_some() {
                        sight.decided += 1;
                    }
                    continue;
                }
                Tri::Unknown if event.facts.is_none() && self.reads_past[index] => {
                    yes(Verdict { rule: index as u32, proven: false, later: true });
                    continue;
                }
                Tri::Unknown => {
                    if rule.filter.eval(event, Missing::False) != Tri::True {
                        let of_body = !self.reads_past[index] || event.request_object.text().is_none();
                        sight.unknown += u64::from(of_body);
                        continue;
                    }
                    false
                }
            };
            sight.decided += 1;
            falco_done |= rule.dialect == Dialect::Falco && self.matching == FalcoMatching::First;
            yes(Verdict { rule: index as u32, proven, later: false });
        }
    }

    /// Asks a rule again that waited for the facts of an event ([`Verdict::later`]). `sight` is the rule's, as in
    /// [`Bench::sight`]: that the memory could not answer makes no rule blind, that a body was missing does.
    pub fn again(&self, event: &Event<'_>, rule: u32, sight: &mut Sight) -> Option<Verdict> {
        let index = rule as usize;
        let filter = &self.rules.get(index)?.filter;
        let bodiless = self.reads_body[index] && event.request_object.text().is_none();
        let proven = match filter.eval(event, Missing::Unknown) {
            Tri::True => true,
            Tri::False => {
                sight.decided += u64::from(!bodiless);
                return None;
            }
            Tri::Unknown => {
                if filter.eval(event, Missing::False) != Tri::True {
                    sight.unknown += u64::from(bodiless);
                    return None;
                }
                false
            }
        };
        sight.decided += 1;
        Some(Verdict { rule, proven, later: false })
    }

    /// A rule's answer, from its possible branches: `first` and those that follow; they are taken from `bits`.
    fn ask(&self, first: usize, event: &Event<'_>, memory: &Memory, bits: &mut Bits) -> Tri {
        let rule = self.dispatch.branches[first].rule;
        let (mut answer, mut open) = (Tri::False, false);
        let mut next = Some(first);
        while let Some(at) = next {
            if answer != Tri::True {
                let certain = memory.certain[at / 64] & (1 << (at % 64)) != 0;
                open |= !certain;
                let here = if certain { all(&self.dispatch.branches[at].rest, event) } else { Tri::Unknown };
                if here != Tri::False {
                    answer = here;
                }
            }
            let of_rule = |b: usize| self.dispatch.branches.get(b).is_some_and(|b| b.rule == rule);
            next = bits.next_if(&memory.possible, of_rule);
        }
        // What the keys could not decide is asked of the whole event.
        if open && answer != Tri::True {
            self.rules[rule].filter.eval(event, Missing::Unknown)
        } else {
            answer
        }
    }

    /// Whether rules are blind, from the sums over all threads: they were asked, could never answer, and read
    /// bodies that the policy does not record.
    pub fn blind<'e>(&'e self, sight: &'e [Sight]) -> impl Iterator<Item = &'e Rule> {
        self.rules
            .iter()
            .enumerate()
            .filter(|(i, _)| self.reads_body[*i] && sight[*i].unknown > 0 && sight[*i].decided == 0)
            .map(|(_, rule)| rule)
    }
}

/// The conjunction of filters.
fn all(parts: &[Filter], event: &Event<'_>) -> Tri {
    let mut answer = Tri::True;
    for part in parts {
        match part.eval(event, Missing::Unknown) {
            Tri::True => {}
            Tri::False => return Tri::False,
            Tri::Unknown => answer = Tri::Unknown,
        }
    }
    answer
}

/// A walk over the bits of a set.
#[derive(Default)]
struct Bits {
    at: usize,
}

impl Bits {
    /// The next bit that is set.
    fn next(&mut self, set: &[u64]) -> Option<usize> {
        let found = self.peek(set)?;
        self.at = found + 1;
        Some(found)
    }

    /// The next bit that is set, if it is wanted.
    fn next_if(&mut self, set: &[u64], wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let found = self.peek(set).filter(|&b| wanted(b))?;
        self.at = found + 1;
        Some(found)
    }

    fn peek(&self, set: &[u64]) -> Option<usize> {
        let mut word = self.at / 64;
        let mut bits = set.get(word)? & (u64::MAX << (self.at % 64));
        while bits == 0 {
            word += 1;
            bits = *set.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests;
