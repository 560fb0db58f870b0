//! What was found out about a text, so that it is found out once.

use super::Words;

/// Texts that are remembered at most, and their bytes.
const TEXTS: u32 = 1024;
const BYTES: usize = 512 << 10;

/// Facts by text.
#[derive(Debug)]
pub(crate) struct Memo<T> {
    texts: Words,
    facts: Vec<T>,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self { texts: Words::default(), facts: Vec::new() }
    }
}

impl<T> Memo<T> {
    /// The facts about a text, by `find` if they are not known.
    pub(crate) fn of(&mut self, text: &str, find: impl FnOnce() -> T) -> Option<&T> {
        if self.texts.distinct() >= TEXTS || self.texts.bytes() > BYTES {
            self.texts.clear();
            self.facts.clear();
        }
        let index = self.texts.index(text) as usize;
        if index == self.facts.len() {
            self.facts.push(find());
        }
        self.facts.get(index)
    }
}
