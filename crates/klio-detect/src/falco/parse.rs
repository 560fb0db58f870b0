//! The grammar of conditions (falcosecurity/libs, `userspace/libsinsp/filter/parser.h`).
//!
//! `or` binds weaker than `and`, that weaker than `not`. A check is `field op value`; a name without a dot is
//! a macro. Recursion is capped.

use std::ops::Range;

use klio_model::field::falco::{Expr, Function};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 128;

/// A parsed condition; positions are bytes of its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Macro(String, Range<usize>),
    Check(Box<Check>),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub left: Expr,
    /// Where the left side stands.
    pub left_at: Range<usize>,
    pub op: &'static str,
    /// `oneof`, `anyof`, `allof`
    pub modifier: Option<&'static str>,
    pub right: Right,
    /// Where the right side stands.
    pub right_at: Range<usize>,
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Right {
    /// `exists` has none.
    None,
    Value(String),
    List(Vec<String>),
    Expr(Expr),
}

/// Why a condition cannot be parsed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    pub message: String,
    pub at: Range<usize>,
    pub advice: Option<String>,
}

const NUMERIC: [&str; 4] = ["<=", "<", ">=", ">"];
const SYMBOLS: [&str; 3] = ["==", "=", "!="];
const WORDS: [&str; 9] =
    ["glob", "iglob", "contains", "icontains", "bcontains", "startswith", "bstartswith", "endswith", "regex"];
const MODIFIERS: [&str; 3] = ["oneof", "anyof", "allof"];
const LISTS: [&str; 3] = ["intersects", "in", "pmatch"];
/// Transformers that a condition may name; the rest of [`Function`] is Klio's own.
pub(super) const TRANSFORMERS: [Function; 8] = [
    Function::ToLower,
    Function::ToUpper,
    Function::Base64,
    Function::Basename,
    Function::Len,
    Function::Join,
    Function::Concat,
    Function::GetOpt,
];

/// All operators, for advice.
pub(super) fn operators() -> impl Iterator<Item = &'static str> {
    ["exists"].into_iter().chain(NUMERIC).chain(SYMBOLS).chain(WORDS).chain(LISTS)
}

/// Parses a whole condition.
pub(super) fn condition(text: &str) -> Result<Condition, Wrong> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.blanks();
    if parser.rest().is_empty() {
        return Err(parser.wrong("the condition is empty", None));
    }
    let out = parser.or()?;
    parser.blanks();
    if !parser.rest().is_empty() {
        let advice = match parser.rest().as_bytes()[0] {
            b')' => "there are more `)` than `(`",
            b'"' | b'\'' => "a quoted string must end, and stands only after an operator",
            _ => "checks are joined with `and` or `or`",
        };
        return Err(parser.wrong("expected `and`, `or` or the end", Some(advice)));
    }
    Ok(out)
}

