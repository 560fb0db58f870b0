//! The history of one object: what was asked of it and answered, as steps, and what it was at any of them.
//!
//! [`Target`] says which object, [`Gathered`] holds the events about it, [`History::of`] tells them. Where an answer with the
//! whole object was recorded, a step is the difference to what the object was before; else patches are applied to that, as far as
//! it is known; else they are told as they were asked. What cannot be seen is said to be so, and never guessed.

mod kind;
mod target;

mod body;
mod gather;

mod diff;
mod keys;
mod noise;
mod path;

mod asked;
mod patch;
mod selector;

mod advice;
mod manifest;
mod step;
mod teller;

pub use diff::{Change, How};
pub use gather::{Gathered, TooMuch};
pub use kind::Kind;
pub use manifest::Manifest;
pub use step::{Basis, Step, What, Who, Why};
pub use target::{Target, TargetError};

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::Event;
use crate::time::Timestamp;

/// How a history is told.
pub struct Terms<'t> {
    /// Nothing is left out: not the status, nor what the API server keeps, nor what changed nothing.
    pub all: bool,
    /// So many changes of each step; the rest is counted.
    pub most: usize,
    /// Up to where.
    pub until: Until,
    /// Which requests are told; the others count for what the object is.
    pub show: &'t dyn Fn(&Event<'_>) -> bool,
}

/// Where a history ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// With the last event.
    End,
    /// With the step that made this version.
    Version(u32),
    /// Before the first event after this time.
    Time(Timestamp),
}

/// What an object is known to be.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    value: Value,
    basis: Basis,
    /// Whether nothing was assumed in rebuilding it.
    certain: bool,
    /// Later changes that cannot be seen.
    unseen: u32,
    time: Option<Timestamp>,
}

/// Whether the object is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// Nothing was seen of it.
    Unknown,
    There,
    /// Its deletion has begun.
    Ending,
    Gone(Option<Timestamp>),
}

/// What happened to an object.
pub struct History {
    /// Which.
    pub target: Target,
    /// Its API group and version, and its kind, as far as they were recorded: `apps/v1 Deployment`.
    pub kind: Option<String>,
    /// The uid of the last object of this name.
    pub uid: Option<String>,
    /// Who owns it: `ReplicaSet cart-7c9`.
    pub owners: Vec<String>,
    /// What happened.
    pub steps: Vec<Step>,
    /// How many versions there were.
    pub versions: u32,
    /// How many objects of this name were seen to be created, with one that was there before.
    pub lives: u32,
    /// Requests that were looked at.
    pub requests: u64,
    /// Whether a request named the object.
    pub seen: bool,
    /// Changes that cannot be seen, and why.
    unseen: BTreeMap<Why, u32>,
    group: String,
    state: Option<State>,
    life: Life,
}

impl History {
    /// Tells what was gathered.
    pub fn of(mut gathered: Gathered, terms: &Terms<'_>) -> Self {
        let mut teller = teller::Teller::new(gathered.target.clone(), terms);
        gathered.each(&mut |event, time| teller.take(event, time));
        teller.finish()
    }

    /// When the object was deleted, if it was.
    pub fn gone(&self) -> Option<Option<Timestamp>> {
        match self.life {
            Life::Gone(time) => Some(time),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
