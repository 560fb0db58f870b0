//! All events that match, as a file of their own: without a limit, and without holding them.

mod columns;
mod csv;
mod parquet;

use std::borrow::Cow;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use klio_model::{Filter, TimeRange};

use crate::error::StoreError;
use crate::lake::Lake;
use crate::scan::{Kept, Scanned};

pub use columns::ExportColumns;

/// How events are written.
#[derive(Clone, Debug)]
pub enum Format {
    /// The records as they are stored, one a line.
    Jsonl,
    /// RFC 4180 with a heading.
    Csv {
        /// Which columns.
        columns: ExportColumns,
        /// Whether an apostrophe is put before texts that a spreadsheet would run as formulas (`=`, `+`, `-`, `@`).
        guarded: bool,
    },
    /// Columns and the record as `raw`, packed with zstd.
    Parquet {
        /// Which columns besides `raw`.
        columns: ExportColumns,
    },
}

/// Takes events one by one.
trait Sink {
    fn take(&mut self, kept: &Kept) -> Result<(), StoreError>;
    fn end(self: Box<Self>) -> Result<(), StoreError>;
}

impl Lake {
    /// Writes each event that matches, in the order of the files; fresh ones come last.
    ///
    /// # Errors
    /// [`StoreError::Io`] named `output` when `out` refuses.
    pub fn export(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        format: &Format,
        out: impl Write + Send,
    ) -> Result<Scanned, StoreError> {
        let mut sink: Box<dyn Sink + '_> = match format {
            Format::Jsonl => Box::new(Lines(out)),
            Format::Csv { columns, guarded } => Box::new(csv::Csv::new(columns, *guarded, out)?),
            Format::Parquet { columns } => Box::new(parquet::Table::new(columns, out)?),
        };
        let scanned = self.each(filter, range, &mut |kept| {
            sink.take(&kept)?;
            Ok(ControlFlow::Continue(()))
        })?;
        sink.end()?;
        Ok(scanned)
    }
}

struct Lines<W>(W);

impl<W: Write> Sink for Lines<W> {
    fn take(&mut self, kept: &Kept) -> Result<(), StoreError> {
        // A record may stand on several lines, and no line ends within a string.
        let line = if kept.raw.contains(['\n', '\r']) {
            kept.raw.replace(['\n', '\r'], " ").into()
        } else {
            Cow::from(&kept.raw)
        };
        self.0.write_all(line.as_bytes()).and_then(|()| self.0.write_all(b"\n")).map_err(refused)
    }

    fn end(mut self: Box<Self>) -> Result<(), StoreError> {
        self.0.flush().map_err(refused)
    }
}

/// What the output said.
fn refused(source: std::io::Error) -> StoreError {
    StoreError::Io { path: Path::new("output").to_owned(), source }
}