/// Parses a field or transformer at the start of `text`; returns how much of it was read.
pub(super) fn expression(text: &str) -> Option<(Expr, usize)> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expr = parser.operand().ok()??;
    Some((expr, parser.at))
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, Wrong>;

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// An error at the word that comes next.
    fn wrong(&self, message: &str, advice: Option<&str>) -> Wrong {
        let rest = self.rest();
        let length = rest.find([' ', '\n', '\t', '\r']).unwrap_or(rest.len());
        let length = if length == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { length };
        Wrong {
            message: message.to_owned(),
            at: self.at..self.at + length,
            advice: advice.map(str::to_owned),
        }
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches([' ', '\t', '\u{8}', '\r', '\n']).len();
        self.at += length;
        length > 0
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Eats a word that blanks must follow.
    fn eat_word(&mut self, word: &str) -> bool {
        let before = self.at;
        if self.eat(word) && self.blanks() {
            return true;
        }
        self.at = before;
        false
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("the condition is nested too deeply", Some("split it into macros")));
        }
        Ok(())
    }

    fn or(&mut self) -> Parsed<Condition> {
        let mut parts = vec![self.and()?];
        while self.joint("or")? {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self) -> Parsed<Condition> {
        let mut parts = vec![self.not()?];
        while self.joint("and")? {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Condition::And(parts) })
    }

    fn joint(&mut self, word: &str) -> Parsed<bool> {
        self.blanks();
        let before = self.at;
        if !self.eat(word) {
            return Ok(false);
        }
        if self.blanks() || self.rest().starts_with('(') {
            return Ok(true);
        }
        self.at = before;
        Err(self.wrong("expected `and`, `or` or the end", Some("a blank or `(` must follow `and` and `or`")))
    }

    fn not(&mut self) -> Parsed<Condition> {
        self.blanks();
        let mut negated = false;
        while self.eat_word("not") {
            negated = !negated;
        }
        if self.rest().starts_with("not(") {
            self.at += 3;
            negated = !negated;
        }
        let inner = self.check()?;
        Ok(if negated { Condition::Not(Box::new(inner)) } else { inner })
    }

    fn check(&mut self) -> Parsed<Condition> {
        self.blanks();
        if self.eat("(") {
            self.deeper()?;
            let inner = self.or()?;
            self.depth -= 1;
            self.blanks();
            if !self.eat(")") {
                return Err(self.wrong(
                    "expected `)`",
                    Some("checks are joined with `and` or `or`; values with blanks need quotes"),
                ));
            }
            return Ok(inner);
        }
        let start = self.at;
        if let Some(left) = self.operand()? {
            let left_at = start..self.at;
            return self.comparison(left, left_at);
        }
        let name = identifier(self.rest());
        if name.is_empty() {
            return Err(self.wrong("expected a field, a macro or `(`", None));
        }
        self.at += name.len();
        Ok(Condition::Macro(name.to_owned(), start..self.at))
    }

    /// A field with its argument, or a transformer.
    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let name = field_name(self.rest());
        if !name.is_empty() {
            self.at += name.len();
            let arg = self.argument()?;
            return Ok(Some(Expr::Field(name.to_owned(), arg)));
        }
        for function in TRANSFORMERS {
            let before = self.at;
            if self.eat(function.name()) && self.eat("(") {
                return self.call(function).map(Some);
            }
            self.at = before;
        }
        Ok(None)
    }

    fn call(&mut self, function: Function) -> Parsed<Expr> {
        self.deeper()?;
        let mut args = Vec::new();
        loop {
            self.blanks();
            args.push(self.call_argument()?);
            self.blanks();
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat(")") {
            return Err(
                self.wrong(&format!("expected `)` after the arguments of {}()", function.name()), None)
            );
        }
        self.depth -= 1;
        if let Some(arg) = self.argument()? {
            args.push(Expr::Literal(arg));
        }
        Ok(Expr::Call(function, args))
    }

    fn call_argument(&mut self) -> Parsed<Expr> {
        if let Some(number) = self.number() {
            return Ok(Expr::Literal(number.to_owned()));
        }
        if let Some(text) = self.quoted()? {
            return Ok(Expr::Literal(text));
        }
        if let Some(expr) = self.operand()? {
            return Ok(expr);
        }
        if !self.eat("(") {
            return Err(
                self.wrong("expected a field, a transformer, a quoted string, a number or a list", None)
            );
        }
        self.deeper()?;
        let mut items = Vec::new();
        self.blanks();
        while !self.eat(")") {
            if !items.is_empty() && !self.eat(",") {
                return Err(self.wrong("expected `,` or `)`", None));
            }
            self.blanks();
            items.push(self.call_argument()?);
            self.blanks();
        }
        self.depth -= 1;
        Ok(Expr::Call(Function::List, items))
    }

    fn argument(&mut self) -> Parsed<Option<String>> {
        if !self.eat("[") {
            return Ok(None);
        }
        let arg = match self.quoted()? {
            Some(text) => text,
            None => {
                let rest = self.rest();
                let end = rest.find(|c: char| matches!(c, '[' | ']' | '"' | '\'') || c.is_ascii_whitespace());
                let bare = &rest[..end.unwrap_or(rest.len())];
                if bare.is_empty() {
                    return Err(self.wrong("expected an argument between `[` and `]`", None));
                }
                self.at += bare.len();
                bare.to_owned()
            }
        };
        if !self.eat("]") {
            return Err(self.wrong("expected `]` after the field's argument", None));
        }
        Ok(Some(arg))
    }

    fn number(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits =
            |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
        if rest.starts_with("0x") || rest.starts_with("0X") {
            let hex = bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            end = if hex > 0 { 2 + hex } else { 1 };
        } else {
            let whole = digits(end);
            if whole == 0 {
                return None;
            }
            end += whole;
            if bytes.get(end) == Some(&b'.') {
                end += 1 + digits(end + 1);
            }
            if matches!(bytes.get(end), Some(b'e' | b'E')) && matches!(bytes.get(end + 1), Some(b'+' | b'-'))
            {
                let exponent = digits(end + 2);
                if exponent > 0 {
                    end += 2 + exponent;
                }
            }
        }
        self.at += end;
        Some(&rest[..end])
    }

    /// A string in quotes with its escapes resolved; `None` if there is none here.
    fn quoted(&mut self) -> Parsed<Option<String>> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return Ok(None) };
        let mut out = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            if c == quote {
                self.at += i + 1;
                return Ok(Some(out));
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some((_, 'b')) => out.push('\u{8}'),
                Some((_, 'f')) => out.push('\u{c}'),
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                // As Falco has it: an escaped blank is a backslash.
                Some((_, ' ')) => out.push('\\'),
                Some((_, c @ ('\\' | '"' | '\'' | '/'))) => out.push(c),
                Some((at, 'x')) if hex(&rest[at + 1..]).is_some() => {
                    out.push(char::from(hex(&rest[at + 1..]).unwrap_or_default()));
                    chars.next();
                    chars.next();
                }
                Some((at, c)) => {
                    let at = self.at + at;
                    return Err(Wrong {
                        message: format!("`\\{c}` is no escape"),
                        at: at - 1..at + c.len_utf8(),
                        advice: Some("write `\\\\` for a backslash".to_owned()),
                    });
                }
                None => break,
            }
        }
        Err(self.wrong("a quoted string does not end", None))
    }

    fn value(&mut self) -> Parsed<String> {
        if let Some(text) = self.quoted()? {
            return Ok(text);
        }
        let rest = self.rest();
        let end =
            rest.find(|c: char| matches!(c, '(' | ')' | '"' | '\'' | '=' | ',') || c.is_ascii_whitespace());
        let bare = &rest[..end.unwrap_or(rest.len())];
        if bare.is_empty() {
            return Err(
                self.wrong("expected a value", Some("a value with blanks or any of ( ) = , needs quotes"))
            );
        }
        self.at += bare.len();
        Ok(bare.to_owned())
    }

    /// `( a, b )`, if one begins here.
    fn list(&mut self) -> Parsed<Option<Vec<String>>> {
        if !self.eat("(") {
            return Ok(None);
        }
        let mut items = Vec::new();
        self.blanks();
        if self.eat(")") {
            return Ok(Some(items));
        }
        loop {
            self.blanks();
            items.push(self.value()?);
            self.blanks();
            if self.eat(")") {
                return Ok(Some(items));
            }
            if !self.eat(",") {
                return Err(
                    self.wrong("expected `,` or `)` in a list", Some("items with blanks need quotes"))
                );
            }
        }
    }

    /// `val(field)` or a transformer on the right.
    fn right_expression(&mut self) -> Parsed<Option<Expr>> {
        let before = self.at;
        if self.eat("val(") {
            self.blanks();
            let name = field_name(self.rest());
            if name.is_empty() {
                return Err(self.wrong("expected a field in val()", None));
            }
            self.at += name.len();
            let arg = self.argument()?;
            self.blanks();
            if !self.eat(")") {
                return Err(self.wrong("expected `)` after the field in val()", None));
            }
            return Ok(Some(Expr::Field(name.to_owned(), arg)));
        }
        for function in TRANSFORMERS {
            if self.eat(function.name()) && self.eat("(") {
                return self.call(function).map(Some);
            }
            self.at = before;
        }
        Ok(None)
    }

    fn comparison(&mut self, left: Expr, left_at: Range<usize>) -> Parsed<Condition> {
        self.blanks();
        let made = |op, modifier, right, right_at| {
            Condition::Check(Box::new(Check { left, left_at, op, modifier, right, right_at }))
        };
        let op_at = self.at;
        if self.eat("exists") {
            return Ok(made("exists", None, Right::None, op_at..self.at));
        }
        if let Some(op) = NUMERIC.into_iter().find(|op| self.eat(op)) {
            self.blanks();
            let start = self.at;
            let right = match self.right_expression()? {
                Some(expr) => Right::Expr(expr),
                None => match self.number() {
                    Some(number) => Right::Value(number.to_owned()),
                    None => return Err(self.wrong(&format!("expected a number after `{op}`"), None)),
                },
            };
            return Ok(made(op, None, right, start..self.at));
        }
        let symbol = SYMBOLS.into_iter().find(|op| self.eat(op));
        if let Some(op) = symbol.or_else(|| WORDS.into_iter().find(|op| self.eat_word(op))) {
            let blank = symbol.is_none() || self.blanks();
            let start = self.at;
            if blank {
                if let Some(modifier) = MODIFIERS.into_iter().find(|m| self.eat_word(m)) {
                    if let Some(items) = self.list()? {
                        return Ok(made(op, Some(modifier), Right::List(items), start..self.at));
                    }
                    self.at = start;
                }
            }
            let right = match self.right_expression()? {
                Some(expr) => Right::Expr(expr),
                None => Right::Value(self.value()?),
            };
            return Ok(made(op, None, right, start..self.at));
        }
        if let Some(op) = LISTS.into_iter().find(|op| self.eat(op)) {
            self.blanks();
            let start = self.at;
            let right = if let Some(items) = self.list()? {
                Right::List(items)
            } else if let Some(expr) = self.right_expression()? {
                Right::Expr(expr)
            } else {
                let name = identifier(self.rest());
                if name.is_empty() {
                    return Err(self.wrong(&format!("expected `(` after `{op}`"), None));
                }
                self.at += name.len();
                Right::List(vec![name.to_owned()])
            };
            return Ok(made(op, None, right, start..self.at));
        }
        let word: String = self.rest().chars().take_while(|c| !c.is_whitespace() && *c != '(').collect();
        let near = crate::falco::nearest(&word, operators().map(str::to_owned));
        let advice = near.map_or_else(
            || format!("the operators are {}", operators().collect::<Vec<_>>().join(" ")),
            |near| format!("did you mean `{near}`?"),
        );
        Err(self.wrong("expected an operator after the field", Some(&advice)))
    }
}

/// The two hexadecimal digits of an escaped ASCII character.
fn hex(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

fn identifier(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Identifiers joined by dots, at least two.
fn field_name(text: &str) -> &str {
    let mut end = identifier(text).len();
    let first = end;
    while end > 0 && text[end..].starts_with('.') {
        let next = identifier(&text[end + 1..]);
        if next.is_empty() {
            break;
        }
        end += 1 + next.len();
    }
    if end > first { &text[..end] } else { "" }
}
