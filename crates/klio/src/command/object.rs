//! `klio object`

mod show;

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use klio_model::history::{Basis, Gathered, History, Target, Terms, TooMuch, Until};
use klio_model::{Event, TimeRange};
use klio_source::redact::{Policy, Redactor};

use super::scan::{Window, parse_time};
use crate::failure::Failure;
use crate::files;
use crate::output::plain;

/// Tell the history of one object: who changed which fields and when, what was refused, and what the object was before.
///
/// Asks the lake, or reads files. What changed is told from recorded answers, else rebuilt from patches, else as it was asked; what
/// cannot be seen is said to be so. Before a change: + is what was added, - removed, ~ changed, = asked to be. Values of
/// secrets are never printed: a marker with a hash stands in their place, which in files differs from run to run.
#[derive(clap::Args)]
#[command(disable_version_flag = true)] // --version is an object's
#[command(after_help = "Examples:
  klio object deploy/shop/cart                       all of the lake
  klio object pod/shop/cart-7c9/exec --since 24h     only what was run in it
  klio object clusterrole/view --log audit.log
  klio object certificates.cert-manager.io/shop/tls -o json
  klio object deploy/shop/cart --version 3 > cart.yaml
  klio object deploy/shop/cart --at 2026-11-21T08:00:00Z | kubectl diff -f -")]
pub struct Object {
    /// KIND/NAMESPACE/NAME, or KIND/NAME of one that is in no namespace; with /SUBRESOURCE only what was done by that.
    /// A kind is what kubectl takes; of custom resources the plural.
    #[arg(value_name = "OBJECT", value_parser = NonEmptyStringValueParser::new())]
    pub object: String,
    /// Read these files in place of the lake: paths, directories or patterns; may be repeated.
    #[arg(long = "log", value_name = "PATH")]
    #[cfg_attr(not(feature = "lake"), arg(required = true))]
    pub logs: Vec<PathBuf>,
    /// The object of this cluster.
    #[cfg(feature = "lake")]
    #[arg(long, value_name = "NAME", conflicts_with = "logs")]
    pub cluster: Option<String>,
    #[command(flatten)]
    pub window: Window,
    /// Leave nothing out: status, heartbeats, managed fields, versions.
    #[arg(long, help_heading = "Output")]
    pub all: bool,
    /// So many changes of each step; 0 for all of them.
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Output")]
    pub lines: usize,
    /// Print the object as it was in this version.
    #[arg(long, value_name = "N", conflicts_with = "at", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    pub version: Option<u32>,
    /// Print the object as it was last known at this time.
    #[arg(long, value_name = "TIME", help_heading = "Output")]
    pub at: Option<String>,
    /// table: for people; json: a step per line. Of an object: YAML, or JSON.
    #[arg(short, long, value_enum, default_value = "table", help_heading = "Output")]
    pub output: Form,
    #[cfg(feature = "lake")]
    #[command(flatten)]
    pub data: crate::data::Data,
}

/// How it is printed.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// More changes of one step than anybody reads.
const MOST: usize = 10_000;

