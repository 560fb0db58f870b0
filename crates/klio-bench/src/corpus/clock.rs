//! Times of events: read from and written as the apiserver's `MicroTime`
//! (`2006-01-02T15:04:05.000000Z`, k8s.io/apimachinery/pkg/apis/meta/v1/micro_time.go).

/// Microseconds since 1970 of a `MicroTime`, or nothing when it is not one.
pub fn parse(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// Writes times, remembering the last second's text: neighbouring events share it.
#[derive(Debug, Default)]
pub struct Stamp {
    second: i64,
    text: String,
}

impl Stamp {
    /// Appends the time `micros` to `out`, always 27 bytes.
    pub fn write(&mut self, micros: i64, out: &mut Vec<u8>) {
        let second = micros.div_euclid(1_000_000);
        if self.text.is_empty() || second != self.second {
            self.second = second;
            self.text = jiff::Timestamp::from_second(second).map_or_else(
                |_| String::from("1970-01-01T00:00:00"),
                |t| t.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            );
        }
        out.extend_from_slice(self.text.as_bytes());
        let mut rest = micros.rem_euclid(1_000_000);
        let mut digits = *b".000000Z";
        for place in (1..=6).rev() {
            digits[place] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        out.extend_from_slice(&digits);
    }
}
