//! Several texts, of which one must match.

use std::ops::Deref;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};

use super::{Case, Piece, TextMatch};

/// From so many words on, one automaton beats looking for each.
const WORDS: usize = 4;
/// Automata of longer lists would take too much memory in the fastest form, bytes of all words.
const DENSE: usize = 4 << 10;
/// Texts up to this length are brought to lower case without asking for memory.
const SHORT: usize = 256;

/// Words in lower case unless their case counts.
#[derive(Clone, Debug)]
enum Words {
    /// A few dozen: vector instructions look for all at once.
    Few(packed::Searcher),
    Many(AhoCorasick),
}

/// Texts in the order they were written; lists of words to be found anywhere are looked for in one pass.
#[derive(Clone, Debug)]
pub struct AnyOf {
    texts: Vec<TextMatch>,
    words: OnceLock<Option<Words>>,
}

impl From<Vec<TextMatch>> for AnyOf {
    fn from(texts: Vec<TextMatch>) -> Self {
        Self { texts, words: OnceLock::new() }
    }
}

impl Deref for AnyOf {
    type Target = [TextMatch];

    fn deref(&self) -> &[TextMatch] {
        &self.texts
    }
}

impl PartialEq for AnyOf {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl AnyOf {
    /// Whether one of them matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        let Some(words) = self.words.get_or_init(|| Words::of(&self.texts)) else {
            return self.texts.iter().any(|m| m.matches(text));
        };
        if self.texts.first().is_some_and(|t| t.case() == Case::Sensitive) {
            return words.found_in(text.as_bytes());
        }
        let mut lower = [0; SHORT];
        let rounded = text.len().next_multiple_of(32);
        if let Some(room) = lower.get_mut(..rounded) {
            // Whole blocks, zeros behind the text: no instruction for a single byte.
            room[..text.len()].copy_from_slice(text.as_bytes());
            if room.is_ascii() {
                room.make_ascii_lowercase();
                return words.found_in(&lower[..text.len()]);
            }
        }
        // Letters beyond ASCII may become ASCII ones in lower case.
        words.found_in(text.to_lowercase().as_bytes())
    }
}

impl Words {
    /// `*a* or *b* or …` of ASCII words with the same case.
    fn of(texts: &[TextMatch]) -> Option<Self> {
        let case = texts.first()?.case();
        let words: Option<Vec<String>> = texts
            .iter()
            .map(|m| match m.pieces() {
                [Piece::Many, Piece::Literal(word), Piece::Many] if word.is_ascii() && m.case() == case => {
                    Some(if case == Case::Sensitive { word.clone() } else { word.to_ascii_lowercase() })
                }
                _ => None,
            })
            .collect();
        let words = words.filter(|w| w.len() >= WORDS)?;
        if let Some(few) = packed::Searcher::new(&words) {
            return Some(Self::Few(few));
        }
        let dense = words.iter().map(String::len).sum::<usize>() <= DENSE;
        let kind = dense.then_some(AhoCorasickKind::DFA);
        AhoCorasick::builder().kind(kind).build(words).ok().map(Self::Many)
    }

    fn found_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Few(words) => words.find(text).is_some(),
            Self::Many(words) => words.is_match(text),
        }
    }
}