impl Object {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let target = Target::parse(&self.object).map_err(|e| Failure::usage(&e).hint(&e.help))?;
        let at = self.at.as_deref().map(parse_time).transpose()?;
        let until = match (self.version, at) {
            (Some(version), _) => Until::Version(version),
            (_, Some(at)) => Until::Time(at),
            _ => Until::End,
        };
        let (range, filter) = (self.window.range()?, self.window.filter()?);
        let heard = self.hear(&target, TimeRange { start: None, ..range })?;
        let left_out = heard.left_out;
        // What was before counts for what the object was, and for the numbers of versions.
        let since = TimeRange { end: None, ..range };
        let narrowed = until == Until::End;
        let show = |event: &Event<'_>| !narrowed || (since.holds(event.time()) && filter.matches(event));
        let most = if self.lines == 0 { MOST } else { self.lines.min(MOST) };
        let told = History::of(heard, &Terms { all: self.all, most, until, show: &show });
        if !told.seen {
            return Err(self.never_seen(&target));
        }
        if left_out > 0 {
            eprintln!("klio: {left_out} reads of the object were left out: there are too many");
        }
        let mut out = BufWriter::new(std::io::stdout().lock());
        if narrowed {
            match self.output {
                Form::Table => show::table(&told, &mut out)?,
                Form::Json => show::lines(&told, &mut out)?,
            }
        } else {
            self.print(&told, &mut out)?;
        }
        out.flush()?;
        if narrowed {
            told.advice().iter().for_each(|advice| {
                eprintln!("klio: {}", advice.lines().map(plain).collect::<Vec<_>>().join("\n  "))
            });
        }
        Ok(())
    }

    /// Prints what the object was.
    fn print(&self, told: &History, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(version) = self.version {
            if told.versions < version {
                let known = format!("there is no version {version}: {} are known", told.versions);
                return Err(Failure::usage(known).hint("`klio object` without --version lists them"));
            }
            let step = told.steps.iter().find(|step| step.version == Some(version));
            let unknown = matches!(step.and_then(|step| step.basis), Some(Basis::Unseen))
                || told.manifest(true).is_none();
            if unknown {
                return Err(Failure::usage(format!("what version {version} was is not known"))
                    .hint("its answer was not recorded, and it could not be rebuilt; --at TIME prints what is known last"));
            }
        }
        let manifest = told.manifest(self.all).ok_or_else(|| {
            Failure::usage(format!("what {} was then is not known", told.target.told())).hint(
                "no answer with the whole object was recorded before; `klio object` tells what was asked",
            )
        })?;
        match self.output {
            Form::Table => {
                for note in &manifest.notes {
                    writeln!(out, "# {}", plain(note))?;
                }
                let yaml = serde_saphyr::to_string(&manifest.value).map_err(Failure::world)?;
                writeln!(out, "{}", yaml.trim_end())?;
            }
            Form::Json => {
                manifest.notes.iter().for_each(|note| eprintln!("klio: {}", plain(note)));
                let json = serde_json::to_string_pretty(&manifest.value).map_err(Failure::world)?;
                writeln!(out, "{json}")?;
            }
        }
        Ok(())
    }

    fn never_seen(&self, target: &Target) -> Failure {
        let place = if self.logs.is_empty() { "that is kept" } else { "in these files" };
        let then = if self.at.is_some() { " until then" } else { "" };
        let failure = Failure::usage(format!("nothing {place} was done to {}{then}", plain(&target.told())));
        let failure = failure.hint(plain(&target.advice()));
        if !self.logs.is_empty() {
            return failure;
        }
        failure.hint(format!(
            "`klio stats distinct resource,namespace 'name:{}'` shows what there is of that name",
            plain(&target.name)
        ))
    }

    /// Gathers the events about the object.
    fn hear(&self, target: &Target, range: TimeRange) -> Result<Gathered, Failure> {
        #[cfg(feature = "lake")]
        if self.logs.is_empty() {
            return self.ask(target, range);
        }
        let mut ear = Ear::new(target, Policy::default())?;
        let reading = files::each(&self.logs, &mut |event, _| {
            if range.holds(event.time()) {
                ear.hear("", event)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        reading.verdict()?;
        Ok(ear.clusters.remove("").unwrap_or_else(|| Gathered::new(target.clone())))
    }

    /// Asks the lake.
    #[cfg(feature = "lake")]
    fn ask(&self, target: &Target, range: TimeRange) -> Result<Gathered, Failure> {
        let mut ear = Ear::new(target, self.data.config()?.redaction)?;
        let mut heard = Ok(());
        let mut lake = self.data.lake()?;
        lake.find(&target.filter(), range, &mut |kept| {
            if self.cluster.as_ref().is_none_or(|cluster| *cluster == kept.cluster)
                && let Some(event) = kept.event()
            {
                heard = ear.hear(&kept.cluster, &event);
            }
            if heard.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(crate::data::refused)?;
        heard?;
        if ear.clusters.len() > 1 {
            let names: Vec<&str> = ear.clusters.keys().map(String::as_str).collect();
            return Err(Failure::usage(format!(
                "several clusters have such an object: {}",
                plain(&names.join(", "))
            ))
            .hint("say which one: --cluster NAME"));
        }
        Ok(ear.clusters.into_values().next().unwrap_or_else(|| Gathered::new(target.clone())))
    }
}

/// Takes the events about an object, without their secrets.
struct Ear<'t> {
    target: &'t Target,
    redactor: Redactor,
    redacted: String,
    clusters: BTreeMap<String, Gathered>,
}

impl<'t> Ear<'t> {
    /// Whatever the policy says of what is kept, secrets are not shown.
    fn new(target: &'t Target, mut policy: Policy) -> Result<Self, Failure> {
        policy.off = false;
        (policy.rules.secrets, policy.rules.tokens) = (true, true);
        let redactor = Redactor::new(key(), policy).map_err(Failure::usage)?;
        Ok(Self { target, redactor, redacted: String::new(), clusters: BTreeMap::new() })
    }

    fn hear(&mut self, cluster: &str, event: &Event<'_>) -> Result<(), Failure> {
        if !self.target.is_of(event) {
            return Ok(());
        }
        let gathered =
            self.clusters.entry(cluster.to_owned()).or_insert_with(|| Gathered::new(self.target.clone()));
        let taken = if self.redactor.redact(event.json(), event, &mut self.redacted).is_none() {
            gathered.take(event)
        } else {
            let Ok(mut cleared) = Event::parse(&self.redacted) else { return Ok(()) };
            cleared.salvaged = event.salvaged;
            gathered.take(&cleared)
        };
        taken.map_err(|e: TooMuch| {
            Failure::world(e).hint("narrow it with --until, or an object with fewer requests")
        })
    }
}

/// A key for the hashes in markers, new in each run.
fn key() -> [u8; 32] {
    let random = foldhash::quality::RandomState::default();
    let mut key = [0; 32];
    for (i, word) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *word = random.hash_one(i).to_le_bytes();
    }
    key
}
