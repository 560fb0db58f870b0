//! The text of a condition: put together from several places, with lists expanded in it, and still knowing
//! where each byte came from.

use std::ops::Range;

/// Expansion stops here: lists of lists can be made to grow without end.
const MAX_TEXT: usize = 1 << 20;

/// A stretch of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file.
    pub file: usize,
    /// Bytes in it.
    pub span: Range<usize>,
}

/// A part of a condition as one YAML scalar holds it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub text: String,
    pub place: Place,
}

/// Which byte of which piece a byte came from.
type Origin = (u32, u32);

/// A condition.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub body: String,
    origin: Vec<Origin>,
    pieces: Vec<Piece>,
}

impl Text {
    pub fn push(&mut self, text: &str, piece: u32, offset: usize) {
        self.body.push_str(text);
        self.origin.extend((offset..offset + text.len()).map(|at| (piece, at as u32)));
    }

    /// Joins pieces with a blank, as appended conditions are.
    pub fn of(pieces: &[Piece]) -> Self {
        let mut out = Self { pieces: pieces.to_vec(), ..Self::default() };
        for (i, piece) in pieces.iter().enumerate() {
            if i > 0 {
                out.push(" ", i as u32, 0);
            }
            out.push(&piece.text, i as u32, 0);
        }
        out
    }

    /// The same in parentheses.
    pub fn parenthesised(self) -> Self {
        let mut out = Self { pieces: self.pieces, ..Self::default() };
        out.push("(", 0, 0);
        out.body.push_str(&self.body);
        out.origin.extend(self.origin);
        out.push(")", 0, 0);
        out
    }

    /// Appends a text that was made from the node at `place`.
    pub fn append(&mut self, text: &str, place: Place) {
        let piece = self.pieces.len() as u32;
        self.pieces.push(Piece { text: text.to_owned(), place });
        self.push(text, piece, 0);
    }

    /// Puts a list's items wherever its name stands between blanks, parentheses, commas or equal signs.
    ///
    /// # Errors
    /// When the text grows too long.
    pub fn expand(&mut self, name: &str, items: &[String]) -> Result<(), &'static str> {
        if name.is_empty() || !self.body.contains(name) {
            return Ok(());
        }
        let sub = items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
        let old = std::mem::take(&mut self.body);
        let origin = std::mem::take(&mut self.origin);
        let bytes = old.as_bytes();
        let blank = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        let delimiter = |b: u8| blank(b) || matches!(b, b'(' | b')' | b',' | b'=');
        let copy = |out: &mut Self, range: Range<usize>| {
            out.body.push_str(&old[range.clone()]);
            out.origin.extend_from_slice(&origin[range]);
        };
        let (mut done, mut from) = (0, 0);
        while let Some(at) = old[from..].find(name).map(|i| from + i) {
            let mut end = at + name.len();
            from = end;
            let alone =
                (at <= done || delimiter(bytes[at - 1])) && bytes.get(end).is_none_or(|b| delimiter(*b));
            if !alone {
                continue;
            }
            let mut start = at;
            while start > done && blank(bytes[start - 1]) {
                start -= 1;
            }
            while bytes.get(end).is_some_and(|b| blank(*b)) {
                end += 1;
            }
            // An empty list takes a comma beside it along.
            if sub.is_empty() {
                if start > done && bytes[start - 1] == b',' {
                    start -= 1;
                } else if bytes.get(end) == Some(&b',') {
                    end += 1;
                }
            }
            copy(self, done..start);
            let here = origin[at];
            for part in [if start > 0 { " " } else { "" }, &sub, " "] {
                self.body.push_str(part);
                self.origin.extend(std::iter::repeat_n(here, part.len()));
            }
            if self.body.len() > MAX_TEXT {
                return Err("the lists of this condition expand to too much text");
            }
            done = end;
            from = end.max(from);
        }
        copy(self, done..old.len());
        Ok(())
    }

    /// Where the bytes of a range stand in the files.
    pub fn locate(&self, range: Range<usize>, sources: &[&str]) -> Place {
        let last = self.origin.len().saturating_sub(1);
        let Some(&(piece, offset)) = self.origin.get(range.start.min(last)) else {
            return self.pieces.first().map_or(Place { file: 0, span: 0..0 }, |p| p.place.clone());
        };
        let Some(piece) = self.pieces.get(piece as usize) else { return Place { file: 0, span: 0..0 } };
        // YAML folds lines, so a byte is found again by the word it belongs to: the nth in both.
        let offset = (offset as usize).min(piece.text.len());
        let wanted = self.body.get(range).unwrap_or_default();
        let token = if piece.text.get(offset..).is_some_and(|t| !wanted.is_empty() && t.starts_with(wanted)) {
            wanted
        } else {
            word_at(&piece.text, offset)
        };
        let source =
            sources.get(piece.place.file).and_then(|s| s.get(piece.place.span.clone())).unwrap_or_default();
        if token.is_empty() {
            return piece.place.clone();
        }
        let nth = piece.text.get(..offset).map_or(0, |before| before.matches(token).count());
        match source.match_indices(token).nth(nth) {
            Some((i, _)) => {
                let start = piece.place.span.start + i;
                Place { file: piece.place.file, span: start..start + token.len() }
            }
            None => piece.place.clone(),
        }
    }
}

fn word_at(text: &str, offset: usize) -> &str {
    let rest = text.get(offset..).unwrap_or_default();
    rest.split([' ', '\n', '\t', '(', ')', ',', '=']).next().unwrap_or_default()
}

/// An item with blanks in it gets quotes.
pub(super) fn quoted(item: &str) -> String {
    if item.contains(' ') && !item.starts_with(['"', '\'']) { format!("\"{item}\"") } else { item.to_owned() }
}
