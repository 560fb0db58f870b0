//! What stands after `field:` or a comparison sign.

use std::net::IpAddr;

use ipnet::IpNet;

use super::cursor::{Result, Word, ends_bound, ends_item, ends_value};
use super::parse::{Parser, field as field_named, unknown_function};
use super::{FilterError, MAX_REGEXES};
use crate::field::{FieldRef, Holds};
use crate::filter::sense::{holds, literal, objection};
use crate::filter::{Case, Comparison, Filter, Matcher, RegexMatch, TextMatch, TimePart};
use crate::time::{TimeRange, Timestamp};

const FUNCTIONS: [&str; 10] =
    ["cidr", "cased", "same", "regex", "minute", "hour", "day", "week", "month", "year"];

impl Parser<'_> {
    pub fn value(&mut self, field: FieldRef, name: &str) -> Result<Filter> {
        let start = self.cursor.at;
        let matcher = match self.cursor.peek() {
            Some('(') => Matcher::OneOf(self.list(name)?.into()),
            Some('[') => {
                let range = self.range(&field)?;
                return self.sensible(range, start);
            }
            Some('"') => Matcher::Text(TextMatch::literal(&self.cursor.quoted('"')?)),
            Some('/') => Matcher::Regex(self.regex()?),
            Some('<' | '>') => self.comparison(&field)?,
            _ => {
                let word = self.cursor.word(ends_value)?;
                if word.raw.is_empty() || word.is_reserved() {
                    return Err(no_value(start..word.span.end, name));
                }
                if self.cursor.peek() == Some('(') {
                    self.function(&word)?
                } else if word.raw == "*" {
                    Matcher::Present
                } else {
                    Matcher::Text(TextMatch::new(word.pieces, Case::Insensitive))
                }
            }
        };
        let filter = match matcher {
            Matcher::Text(text) => {
                in_span(&field, &text).unwrap_or_else(|| Filter::test(field, Matcher::Text(text)))
            }
            Matcher::OneOf(texts) if texts.iter().any(|text| in_span(&field, text).is_some()) => {
                Filter::or(texts.iter().map(|text| {
                    in_span(&field, text)
                        .unwrap_or_else(|| Filter::test(field.clone(), Matcher::Text(text.clone())))
                }))
            }
            other => Filter::test(field, other),
        };
        self.sensible(filter, start)
    }

    /// Refuses what can never be true.
    pub fn sensible(&self, filter: Filter, start: usize) -> Result<Filter> {
        let objection = match &filter {
            Filter::Test(test) => objection(test),
            Filter::And(parts) | Filter::Or(parts) => parts.iter().find_map(|part| match part {
                Filter::Test(test) => objection(test),
                _ => None,
            }),
            _ => None,
        };
        match objection {
            Some(o) => Err(FilterError::new(start..self.cursor.at, o.message).help(o.help)),
            None => Ok(filter),
        }
    }

    /// `(a or "b c" or cased(D))`; the parenthesis is next.
    fn list(&mut self, name: &str) -> Result<Vec<TextMatch>> {
        let open = self.cursor.at;
        self.cursor.at += 1;
        let mut items = Vec::new();
        self.cursor.skip_space();
        if self.cursor.eat(')') {
            return Ok(items);
        }
        loop {
            self.cursor.skip_space();
            let start = self.cursor.at;
            if self.cursor.peek() == Some('"') {
                items.push(TextMatch::literal(&self.cursor.quoted('"')?));
            } else {
                let word = self.cursor.word(ends_item)?;
                let inside = self.cursor.peek() == Some('(');
                if self.cursor.peek().is_none() && word.raw.is_empty() {
                    return Err(FilterError::new(open..open + 1, "this `(` is not closed").help("add a `)`"));
                } else if word.raw.eq_ignore_ascii_case("not") || (word.raw.is_empty() && inside) {
                    return Err(FilterError::new(
                        start..self.cursor.at.max(start + 1),
                        "a list holds texts only",
                    )
                    .help(format!("write `not {name}:(a or b)`, or tests joined by `and` and `or`")));
                } else if word.raw.is_empty() || word.is_reserved() {
                    return Err(no_value(word.span, name));
                } else if word.raw.starts_with('/') {
                    return Err(FilterError::new(word.span, "a list holds texts only").help(format!(
                        "write `{name}:/…/ or {name}:/…/`; a text that begins with `/` stands in quotes"
                    )));
                } else if inside && word.raw.eq_ignore_ascii_case("cased") {
                    let open = self.cursor.at;
                    self.cursor.at += 1;
                    items.push(self.text_argument(Case::Sensitive)?);
                    self.close(open)?;
                } else if inside {
                    return Err(unknown_function(&word, &["cased"])
                        .help_unless("within a list only `cased(…)` is known"));
                } else {
                    items.push(TextMatch::new(word.pieces, Case::Insensitive));
                }
            }
            self.cursor.skip_space();
            if self.cursor.eat(')') {
                return Ok(items);
            }
            let at = self.cursor.at;
            if self.cursor.eat_word("and") {
                return Err(FilterError::new(at..self.cursor.at, "a list is joined by `or`")
                    .help(format!("write `{name}:a and {name}:b`")));
            }
            if !self.cursor.eat(',') && !self.cursor.eat_word("or") {
                return Err(if self.cursor.peek().is_none() {
                    FilterError::new(open..open + 1, "this `(` is not closed").help("add a `)`")
                } else {
                    FilterError::new(self.cursor.here(), "`or` is missing before this")
                        .help("a text with spaces stands in quotes")
                });
            }
        }
    }

    /// `[400 to 499]`, either end `*` for open; the bracket is next.
    fn range(&mut self, field: &FieldRef) -> Result<Filter> {
        let open = self.cursor.at;
        self.cursor.at += 1;
        let low = self.bound(field, Comparison::AtLeast)?;
        if !self.cursor.eat_word("to") {
            return Err(FilterError::new(self.cursor.here(), "a range is written `[400 to 499]`")
                .help("either end may be `*`"));
        }
        let high = self.bound(field, Comparison::AtMost)?;
        self.cursor.skip_space();
        if !self.cursor.eat(']') {
            return Err(FilterError::new(open..open + 1, "this `[` is not closed").help("add a `]`"));
        }
        let ends: Vec<_> =
            [low, high].into_iter().flatten().map(|m| Filter::test(field.clone(), m)).collect();
        if ends.is_empty() {
            return Ok(Filter::test(field.clone(), Matcher::Present));
        }
        Ok(Filter::and(ends))
    }

    fn bound(&mut self, field: &FieldRef, how: Comparison) -> Result<Option<Matcher>> {
        self.cursor.skip_space();
        let word = self.cursor.word(ends_bound)?;
        if word.raw == "*" {
            return Ok(None);
        }
        quantity(field, &word, how).map(Some)
    }

    /// `>= 5`; the sign is next.
    pub fn comparison(&mut self, field: &FieldRef) -> Result<Matcher> {
        let greater = self.cursor.peek() == Some('>');
        self.cursor.at += 1;
        let how = match (greater, self.cursor.eat('=')) {
            (true, true) => Comparison::AtLeast,
            (true, false) => Comparison::Greater,
            (false, true) => Comparison::AtMost,
            (false, false) => Comparison::Less,
        };
        self.cursor.skip_space();
        let word = self.cursor.word(ends_value)?;
        quantity(field, &word, how)
    }

    /// `/pattern/flags`; the first slash is next. `\/` is a slash, every other escape is the pattern's own.
    fn regex(&mut self) -> Result<RegexMatch> {
        let start = self.cursor.at;
        self.cursor.at += 1;
        let mut pattern = String::new();
        let path_help = "a text that begins with a slash is written \"/…\", or `\\/…` with wildcards";
        loop {
            let Some(c) = self.cursor.peek() else {
                return Err(FilterError::new(
                    start..start + 1,
                    "the regular expression's closing `/` is missing",
                )
                .help(path_help));
            };
            self.cursor.at += c.len_utf8();
            match c {
                '/' => break,
                '\\' => match self.cursor.peek() {
                    Some('/') => {
                        pattern.push('/');
                        self.cursor.at += 1;
                    }
                    next => {
                        pattern.push('\\');
                        pattern.extend(next);
                        self.cursor.at += next.map_or(0, char::len_utf8);
                    }
                },
                c => pattern.push(c),
            }
        }
        let flags = self.cursor.word(ends_value)?;
        if let Some(c) = flags.raw.chars().find(|c| !"ims".contains(*c)) {
            return Err(FilterError::new(flags.span, format!("`{c}` is no flag of a regular expression"))
                .help(format!("flags are i, m and s; within a pattern a slash is `\\/`; {path_help}")));
        }
        self.compile(&pattern, flags.raw, start)
    }

    fn compile(&mut self, pattern: &str, flags: &str, start: usize) -> Result<RegexMatch> {
        let span = start..self.cursor.at;
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            return Err(FilterError::new(span, format!("more than {MAX_REGEXES} regular expressions")));
        }
        RegexMatch::new(pattern, flags).map_err(|e| {
            // The last line of the compiler's message says why; the others repeat the pattern.
            let why = e.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            FilterError::new(span, format!("not a regular expression: {why}"))
        })
    }

    /// A word or quoted text within a function's parentheses.
    pub fn text_argument(&mut self, case: Case) -> Result<TextMatch> {
        self.cursor.skip_space();
        if self.cursor.peek() == Some('"') {
            let text = self.cursor.quoted('"')?;
            return Ok(TextMatch::new([crate::filter::Piece::Literal(text)], case));
        }
        let word = self.cursor.word(ends_value)?;
        if word.raw.is_empty() {
            return Err(
                FilterError::new(self.cursor.here(), "a text is missing here").help("the empty text is \"\"")
            );
        }
        Ok(TextMatch::new(word.pieces, case))
    }

    /// `cidr(10.0.0.0/8)` and its like; the parenthesis is next.
    fn function(&mut self, word: &Word<'_>) -> Result<Matcher> {
        let open = self.cursor.at;
        let name = word.raw.to_ascii_lowercase();
        if !FUNCTIONS.contains(&name.as_str()) {
            return Err(
                unknown_function(word, &FUNCTIONS).help_unless("a text with parentheses stands in quotes")
            );
        }
        self.cursor.at += 1;
        self.cursor.skip_space();
        let matcher = match name.as_str() {
            "cased" => Matcher::Text(self.text_argument(Case::Sensitive)?),
            "same" => Matcher::Same(self.field_argument()?),
            "regex" => {
                let start = self.cursor.at;
                if self.cursor.peek() != Some('"') {
                    return Err(FilterError::new(self.cursor.here(), "`regex` takes a quoted pattern")
                        .help("for example `name:regex(\"^a.*z$\" i)`"));
                }
                let pattern = self.cursor.quoted('"')?;
                self.cursor.skip_space();
                let flags = self.cursor.word(ends_value)?;
                if flags.raw.contains(|c| !"ims".contains(c)) {
                    return Err(FilterError::new(flags.span, "flags are i, m and s"));
                }
                Matcher::Regex(self.compile(&pattern, flags.raw, start)?)
            }
            "cidr" => {
                let arg = self.cursor.word(ends_value)?;
                let net =
                    arg.raw.parse::<IpNet>().ok().or_else(|| arg.raw.parse::<IpAddr>().ok().map(IpNet::from));
                Matcher::Cidr(net.ok_or_else(|| {
                    FilterError::new(arg.span, format!("`{}` is not a network", arg.raw))
                        .help("write it like 10.0.0.0/8 or fd00::/8")
                })?)
            }
            part => {
                let arg = self.cursor.word(ends_value)?;
                let part = TimePart::ALL.iter().find(|(_, n)| *n == part).map(|(p, _)| *p);
                let (Some(part), Ok(n)) = (part, arg.raw.parse()) else {
                    return Err(FilterError::new(arg.span, format!("`{name}` takes a whole number")));
                };
                Matcher::TimePart(part, n)
            }
        };
        self.close(open)?;
        Ok(matcher)
    }

    fn field_argument(&mut self) -> Result<FieldRef> {
        let start = self.cursor.at;
        if self.cursor.peek() == Some('`') {
            let name = self.cursor.quoted('`')?;
            return field_named(&name, start..self.cursor.at);
        }
        let word = self.cursor.word(super::cursor::ends_term)?;
        if self.cursor.peek() == Some('`') && word.raw.ends_with('.') {
            let path = self.cursor.quoted('`')?;
            let base = field_named(&word.raw[..word.raw.len() - 1], word.span)?;
            let path = if base.path().is_empty() { path } else { format!("{}.{path}", base.path()) };
            return Ok(FieldRef::below(base.field(), &path));
        }
        field_named(word.raw, word.span)
    }
}

