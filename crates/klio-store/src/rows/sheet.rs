//! Columns being filled.

use klio_model::Timestamp;

use super::{Long, Words};
use crate::batch::Records;
use crate::columns::{Column, Kind};
use crate::day::{date, day_of};

/// The values of one column.
#[derive(Debug)]
pub(crate) enum Cells {
    Words(Words),
    /// Records.
    Long(Long),
    /// Texts one after another, the end of each, and which are missing.
    Texts(String, Vec<usize>, Vec<bool>),
    /// `i64::MIN` where there is none.
    Numbers(Vec<i64>),
    Bools(Vec<bool>),
}

/// Rows of one table, with the partition of each.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub columns: &'static [Column],
    pub cells: Vec<Cells>,
    /// `day/class`
    pub partitions: Words,
    pub count: usize,
    last: (i64, String),
}

impl Sheet {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        let cells = columns.iter().map(|c| match c.kind {
            Kind::Word => Cells::Words(Words::default()),
            Kind::Text if c.name == "raw" => Cells::Long(Long::default()),
            Kind::Text => Cells::Texts(String::new(), Vec::new(), Vec::new()),
            Kind::Time | Kind::Int => Cells::Numbers(Vec::new()),
            Kind::Bool => Cells::Bools(Vec::new()),
        });
        let last = (i64::MIN, String::new());
        Self { columns, cells: cells.collect(), partitions: Words::default(), count: 0, last }
    }

    /// The values of a column.
    pub(crate) fn cells(&self, name: &str) -> Option<&Cells> {
        self.cells.get(self.columns.iter().position(|c| c.name == name)?)
    }

    /// The records.
    pub(crate) fn long(&self) -> Option<&Long> {
        self.cells.iter().find_map(|c| if let Cells::Long(long) = c { Some(long) } else { None })
    }

    /// The records, to be changed.
    pub(crate) fn long_mut(&mut self) -> Option<&mut Long> {
        self.cells.iter_mut().find_map(|c| if let Cells::Long(long) = c { Some(long) } else { None })
    }

    /// Forgets the rows and keeps their room; blocks of records go to `spare`.
    pub(crate) fn clear(&mut self, spare: &mut Vec<Vec<u8>>) {
        for cells in &mut self.cells {
            match cells {
                Cells::Words(words) => words.clear(),
                Cells::Long(long) => spare.extend(long.clear()),
                Cells::Texts(text, ends, missing) => {
                    text.clear();
                    ends.clear();
                    missing.clear();
                }
                Cells::Numbers(numbers) => numbers.clear(),
                Cells::Bools(bools) => bools.clear(),
            }
        }
        self.partitions.clear();
        self.count = 0;
    }

    /// Takes the rows of another that `keep` says. Their records go to `records`, which will be the block `block`.
    pub(crate) fn append(&mut self, other: &Self, keep: &[bool], records: &mut Records, block: u32) {
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            match (mine, theirs) {
                (Cells::Long(mine), Cells::Long(theirs)) => mine.append(theirs, keep, records, block),
                (mine, theirs) => mine.append(theirs, keep),
            }
        }
        self.partitions.append(&other.partitions, keep);
        self.count += keep.iter().take(other.count).filter(|k| **k).count();
    }

    /// Ends a row, whose cells have been filled.
    pub(crate) fn end(&mut self, class: &str, time: Timestamp) {
        let day = day_of(time);
        let known = self.last.0 == day && self.last.1.get(11..) == Some(class);
        if !known {
            self.last = (day, format!("{}/{class}", date(day)));
        }
        self.partitions.push(Some(&self.last.1));
        self.count += 1;
    }
}

impl Cells {
    /// Takes a text into a column of texts.
    pub(crate) fn text(&mut self, value: Option<&str>) {
        match self {
            Self::Words(words) => words.push(value),
            Self::Long(long) => long.push(value.unwrap_or_default(), false),
            Self::Texts(text, ends, missing) => {
                text.push_str(value.unwrap_or_default());
                ends.push(text.len());
                missing.push(value.is_none());
            }
            Self::Numbers(numbers) => numbers.push(i64::MIN),
            Self::Bools(bools) => bools.push(false),
        }
    }

    fn append(&mut self, other: &Self, keep: &[bool]) {
        match (self, other) {
            (Self::Words(mine), Self::Words(theirs)) => mine.append(theirs, keep),
            (Self::Texts(text, ends, missing), Self::Texts(their_text, their_ends, their_missing)) => {
                for (row, _) in keep.iter().enumerate().filter(|(row, k)| **k && *row < their_ends.len()) {
                    text.push_str(their_text.get(span(their_ends, row)).unwrap_or_default());
                    ends.push(text.len());
                    missing.push(their_missing.get(row).copied().unwrap_or(true));
                }
            }
            (Self::Numbers(mine), Self::Numbers(theirs)) => {
                mine.extend(theirs.iter().zip(keep).filter(|(_, k)| **k).map(|(n, _)| *n));
            }
            (Self::Bools(mine), Self::Bools(theirs)) => {
                mine.extend(theirs.iter().zip(keep).filter(|(_, k)| **k).map(|(b, _)| *b));
            }
            _ => {}
        }
    }

    /// Takes a number.
    pub(crate) fn number(&mut self, value: i64) {
        if let Self::Numbers(numbers) = self {
            numbers.push(value);
        }
    }
}

/// Where the text of a row lies.
pub(crate) fn span(ends: &[usize], row: usize) -> std::ops::Range<usize> {
    let end = ends.get(row).copied().unwrap_or(0);
    let start = row.checked_sub(1).and_then(|i| ends.get(i).copied()).unwrap_or(0);
    start..end
}
