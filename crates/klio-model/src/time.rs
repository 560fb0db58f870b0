//! Points in time with microsecond precision, as Kubernetes writes them.

use std::fmt;

use serde::{Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z.
///
/// The API server writes `metav1.MicroTime`: RFC 3339 with exactly six fractional digits
/// (`staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/micro_time.go`). Other precisions and offsets are
/// read too, since forwarders rewrite times.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads an RFC 3339 time; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        usual(text.as_bytes()).or_else(|| {
            let parsed: jiff::Timestamp = text.parse().ok()?;
            Some(Self(parsed.as_microsecond()))
        })
    }

    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The same instant as a calendar time in UTC; `None` outside the years -9999 to 9999.
    pub fn calendar(self) -> Option<jiff::civil::DateTime> {
        let instant = jiff::Timestamp::from_microsecond(self.0).ok()?;
        Some(instant.to_zoned(jiff::tz::TimeZone::UTC).datetime())
    }
}

/// `2026-11-21T01:01:58.390059Z`, as the API server writes it, without a general parser: every event has two.
fn usual(b: &[u8]) -> Option<Timestamp> {
    let b: &[u8; 27] = b.try_into().ok()?;
    if [b[4], b[7], b[10], b[13], b[16], b[19], b[26]] != *b"--T::.Z" {
        return None;
    }
    let mut odd = 0;
    let mut number = |from: usize, to: usize| {
        let mut n = 0;
        for c in &b[from..to] {
            let digit = c.wrapping_sub(b'0');
            odd |= u8::from(digit > 9);
            n = n * 10 + i64::from(digit);
        }
        n
    };
    let (y, mo, d) = (number(0, 4), number(5, 7), number(8, 10));
    let (h, mi, s, fraction) = (number(11, 13), number(14, 16), number(17, 19), number(20, 26));
    let days_in = [31, if is_leap(y) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let day = (1..=12).contains(&mo) && d >= 1 && days_in.get(mo as usize - 1).is_some_and(|n| d <= *n);
    if odd != 0 || !day || h > 23 || mi > 59 || s > 59 {
        return None;
    }
    Some(Timestamp((days_from_civil(y, mo, d) * 86_400 + h * 3_600 + mi * 60 + s) * 1_000_000 + fraction))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: years are counted from March so that the
/// leap day is the last day of the year (Richards, "Explanatory Supplement to the Astronomical Almanac").
fn days_from_civil(y: i64, m: i64, d: i64) -> i64 {
    let (y, m) = if m <= 2 { (y - 1, m + 9) } else { (y, m - 3) };
    let day_of_year = (153 * m + 2) / 5 + d - 1;
    y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + day_of_year - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A half-open span of time: `start <= t < end`; an open side is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeRange {
    /// First instant that belongs to the range.
    pub start: Option<Timestamp>,
    /// First instant after the range.
    pub end: Option<Timestamp>,
}

impl TimeRange {
    /// The year, month, day, hour, minute or second in UTC that the beginning of an RFC 3339 time names:
    /// `2026`, `2026-07`, `2026-07-01`, `2026-07-01T10`, … `None` for a time with a fraction.
    pub fn of(text: &str) -> Option<Self> {
        const FULL: &str = "0000-01-01T00:00:00Z";
        let text = if text.len() > 10 { text.strip_suffix('Z').unwrap_or(text) } else { text };
        let at = |prefix: &str| Timestamp::parse(&format!("{prefix}{}", FULL.get(prefix.len()..)?));
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
        let start = at(text)?;
        let plus = |seconds: i64| Some(Timestamp(start.0 + seconds * 1_000_000));
        let end = match text.len() {
            4 => at(&format!("{:04}", number(0..4)? + 1)),
            7 if number(5..7)? == 12 => at(&format!("{:04}", number(0..4)? + 1)),
            7 => at(&format!("{}{:02}", text.get(..5)?, number(5..7)? + 1)),
            10 => plus(86_400),
            13 => plus(3_600),
            16 => plus(60),
            19 => plus(1),
            _ => return None,
        };
        Some(Self { start: Some(start), end })
    }

    /// Whether an instant lies in the range.
    pub fn contains(&self, t: Timestamp) -> bool {
        self.start.is_none_or(|s| s <= t) && self.end.is_none_or(|e| t < e)
    }

    /// Whether what happened then lies in the range. What has no time lies only in the range of all times.
    pub fn holds(&self, time: Option<Timestamp>) -> bool {
        self.is_all() || time.is_some_and(|t| self.contains(t))
    }

    /// Whether both sides are open, so that every instant belongs to it.
    pub fn is_all(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_api_server_writes() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), want, "{text}");
        };
        check("2026-11-21T01:01:58.390059Z", Some("2026-11-21T01:01:58.390059Z"));
        check("2024-02-29T23:59:59Z", Some("2024-02-29T23:59:59.000000Z"));
        check("2026-11-21T02:01:58.390+01:00", Some("2026-11-21T01:01:58.390000Z"));
        check("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59.500000Z"));
        check("2023-02-29T00:00:00Z", None);
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn the_beginning_of_a_time_names_a_span() {
        let check = |text: &str, want: Option<(&str, &str)>| {
            let got = TimeRange::of(text).map(|r| (r.start.unwrap().to_string(), r.end.unwrap().to_string()));
            let want = want.map(|(a, b)| (format!("{a}.000000Z"), format!("{b}.000000Z")));
            assert_eq!(got, want, "{text}");
        };
        check("2026", Some(("2026-01-01T00:00:00", "2027-01-01T00:00:00")));
        check("2026-12", Some(("2026-12-01T00:00:00", "2027-01-01T00:00:00")));
        check("2024-02", Some(("2024-02-01T00:00:00", "2024-03-01T00:00:00")));
        check("2024-02-29", Some(("2024-02-29T00:00:00", "2024-03-01T00:00:00")));
        check("2026-07-01T23", Some(("2026-07-01T23:00:00", "2026-07-02T00:00:00")));
        check("2026-07-01T23:59Z", Some(("2026-07-01T23:59:00", "2026-07-02T00:00:00")));
        check("2026-07-01T10:30:15Z", Some(("2026-07-01T10:30:15", "2026-07-01T10:30:16")));
        for wrong in [
            "",
            "5",
            "202",
            "20260",
            "2026-",
            "2026-13",
            "2026-02-30",
            "2026-07-01T10:30:15.5Z",
            "abcd",
            "2026-7-1",
            "é26",
        ] {
            check(wrong, None);
        }
    }
}
