//! Lines that do not begin as JSON: CloudWatch's export to S3, container and syslog prefixes around an event, and the
//! text logs of components.

use memchr::memmem;

use crate::decode::{Cx, Place, sample};
use crate::scan::trim;
use crate::{Format, Reason, SkipReason, native};

/// What may stand before the event of a prefixed line.
const PREFIX_CAP: usize = 512;

/// One line of text.
pub(crate) fn line(cx: &mut Cx<'_>, b: &[u8], place: Place<'_>) {
    let b = trim(b);
    let raw = place.raw.unwrap_or(b);
    if let Some((format, payload)) = payload(b) {
        return cx.inner(payload, place.inside(format, raw));
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
        // CRI: `time stream tag content`, kubernetes `pkg/kubelet/kuberuntime/logs`.
        let cri = [&b"stdout F "[..], b"stderr F ", b"stdout P ", b"stderr P "];
        if let Some(json) = cri.iter().find_map(|p| rest.strip_prefix(*p)).filter(|c| c.starts_with(b"{")) {
            return Some((Format::Shipped, json));
        }
    }
    let at = memmem::find(b.get(..PREFIX_CAP + native::HEAD.len()).unwrap_or(b), native::HEAD)?;
    b.get(at..).map(|json| (Format::Shipped, json))
}

/// What follows an RFC 3339 time and white space.
fn after_time(b: &[u8]) -> Option<&[u8]> {
    let head = b.get(..11)?;
    let shape = |i: &usize| head.get(*i).is_some_and(u8::is_ascii_digit);
    if ![0, 1, 2, 3, 5, 6, 8, 9].iter().all(shape) || head.get(4) != Some(&b'-') || head.get(7) != Some(&b'-')
    {
        return None;
    }
    if !matches!(head.get(10), Some(b'T' | b't')) {
        return None;
    }
    let end = memchr::memchr2(b' ', b'\t', b.get(..48).unwrap_or(b))?;
    b.get(end..).map(trim)
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
