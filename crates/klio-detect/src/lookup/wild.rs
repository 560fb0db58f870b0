//! Patterns with wildcards, many at once.

use aho_corasick::{AhoCorasick, MatchKind};
use klio_model::TextMatch;
use klio_model::filter::{Case, Piece};

/// Patterns of one kind. A text is first searched for the longest literal of each.
#[derive(Debug)]
pub(super) struct Wild {
    search: AhoCorasick,
    patterns: Vec<(TextMatch, u32)>,
}

impl Wild {
    /// Of patterns, each with a number; `None` if there are none, or too many for the search.
    pub fn of(patterns: Vec<(String, u32)>) -> Option<Self> {
        if patterns.is_empty() {
            return None;
        }
        let patterns: Vec<(TextMatch, u32)> =
            patterns.into_iter().map(|(text, n)| (TextMatch::glob(&text, Case::Sensitive), n)).collect();
        let literals = patterns.iter().map(|(pattern, _)| longest(pattern));
        let search = AhoCorasick::builder().match_kind(MatchKind::Standard).build(literals).ok()?;
        Some(Self { search, patterns })
    }

    /// Calls `f` with the number of each pattern that the whole text matches; some may come more than once.
    pub fn each(&self, text: &str, f: &mut dyn FnMut(u32)) {
        let mut last = usize::MAX;
        for found in self.search.find_overlapping_iter(text) {
            let at = found.pattern().as_usize();
            if at != last && self.patterns[at].0.matches(text) {
                last = at;
                f(self.patterns[at].1);
            }
        }
    }
}

fn longest(pattern: &TextMatch) -> &str {
    let literal = |piece: &'_ Piece| if let Piece::Literal(text) = piece { text.len() } else { 0 };
    let longest = pattern.pieces().iter().max_by_key(|piece| literal(piece));
    if let Some(Piece::Literal(text)) = longest { text } else { "" }
}
