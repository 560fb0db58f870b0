//! Asks each event only the rules that could match it.
//!
//! Most rules name verbs, resources, subresources or codes. [`dispatch`] turns those into bit sets, so that a
//! lookup per field and a few ANDs leave the rules worth asking. A rule that is left is asked twice at most:
//! honestly (a value that was not recorded is unknown) and, if that answer is unknown, as its dialect reads
//! missing values: a yes there is a finding that is *unproven*.

mod cost;
mod dispatch;

use klio_model::{Event, Missing, Stage, Tri};

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
    candidates: Vec<u64>,
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
    every_stage: Vec<u64>,
    matching: FalcoMatching,
}

impl Engine {
    /// Prepares rules; their order decides which Falco rule is first.
    pub fn new(mut rules: Vec<Rule>, matching: FalcoMatching) -> Self {
        for rule in &mut rules {
            cost::cheapest_first(&mut rule.filter);
        }
        let dispatch = Dispatch::new(&rules);
        let reads_body = rules
            .iter()
            .map(|r| {
                let mut body = false;
                r.filter.each_field(&mut |f| body |= f.needs_body());
                body
            })
            .collect();
        let mut every_stage = vec![0; rules.len().div_ceil(64)];
        for (i, _) in rules.iter().enumerate().filter(|(_, r)| r.every_stage) {
            every_stage[i / 64] |= 1 << (i % 64);
        }
        Self { rules, dispatch, reads_body, every_stage, matching }
    }

    /// The rules, in the order of their indices.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Scratch space for one thread.
    pub fn bench(&self) -> Bench {
        Bench {
            memory: Memory::default(),
            candidates: Vec::new(),
            sight: vec![Sight::default(); self.rules.len()],
        }
    }

    /// Calls `yes` for each rule that matches. Events of stage RequestReceived have no outcome: only rules that
    /// judge every stage see them.
    pub fn judge(&self, event: &Event<'_>, bench: &mut Bench, yes: &mut dyn FnMut(Verdict)) {
        self.dispatch.candidates(event, &mut bench.memory, &mut bench.candidates);
        if event.stage == Stage::RequestReceived {
            bench.candidates.iter_mut().zip(&self.every_stage).for_each(|(c, s)| *c &= s);
        }
        let mut falco_done = false;
        for (word, &bits) in bench.candidates.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let index = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let rule = &self.rules[index];
                if falco_done && rule.dialect == Dialect::Falco {
                    continue;
                }
                let proven = match rule.filter.eval(event, Missing::Unknown) {
                    Tri::True => true,
                    Tri::False => {
                        if self.reads_body[index] && event.request_object.text().is_some() {
                            bench.sight[index].decided += 1;
                        }
                        continue;
                    }
                    Tri::Unknown => {
                        if rule.filter.eval(event, Missing::False) != Tri::True {
                            bench.sight[index].unknown += 1;
                            continue;
                        }
                        false
                    }
                };
                bench.sight[index].decided += 1;
                falco_done |= rule.dialect == Dialect::Falco && self.matching == FalcoMatching::First;
                yes(Verdict { rule: index as u32, proven });
            }
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

#[cfg(test)]
mod tests;
