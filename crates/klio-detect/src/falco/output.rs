//! Output templates: text with `%field` in it.

use klio_model::event::Event;
use klio_model::field::falco::{Expr, Got, get};

use super::fields::{Misuse, is_audit, kind};
use super::parse;

/// What is printed for a value that the event does not have.
const NOT_AVAILABLE: &str = "<NA>";
/// A width in a template pads or cuts to at most this.
const MAX_WIDTH: usize = 1024;

/// A compiled output template.
#[derive(Clone, Debug)]
pub struct Output {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(Value),
}

#[derive(Clone, Debug)]
struct Value {
    /// As written, without the `%`.
    name: String,
    /// `None` for a name that Klio does not know.
    expr: Option<Expr>,
    /// Pads with blanks or cuts to this many characters; 0 leaves the value as it is.
    width: usize,
}

impl Output {
    /// Compiles a template; second come names that have no meaning, with where they stand.
    pub(super) fn compile(template: &str) -> (Self, Vec<(usize, Misuse)>) {
        // A leading star says that values may be missing, which they always may.
        let template = template.strip_prefix('*').unwrap_or(template);
        let mut parts = Vec::new();
        let mut faults = Vec::new();
        let mut rest = template;
        while let Some(percent) = rest.find('%') {
            if percent > 0 {
                parts.push(Part::Text(rest[..percent].to_owned()));
            }
            let at = template.len() - rest.len() + percent;
            rest = &rest[percent + 1..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let width = rest[..digits].parse().unwrap_or(0usize).min(MAX_WIDTH);
            let token = &rest[digits..];
            let Some((expr, length)) = longest(token) else {
                let word: String = token
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
                    .collect();
                let misuse = match parse::expression(token) {
                    Some((expr, _)) => kind(&expr).err(),
                    None => None,
                };
                faults.push((
                    at,
                    misuse.unwrap_or_else(|| Misuse {
                        message: format!("`%{word}` names no field"),
                        advice: Some("a value is written %field or %field[argument]".to_owned()),
                        unknown: true,
                    }),
                ));
                if word.is_empty() {
                    parts.push(Part::Text("%".to_owned()));
                } else {
                    parts.push(Part::Value(Value { name: word.clone(), expr: None, width }));
                    rest = &token[word.len()..];
                }
                continue;
            };
            let name = token[..length].to_owned();
            parts.push(Part::Value(Value { name, expr: Some(expr), width }));
            rest = &token[length..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        (Self { parts }, faults)
    }

    /// The message for an event. Missing values print `<NA>`, lists `(a,b)`.
    pub fn render(&self, event: &Event<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(value) => {
                    let text = value.read(event).unwrap_or_else(|| NOT_AVAILABLE.to_owned());
                    if value.width == 0 {
                        out.push_str(&text);
                    } else {
                        let blanks = std::iter::repeat(' ');
                        out.extend(text.chars().chain(blanks).take(value.width));
                    }
                }
            }
        }
        out
    }

    /// Name and value of each field in the template, once, in its order; missing values are left out.
    pub fn fields(&self, event: &Event<'_>) -> Vec<(String, String)> {
        let mut out: Vec<(String, String)> = Vec::new();
        for part in &self.parts {
            let Part::Value(value) = part else { continue };
            if out.iter().any(|(name, _)| *name == value.name) {
                continue;
            }
            if let Some(text) = value.read(event) {
                out.push((value.name.clone(), text));
            }
        }
        out
    }
}

impl Value {
    fn read(&self, event: &Event<'_>) -> Option<String> {
        let expr = self.expr.as_ref()?;
        if is_audit(expr) && event.audit_id.is_none() {
            return None;
        }
        Some(match get(event, expr).ok()? {
            Got::Text(text) => text.into_owned(),
            Got::Number(n) => n.to_string(),
            Got::List(items) => format!("({})", items.join(",")),
        })
    }
}

/// The longest field or transformer at the start of a text that exists: what follows may look like more of it,
/// as the dot that ends a sentence does.
fn longest(text: &str) -> Option<(Expr, usize)> {
    let mut end = text.len().min(512);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    loop {
        let (expr, length) = parse::expression(&text[..end])?;
        if kind(&expr).is_ok() {
            return Some((expr, length));
        }
        // Try again without the last part of the name.
        end = text[..length].rfind(['.', '[', '_'])?;
    }
}
