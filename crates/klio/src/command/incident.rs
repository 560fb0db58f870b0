//! `klio incident`

use std::io::Write;
use std::path::PathBuf;

use serde::Deserialize;

use super::scan::Window;
use crate::failure::Failure;
use crate::output::{self, Grid, plain};
use crate::pack::Rules;
use crate::scan::{self, Options};

/// List incidents, or tell one: what happened, what it rests on, how far it reached, and what to do now.
///
/// Asks the lake, or judges files. Commands that contain an incident are printed and never run.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio incident                              all of the lake, the gravest first
  klio incident --since 24h
  klio incident 3f6a                         the one whose id begins so
  klio incident --log audit.log              those of a file
  klio incident 3f6a --log audit.log -o json")]
pub struct Incident {
    /// The id of one, or its beginning.
    pub id: Option<String>,
    /// Judge these files in place of the lake: paths, directories or patterns; may be repeated.
    #[arg(long = "log", value_name = "PATH")]
    #[cfg_attr(not(feature = "lake"), arg(required = true))]
    pub logs: Vec<PathBuf>,
    #[command(flatten)]
    pub window: Window,
    #[command(flatten)]
    pub rules: Rules,
    /// table: for people; json: the incidents as `klio scan -o jsonl` has its stories, one per line.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Form,
    #[cfg(feature = "lake")]
    #[command(flatten)]
    pub clusters: crate::data::Clusters,
    #[cfg(feature = "lake")]
    #[command(flatten)]
    pub data: crate::data::Data,
}

/// How it is printed.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For people.
    Table,
    /// One JSON object per line.
    Json,
}

#[derive(Deserialize)]
struct Told {
    id: String,
    severity: String,
    score: u32,
    first: Option<String>,
    last: Option<String>,
    actors: Vec<Actor>,
    events: Vec<Event>,
    unlisted_events: u64,
    #[serde(default)]
    narrative: Vec<Paragraph>,
    #[serde(default)]
    causes: Vec<Paragraph>,
    #[serde(default)]
    containment: Vec<Step>,
}

#[derive(Deserialize)]
struct Actor {
    user: Option<String>,
    impersonated: Option<String>,
    person: Option<Person>,
    source_ip: Option<String>,
}

#[derive(Deserialize)]
struct Person {
    name: String,
}

impl Actor {
    /// `alice (Alice Example) as system:admin`
    fn named(&self) -> String {
        let person = self.person.as_ref().map(|person| format!(" ({})", person.name)).unwrap_or_default();
        let other = self.impersonated.as_ref().map(|other| format!(" as {other}")).unwrap_or_default();
        format!("{}{person}{other}", self.user.as_deref().unwrap_or("(nobody)"))
    }
}

#[derive(Deserialize)]
struct Event {
    audit_id: String,
    time: Option<String>,
    what: String,
}

#[derive(Deserialize)]
struct Paragraph {
    text: String,
    evidence: Vec<String>,
}

#[derive(Deserialize)]
struct Step {
    command: String,
    effect: String,
    collateral: String,
    rollback: String,
}

