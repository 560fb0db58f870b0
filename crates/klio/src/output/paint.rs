//! Colours, where they are wanted.

use std::io::IsTerminal;

use klio_model::Severity;

/// Colours, if stdout is a terminal and `NO_COLOR` is not set.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// As stdout and the environment say.
    pub fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self(std::io::stdout().is_terminal() && wanted)
    }

    /// In the colour of this ANSI code.
    pub fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Bold.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Dim.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// In the colour of a severity.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        self.with(
            match severity {
                Severity::Critical => "1;97;41",
                Severity::High => "1;31",
                Severity::Medium => "33",
                Severity::Low => "36",
                Severity::Informational => "2",
            },
            text,
        )
    }
}
