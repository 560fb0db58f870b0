//! The lessons hold against what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use klio_model::{Event, FieldRef, Filter};
use klio_source::{Chunks, Item, Options, Pool, decode, discover};

use super::*;

#[test]
fn every_page_is_a_lesson() {
    let lessons: Vec<Lesson> = PAGES
        .files()
        .map(|file| read(file).unwrap_or_else(|e| panic!("{}: {e}", file.path().display())))
        .collect();
    assert!(lessons.len() >= 14, "{}", lessons.len());
    let numbers: BTreeSet<usize> = lessons.iter().map(|lesson| lesson.number).collect();
    assert!(numbers.into_iter().eq(1..=lessons.len()));
    let mut used = BTreeSet::new();
    for Lesson { slug, head, situation, questions, ending, .. } in &lessons {
        assert!((4..=8).contains(&questions.len()), "{slug}: {} questions", questions.len());
        assert!(!situation.is_empty() && !ending.is_empty() && (1..=4).contains(&head.level), "{slug}");
        assert!(head.files.contains_key(LOG), "{slug}");
        used.extend(head.files.values().map(String::as_str));
        for Question { ask, hint, terms, explanation, answer } in questions {
            assert!(
                ask.ends_with(['?', '.']) && !hint.is_empty() && explanation.len() > 100,
                "{slug}: {ask}"
            );
            assert!(!terms.proof.all().is_empty() && !terms.tries.all().is_empty(), "{slug}: {ask}");
            assert_eq!(answer.judge(&answer.shown()), Verdict::Right, "{slug}: {ask}");
        }
    }
    assert!(used.into_iter().eq(recordings::PATHS.iter().copied()), "embedded is what lessons use");
    assert!(recordings::PATHS.iter().all(|path| recording(path).is_some_and(|bytes| !bytes.is_empty())));
}

/// What a proof found so far: values with the time of their events.
type Found = Vec<(String, String)>;

/// Each answer is what its proof finds in the recording, and each audit id is there.
#[test]
fn every_answer_is_what_was_recorded() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
    let mut wrong = Vec::new();
    for lesson in all() {
        let mut ids = BTreeSet::new();
        let mut found: BTreeMap<(usize, usize), Found> = BTreeMap::new();
        for (name, from) in lesson.head.files.iter().filter(|(name, _)| name.ends_with(".jsonl.zst")) {
            let mut proofs = Vec::new();
            for (q, question) in lesson.questions.iter().enumerate() {
                for (p, proof) in question.terms.proof.all().iter().enumerate() {
                    let Proof::Events(events) = proof else { continue };
                    if events.file.as_deref().unwrap_or(LOG) != name {
                        continue;
                    }
                    let filter =
                        Filter::parse(&events.filter).unwrap_or_else(|e| panic!("{}: {e}", events.filter));
                    proofs.push(((q, p), filter, FieldRef::parse(&events.field).unwrap()));
                    found.insert((q, p), Found::new());
                }
            }
            for chunk in Chunks::new(
                &discover(&[recorded.join(from)]).inputs[0],
                &Options::default(),
                &Pool::default(),
            ) {
                decode(&chunk, &mut |item| {
                    let Item::Record(record) = item else { return };
                    let event = Event::parse(record.json).unwrap();
                    ids.insert(event.text_of(klio_model::Field::AuditId).unwrap().to_owned());
                    for (at, filter, field) in &proofs {
                        if filter.matches(&event) {
                            let time = event.received_at().unwrap().to_string();
                            let values = field.values(&event).into_iter().map(|value| (time.clone(), value));
                            found.get_mut(at).unwrap().extend(values);
                        }
                    }
                });
            }
        }
        for (q, question) in lesson.questions.iter().enumerate() {
            let place = format!("{}: {}", lesson.slug, question.ask);
            wrong.extend(
                question
                    .terms
                    .evidence
                    .iter()
                    .filter(|id| !ids.contains(*id))
                    .map(|id| format!("{place}: no event {id}")),
            );
            for short in quoted(question.explanation) {
                if !question.terms.evidence.iter().any(|id| id.starts_with(&short)) {
                    wrong.push(format!("{place}: {short} is not in the evidence"));
                }
            }
            for (p, proof) in question.terms.proof.all().iter().enumerate() {
                let Proof::Events(events) = proof else { continue };
                let Some(found) = found.get(&(q, p)) else {
                    wrong.push(format!("{place}: no such file"));
                    continue;
                };
                let found = values(found, events.of);
                if !holds(&found, events.is.as_ref().map(Many::all), &question.answer) {
                    wrong.push(format!("{place}: {} has {found:?}", events.filter));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Beginnings of audit ids in backticks.
fn quoted(text: &str) -> Vec<String> {
    let is_id = |part: &&str| part.len() == 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('`').skip(1).step_by(2).filter(is_id).map(str::to_owned).collect()
}

fn values(found: &Found, of: Of) -> Vec<String> {
    let distinct: BTreeSet<&String> = found.iter().map(|(_, value)| value).collect();
    let of_time = |at: Option<&(String, String)>| at.map(|(_, value)| value.clone()).into_iter().collect();
    match of {
        Of::Each => distinct.into_iter().cloned().collect(),
        Of::Count => vec![distinct.len().to_string()],
        Of::First => of_time(found.iter().min_by_key(|(time, _)| time)),
        Of::Last => of_time(found.iter().max_by_key(|(time, _)| time)),
    }
}

/// Whether what was found is what the proof says, or without that the answer: the first of several spellings, and each value
/// that was found must be right.
fn holds(found: &[String], is: Option<&[String]>, answer: &Answer) -> bool {
    match (is, answer) {
        (Some(is), _) => {
            let is: BTreeSet<&String> = is.iter().collect();
            found.iter().collect::<BTreeSet<_>>() == is
        }
        (None, Answer::All(all)) => {
            found.len() == all.len() && answer.judge(&found.join(", ")) == Verdict::Right
        }
        (None, Answer::Any(any)) => {
            let shown = Answer::Any(Many::One(any.all()[0].clone()));
            found.iter().all(|value| answer.judge(value) == Verdict::Right)
                && found.iter().any(|value| shown.judge(value) == Verdict::Right)
        }
    }
}
