//! How a command ends when it does not end well.

use std::fmt;

/// What kind of failure, which decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Findings at or above `--fail-on`, or a lint or rule test that failed: 1.
    Found,
    /// Wrong usage, rules or filters: 2.
    Usage,
    /// The world refused: nothing readable, disk full: 3.
    World,
}

/// An error for a person: what went wrong and what to do.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What went wrong; empty when the output already says it.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Failure {
    /// Wrong usage.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Usage, message: message.to_string(), hints: Vec::new() }
    }

    /// The world refused.
    pub fn world(message: impl fmt::Display) -> Self {
        Self { kind: Kind::World, message: message.to_string(), hints: Vec::new() }
    }

    /// The output already says why.
    pub fn found() -> Self {
        Self { kind: Kind::Found, message: String::new(), hints: Vec::new() }
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// The exit code, as the manual lists them.
    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::Found => 1,
            Kind::Usage => 2,
            Kind::World => 3,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A reader that has seen enough (`| head`) is no failure.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        Self::world(error)
    }
}
