//! `klio hunt`

use std::io::{BufWriter, Write};
#[cfg(feature = "lake")]
use std::ops::ControlFlow;
use std::path::PathBuf;

use klio_model::{Event, explain};
use klio_source::{Chunks, Item, Options, Pool, decode, diagnose, discover};

use super::scan::{Window, parse_filter};
use crate::failure::Failure;
use crate::hunts::{self, Ask};
use crate::output::plain;
use crate::scan::named;

/// Print the events that match a filter, or the answer to a hunt of the library (`@NAME`; `klio hunts` lists them).
///
/// The filter language is that of `--where`: `field:value`, wildcards, ranges, `and or not`, parentheses,
/// quoted strings, `field:*` for present. The field guide (docs/fields.md) lists the fields.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio hunt 'user:alice and verb:delete' --since 24h          in the lake
  klio hunt 'verb:delete and resource:events' audit.log
  klio hunt 'resource:secrets and user.kind:human' /var/log/kubernetes/audit/ -o wide
  klio hunt 'exec.command:*/etc/shadow*' audit.log -o jsonl
  klio hunt @secrets-listed-by-hand audit.log
  klio hunt 'code >= 400 and source.scope:public' audit.log --since 24h --limit 20")]
pub struct Hunt {
    /// What to look for, or @ and the name of a hunt.
    pub filter: String,
    /// Files, directories, patterns, or - for standard input; nothing for the lake.
    #[arg(value_name = "PATH")]
    #[cfg_attr(not(feature = "lake"), arg(required = true))]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub window: Window,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// table: a line per event; wide: with address and client; jsonl: the events exactly as they were received.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: HuntFormat,
    #[cfg(feature = "lake")]
    #[command(flatten)]
    pub data: crate::data::Data,
}

/// `-o` of hunt.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum HuntFormat {
    /// One line per event.
    Table,
    /// With address and client.
    Wide,
    /// The events as received, one per line.
    #[value(alias = "json")]
    Jsonl,
}

impl Hunt {
    /// Runs the command.
    pub fn run(mut self) -> Result<(), Failure> {
        if let Some(slug) = self.filter.strip_prefix('@') {
            let hunt = hunts::named(slug).ok_or_else(|| unknown(slug))?;
            eprintln!("klio: {}", hunt.title);
            match hunt.ask {
                Ask::Filter(filter) => filter.clone_into(&mut self.filter),
                Ask::Sql(query) => return self.count(query),
            }
        }
        #[cfg(feature = "lake")]
        if self.paths.is_empty() {
            return self.ask();
        }
        let filter = parse_filter(&self.filter)?;
        #[cfg(feature = "lake")]
        let filter = self.data.asked(filter)?;
        let and = self.window.filter()?;
        let range = self.window.range()?;
        let found = discover(&self.paths);
        let mut troubles: Vec<String> = found.rejected.iter().map(ToString::to_string).collect();
        let (options, pool) = (Options::default(), Pool::default());
        let stdout = std::io::stdout();
        let mut out = BufWriter::new(stdout.lock());
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut failed = None;
        let (mut read, mut rejected) = (0u64, 0);
        'files: for input in &found.inputs {
            for chunk in Chunks::new(input, &options, &pool) {
                decode(&chunk, &mut |item| match item {
                    Item::Record(record) if left > 0 && failed.is_none() => {
                        let event = Event::parse(record.json).ok();
                        let Some(mut event) = event else {
                            rejected += 1;
                            if troubles.len() < 5 {
                                let reason = diagnose(record.json).map_or_else(
                                    || "not an audit event".to_owned(),
                                    |reason| reason.to_string(),
                                );
                                troubles.push(format!("{}:{}: {reason}", chunk.file, record.line));
                            }
                            return;
                        };
                        read += 1;
                        event.salvaged = record.salvaged;
                        if range.holds(event.time()) && filter.matches(&event) && and.matches(&event) {
                            left -= 1;
                            failed = self.output.show(&event, record.raw, &mut out).err();
                        }
                    }
                    Item::Rejected(r) => {
                        rejected += r.count;
                        if troubles.len() < 5 {
                            troubles.push(r.to_string());
                        }
                    }
                    _ => {}
                });
                if left == 0 || failed.is_some() {
                    break 'files;
                }
            }
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        out.flush()?;
        if rejected > 0 || !troubles.is_empty() {
            eprintln!("klio: {rejected} records could not be read");
            troubles.iter().take(5).for_each(|t| eprintln!("  {}", plain(t)));
        }
        if found.inputs.is_empty() {
            return Err(
                Failure::world("nothing to read").hint("give audit log files, directories, patterns, or -")
            );
        }
        if read == 0 && rejected > 0 {
            return Err(Failure::world("no audit event could be read"));
        }
        if !named(&self.paths, &found.rejected).is_empty() {
            return Err(Failure::world("some paths could not be read").hint("the rest was searched"));
        }
        Ok(())
    }

