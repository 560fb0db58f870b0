//! The days by which files are divided, in UTC.

use klio_model::Timestamp;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// The first microsecond of a day, `2026-11-21`.
pub(crate) fn day_begin(day: &str) -> Option<i64> {
    Timestamp::parse(&format!("{day}T00:00:00Z")).map(Timestamp::micros)
}
