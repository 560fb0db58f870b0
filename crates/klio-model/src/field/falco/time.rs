//! The event's time in Falco's formats (`sinsp_utils::ts_to_string`), and JSON with line breaks.

use super::Seen;
use super::read::{Answer, Got};
use crate::event::Event;

/// Digits of nesting that [`indent`] writes at most: a bomb of brackets must not become megabytes of blanks.
const MAX_INDENT: usize = 64;

/// `evt.time…`: when the stage was reached, in UTC; else when the request was received.
pub(super) fn of<'e>(event: &Event<'_>, name: &str) -> Answer<'e> {
    let Some(at) = event.staged_at().or_else(|| event.received_at()) else {
        return Err(if event.salvaged { Seen::Unknown } else { Seen::Absent });
    };
    let micros = at.micros();
    let number = match name {
        "evt.rawtime" => Some(micros.saturating_mul(1000)),
        "evt.rawtime.s" => Some(micros.div_euclid(1_000_000)),
        "evt.rawtime.ns" => Some(micros.rem_euclid(1_000_000) * 1000),
        _ => None,
    };
    if let Some(n) = number {
        return Ok(Got::Number(n));
    }
    let Some(t) = at.calendar() else { return Err(Seen::Absent) };
    let nanos = micros.rem_euclid(1_000_000) * 1000;
    let date = format!("{:04}-{:02}-{:02}", t.year(), t.month(), t.day());
    let clock = format!("{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second());
    Ok(Got::Text(
        match name {
            "evt.time" => format!("{clock}.{nanos:09}"),
            "evt.time.s" => clock,
            "evt.time.iso8601" => format!("{date}T{clock}.{nanos:09}+0000"),
            "evt.datetime" => format!("{date} {clock}.{nanos:09}"),
            "evt.datetime.s" => format!("{date} {clock}"),
            _ => return Err(Seen::Absent),
        }
        .into(),
    ))
}

/// JSON text with one member or element per line and two blanks per level.
pub fn indent(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut level = 0usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut chars = json.chars().filter(|c| !c.is_ascii_control()).peekable();
    let line = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level.min(MAX_INDENT)));
    };
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                if let Some(close) = chars.next_if(|n| matches!(n, '}' | ']')) {
                    out.push(close);
                } else {
                    level += 1;
                    line(&mut out, level);
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                line(&mut out, level);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, level);
            }
            ':' => out.push_str(": "),
            ' ' => {}
            c => out.push(c),
        }
    }
    out
}
