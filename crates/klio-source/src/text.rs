//! Lines that do not begin as JSON: CloudWatch's export to S3, container and syslog prefixes around an event, and the
//! text logs of components.

use memchr::memmem;

use crate::decode::{Cx, Place, sample};
use crate::scan::trim;
use crate::{Format, Reason, SkipReason, native, parts};

/// What may stand before the event of a prefixed line.
const PREFIX_CAP: usize = 512;
/// An RFC 3339 time is shorter.
pub(crate) const TIME_CAP: usize = 48;

/// One line of text.
pub(crate) fn line(cx: &mut Cx<'_>, b: &[u8], place: Place<'_>) {
    let b = trim(b);
    let raw = place.raw.unwrap_or(b);
    if let Some((format, payload)) = payload(b) {
        return cx.inner(payload, place.inside(format, raw));
    }
    if parts::cri(b).is_some_and(|part| !is_component(part.content) && parts::is_rest(part.content)) {
        return cx.reject(place.line, Reason::NoBeginning);
    }
    if is_component(b) {
        return cx.skip(place.line, SkipReason::ComponentLog);
    }
    cx.reject(place.line, Reason::NotJson { sample: sample(b) });
}

/// The JSON behind a known prefix.
pub(crate) fn payload(b: &[u8]) -> Option<(Format, &[u8])> {
    let b = trim(b);
    if let Some(rest) = after_time(b) {
        if rest.starts_with(b"{") {
            return Some((Format::Eks, rest));
        }
        if let Some(part) = parts::cri(b)
            && trim(part.content).starts_with(b"{")
        {
            return Some((Format::Shipped, trim(part.content)));
        }
    }
    let at = memmem::find(b.get(..PREFIX_CAP + native::HEAD.len()).unwrap_or(b), native::HEAD)?;
    b.get(at..).map(|json| (Format::Shipped, json))
}

/// What follows an RFC 3339 time and white space.
fn after_time(b: &[u8]) -> Option<&[u8]> {
    if !begins_with_date(b) {
        return None;
    }
    let end = memchr::memchr2(b' ', b'\t', b.get(..TIME_CAP).unwrap_or(b))?;
    b.get(end..).map(trim)
}

/// `YYYY-MM-DDT`.
pub(crate) fn begins_with_date(b: &[u8]) -> bool {
    let Some(head) = b.get(..11) else { return false };
    let digit = |i: &usize| head.get(*i).is_some_and(u8::is_ascii_digit);
    matches!(head, [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't'])
        && [0, 1, 2, 3, 5, 6, 8, 9].iter().all(digit)
}

/// True for the log lines of Kubernetes components and of what runs beside them.
pub(crate) fn is_component(b: &[u8]) -> bool {
    let klog = b.get(..6).is_some_and(|h| {
        matches!(h.first(), Some(b'I' | b'W' | b'E' | b'F'))
            && h.get(1..5).is_some_and(|date| date.iter().all(u8::is_ascii_digit))
            && h.last() == Some(&b' ')
    });
    klog || after_time(b).is_some()
        || b.starts_with(b"time=\"")
        || b.starts_with(b"level=")
        || b.starts_with(b"ts=")
}
