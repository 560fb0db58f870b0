//! The grammar: from the text to the tree.

use super::cursor::{Cursor, Result, Word, ends_term, is_reserved};
use super::{FilterError, MAX_DEPTH, MAX_LENGTH};
use crate::field::{FIELDS, FieldRef};
use crate::filter::{Case, Filter, Matcher, Quantifier, Test, TextMatch};

/// No name in the registry or in Kubernetes is longer; looking for the nearest name takes time × length.
const MAX_NAME: usize = 512;

/// What the functions do that stand in the place of a term.
const FUNCTIONS: [&str; 3] = ["every", "all", "cased"];

pub(super) struct Parser<'t> {
    pub cursor: Cursor<'t>,
    depth: usize,
    pub regexes: usize,
}

pub(super) fn filter(text: &str) -> Result<Filter> {
    if text.len() > MAX_LENGTH {
        return Err(FilterError::new(
            MAX_LENGTH..text.len(),
            format!("the filter is longer than {MAX_LENGTH} bytes"),
        ));
    }
    let mut parser = Parser { cursor: Cursor { text, at: 0 }, depth: 0, regexes: 0 };
    parser.cursor.skip_space();
    if parser.cursor.peek().is_none() {
        return Err(FilterError::new(0..0, "the filter is empty").help("`*` is true of every event"));
    }
    let filter = parser.either()?;
    match parser.cursor.peek() {
        None => Ok(filter),
        Some(')') => Err(FilterError::new(parser.cursor.here(), "this `)` closes nothing")),
        Some(_) => Err(parser.missing_operator()),
    }
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Filter> {
        let mut parts = vec![self.both()?];
        while self.cursor.eat_word("or") {
            parts.push(self.both()?);
        }
        Ok(Filter::or(parts))
    }

    fn both(&mut self) -> Result<Filter> {
        let mut parts = vec![self.negation()?];
        while self.cursor.eat_word("and") {
            parts.push(self.negation()?);
        }
        Ok(Filter::and(parts))
    }

    fn negation(&mut self) -> Result<Filter> {
        // Counted, not nested: `not not not …` costs no stack.
        let mut negated = false;
        while self.cursor.eat_word("not") {
            negated = !negated;
        }
        let part = self.term()?;
        Ok(if negated { Filter::not(part) } else { part })
    }

    fn term(&mut self) -> Result<Filter> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        match self.cursor.peek() {
            None => Err(FilterError::new(start..start, "something is missing at the end")
                .help("`and`, `or` and `not` want a test after them, such as `verb:create`")),
            Some('(') => {
                self.cursor.at += 1;
                self.enter(start)?;
                self.cursor.skip_space();
                if self.cursor.peek() == Some(')') {
                    return Err(FilterError::new(
                        start..self.cursor.at + 1,
                        "there is nothing between the parentheses",
                    ));
                }
                let inner = self.either()?;
                self.close(start)?;
                self.depth -= 1;
                Ok(inner)
            }
            Some('"') => {
                let text = self.cursor.quoted('"')?;
                if self.cursor.peek() == Some(':') {
                    return Err(FilterError::new(
                        start..self.cursor.at,
                        "a field name stands in backticks, not in quotes",
                    )
                    .help(format!("`{}`", text.replace('`', "\\`"))));
                }
                Ok(Filter::Keyword(TextMatch::literal(&text)))
            }
            Some('`') => {
                let name = self.cursor.quoted('`')?;
                let field = field(&name, start..self.cursor.at)?;
                self.test(field, start)
            }
            Some(_) => self.word_term(),
        }
    }

    fn word_term(&mut self) -> Result<Filter> {
        let word = self.cursor.word(ends_term)?;
        let start = word.span.start;
        if word.raw.is_empty() {
            let here = self.cursor.here();
            let what = &self.cursor.text[here.clone()];
            return Err(FilterError::new(here, format!("a test cannot begin with `{what}`"))
                .help("a test is `field:value`, `field >= 5`, a word or a \"quoted phrase\""));
        }
        match self.cursor.peek() {
            Some('(') if !word.is_reserved() => return self.term_function(&word),
            Some('`') if word.raw.ends_with('.') => {
                let base = &word.raw[..word.raw.len() - 1];
                let path = self.cursor.quoted('`')?;
                let base = field(base, word.span)?;
                let path = if base.path().is_empty() { path } else { format!("{}.{path}", base.path()) };
                return self.test(FieldRef::below(base.field(), &path), start);
            }
            _ => {}
        }
        let after_word = self.cursor.at;
        self.cursor.skip_space();
        let rest = self.cursor.rest();
        if rest.starts_with([':', '<', '>', '='])
            || rest.starts_with("!=")
            || word.raw.ends_with('!') && rest.starts_with('=')
        {
            let raw = if rest.starts_with('=') { word.raw.trim_end_matches('!') } else { word.raw };
            let field = field(raw, start..start + raw.len())?;
            return self.test(field, start);
        }
        self.cursor.at = after_word;
        if word.is_reserved() {
            return Err(FilterError::new(word.span, format!("`{}` has nothing before it", word.raw))
                .help(format!("to search for the word, quote it: \"{}\"", word.raw)));
        }
        if word.raw == "*" {
            return Ok(Filter::All);
        }
        Ok(Filter::Keyword(TextMatch::new(word.pieces, Case::Insensitive)))
    }

    /// `every(…)` and `cased(…)`; the parenthesis is next.
    fn term_function(&mut self, word: &Word<'_>) -> Result<Filter> {
        let open = self.cursor.at;
        self.cursor.at += 1;
        match word.raw.to_ascii_lowercase().as_str() {
            "every" | "all" => {
                self.enter(open)?;
                let inner = self.term()?;
                self.close(open)?;
                self.depth -= 1;
                let span = word.span.start..self.cursor.at;
                every(inner).ok_or_else(|| {
                    FilterError::new(span, "`every` takes one test of a field")
                        .help("for example `every(container.image:\"registry.example/*\")`")
                })
            }
            "cased" => {
                let text = self.text_argument(Case::Sensitive)?;
                self.close(open)?;
                Ok(Filter::Keyword(text))
            }
            _ => {
                Err(unknown_function(word, &FUNCTIONS)
                    .help_unless("write `and` or `or` before a parenthesis"))
            }
        }
    }

    /// What follows a field name.
    fn test(&mut self, field: FieldRef, start: usize) -> Result<Filter> {
        self.cursor.skip_space();
        let name = &self.cursor.text[start..self.cursor.at].trim_end();
        let rest = self.cursor.rest();
        let plain = name.trim_end_matches('!');
        if rest.starts_with("!=") || (name.ends_with('!') && rest.starts_with('=')) {
            return Err(FilterError::new(self.cursor.here(), "`!=` is not an operator")
                .help(format!("write `not {plain}:value`")));
        }
        match self.cursor.peek() {
            Some(':') => {
                self.cursor.at += 1;
                self.cursor.skip_space();
                self.value(field, name)
            }
            Some('<' | '>') => {
                let from = self.cursor.at;
                let matcher = self.comparison(&field)?;
                self.sensible(Filter::test(field, matcher), from)
            }
            Some('=') => Err(FilterError::new(self.cursor.here(), "`=` is not an operator")
                .help(format!("write `{plain}:value`"))),
            _ => Err(FilterError::new(start..self.cursor.at, format!("nothing is asked about {name}"))
                .help(format!("write `{name}:value`, or `{name}:*` for: it has a value"))),
        }
    }

    fn enter(&mut self, at: usize) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError::new(
                at..at + 1,
                format!("more than {MAX_DEPTH} parentheses inside each other"),
            ));
        }
        Ok(())
    }

    /// Takes the `)` that belongs to the `(` at `open`.
    pub fn close(&mut self, open: usize) -> Result<()> {
        self.cursor.skip_space();
        if self.cursor.eat(')') {
            return Ok(());
        }
        if self.cursor.peek().is_none() {
            return Err(FilterError::new(open..open + 1, "this `(` is not closed").help("add a `)`"));
        }
        Err(self.missing_operator())
    }

    fn missing_operator(&self) -> FilterError {
        let rest = self.cursor.rest();
        let length = rest.find(ends_term).unwrap_or(rest.len()).max(self.cursor.here().len());
        FilterError::new(self.cursor.at..self.cursor.at + length, "`and` or `or` is missing before this")
            .help("a text with spaces stands in quotes: user:\"Jane Doe\"")
    }
}

