//! `klio hunt`

mod met;

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use klio_detect::Lookup;
use klio_detect::lookup::Places;
#[cfg(feature = "lake")]
use klio_detect::lookup::{reads, wider};
use klio_model::{Event, Filter, explain};

use super::scan::{Window, parse_filter};
use crate::failure::Failure;
use crate::files;
use crate::hunts::{self, Ask};
use crate::lookup::Lists;
use crate::output::plain;
use met::Tally;

/// What is looked for if there are indicators and no filter.
const MET: &str = "indicator.list:*";

/// Print the events that match a filter, or the answer to a hunt of the library (`@NAME`; `klio hunts` lists them).
///
/// With --indicators the filter may be left out: then all that meets an indicator is printed, and how often each was met.
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
  klio hunt --indicators feed.csv                              all that met an indicator, in the lake
  klio hunt 'source.country:KP and verb:create' --geo country.mmdb
  klio hunt 'code >= 400 and source.scope:public' audit.log --since 24h --limit 20")]
pub struct Hunt {
    /// What to look for, or @ and the name of a hunt.
    #[arg(required_unless_present = "indicators")]
    pub filter: Option<String>,
    /// Files, directories, patterns, or - for standard input; nothing for the lake.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub window: Window,
    #[command(flatten)]
    pub lists: Lists,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// table: a line per event; wide: with address and client; jsonl: the events exactly as they were received.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: HuntFormat,
    #[cfg(feature = "lake")]
    #[command(flatten)]
    pub clusters: crate::data::Clusters,
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
        let mut text = self.filter.take();
        // Where the filter may be left out, what stands in its place may be the first path.
        if let Some(path) = text.take_if(|text| !self.lists.indicators.is_empty() && is_path(text)) {
            self.paths.insert(0, path.into());
        }
        let mut text = text.unwrap_or_else(|| MET.to_owned());
        if let Some(slug) = text.strip_prefix('@') {
            let hunt = hunts::named(slug).ok_or_else(|| unknown(slug))?;
            eprintln!("klio: {}", hunt.title);
            match hunt.ask {
                Ask::Filter(filter) => filter.clone_into(&mut text),
                Ask::Sql(query) => return self.count(query),
            }
        }
        let filter = Filter::and([parse_filter(&text)?, self.window.filter()?]);
        #[cfg(feature = "lake")]
        if self.paths.is_empty() {
            if Path::new(&text).is_file() {
                return Err(Failure::usage(format!("{text} is a file, and the filter is missing"))
                    .hint(format!("klio hunt '*' {text}")));
            }
            return self.ask(&filter);
        }
        #[cfg(feature = "lake")]
        if !self.clusters.is_all() {
            return Err(Failure::usage("--cluster is of the lake: files do not say whose they are"));
        }
        #[cfg(feature = "lake")]
        let filter = self.data.asked(filter)?;
        let (lookup, mut places) = (lookup(&self.lists, &filter)?, Places::default());
        let mut tally = Tally::default();
        let range = self.window.range()?;
        let stdout = std::io::stdout();
        let mut out = BufWriter::new(stdout.lock());
        let mut left = self.limit.unwrap_or(u64::MAX);
        let reading = files::each(&self.paths, &mut |event, raw| {
            lookup.fill(event, &mut places);
            if left > 0 && range.holds(event.time()) && filter.matches(event) {
                left -= 1;
                tally.note(event);
                self.output.show(event, raw, &mut out)?;
            }
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        tally.tell(self.output, &mut out)?;
        out.flush()?;
        reading.verdict()
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
    fn ask(self, filter: &Filter) -> Result<(), Failure> {
        let filter = &self.data.asked(filter.clone())?;
        let range = self.window.range()?;
        let lookup = lookup(&self.lists.and(&self.data.config()?.lookup), filter)?;
        // The lake has no lists: it finds what could match, and what does is told here.
        let wide = reads(filter).then(|| wider(filter));
        let (mut places, mut tally, mut matched) = (Places::default(), Tally::default(), 0);
        let mut lake = self.clusters.lake(&self.data)?;
        let started = std::time::Instant::now();
        let stdout = std::io::stdout();
        let mut out = BufWriter::new(stdout.lock());
        let (mut left, mut failed) = (self.limit.unwrap_or(u64::MAX), None);
        let scanned = lake.find(wide.as_ref().unwrap_or(filter), range, &mut |kept| {
            let Some(mut event) = kept.event() else { return ControlFlow::Continue(()) };
            lookup.fill(&mut event, &mut places);
            if left > 0 && (wide.is_none() || filter.matches(&event)) {
                left -= 1;
                matched += 1;
                tally.note(&event);
                failed = self.output.show(&event, kept.raw.as_bytes(), &mut out).err();
            }
            let done = left == 0 || failed.is_some();
            if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let mut scanned = scanned.map_err(Failure::world)?;
        scanned.matched = if wide.is_some() { matched } else { scanned.matched };
        failed.map_or(Ok(()), Err)?;
        tally.tell(self.output, &mut out)?;
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
            Self::Table => {
                writeln!(out, "{}", plain(&explain(event)))?;
                met::show(event, out)
            }
            Self::Wide => {
                let text = |f| event.text_of(f).unwrap_or("-");
                writeln!(
                    out,
                    "{}  [{} {} {}]",
                    plain(&explain(event)),
                    plain(text(klio_model::Field::AuditId)),
                    plain(text(klio_model::Field::SourceIp)),
                    plain(text(klio_model::Field::UserAgent))
                )?;
                met::show(event, out)
            }
        }
    }
}

/// Whether a text names something to read.
fn is_path(text: &str) -> bool {
    text == "-" || Path::new(text).exists() || !klio_source::discover(&[text]).inputs.is_empty()
}

/// Reads the lists, and says so if the filter needs one that is not there.
fn lookup(lists: &Lists, filter: &Filter) -> Result<Lookup, Failure> {
    let lookup = lists.load()?;
    if let Some(lack) = lookup.lacks(filter) {
        eprintln!("klio: nothing can match: {}", lack.advice());
    }
    Ok(lookup)
}

fn unknown(slug: &str) -> Failure {
    let failure = Failure::usage(format!("there is no hunt `{slug}`"));
    match hunts::nearest(slug) {
        Some(near) => failure.hint(format!("did you mean @{near}? `klio hunts` lists them all")),
        None => failure,
    }
}
