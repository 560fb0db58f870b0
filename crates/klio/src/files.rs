//! The events of files, one file after the other.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use klio_model::Event;
use klio_source::{Chunks, Item, Options, Pool, decode, diagnose, discover};

use crate::failure::Failure;
use crate::output::plain;
use crate::scan::named;

/// Troubles that are named one by one.
const TROUBLES: usize = 5;

/// How reading went.
pub struct Reading {
    /// Events.
    read: u64,
    /// Records that are none.
    rejected: u64,
    troubles: Vec<String>,
    /// Whether there was anything to read.
    found: bool,
    /// Whether a path that was named could not be read.
    missing: bool,
}

/// What is done with an event and the bytes received for it; it breaks to stop.
pub type Each<'f> = dyn FnMut(&mut Event<'_>, &[u8]) -> Result<ControlFlow<()>, Failure> + 'f;

/// Calls `f` with each event of the files.
pub fn each(paths: &[PathBuf], f: &mut Each<'_>) -> Result<Reading, Failure> {
    let found = discover(paths);
    let mut reading = Reading {
        read: 0,
        rejected: 0,
        troubles: found.rejected.iter().map(ToString::to_string).collect(),
        found: !found.inputs.is_empty(),
        missing: !named(paths, &found.rejected).is_empty(),
    };
    let (options, pool) = (Options::default(), Pool::default());
    let mut flow = Ok(ControlFlow::Continue(()));
    for input in &found.inputs {
        for chunk in Chunks::new(input, &options, &pool) {
            decode(&chunk, &mut |item| match item {
                Item::Record(record) if matches!(flow, Ok(ControlFlow::Continue(()))) => {
                    let Ok(mut event) = Event::parse(record.json) else {
                        let reason = diagnose(record.json)
                            .map_or_else(|| "not an audit event".to_owned(), |reason| reason.to_string());
                        return reading.reject(1, &format!("{}:{}: {reason}", chunk.file, record.line));
                    };
                    reading.read += 1;
                    event.salvaged = record.salvaged;
                    flow = f(&mut event, record.raw);
                }
                Item::Rejected(rejected) => reading.reject(rejected.count, &rejected.to_string()),
                _ => {}
            });
            if flow?.is_break() {
                return Ok(reading);
            }
            flow = Ok(ControlFlow::Continue(()));
        }
    }
    Ok(reading)
}

impl Reading {
    fn reject(&mut self, count: u64, trouble: &str) {
        self.rejected += count;
        if self.troubles.len() < TROUBLES {
            self.troubles.push(trouble.to_owned());
        }
    }

    /// Says on stderr what could not be read; fails if nothing could, or a path that was named could not.
    pub fn verdict(&self) -> Result<(), Failure> {
        if self.rejected > 0 || !self.troubles.is_empty() {
            eprintln!("klio: {} records could not be read", self.rejected);
            self.troubles.iter().take(TROUBLES).for_each(|t| eprintln!("  {}", plain(t)));
        }
        if !self.found {
            return Err(
                Failure::world("nothing to read").hint("give audit log files, directories, patterns, or -")
            );
        }
        if self.read == 0 && self.rejected > 0 {
            return Err(Failure::world("no audit event could be read"));
        }
        if self.missing {
            return Err(Failure::world("some paths could not be read").hint("the rest was searched"));
        }
        Ok(())
    }
}

/// Bytes of a file that people write by hand.
const WRITTEN: u64 = 4 << 20;

/// Reads a file that people write by hand; what is wrong with it is told with its name.
pub fn written<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, Failure>) -> Result<T, Failure> {
    let read = || {
        if std::fs::metadata(path).map_err(Failure::usage)?.len() > WRITTEN {
            return Err(Failure::usage("larger than 4 MiB"));
        }
        parse(&std::fs::read_to_string(path).map_err(Failure::usage)?)
    };
    read()
        .map_err(|failure| Failure { message: format!("{}: {}", path.display(), failure.message), ..failure })
}

/// Whether a YAML text says nothing: empty lines and comments.
pub fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}
