//! One report, many forms.

mod cause;
mod csv;
mod grid;
mod html;
mod json;
mod markdown;
mod narrative;
mod paint;
mod sarif;
mod table;
mod view;

use std::io::{BufWriter, Write};

use klio_model::filter::text::is_unprintable;

use crate::failure::Failure;
use crate::scan::{Report, RuleCount};
pub use grid::Grid;
pub use markdown::cell;
pub use paint::Paint;
pub use view::{View, identity, plural};

/// `-o`
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For a terminal.
    Table,
    /// For a wide terminal: with the audit id, file and line of each rule's first finding.
    Wide,
    /// One document.
    Json,
    /// One object per line, a stable contract.
    Jsonl,
    /// One document.
    Yaml,
    /// One line per finding.
    Csv,
    /// For an issue or a wiki.
    Md,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// One self-contained file, fit to mail.
    Html,
}

impl Format {
    /// Whether each finding is asked for, and not only the stories.
    pub fn lists_findings(self) -> bool {
        matches!(self, Self::Wide | Self::Json | Self::Jsonl | Self::Yaml | Self::Csv | Self::Sarif)
    }
}

/// A story as `-o jsonl` writes it.
pub fn story(story: &klio_detect::story::Story, rules: &[RuleCount]) -> (String, String) {
    json::story(story, rules)
}

/// Prints a report to stdout.
pub fn print(format: Format, report: &mut Report, view: &View<'_>) -> Result<(), Failure> {
    let stdout = std::io::stdout();
    let mut out = BufWriter::with_capacity(1 << 16, stdout.lock());
    match format {
        Format::Table => table::print(report, view, false, &mut out)?,
        Format::Wide => table::print(report, view, true, &mut out)?,
        Format::Json => json::document(report, view, &mut out)?,
        Format::Jsonl => json::lines(report, view, &mut out)?,
        Format::Yaml => json::yaml(report, view, &mut out)?,
        Format::Csv => csv::print(report, view, &mut out)?,
        Format::Md => markdown::print(report, view, &mut out)?,
        Format::Sarif => sarif::print(report, view, &mut out)?,
        Format::Html => html::print(report, view, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

/// Text from a log made harmless for a terminal: what would hide or reorder text becomes visible.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if is_unprintable(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_hides_or_reorders_text() {
        assert_eq!(
            plain("a\u{202e}b\u{200b}c\u{2028}d\u{feff}e\u{1b}[0m"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}[0m"
        );
        assert_eq!(plain("two\nlines, größer"), "two lines, größer");
    }
}
