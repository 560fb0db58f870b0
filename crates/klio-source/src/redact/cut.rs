//! What is taken out and what stands in its place.

use std::fmt::Write;
use std::ops::Range;

use super::rule::Rule;
use super::view::View;

/// A part of a text that is replaced by a marker.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) range: Range<usize>,
    pub(super) rule: Rule,
    pub(super) marker: String,
    /// What stands around the marker: nothing where it replaces the content of a string, else a quote, escaped as
    /// often as the text is embedded.
    pub(super) quote: String,
    /// How often the text that it was found in is embedded.
    pub(super) depth: u8,
    /// Bytes of the removed value.
    pub(super) len: usize,
}

impl Cut {
    /// The same cut in the text that `view` was read from, `offset` bytes into it.
    pub(super) fn outward(mut self, view: &View<'_>, offset: usize, escapes: bool) -> Self {
        let range = view.range(self.range);
        self.range = range.start + offset..range.end + offset;
        self.depth = self.depth.saturating_add(1);
        if escapes && !self.quote.is_empty() {
            self.quote = self.quote.replace('\\', "\\\\").replace('"', "\\\"");
        }
        self
    }
}

/// Whether a text is a marker that an earlier redaction left.
pub(super) fn is_marker(text: &str) -> bool {
    fn read(text: &str) -> Option<&str> {
        let (rule, rest) = text.strip_prefix("[redacted:")?.split_once(" len=")?;
        let (len, rest) = rest.split_once(" hmac=")?;
        let hash = rest.strip_suffix(']')?;
        let named = rule.len() <= 64
            && rule.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let counted = !len.is_empty() && len.len() <= 12 && len.bytes().all(|b| b.is_ascii_digit());
        (named && counted && hash.len() == 16).then_some(hash)
    }
    read(text).is_some_and(|hash| hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Writes a marker.
pub(super) fn marker(rule: &str, len: usize, hash: &[u8]) -> String {
    let mut out = format!("[redacted:{rule} len={len} hmac=");
    for byte in hash.iter().take(8) {
        let _ = write!(out, "{byte:02x}");
    }
    out.push(']');
    out
}

/// Sorts cuts; of those that overlap the outermost stays, and of equal ones that which was found deepest, whose value
/// is the plainest.
pub(super) fn settle(cuts: &mut Vec<Cut>) {
    cuts.sort_by(|a, b| {
        let by_range = a.range.start.cmp(&b.range.start).then(b.range.end.cmp(&a.range.end));
        by_range.then(b.depth.cmp(&a.depth))
    });
    cuts.dedup_by(|later, kept| {
        if later.range.start >= kept.range.end {
            return false;
        }
        // Two that overlap in part are within one string: what the later one has more goes too.
        if later.range.end > kept.range.end {
            kept.range.end = later.range.end;
        }
        true
    });
}

/// Writes `text` with settled cuts replaced.
pub(super) fn splice(text: &str, cuts: &[Cut], out: &mut String) {
    let mut from = 0;
    for cut in cuts {
        out.push_str(text.get(from..cut.range.start).unwrap_or_default());
        out.push_str(&cut.quote);
        out.push_str(&cut.marker);
        out.push_str(&cut.quote);
        from = cut.range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
}
