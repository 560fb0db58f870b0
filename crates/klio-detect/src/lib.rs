//! Is this suspicious, and which fields prove it?
//!
//! Rules of two dialects compile to [`klio_model::Filter`]: [`sigma`] and [`falco`]. The [`engine`] asks
//! each event only those rules that could match it; [`correlate`] watches matches over event time;
//! [`memory`] knows what the past says of an event, [`lookup`] what lists and databases do. The crate is pure and synchronous: it reads no files and
//! knows no clock.

pub mod rule;

pub mod sigma;

pub mod falco;

pub mod correlate;

pub mod engine;

mod bound;

pub mod allow;

pub mod story;

pub mod memory;

pub mod coverage;

pub mod lookup;

pub use allow::{Allow, AllowList};
pub use correlate::{Correlation, Correlator};
pub use engine::Engine;
pub use lookup::Lookup;
pub use memory::{Memory, Trace};
pub use rule::{About, Dialect, Match, Problem, Rule, RuleFile, RuleSet};
