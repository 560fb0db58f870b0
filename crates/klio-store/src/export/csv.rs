//! Comma-separated values (RFC 4180).

use std::io::Write;

use klio_model::Event;

use super::columns::ExportColumns;
use super::{Sink, refused};
use crate::error::StoreError;
use crate::scan::Kept;

pub(super) struct Csv<'c, W> {
    columns: &'c ExportColumns,
    guarded: bool,
    line: String,
    out: W,
}

impl<'c, W: Write> Csv<'c, W> {
    pub(super) fn new(columns: &'c ExportColumns, guarded: bool, out: W) -> Result<Self, StoreError> {
        let mut csv = Self { columns, guarded, line: String::new(), out };
        for name in columns.names() {
            csv.cell(name);
        }
        csv.end_line()?;
        Ok(csv)
    }

    fn cell(&mut self, text: &str) {
        let runs = self.guarded && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if runs || text.contains(['"', ',', '\r', '\n']) {
            self.line.push('"');
            if runs {
                self.line.push('\'');
            }
            self.line.push_str(&text.replace('"', "\"\""));
            self.line.push('"');
        } else {
            self.line.push_str(text);
        }
        self.line.push(',');
    }

    fn end_line(&mut self) -> Result<(), StoreError> {
        self.line.pop();
        self.line.push_str("\r\n");
        let written = self.out.write_all(self.line.as_bytes()).map_err(refused);
        self.line.clear();
        written
    }
}

impl<W: Write> Sink for Csv<'_, W> {
    fn take(&mut self, kept: &Kept) -> Result<(), StoreError> {
        let event = Event::parse(&kept.raw).ok();
        for column in &self.columns.0 {
            let text = column.text(kept, event.as_ref()).unwrap_or_default();
            self.cell(&text);
        }
        self.end_line()
    }

    fn end(mut self: Box<Self>) -> Result<(), StoreError> {
        self.out.flush().map_err(refused)
    }
}
