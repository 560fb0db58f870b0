//! The commands, one file each.

mod demo;
mod explain;
mod hunt;
#[cfg(feature = "lake")]
mod ingest;
mod rule;
mod scan;

use crate::failure::Failure;

/// What klio can do.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Find the attacks in audit logs.
    Scan(scan::Scan),
    /// Keep audit logs in the lake, judged and sealed.
    #[cfg(feature = "lake")]
    Ingest(ingest::Ingest),
    /// Print the events that match a filter.
    Hunt(hunt::Hunt),
    /// List, show, check and test detection rules.
    #[command(subcommand)]
    Rule(rule::Rule),
    /// Say in one sentence what an audit event means.
    Explain(explain::Explain),
    /// Scan the recorded attacks that come with Klio.
    Demo(demo::Demo),
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Scan(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Ingest(c) => c.run(),
            Self::Hunt(c) => c.run(),
            Self::Rule(c) => c.run(),
            Self::Explain(c) => c.run(),
            Self::Demo(c) => c.run(),
        }
    }
}