impl Incident {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let mut all: Vec<(Told, String)> = Vec::new();
        for json in self.all()? {
            let told: Told = serde_json::from_str(&json).map_err(Failure::world)?;
            all.push((told, json));
        }
        let rank = |told: &Told| (told.severity.parse::<klio_model::Severity>().ok(), told.score);
        all.sort_by(|(a, _), (b, _)| (rank(b), &a.first, &a.id).cmp(&(rank(a), &b.first, &b.id)));
        if let Some(id) = &self.id {
            all.retain(|(told, _)| told.id.starts_with(id.as_str()));
            match all.len() {
                0 => {
                    return Err(Failure::usage(format!("there is no incident {id}"))
                        .hint("`klio incident` lists them; an id changes when an earlier finding joins its incident"));
                }
                1 => {}
                n => {
                    return Err(
                        Failure::usage(format!("{n} incidents begin with {id}")).hint("give more of it")
                    );
                }
            }
        }
        let mut out = std::io::stdout().lock();
        if self.output == Form::Json {
            return all.iter().try_for_each(|(_, json)| Ok(writeln!(out, "{json}")?));
        }
        if self.id.is_some() {
            return all.iter().try_for_each(|(told, _)| Ok(tell(told, &mut out)?));
        }
        let mut grid = Grid::new(&["id", "severity", "score", "began", "who", "requests"]);
        for (told, _) in &all {
            let who = told.actors.first().map_or_else(|| "(nobody)".to_owned(), Actor::named);
            let more = told.actors.len().saturating_sub(1);
            let more = if more > 0 { format!(" +{more}") } else { String::new() };
            grid.row(vec![
                told.id.clone(),
                told.severity.clone(),
                told.score.to_string(),
                told.first.as_deref().map(short).unwrap_or_default(),
                format!("{}{more}", plain(&who)),
                (told.events.len() as u64 + told.unlisted_events).to_string(),
            ]);
        }
        if all.is_empty() {
            eprintln!("klio: no incidents");
        } else {
            write!(out, "{grid}")?;
        }
        Ok(())
    }

    /// The JSON of each.
    fn all(&self) -> Result<Vec<String>, Failure> {
        #[cfg(feature = "lake")]
        if self.logs.is_empty() {
            let wanted = klio_store::Wanted { range: self.window.range()?, ..klio_store::Wanted::default() };
            let found = self.data.lake()?.verdicts(klio_store::VerdictKind::Incident, wanted);
            let found = found.map_err(crate::data::refused)?;
            let found = found.into_iter().filter(|verdict| self.clusters.has(&verdict.cluster));
            return Ok(found.map(|verdict| verdict.json).collect());
        }
        #[cfg(feature = "lake")]
        if !self.clusters.is_all() {
            return Err(Failure::usage("--cluster is of the lake: files do not say whose they are"));
        }
        let (set, _) = self.rules.load()?.told();
        let mut options = Options::of(self.logs.clone());
        (options.filter, options.range) = (self.window.filter()?, self.window.range()?);
        options.listing = false;
        let report = scan::run(&options, &set)?;
        if !report.summary.missing.is_empty() {
            return Err(Failure::world(report.summary.missing.join("\n      ")));
        }
        Ok(report.stories.iter().map(|story| output::story(story, &report.rules).1).collect())
    }
}

/// `2026-11-21 01:16:02`
fn short(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}

fn tell(told: &Told, out: &mut dyn Write) -> std::io::Result<()> {
    let when = |time: &Option<String>| time.as_deref().map_or_else(|| "?".to_owned(), short);
    writeln!(out, "Incident {}: {}, score {}", told.id, told.severity, told.score)?;
    writeln!(out, "{} to {} UTC", when(&told.first), when(&told.last))?;
    for actor in &told.actors {
        let from = actor.source_ip.as_deref().map(|ip| format!(" from {ip}")).unwrap_or_default();
        writeln!(out, "  {}{}", plain(&actor.named()), plain(&from))?;
    }
    let mut proofs: Vec<&str> = Vec::new();
    tell_each("What happened", &told.narrative, &mut proofs, out)?;
    if !told.causes.is_empty() {
        tell_each("Where it began", &told.causes, &mut proofs, out)?;
    }
    if !proofs.is_empty() {
        writeln!(out, "\nEvidence")?;
    }
    for (number, id) in proofs.iter().enumerate() {
        let event = told.events.iter().find(|event| event.audit_id == *id);
        let said = event.map_or_else(String::new, |event| format!("{}  {}", when(&event.time), event.what));
        writeln!(out, "  [{}] {}  {}", number + 1, plain(id), plain(&said))?;
    }
    if !told.containment.is_empty() {
        writeln!(out, "\nWhat to do now. Klio runs none of this.")?;
    }
    for (number, step) in told.containment.iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, plain(&step.command))?;
        writeln!(out, "     Effect: {}.", plain(&step.effect))?;
        writeln!(out, "     Also hit: {}.", plain(&step.collateral))?;
        writeln!(out, "     Way back: {}.", plain(&step.rollback))?;
    }
    Ok(())
}

/// Paragraphs under a heading, with the numbers of what they rest on.
fn tell_each<'t>(
    heading: &str,
    paragraphs: &'t [Paragraph],
    proofs: &mut Vec<&'t str>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    writeln!(out, "\n{heading}")?;
    for paragraph in paragraphs {
        let mut marks = Vec::new();
        for id in &paragraph.evidence {
            let number = proofs.iter().position(|known| known == id).unwrap_or_else(|| {
                proofs.push(id);
                proofs.len() - 1
            });
            marks.push((number + 1).to_string());
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
        writeln!(out, "  {}{marks}", plain(&paragraph.text))?;
    }
    Ok(())
}