impl FilterError {
    pub(super) fn help_unless(self, help: &str) -> Self {
        if self.help.is_some() { self } else { self.help(help) }
    }
}

/// The error for a function that does not exist, with the nearest that does.
pub(super) fn unknown_function(word: &Word<'_>, known: &[&str]) -> FilterError {
    let name = word.raw.to_ascii_lowercase();
    let error = FilterError::new(word.span.clone(), format!("there is no function `{}`", word.raw));
    let nearest = known
        .iter()
        .filter(|_| name.len() <= 32)
        .map(|k| (strsim::damerau_levenshtein(k, &name), k))
        .min()
        .filter(|(distance, k)| *distance <= 1.max(k.len() / 2));
    match nearest {
        Some((_, k)) => error.help(format!("did you mean `{k}(…)`?")),
        None => error,
    }
}

/// Turns the tests in a filter made by one `field:…` into tests of every value.
fn every(filter: Filter) -> Option<Filter> {
    match filter {
        Filter::Test(Test { field, quantifier: Quantifier::Any, matcher }) => {
            Some(Filter::Test(Test { field, quantifier: Quantifier::Every, matcher }))
        }
        // A range is two comparisons.
        Filter::And(parts)
            if parts.iter().all(|p| {
                matches!(p, Filter::Test(Test { matcher: Matcher::Compare(..) | Matcher::When(..), .. }))
            }) =>
        {
            parts.into_iter().map(every).collect::<Option<Vec<_>>>().map(Filter::And)
        }
        _ => None,
    }
}

pub(super) fn field(name: &str, span: std::ops::Range<usize>) -> Result<FieldRef> {
    if name.len() > MAX_NAME {
        return Err(FilterError::new(span, format!("a field name is at most {MAX_NAME} bytes long"))
            .help("a longer path stands in backticks after its field: request.`path`"));
    }
    FieldRef::parse(name).map_err(|e| {
        let known = FIELDS.iter().find(|i| name.strip_prefix(i.name).is_some_and(|r| r.starts_with('.')));
        let error = FilterError::new(span, format!("there is no field `{name}`"));
        match (e.suggestion, known) {
            (Some(near), _) => error.help(format!("did you mean `{near}`?")),
            (None, Some(info)) => error.help(format!("`{}` has no parts", info.name)),
            (None, None) if is_reserved(name) => error.help("`and`, `or` and `not` stand between tests"),
            (None, None) => error.help(format!(
                "docs/fields.md lists the fields; to search for a text with a colon, quote it: \"{name}:…\""
            )),
        }
    })
}
