//! The nouns of Klio: what is an event, a field, a filter, a finding?
//!
//! This crate does no input or output and knows no runtime. Everything else depends on it and it
//! depends on nothing of ours. Read in this order: an [`Event`] is a borrowed view of one audit
//! record; a [`FieldRef`] names a value in it; a [`Filter`] is a predicate over fields that answers
//! true, false or *unknown*; a [`Finding`] is one rule's verdict with the values that proved it.

pub mod time;

pub mod json;

pub mod event;

pub mod field;

pub mod filter;

pub mod severity;

pub mod attack;

pub mod finding;

pub mod archive;

pub mod explain;

pub mod facts;

pub mod history;
pub mod outside;
pub mod people;

pub mod attribution;

pub use archive::MemoryArchive;
pub use attack::{Tactic, Technique};
pub use attribution::Attribution;
pub use event::{Event, Level, ParseError, Stage};
pub use explain::explain;
pub use facts::Facts;
pub use field::{Field, FieldRef, UnknownField};
pub use filter::{Filter, Matcher, Missing, Quantifier, Test, TextMatch, Tri};
pub use finding::{Actor, Evidence, Finding, Object, Proof, RuleRef};
pub use json::Json;
pub use outside::{Indicator, Met, Outside, Place};
pub use people::{People, Person};
pub use severity::Severity;
pub use time::{TimeRange, Timestamp};
