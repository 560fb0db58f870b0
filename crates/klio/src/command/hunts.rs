//! `klio hunts`

use std::io::Write;

use crate::failure::Failure;
use crate::hunts::{self, Ask, Hunt};
use crate::output::Grid;

/// The library of hunts: list it, or show one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio hunts
  klio hunts secrets                        those that say so
  klio hunts secrets-listed-by-hand         the page of one
  klio hunt @secrets-listed-by-hand         ask the lake
  klio hunt @secrets-listed-by-hand audit.log")]
pub struct Hunts {
    /// The name of one, or a word.
    pub word: Option<String>,
}

impl Hunts {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if let Some(hunt) = self.word.as_deref().and_then(hunts::named) {
            write!(out, "{}", hunt.page)?;
            return Ok(());
        }
        let says = |hunt: &Hunt| {
            let word = self.word.as_deref().unwrap_or_default().to_lowercase();
            hunt.page.to_lowercase().contains(&word) || hunt.slug.contains(&word)
        };
        let mut grid = Grid::new(&["name", "question", "tactic", "asks"]);
        let found: Vec<Hunt> = hunts::all().into_iter().filter(says).collect();
        for hunt in &found {
            let asks = if matches!(hunt.ask, Ask::Sql(_)) { "the lake" } else { "files or the lake" };
            grid.row(vec![hunt.slug.into(), hunt.title.into(), hunt.tactic.into(), asks.into()]);
        }
        if found.is_empty() {
            return Err(Failure::usage(format!("no hunt says `{}`", self.word.unwrap_or_default()))
                .hint("`klio hunts` lists them all"));
        }
        write!(out, "{grid}")?;
        Ok(())
    }
}