fn no_value(span: std::ops::Range<usize>, name: &str) -> FilterError {
    FilterError::new(span, format!("the value of {name} is missing")).help(format!(
        "`{name}:*` asks whether there is one, `{name}:\"\"` is the empty text; and, or, not stand in quotes"
    ))
}

/// A date or a part of one as the value of a time: within that span.
fn in_span(field: &FieldRef, text: &TextMatch) -> Option<Filter> {
    if holds(field) != Some(Holds::Time) {
        return None;
    }
    let span = TimeRange::of(literal(text)?)?;
    let when = |how, at| Filter::test(field.clone(), Matcher::When(how, at));
    Some(Filter::and([
        when(Comparison::AtLeast, span.start?),
        span.end.map_or(Filter::All, |end| when(Comparison::Less, end)),
    ]))
}

/// A number or a time; of a date or a part of one its first instant.
fn quantity(field: &FieldRef, word: &Word<'_>, how: Comparison) -> Result<Matcher> {
    let begins = || TimeRange::of(word.raw)?.start;
    let year = if holds(field) == Some(Holds::Time) { begins() } else { None };
    if year.is_none()
        && let Ok(n) = word.raw.parse()
    {
        return Ok(Matcher::Compare(how, n));
    }
    let time = Timestamp::parse(word.raw)
        .or_else(begins)
        .or_else(|| word.raw.strip_suffix("us")?.parse().ok().map(Timestamp));
    time.map(|t| Matcher::When(how, t)).ok_or_else(|| {
        let message = if word.raw.is_empty() {
            "a number or a time is missing here".to_owned()
        } else {
            format!("`{}` is neither a number nor a time", word.raw)
        };
        FilterError::new(word.span.clone(), message)
            .help("for example `code >= 400` or `time >= 2026-11-21T01:00:00Z`; a date alone is its midnight in UTC, a month its first day")
    })
}
