//! `klio explain`

use std::io::{BufWriter, Read, Write};

use klio_model::{Event, explain};
use klio_source::{Chunks, Input, Item, Options, Pool, decode};

use crate::failure::Failure;
use crate::output::plain;

/// Say in one sentence what an audit event means: who did what to what, when, from where, with which outcome and
/// which binding allowed it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio explain event.json
  klio explain '{\"verb\":\"get\",\"objectRef\":{\"resource\":\"secrets\"}}'
  klio hunt 'verb:delete' audit.log -o jsonl | klio explain -")]
pub struct Explain {
    /// A file of events, the JSON text of an event, or - for standard input.
    pub event: String,
}

impl Explain {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let (options, pool) = (Options::default(), Pool::default());
        let given = self.event.trim_start();
        let chunks = if given.starts_with(['{', '[']) {
            let bytes: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(given.to_owned().into_bytes()));
            Chunks::from_reader(bytes, &Input::file("argument"), &options, &pool)
        } else {
            let found = klio_source::discover(&[&self.event]);
            let Some(input) = found.inputs.first() else {
                let why =
                    found.rejected.first().map_or_else(|| "nothing to read".to_owned(), ToString::to_string);
                return Err(Failure::world(why).hint("give a file, the JSON text of an event, or -"));
            };
            Chunks::new(input, &options, &pool)
        };
        let stdout = std::io::stdout();
        let mut out = BufWriter::new(stdout.lock());
        let mut events = 0u64;
        let mut failed = None;
        let mut wrong = Vec::new();
        for chunk in chunks {
            decode(&chunk, &mut |item| match item {
                Item::Record(record) => match Event::parse(record.json) {
                    Ok(event) => {
                        events += 1;
                        failed = failed.take().or(writeln!(out, "{}", plain(&explain(&event))).err());
                    }
                    Err(why) => wrong.push(format!("line {}: {why}", record.line)),
                },
                Item::Rejected(r) => wrong.push(r.to_string()),
                Item::Skipped(s) => wrong.push(s.to_string()),
            });
            if let Some(error) = failed.take() {
                return Err(error.into());
            }
        }
        out.flush()?;
        wrong.iter().take(20).for_each(|w| eprintln!("klio: {}", plain(w)));
        if events == 0 {
            return Err(
                Failure::usage("no audit event in there").hint("give one event of audit.k8s.io/v1 as JSON")
            );
        }
        Ok(())
    }
}
