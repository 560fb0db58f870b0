//! Is each recorded attack one incident, told right?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use klio_model::{Event, Field};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

/// What the incidents of medium or above make of one attack.
#[derive(Debug, Default, Serialize)]
pub struct Incidents {
    /// Those that hold a labelled event.
    pub own: usize,
    /// Those that hold none.
    pub stray: usize,
    /// The most severe, of all.
    pub worst: String,
    /// Whether the narratives name who the labels say did it.
    pub actor: bool,
    /// Whether a technique of the labels, or its parent, is one of the incidents'.
    pub technique: bool,
    /// Labelled objects that were written, deleted or entered, and secrets that were read; not refused.
    pub objects: usize,
    /// Of these, named in what is told.
    pub objects_named: usize,
    /// Labelled phases ("1 initial access: …") in the order in which the incidents tell them.
    pub phases: Vec<u32>,
}

/// The severities that make a finding or story count.
pub const GRAVE: [&str; 3] = ["medium", "high", "critical"];

impl Incidents {
    /// Judges the stories among the lines of a scan.
    pub fn of(
        lines: &[Value],
        labels: &Value,
        steps: &BTreeMap<&str, &str>,
        log: &Path,
    ) -> Result<Self, Error> {
        let mut judged = Self::default();
        let (mut told, mut techniques) = (String::new(), BTreeSet::new());
        let tagged: HashMap<&str, Vec<&str>> = lines
            .iter()
            .filter(|line| line["type"] == "finding")
            .filter_map(|line| Some((line["id"].as_str()?, texts(&line["techniques"]))))
            .collect();
        for story in lines.iter().filter(|line| line["type"] == "story") {
            let severity = story["severity"].as_str().unwrap_or_default();
            if rank(severity) > rank(&judged.worst) {
                severity.clone_into(&mut judged.worst);
            }
            if !GRAVE.contains(&severity) {
                continue;
            }
            let ids = super::ids(&story["events"]);
            if !ids.iter().any(|id| steps.contains_key(id)) {
                judged.stray += 1;
                continue;
            }
            judged.own += 1;
            told.push_str(&words(story));
            for finding in texts(&story["findings"]) {
                techniques.extend(tagged.get(finding).into_iter().flatten().copied());
            }
            let phases = ids.iter().filter_map(|id| steps.get(id)?.split(' ').next()?.parse().ok());
            for phase in phases {
                if !judged.phases.contains(&phase) {
                    judged.phases.push(phase);
                }
            }
        }
        let attacker = labels["attacker"].as_str().unwrap_or_default();
        judged.actor = actors(attacker).all(|name| told.contains(name));
        judged.technique = texts(&labels["mitre"]).iter().any(|wanted| {
            let parent = wanted.split('.').next().unwrap_or_default();
            techniques.iter().any(|t| t.split('.').next().unwrap_or_default().eq_ignore_ascii_case(parent))
        });
        for object in objects(log, steps)? {
            judged.objects += 1;
            judged.objects_named += usize::from(told.contains(&object));
        }
        Ok(judged)
    }
}

/// What a reader is told in words: the narrative and how far it reached.
fn words(story: &Value) -> String {
    let parts = story["narrative"].as_array().into_iter().flatten();
    let mut words: Vec<String> = parts.filter_map(|part| Some(part["text"].as_str()?.to_owned())).collect();
    words.push(story["reach"].to_string());
    words.join("\n") + "\n"
}

/// The names in a label such as `a -> b; pod address` or `alice from 192.0.2.1`; who is not signed in has the
/// name of his address.
fn actors(label: &str) -> impl Iterator<Item = &str> {
    let people = label.split(';').next().unwrap_or_default();
    people.split("->").filter_map(|part| {
        let mut words = part.split_whitespace();
        let first = words.next()?;
        if first == "unauthenticated" { words.next_back() } else { Some(first) }
    })
}

/// The names of the objects that labelled requests wrote, deleted or entered, and of the secrets that they read.
fn objects(log: &Path, steps: &BTreeMap<&str, &str>) -> Result<BTreeSet<String>, Error> {
    let file = File::open(log).map_err(|source| Error::Open { path: log.to_owned(), source })?;
    let mut names = BTreeSet::new();
    for line in BufReader::new(zstd::Decoder::new(file)?).lines() {
        let line = line?;
        let Ok(event) = Event::parse(&line) else { continue };
        let text = |field| event.text_of(field).unwrap_or_default();
        let done = event.text_of(Field::Stage) == Some("ResponseComplete")
            && matches!(event.code, Some(101 | 200..=299));
        let matters =
            event.is_write() || !text(Field::Subresource).is_empty() || text(Field::Resource) == "secrets";
        if done && matters && steps.contains_key(text(Field::AuditId)) && !text(Field::Name).is_empty() {
            names.insert(text(Field::Name).to_owned());
        }
    }
    Ok(names)
}

fn rank(severity: &str) -> usize {
    ["", "info", "low", "medium", "high", "critical"].iter().position(|s| *s == severity).unwrap_or(0)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
