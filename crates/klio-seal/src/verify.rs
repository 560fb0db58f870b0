//! Reads a whole log, without its key and without the lake, and names everything that is wrong with it.

mod keys;
mod report;
mod story;
mod tiles;
mod walk;

pub use report::{Evidence, Fact, LogReport, Problem, Witnessed};
pub use walk::log;

/// How far the time of an entry may lie before that of an earlier one: clocks are adjusted. Microseconds.
pub const TOLERANCE: u64 = 5_000_000;
/// The longest time between two entries that needs no explanation: two ticks and a half. Microseconds.
pub const GAP: u64 = 150_000_000;

#[cfg(test)]
mod tests;
