//! The condition language: `and`, `or`, `not`, parentheses, `1 of x*`, `all of them`.
//!
//! Source: Sigma rules specification 2.1.0, "Condition". From loosest to tightest: `or`, `and`, `not`,
//! `x of`, parentheses.

use klio_model::Filter;

use super::notes::nearest;

/// Deeper parentheses are no condition that a person wrote.
const MAX_DEPTH: usize = 64;

/// A condition may repeat its selections until it holds so many tests.
const MAX_TESTS: usize = 200_000;

/// Why a condition cannot be read, and what to do.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) advice: String,
}

fn wrong<T>(message: impl Into<String>, advice: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), advice: advice.into() })
}

/// Reads a condition over named selections and marks those that it uses.
pub(super) fn compile(
    text: &str,
    selections: &[(String, Filter)],
    used: &mut [bool],
) -> Result<Filter, Wrong> {
    if text.contains('|') {
        return wrong(
            "aggregation in a condition (`| count() …`) was removed from Sigma",
            "keep the selection in this rule and count its matches with a correlation document (type: event_count)",
        );
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens, at: 0, selections, used, tests: 0 };
    let filter = parser.any(0)?;
    match parser.next() {
        None => Ok(filter),
        Some(")") => wrong("`)` without `(`", "remove it or open the parenthesis"),
        Some(other) => wrong(format!("`{other}` does not follow"), "join two parts with `and` or `or`"),
    }
}

struct Parser<'p> {
    tokens: &'p [&'p str],
    at: usize,
    selections: &'p [(String, Filter)],
    used: &'p mut [bool],
    tests: usize,
}

impl<'p> Parser<'p> {
    fn peek(&self) -> Option<&'p str> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'p str> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Takes the next token if it is this word in any case.
    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Filter, Wrong> {
        let mut parts = vec![self.every(depth)?];
        while self.accept("or") {
            parts.push(self.every(depth)?);
        }
        Ok(Filter::or(parts))
    }

    fn every(&mut self, depth: usize) -> Result<Filter, Wrong> {
        let mut parts = vec![self.unary(depth)?];
        while self.accept("and") {
            parts.push(self.unary(depth)?);
        }
        Ok(Filter::and(parts))
    }

    fn unary(&mut self, depth: usize) -> Result<Filter, Wrong> {
        if depth > MAX_DEPTH {
            return wrong("the condition nests too deeply", "name parts of it as selections of their own");
        }
        if self.accept("not") {
            return Ok(Filter::not(self.unary(depth + 1)?));
        }
        let Some(token) = self.next() else {
            return wrong("the condition ends too early", "name a selection here");
        };
        match token {
            "(" => {
                let inner = self.any(depth + 1)?;
                if self.next() != Some(")") {
                    return wrong("`(` without `)`", "close the parenthesis");
                }
                Ok(inner)
            }
            ")" => wrong("`)` where a selection should stand", "name a selection here"),
            name if self.peek().is_some_and(|t| t.eq_ignore_ascii_case("of")) => {
                self.at += 1;
                self.quantified(name)
            }
            name => self.selection(name),
        }
    }

    fn selection(&mut self, name: &str) -> Result<Filter, Wrong> {
        match self.selections.iter().position(|(n, _)| n == name) {
            Some(i) => self.take(i),
            None if name.contains('*') => wrong(
                format!("the pattern `{name}` needs a quantifier"),
                format!("write `1 of {name}` or `all of {name}`"),
            ),
            None if ["and", "or", "not", "of"].contains(&name.to_ascii_lowercase().as_str()) => {
                wrong(format!("`{name}` where a selection should stand"), "name a selection here")
            }
            None => wrong(
                format!("the condition names `{name}`, which is no selection of this rule"),
                nearest(name, self.selections.iter().map(|(n, _)| n.as_str())),
            ),
        }
    }

    fn take(&mut self, i: usize) -> Result<Filter, Wrong> {
        let filter = &self.selections[i].1;
        self.used[i] = true;
        self.tests += tests(filter);
        if self.tests > MAX_TESTS {
            return wrong("the condition is too large", "name each selection once");
        }
        Ok(filter.clone())
    }

    fn quantified(&mut self, quantifier: &str) -> Result<Filter, Wrong> {
        let Some(pattern) = self.next().filter(|p| !matches!(*p, "(" | ")")) else {
            return wrong(
                format!("`{quantifier} of` what?"),
                "write `them` or a pattern such as `selection*`",
            );
        };
        let any = match quantifier.to_ascii_lowercase().as_str() {
            "1" | "any" => true,
            "all" => false,
            _ => {
                return wrong(
                    format!("`{quantifier} of` is not Sigma"),
                    "only `1 of` and `all of` exist; count matches with a correlation document",
                );
            }
        };
        let them = pattern.eq_ignore_ascii_case("them");
        let mut parts = Vec::new();
        for (i, (name, _)) in self.selections.iter().enumerate() {
            let private = name.starts_with('_') && (them || !pattern.starts_with('_'));
            if !private && (them || glob(pattern, name)) {
                parts.push(self.take(i)?);
            }
        }
        if parts.is_empty() {
            return wrong(
                format!("no selection matches `{pattern}`"),
                nearest(pattern, self.selections.iter().map(|(n, _)| n.as_str())),
            );
        }
        Ok(if any { Filter::or(parts) } else { Filter::and(parts) })
    }
}

/// How many values a filter compares with.
fn tests(filter: &Filter) -> usize {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(tests).sum(),
        Filter::Not(part) => tests(part),
        Filter::Test(test) => {
            if let klio_model::Matcher::OneOf(many) = &test.matcher {
                many.len()
            } else {
                1
            }
        }
        _ => 1,
    }
}

/// `*` is any characters; names of selections compare with case.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// How a condition speaks of its selections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sense {
    /// Each is negated: `not x`, `(not x)`, `not (x or y)`, `not x and not y`.
    Excludes,
    /// There is no `not`.
    Includes,
    /// Some are negated and some are not, or twice.
    Mixed,
}

/// How the condition of a filter speaks of the selections with these names; `None` if it cannot be read.
pub(super) fn sense(text: &str, names: &[String]) -> Option<Sense> {
    fn positive(filter: &Filter, negated: bool) -> bool {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => parts.iter().any(|part| positive(part, negated)),
            Filter::Not(part) => positive(part, !negated),
            _ => !negated,
        }
    }
    // What the selections ask does not matter here, and must not: `x: null` is a negation too.
    let marks: Vec<_> =
        names.iter().map(|n| (n.clone(), Filter::Keyword(klio_model::TextMatch::exactly(n)))).collect();
    let filter = compile(text, &marks, &mut vec![false; marks.len()]).ok()?;
    let negates =
        text.split(|c: char| c.is_whitespace() || "()".contains(c)).any(|t| t.eq_ignore_ascii_case("not"));
    Some(match (negates, positive(&filter, false)) {
        (false, _) => Sense::Includes,
        (true, false) => Sense::Excludes,
        (true, true) => Sense::Mixed,
    })
}
