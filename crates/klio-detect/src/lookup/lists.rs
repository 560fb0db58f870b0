//! Reading lists of indicators: CSV with a header, one value on a line, or a STIX 2.1 bundle.

use klio_model::Timestamp;
use thiserror::Error;

use super::indicators::{Builder, Indicators, Row, Stop};
use super::kind::Kind;
use super::stix;

/// Rows of one file that are named one by one.
const NAMED: usize = 20;
/// Longer names and notes are cut, in characters.
const TEXT: usize = 300;

/// Lists that are being read.
#[derive(Debug, Default)]
pub struct Import {
    builder: Builder,
    any: bool,
}

/// What came of one file.
#[derive(Debug, Default)]
pub struct Imported {
    /// Indicators that are looked for from now on.
    pub taken: usize,
    /// The same value twice in one list.
    pub repeated: usize,
    /// Rows that cannot be used, the first of them.
    pub refused: Vec<Refused>,
    /// How many they are.
    pub refusals: usize,
}

/// A row or object that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Its line, or which object of the bundle it is; from 1.
    pub place: u64,
    /// Why, and what would be right.
    pub why: String,
}

/// Why a file cannot be used at all.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ListError {
    /// A CSV file whose header is not there.
    #[error(
        "line {line}: the header must name the columns `type` and `value`, and may name `list`, `note` and `until`; it says `{header}`"
    )]
    Header {
        /// Its line.
        line: u64,
        /// What stands there.
        header: String,
    },
    /// JSON that is no STIX bundle.
    #[error("no STIX 2.1 bundle: {0}")]
    Bundle(String),
    /// More than is taken.
    #[error("{0}: that is more than Klio takes")]
    Full(String),
}

impl Import {
    /// Reads a file's text. `list` names what does not say which list it belongs to.
    ///
    /// # Errors
    /// [`ListError`] if nothing of it, or not all, can be used. Rows that are wrong alone are named in [`Imported`].
    pub fn file(&mut self, list: &str, text: &str) -> Result<Imported, ListError> {
        self.any = true;
        let text = text.trim_start_matches('\u{feff}');
        let mut sheet = Sheet { builder: &mut self.builder, list: cut(list), told: Imported::default() };
        if text.trim_start().starts_with('{') {
            stix::read(text, &mut sheet)?;
        } else if let Some((line, header)) = header(text) {
            table(text, line, header, &mut sheet)?;
        } else {
            plain(text, &mut sheet)?;
        }
        Ok(sheet.told)
    }

    /// How many indicators there are.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, if a list was given, though it be empty.
    pub fn finish(self) -> Option<Indicators> {
        self.any.then(|| self.builder.finish())
    }
}

/// One file while it is read.
pub(super) struct Sheet<'s> {
    builder: &'s mut Builder,
    list: String,
    told: Imported,
}

impl Sheet<'_> {
    /// Takes a row; empty `list` stands for the file's own.
    pub fn take(&mut self, place: u64, row: &Row<'_>) -> Result<(), ListError> {
        let (list, note) = (cut(row.list), cut(row.note));
        let list = if list.is_empty() { &self.list } else { &list };
        match self.builder.add(&Row { list, note: &note, ..*row }) {
            Ok(true) => self.told.taken += 1,
            Ok(false) => self.told.repeated += 1,
            Err(Stop::Row(why)) => self.refuse(place, why),
            Err(Stop::Full(what)) => return Err(ListError::Full(what)),
        }
        Ok(())
    }

    /// Names a row that cannot be used.
    pub fn refuse(&mut self, place: u64, why: String) {
        self.told.refusals += 1;
        if self.told.refused.len() < NAMED {
            self.told.refused.push(Refused { place, why: cut(&why) });
        }
    }
}

fn cut(text: &str) -> String {
    text.trim().chars().take(TEXT).collect()
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// The first line that counts, if it is one of a table: several columns, or the name of one.
fn header(text: &str) -> Option<(u64, &str)> {
    let (at, line) = text.lines().enumerate().find(|(_, line)| !is_comment(line))?;
    let is_table =
        line.contains(',') || matches!(line.trim().to_ascii_lowercase().as_str(), "value" | "type");
    is_table.then_some((at as u64 + 1, line))
}

/// Reads CSV (RFC 4180).
fn table(text: &str, line: u64, header: &str, sheet: &mut Sheet<'_>) -> Result<(), ListError> {
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let wrong = || ListError::Header { line, header: cut(header) };
    let names = reader.headers().map_err(|_| wrong())?.clone();
    let column = |name: &str| names.iter().position(|own| own.eq_ignore_ascii_case(name));
    let (kind, value) = column("type").zip(column("value")).ok_or_else(wrong)?;
    let (list, note, until) = (column("list"), column("note"), column("until"));
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(e) => {
                sheet.refuse(line, e.to_string());
                continue;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        let cell = |column: Option<usize>| column.and_then(|at| record.get(at)).unwrap_or_default();
        let Some(kind) = Kind::named(cell(Some(kind))) else {
            let known: Vec<&str> = Kind::ALL.iter().map(|(_, words)| words[0]).collect();
            let said = cell(Some(kind));
            sheet.refuse(line, format!("`{said}` is no type; there are {}", known.join(", ")));
            continue;
        };
        let Ok(until) = end(cell(until)) else {
            let said = cell(until);
            sheet.refuse(line, format!("until: `{said}` is no time such as 2027-03-31"));
            continue;
        };
        sheet
            .take(line, &Row { kind, value: cell(Some(value)), list: cell(list), note: cell(note), until })?;
    }
}

/// A time, or a day: it begins at midnight, UTC.
fn end(text: &str) -> Result<Option<Timestamp>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse(&full).map(Some).ok_or(())
}

/// Reads one value a line.
fn plain(text: &str, sheet: &mut Sheet<'_>) -> Result<(), ListError> {
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
        let (place, value) = (at as u64 + 1, line.trim());
        let Some(kind) = Kind::guess(value) else {
            let said = cut(value);
            sheet.refuse(place, format!("what `{said}` is cannot be guessed; give a CSV with `type,value`"));
            continue;
        };
        sheet.take(place, &Row { kind, value, list: "", note: "", until: None })?;
    }
    Ok(())
}
