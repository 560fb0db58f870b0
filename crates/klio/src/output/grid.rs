//! A plain table for a terminal.

use std::fmt;

use comfy_table::{Table, presets};

use super::plain;

/// Rows under a heading.
pub struct Grid(Table);

impl Grid {
    /// No rows yet.
    pub fn new(heading: &[&str]) -> Self {
        let mut table = Table::new();
        *table.style_mut() = presets::NOTHING;
        table.set_header(heading.iter().map(|h| h.to_uppercase()).collect::<Vec<_>>());
        Self(table)
    }

    /// Adds a row. What is in it may come from anybody.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells.iter().map(|cell| plain(cell)).collect::<Vec<_>>());
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
