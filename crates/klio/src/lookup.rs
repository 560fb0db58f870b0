//! The lists and databases that a command is given: `--geo`, `--indicators`, and `lookup` in `klio.yaml`.

use std::path::{Path, PathBuf};

use klio_detect::Lookup;
use klio_detect::lookup::{Atlas, Import};

use crate::failure::Failure;
use crate::output::plain;

/// Bytes of a database, and of a list.
const MOST: u64 = 1 << 30;

/// Files that tell more about requests than audit logs do.
#[derive(clap::Args, Default, Clone, Debug, serde::Deserialize)]
#[cfg_attr(feature = "lake", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Lists {
    /// Database of countries or networks (MMDB of MaxMind, DB-IP, IPinfo); may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Lists and databases")]
    pub geo: Vec<PathBuf>,
    /// List of indicators (CSV, one value a line, STIX 2.1); may be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Lists and databases")]
    pub indicators: Vec<PathBuf>,
}

impl Lists {
    /// These, then those.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let both = |a: &[PathBuf], b: &[PathBuf]| [a, b].concat();
        Self { geo: both(&self.geo, &more.geo), indicators: both(&self.indicators, &more.indicators) }
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.geo.iter().chain(&self.indicators)
    }

    /// Reads them; rows that cannot be used are told on stderr, and the rest counts.
    pub fn load(&self) -> Result<Lookup, Failure> {
        let mut atlas = Atlas::default();
        for path in &self.geo {
            atlas
                .add(read(path)?)
                .map_err(|e| refused(path, e).hint("give a .mmdb file with countries or networks"))?;
        }
        let mut import = Import::default();
        for path in &self.indicators {
            let text = String::from_utf8(read(path)?).map_err(|e| {
                refused(path, format!("not UTF-8 after byte {}", e.utf8_error().valid_up_to()))
            })?;
            let told = import.file(&name(path), &text).map_err(|e| refused(path, e))?;
            for row in &told.refused {
                eprintln!("warning: {}:{}: {}", path.display(), row.place, plain(&row.why));
            }
            let more = told.refusals - told.refused.len();
            if more > 0 {
                eprintln!("warning: {}: {more} more rows cannot be used", path.display());
            }
        }
        let atlas = (!self.geo.is_empty()).then_some(atlas);
        Ok(Lookup { atlas, indicators: import.finish() })
    }
}

/// What a list is called that does not say so itself.
fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {why}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let length = std::fs::metadata(path).map_err(|e| refused(path, e))?.len();
    if length > MOST {
        return Err(refused(path, format!("larger than {} MiB", MOST >> 20)));
    }
    std::fs::read(path).map_err(|e| refused(path, e))
}
