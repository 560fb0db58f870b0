//! A text as its reader understands it, with the way back to the bytes that it was written in.

use std::borrow::Cow;
use std::ops::Range;

use crate::scan::{Escape, read_escape};

/// A decoded text and where each part of it came from.
pub(super) struct View<'a> {
    pub(super) text: Cow<'a, str>,
    /// After each escape: offset in the text, offset in the source. Between two of them both go in step.
    steps: Vec<(usize, usize)>,
}

impl<'a> View<'a> {
    /// What stands between the quotes of a JSON string, as Go reads it: a lone surrogate is U+FFFD. A broken escape
    /// stays as it stands.
    pub(super) fn json(raw: &'a str) -> Self {
        Self::decode(raw, b'\\', &|escape, out| {
            let (what, used) = read_escape(escape);
            match what {
                Escape::Char(c) => out.push(c),
                Escape::Lone(_) => out.push(char::REPLACEMENT_CHARACTER),
                Escape::Broken => return 0,
            }
            used
        })
    }

    /// A part of a URL without its percent signs; what is no UTF-8 afterwards becomes U+FFFD. `plus` is a space in a
    /// query.
    pub(super) fn percent(raw: &'a str, plus: bool) -> Self {
        let mut view = Self::decode(raw, b'%', &|escape, out| {
            let mut bytes = [0u8; 4];
            let mut got = 0;
            while let Some(byte) = escape.get(3 * got..).and_then(percent_byte)
                && got < 4
            {
                bytes[got] = byte;
                got += 1;
                if let Ok(text) = std::str::from_utf8(&bytes[..got]) {
                    out.push_str(text);
                    return 3 * got;
                }
            }
            if got == 0 {
                return 0;
            }
            out.push(char::REPLACEMENT_CHARACTER);
            3
        });
        if plus && view.text.contains('+') {
            // One byte for one byte. A sign that was written as `%2B` becomes a space too: this text is only looked
            // at, never written.
            view.text = Cow::Owned(view.text.replace('+', " "));
        }
        view
    }

    /// The text as it is.
    pub(super) fn plain(raw: &'a str) -> Self {
        Self { text: Cow::Borrowed(raw), steps: Vec::new() }
    }

    fn decode(raw: &'a str, sign: u8, read: &dyn Fn(&[u8], &mut String) -> usize) -> Self {
        let bytes = raw.as_bytes();
        let Some(mut next) = memchr::memchr(sign, bytes) else { return Self::plain(raw) };
        let mut text = String::with_capacity(raw.len());
        let mut steps = Vec::new();
        let mut at = 0;
        loop {
            text.push_str(raw.get(at..next).unwrap_or_default());
            let used = read(bytes.get(next..).unwrap_or_default(), &mut text);
            at = next + used.max(1);
            if used == 0 {
                text.push(char::from(sign));
            }
            steps.push((text.len(), at));
            match memchr::memchr(sign, bytes.get(at..).unwrap_or_default()) {
                Some(more) => next = at + more,
                None => break,
            }
        }
        text.push_str(raw.get(at..).unwrap_or_default());
        Self { text: Cow::Owned(text), steps }
    }

    fn source(&self, at: usize) -> usize {
        let next = self.steps.partition_point(|(inner, _)| *inner <= at);
        let (inner, outer) = next.checked_sub(1).and_then(|i| self.steps.get(i)).copied().unwrap_or_default();
        outer + (at - inner)
    }

    /// Where in the source a part of the text stands.
    pub(super) fn range(&self, part: Range<usize>) -> Range<usize> {
        self.source(part.start)..self.source(part.end)
    }
}

fn percent_byte(b: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = b else { return None };
    let digit = |c: u8| char::from(c).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}
