//! The grammar of conditions (falcosecurity/libs, `userspace/libsinsp/filter/parser.h`).
//!
//! `or` binds weaker than `and`, that weaker than `not`. A check is `field op value`; a name without a dot is
//! a macro. Recursion is capped.

mod lex;

use std::ops::Range;

use klio_model::field::falco::{Expr, Function};

use lex::{field_name, identifier};

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

impl Parser<'_> {
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
        let arg = if let Some(text) = self.quoted()? {
            text
        } else {
            let rest = self.rest();
            let end = rest.find(|c: char| matches!(c, '[' | ']' | '"' | '\'') || c.is_ascii_whitespace());
            let bare = &rest[..end.unwrap_or(rest.len())];
            if bare.is_empty() {
                return Err(self.wrong("expected an argument between `[` and `]`", None));
            }
            self.at += bare.len();
            bare.to_owned()
        };
        if !self.eat("]") {
            return Err(self.wrong("expected `]` after the field's argument", None));
        }
        Ok(Some(arg))
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
            if blank && let Some(modifier) = MODIFIERS.into_iter().find(|m| self.eat_word(m)) {
                if let Some(items) = self.list()? {
                    return Ok(made(op, Some(modifier), Right::List(items), start..self.at));
                }
                self.at = start;
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