    /// Asks the lake in SQL.
    fn count(self, query: &str) -> Result<(), Failure> {
        if !self.paths.is_empty() || !self.window.is_open() {
            return Err(Failure::usage("this hunt is SQL and asks the lake, as a whole").hint(
                "keep the files first (`klio ingest PATH`); `klio hunts NAME` shows the query, to be narrowed for `klio sql`",
            ));
        }
        #[cfg(feature = "lake")]
        return super::sql::Sql::of(query, self.limit, self.output == HuntFormat::Jsonl, self.data).run();
        #[cfg(not(feature = "lake"))]
        Err(Failure::usage(format!("this build has no lake to ask: {query}")))
    }

    /// Asks the lake.
    #[cfg(feature = "lake")]
    fn ask(self) -> Result<(), Failure> {
        let filter = klio_model::Filter::and([parse_filter(&self.filter)?, self.window.filter()?]);
        let filter = self.data.asked(filter)?;
        let range = self.window.range()?;
        let mut lake = self.data.lake()?;
        let started = std::time::Instant::now();
        let stdout = std::io::stdout();
        let mut out = BufWriter::new(stdout.lock());
        let (mut left, mut failed) = (self.limit.unwrap_or(u64::MAX), None);
        let scanned = lake.find(&filter, range, &mut |kept| {
            if left > 0
                && let Some(event) = kept.event()
            {
                left -= 1;
                failed = self.output.show(&event, kept.raw.as_bytes(), &mut out).err();
            }
            let done = left == 0 || failed.is_some();
            if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let scanned = scanned.map_err(Failure::world)?;
        failed.map_or(Ok(()), Err)?;
        out.flush()?;
        if left == 0 {
            eprintln!("klio: stopped at the limit; there may be more");
        } else {
            scanned_note(&scanned, started.elapsed());
        }
        Ok(())
    }
}

/// Says on stderr how much was looked at.
#[cfg(feature = "lake")]
pub fn scanned_note(scanned: &klio_store::Scanned, took: std::time::Duration) {
    let part = |count: u64, words: &str| if count > 0 { format!(", {count} {words}") } else { String::new() };
    eprintln!(
        "klio: {} of {} events match; {} files{}, {} records read{}; {} ms",
        scanned.matched,
        scanned.rows + scanned.fresh,
        scanned.files,
        part(scanned.skipped, "left out by time"),
        scanned.records + scanned.fresh,
        part(scanned.fresh, "not in a file yet"),
        took.as_millis(),
    );
    if scanned.shredded > 0 {
        eprintln!("klio: {} more files cannot be read: their key was destroyed", scanned.shredded);
    }
}

impl HuntFormat {
    /// Prints an event.
    pub fn show(self, event: &Event<'_>, raw: &[u8], out: &mut dyn Write) -> std::io::Result<()> {
        match self {
            Self::Jsonl => {
                if raw.contains(&b'\n') {
                    // A pretty-printed event becomes one line; no line ends within a string.
                    return writeln!(out, "{}", event.json().replace(['\n', '\r'], " "));
                }
                out.write_all(raw)?;
                writeln!(out)
            }
            Self::Table => writeln!(out, "{}", plain(&explain(event))),
            Self::Wide => {
                let text = |f| event.text_of(f).unwrap_or("-");
                writeln!(
                    out,
                    "{}  [{} {} {}]",
                    plain(&explain(event)),
                    plain(text(klio_model::Field::AuditId)),
                    plain(text(klio_model::Field::SourceIp)),
                    plain(text(klio_model::Field::UserAgent))
                )
            }
        }
    }
}

fn unknown(slug: &str) -> Failure {
    let failure = Failure::usage(format!("there is no hunt `{slug}`"));
    match hunts::nearest(slug) {
        Some(near) => failure.hint(format!("did you mean @{near}? `klio hunts` lists them all")),
        None => failure,
    }
}
