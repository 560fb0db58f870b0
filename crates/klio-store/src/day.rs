//! The days by which files are divided, in UTC.

use klio_model::Timestamp;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// The first microsecond of a day, `2026-11-21`.
pub(crate) fn day_begin(day: &str) -> Option<i64> {
    Timestamp::parse(&format!("{day}T00:00:00Z")).map(Timestamp::micros)
}

/// The days that have a date of four digits for the year, counted from 1970. Events of other days lie with them, since what
/// is no date would make the table unreadable.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;
/// The same days as dates.
pub(crate) const FIRST_DATE: &str = "0000-01-01";
pub(crate) const LAST_DATE: &str = "9999-12-31";

/// The day with which an event of a time lies, counted from 1970.
pub(crate) fn day_of(time: Timestamp) -> i64 {
    time.micros().div_euclid(DAY).clamp(FIRST_DAY, LAST_DAY)
}

/// A day of those as a date.
pub(crate) fn date(day: i64) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day))
}
