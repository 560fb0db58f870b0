//! Are the recorded attacks found, and is ordinary traffic left alone?
//!
//! Runs `klio scan -o jsonl` with Klio's own pack over every recorded attack and the benign logs, and compares
//! findings and stories with the labels that lie beside them.

mod incident;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::klio;

use incident::{GRAVE, Incidents};

/// The audit policies of the recording.
const POLICIES: [&str; 3] = ["metadata", "recommended", "requestresponse"];
/// The benign logs: one under each policy, and a week.
const BENIGN: [&str; 4] = ["metadata", "recommended", "requestresponse", "metadata.stretched"];

/// All that was compared.
#[derive(Debug, Default, Serialize)]
pub struct Evaluation {
    /// Each attack under each policy that records it.
    pub attacks: Vec<Attack>,
    /// The kill chain amid ordinary traffic, under each policy that records it.
    pub chains: Vec<Attack>,
    /// Each benign log.
    pub benign: Vec<Benign>,
}

/// One attack under one policy.
#[derive(Debug, Serialize)]
pub struct Attack {
    /// The folder's name.
    pub name: String,
    /// The audit policy.
    pub policy: String,
    /// Findings of medium or above that rest on a labelled event.
    pub found: usize,
    /// Labelled events that the policy recorded.
    pub labelled: usize,
    /// Of these, held by the stories that hold at least one.
    pub held: usize,
    /// Distinct events those stories hold.
    pub told: usize,
    /// Of these, labelled or a labelled consequence.
    pub right: usize,
    /// Distinct events that all stories of the file hold.
    pub told_all: usize,
    /// Labelled events that no finding of any severity rests on.
    pub steps_missed: Vec<String>,
    /// What the incidents are like.
    pub incidents: Incidents,
}

/// One benign log.
#[derive(Debug, Serialize)]
pub struct Benign {
    /// The audit policy.
    pub policy: String,
    /// Events judged.
    pub events: u64,
    /// Findings by severity.
    pub findings: BTreeMap<String, u64>,
    /// Findings by rule, all severities.
    pub rules: BTreeMap<String, u64>,
    /// Stories above medium.
    pub alarms: u64,
}

impl Attack {
    /// Share of labelled events that the attack's stories hold.
    pub fn recall(&self) -> f64 {
        share(self.held, self.labelled)
    }

    /// Share of what those stories hold that belongs there; nothing told is nothing right.
    pub fn precision(&self) -> f64 {
        share(self.right, self.told)
    }

    /// The same over all stories of the file.
    pub fn strict_precision(&self) -> f64 {
        share(self.right, self.told_all)
    }
}

impl Evaluation {
    /// Mean of `what` over the attacks.
    pub fn mean(&self, what: impl Fn(&Attack) -> f64) -> f64 {
        let values: Vec<f64> = self.attacks.iter().map(what).collect();
        if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
    }

    /// Benign events, benign findings of medium or above, benign findings of any severity.
    pub fn benign(&self) -> (u64, u64, u64) {
        let events = self.benign.iter().map(|log| log.events).sum();
        let grave = self.benign.iter().map(|log| grave(&log.findings)).sum();
        let any = self.benign.iter().flat_map(|log| log.findings.values()).sum();
        (events, grave, any)
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "| attack | policy | findings ≥ medium | labelled | held | recall | precision | of all stories | incidents | strays | objects named |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        );
        for a in self.attacks.iter().chain(&self.chains) {
            let i = &a.incidents;
            let unnamed = match (i.actor, i.technique) {
                (true, true) => "",
                (false, true) => " (not the actor)",
                (true, false) => " (not the technique)",
                (false, false) => " (neither actor nor technique)",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {:.0} % | {:.0} % | {:.0} % | {} | {} | {} of {}{unnamed} |",
                a.name,
                a.policy,
                a.found,
                a.labelled,
                a.held,
                100.0 * a.recall(),
                100.0 * a.precision(),
                100.0 * a.strict_precision(),
                i.own,
                i.stray,
                i.objects_named,
                i.objects
            );
        }
        let _ = writeln!(
            text,
            "| **mean of the attacks** | | | | | **{:.1} %** | **{:.1} %** | {:.1} % | | | |\n",
            100.0 * self.mean(Attack::recall),
            100.0 * self.mean(Attack::precision),
            100.0 * self.mean(Attack::strict_precision)
        );
        let _ = writeln!(text, "| benign | events | findings by severity |\n|---|---:|---|");
        for log in &self.benign {
            let _ = writeln!(text, "| {} | {} | {} |", log.policy, log.events, listed(&log.findings));
        }
        for log in &self.benign {
            let _ = writeln!(text, "\nbenign {}: {}", log.policy, listed(&log.rules));
        }
        for a in self.attacks.iter().filter(|a| !a.steps_missed.is_empty()) {
            let _ = writeln!(text, "no finding: {} {}: {}", a.name, a.policy, a.steps_missed.join("; "));
        }
        text
    }
}

