//! Reads a whole log, without its key and without the lake, and names everything that is wrong with it.

mod keys;
mod report;
mod story;
mod tiles;
mod walk;

pub use report::{Evidence, Fact, LogReport, Problem, Witnessed};

use std::path::Path as FsPath;

use crate::{key::Verifier, witness::Policy};

/// How far the time of an entry may lie before that of an earlier one: clocks are adjusted. Microseconds.
pub const TOLERANCE: u64 = 5_000_000;
/// The longest time between two entries that needs no explanation: two ticks and a half. Microseconds.
pub const GAP: u64 = 150_000_000;

/// Verifies the log in `directory`.
///
/// `trusted` are the keys that may have signed its first checkpoints; keys that took over later are followed.
/// `outside` are signed checkpoints that were kept elsewhere: without them, or the cosignatures that `policy`
/// asks for, nobody can tell a log from one that was rewritten with its own key.
pub fn log(directory: &FsPath, trusted: &[Verifier], outside: &[String], policy: &Policy) -> LogReport {
    walk::log(directory, trusted, outside, policy)
}

#[cfg(test)]
mod tests;
