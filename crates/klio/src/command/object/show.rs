//! A history as it is printed.

use std::io::Write;

use klio_model::Timestamp;
use klio_model::history::{Basis, Change, History, How, Step, What, Why};
use serde_json::Value;

use crate::output::plain;

/// A longer value is cut.
const MAX_VALUE: usize = 120;

/// For people.
pub fn table(told: &History, out: &mut dyn Write) -> std::io::Result<()> {
    let kind = told.kind.as_ref().map_or_else(String::new, |kind| format!(": {kind}"));
    let uid = told.uid.as_ref().map_or_else(String::new, |uid| format!(", uid {uid}"));
    writeln!(out, "{}", plain(&format!("{}{kind}{uid}", told.target.told())))?;
    if !told.owners.is_empty() {
        writeln!(out, "owned by {}", plain(&told.owners.join(", ")))?;
    }
    let lives = if told.lives > 1 { format!("; {} objects of this name", told.lives) } else { String::new() };
    let count = |n: u64, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let (requests, versions) = (count(told.requests, "request"), count(told.versions.into(), "version"));
    writeln!(out, "{requests}, {versions}{lives}")?;
    if told.steps.is_empty() {
        writeln!(out, "\nNothing was done to it in this time.")?;
    }
    for step in &told.steps {
        writeln!(out)?;
        one(step, out)?;
    }
    Ok(())
}

fn one(step: &Step, out: &mut dyn Write) -> std::io::Result<()> {
    let version = step.version.map_or_else(String::new, |version| format!("#{version}"));
    let mark = match step.what {
        What::FoundChanged | What::MaybeDeleted => "?",
        What::Refused | What::Failed => "!",
        _ => "",
    };
    let mark = if version.is_empty() { mark } else { &version };
    writeln!(out, "{mark:<5} {}  {}", when(step.time), plain(&step.said))?;
    let mut detail = Vec::new();
    if step.what == What::Quiet && step.requests > 1 {
        detail.push(format!("until {}", when(step.last)));
    } else if step.requests > 1 {
        detail.push(format!("{} requests until {}", step.requests, when(step.last)));
    }
    if step.what != What::Quiet {
        let named =
            |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
        let who = &step.who;
        detail.extend(
            [named("in pod", &who.pod), named("as", &who.field_manager), named("audit id", &step.audit_id)]
                .into_iter()
                .flatten(),
        );
    }
    if !detail.is_empty() {
        writeln!(out, "      {}", plain(&detail.join(", ")))?;
    }
    if let Some(said) = basis(step) {
        writeln!(out, "      {said}")?;
    }
    for note in &step.notes {
        writeln!(out, "      {}", plain(note))?;
    }
    for change in &step.changes {
        writeln!(out, "      {}", line(change))?;
    }
    if step.more_changes > 0 {
        writeln!(out, "      and {} more; --lines 0 shows them", step.more_changes)?;
    }
    Ok(())
}

/// From what the changes are known, where that is not the answer.
fn basis(step: &Step) -> Option<&'static str> {
    let done = matches!(step.what, What::Created | What::Changed);
    Some(match (step.basis?, step.why) {
        (Basis::Rebuilt, _) => "rebuilt from the patch, since the answer was not recorded:",
        (Basis::AsAsked, _) if done => "as it was asked, since what the object was is not known:",
        (Basis::AsAsked, _) => "what was asked for:",
        (Basis::Unseen, Some(Why::Level)) => {
            "what it was set to cannot be seen: the audit level records no bodies"
        }
        (Basis::Unseen, Some(Why::Truncated)) => "what changed cannot be seen: the API server cut the event",
        (Basis::Unseen, Some(Why::Salvaged)) => "what changed cannot be seen: the record was cut on its way",
        (Basis::Unseen, Some(Why::Unreadable)) => "what changed cannot be seen: the body cannot be read",
        (Basis::Unseen, _) => "what changed cannot be seen: there is no body in the record",
        _ => return None,
    })
}

fn line(change: &Change) -> String {
    let path = plain(&change.path);
    let side = |value: &Option<Value>| value.as_ref().map(value_of).unwrap_or_default();
    let (before, after) = (side(&change.before), side(&change.after));
    match change.how {
        How::Added => format!("+ {path}: {after}"),
        How::Removed if before.is_empty() => format!("- {path}"),
        How::Removed => format!("- {path}: {before}"),
        How::Changed => format!("~ {path}: {before} → {after}"),
        How::Set => format!("= {path}: {after}"),
        How::Copied => format!("= {path}: a copy of {before}"),
        How::Moved => format!("= {path}: moved from {before}"),
    }
}

/// Compact JSON on one line.
fn value_of(value: &Value) -> String {
    let text = plain(&value.to_string());
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `2026-11-21 01:16:02`
fn when(time: Option<Timestamp>) -> String {
    let text = time.map(|time| time.to_string()).unwrap_or_default();
    text.get(..19).map_or_else(|| "(no time)          ".to_owned(), |text| text.replace('T', " "))
}

/// A step per line, each with its object.
pub fn lines(told: &History, out: &mut dyn Write) -> std::io::Result<()> {
    let target = &told.target;
    let object = serde_json::json!({
        "resource": target.resource, "namespace": target.namespace, "name": target.name,
    });
    for step in &told.steps {
        let mut line = serde_json::Map::new();
        line.insert("object".to_owned(), object.clone());
        if let Value::Object(members) = serde_json::to_value(step)? {
            line.extend(members);
        }
        writeln!(out, "{}", Value::Object(line))?;
    }
    Ok(())
}