/// Runs everything under `recorded`.
pub fn evaluate(recorded: &Path) -> Result<Evaluation, Error> {
    let mut result = Evaluation::default();
    let mut folders: Vec<_> = std::fs::read_dir(recorded.join("attacks"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.join("labels.json").is_file()) {
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let labels: Value = parse(&name, &std::fs::read(folder.join("labels.json"))?)?;
        for policy in POLICIES {
            let run = &labels["runs"][policy];
            let Some(file) = run["file"].as_str() else { continue };
            if let Some(attack) = attack(&name, policy, &labels, run, &folder.join(file))? {
                result.attacks.push(attack);
            }
        }
    }
    let folder = recorded.join("killchain");
    let labels: Value = parse("killchain", &std::fs::read(folder.join("labels.json"))?)?;
    for policy in POLICIES {
        let run = &labels["runs"][policy];
        let Some(file) = run["file"].as_str() else { continue };
        result.chains.extend(attack("killchain", policy, &labels, run, &folder.join(file))?);
    }
    for policy in BENIGN {
        let lines = scan(&recorded.join(format!("benign/{policy}.jsonl.zst")))?;
        let mut log = Benign {
            policy: policy.to_owned(),
            events: 0,
            findings: BTreeMap::new(),
            rules: BTreeMap::new(),
            alarms: 0,
        };
        for line in &lines {
            match line["type"].as_str() {
                Some("finding") => {
                    let severity = line["severity"].as_str().unwrap_or("unknown");
                    *log.findings.entry(severity.to_owned()).or_default() += 1;
                    let rule = line["rule"]["title"].as_str().unwrap_or("unknown");
                    *log.rules.entry(format!("{rule} [{severity}]")).or_default() += 1;
                }
                Some("story") => {
                    log.alarms += u64::from(matches!(line["severity"].as_str(), Some("high" | "critical")))
                }
                Some("summary") => log.events = line["events"].as_u64().unwrap_or(0),
                _ => {}
            }
        }
        result.benign.push(log);
    }
    Ok(result)
}

fn attack(
    name: &str,
    policy: &str,
    labels: &Value,
    run: &Value,
    file: &Path,
) -> Result<Option<Attack>, Error> {
    let steps: BTreeMap<&str, &str> = run["malicious"]
        .as_object()
        .map(|map| map.iter().map(|(id, step)| (id.as_str(), step.as_str().unwrap_or_default())).collect())
        .unwrap_or_default();
    if steps.is_empty() {
        return Ok(None);
    }
    let consequences: HashSet<&str> =
        run["consequences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let lines = scan(file)?;
    let mut found = 0;
    let mut proven: HashSet<&str> = HashSet::new();
    let (mut told, mut told_all): (HashSet<&str>, HashSet<&str>) = Default::default();
    for line in &lines {
        match line["type"].as_str() {
            Some("finding") => {
                let ids = ids(&line["evidence"]);
                let labelled = ids.iter().any(|id| steps.contains_key(id));
                let grave = line["severity"].as_str().is_some_and(|severity| GRAVE.contains(&severity));
                found += usize::from(labelled && grave);
                proven.extend(ids);
            }
            Some("story") => {
                let ids = ids(&line["events"]);
                if ids.iter().any(|id| steps.contains_key(id)) {
                    told.extend(&ids);
                }
                told_all.extend(ids);
            }
            _ => {}
        }
    }
    let mut missed: Vec<String> =
        steps.iter().filter(|(id, _)| !proven.contains(**id)).map(|(_, step)| (*step).to_owned()).collect();
    missed.sort();
    missed.dedup();
    Ok(Some(Attack {
        name: name.to_owned(),
        policy: policy.to_owned(),
        found,
        labelled: steps.len(),
        held: steps.keys().filter(|id| told.contains(*id)).count(),
        right: told.iter().filter(|id| steps.contains_key(*id) || consequences.contains(*id)).count(),
        told: told.len(),
        told_all: told_all.len(),
        steps_missed: missed,
        incidents: Incidents::of(&lines, labels, &steps, file)?,
    }))
}

/// The audit ids of a list of events.
fn ids(events: &Value) -> Vec<&str> {
    events.as_array().into_iter().flatten().filter_map(|event| event["audit_id"].as_str()).collect()
}

fn scan(file: &Path) -> Result<Vec<Value>, Error> {
    let program = klio::program()?;
    let output = Command::new(&program).arg("scan").arg(file).args(["-o", "jsonl"]).output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Child { program, status: output.status.to_string(), stderr });
    }
    let name = file.display().to_string();
    output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|line| parse(&name, line)).collect()
}

fn parse(name: &str, bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Json(name.to_owned(), error))
}

fn grave(findings: &BTreeMap<String, u64>) -> u64 {
    GRAVE.iter().filter_map(|severity| findings.get(*severity)).sum()
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    rows.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
