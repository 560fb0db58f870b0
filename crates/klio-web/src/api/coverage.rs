//! Which rules can work with what is recorded: the audit policy as the newest events show it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use klio_detect::coverage::Observed;
use klio_model::{Event, Field, FieldRef, Filter, Matcher, TimeRange, Timestamp};

use super::{Answer, newest};
use crate::archive::{ArchiveError, Patience, Question, Stop, Survey};
use crate::view::CoveragePage;
use crate::visitor::Visitor;
use crate::{Archive, Problem, Sight, Web};

/// Microseconds before the newest event.
const BACK: i64 = 7 * 86_400_000_000;
/// Kinds of requests that are told apart.
const KINDS: usize = 50_000;
/// How long an answer is good, microseconds: policies change seldom.
const GOOD: i64 = 10 * 60 * 1_000_000;
/// How long it is not tried again after it could not be found out, microseconds.
const AGAIN: i64 = 2 * 60 * 1_000_000;
/// Answers that are kept, by what is seen.
const KEPT: usize = 64;
/// A page waits for it no longer than this.
const SOON: Duration = Duration::from_secs(2);

/// When it was asked, and what came of it.
type Found = (Timestamp, Option<Arc<CoveragePage>>);

/// What was found, by whose sight, and when; nothing if it takes too long.
#[derive(Default)]
struct All {
    of: HashMap<String, Found>,
    /// How often all was forgotten: what was begun before is not remembered after.
    round: u64,
}

/// What was found out, of the rules as they are.
#[derive(Default)]
pub(crate) struct Known {
    found: Mutex<All>,
    /// Held by who is finding out: one at a time, so that the others find it known.
    finding: tokio::sync::Mutex<()>,
}

impl Known {
    /// The inner option is whether it could be found out.
    fn get(&self, scope: &str, now: Timestamp) -> Option<Option<Arc<CoveragePage>>> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, page) = known.of.get(scope)?;
        let good = if page.is_some() { GOOD } else { AGAIN };
        (now.micros().saturating_sub(at.micros()) < good).then(|| page.clone())
    }

    fn set(&self, round: u64, scope: String, now: Timestamp, page: Option<Arc<CoveragePage>>) {
        let mut known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if known.round != round {
            return;
        }
        if known.of.len() >= KEPT && !known.of.contains_key(&scope) {
            let oldest = known.of.iter().min_by_key(|(_, (at, _))| *at).map(|(scope, _)| scope.clone());
            oldest.map(|oldest| known.of.remove(&oldest));
        }
        known.of.insert(scope, (now, page));
    }

    fn round(&self) -> u64 {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).round
    }

    /// Forgets all: the rules have changed.
    pub(crate) fn forget(&self) {
        let mut known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        known.of.clear();
        known.round += 1;
    }
}

/// Whether each rule can work with what was recorded in the seven days before the newest event. Good for ten minutes.
#[utoipa::path(get, path = "/api/v1/coverage", tag = "rules",
    responses((status = 200, description = "The rules", body = CoveragePage)))]
pub(crate) async fn get(State(web): State<Web>, visitor: Visitor) -> Answer<CoveragePage> {
    let page = covered(&web, &visitor).await?;
    visitor.note.rows(page.items.len());
    Ok(Json((*page).clone()))
}

async fn covered(web: &Web, visitor: &Visitor) -> Result<Arc<CoveragePage>, Problem> {
    let (scope, now) = (visitor.sight.scope().to_string(), web.now());
    let unknown =
        || Problem::unavailable("which rules can work could not be found out; try again in some minutes");
    if let Some(known) = web.inner.coverage.get(&scope, now) {
        return known.ok_or_else(unknown);
    }
    let finding = tokio::time::timeout(web.limits().turn, web.inner.coverage.finding.lock()).await;
    let _finding = finding.map_err(|_| {
        Problem::unavailable("which rules can work is being found out; try again in a minute").again(30)
    })?;
    let round = web.inner.coverage.round();
    if let Some(known) = web.inner.coverage.get(&scope, now) {
        return known.ok_or_else(unknown);
    }
    let library = web.inner.options.library.clone();
    let page = visitor.ask(web, move |archive, sight, patience| {
        let (seen, events, start) = observed(archive, sight, patience, now)?;
        Ok(CoveragePage { events, start, items: library.coverage(&seen) })
    });
    let began = Instant::now();
    let page = page.await.map(Arc::new);
    // Not the asker's own failures: that he went away, or asks too much at once.
    let is_too_slow = |problem: &Problem| {
        problem.status == StatusCode::GATEWAY_TIMEOUT.as_u16() && began.elapsed() >= web.limits().question
    };
    if page.as_ref().err().is_none_or(is_too_slow) {
        web.inner.coverage.set(round, scope, now, page.as_ref().ok().cloned());
    }
    page
}

/// Somebody as he is, whose question goes on when he has his page.
fn behind(visitor: &Visitor) -> Visitor {
    Visitor { stop: Stop::default(), ..visitor.clone() }
}

/// The same, for a page, if it is known soon. Else it is found out behind the reader's back.
pub(crate) async fn soon(web: &Web, visitor: &Visitor) -> Option<Arc<CoveragePage>> {
    let (web, visitor) = (web.clone(), behind(visitor));
    let finding = tokio::spawn(async move { covered(&web, &visitor).await });
    tokio::time::timeout(SOON, finding).await.ok()?.ok()?.ok()
}

/// What is known already. If nothing is, it is found out behind the reader's back.
pub(crate) fn known(web: &Web, visitor: &Visitor) -> Option<Arc<CoveragePage>> {
    let known = web.inner.coverage.get(&visitor.sight.scope().to_string(), web.now());
    if known.is_none() && web.inner.coverage.finding.try_lock().is_ok() {
        let (web, visitor) = (web.clone(), behind(visitor));
        tokio::spawn(async move {
            if let Err(problem) = covered(&web, &visitor).await {
                tracing::warn!(problem = %problem.detail, "which rules can work is not known");
            }
        });
    }
    known.flatten()
}

fn observed(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    now: Timestamp,
) -> Result<(Observed, u64, Option<Timestamp>), ArchiveError> {
    let mut question = Question { clusters: Vec::new(), filter: Filter::All, range: TimeRange::default() };
    let newest = newest(archive, sight, patience, &question, now)?;
    let start = newest.map(|newest| Timestamp(newest.micros().saturating_sub(BACK)));
    question.range.start = start;
    let mut seen = Observed::default();
    let mut events = 0;
    let object = Filter::test(FieldRef::of(Field::Resource), Matcher::Present);
    let kinds: [(Filter, &[Field]); 2] = [
        (object.clone(), &[Field::ApiGroup, Field::Resource, Field::Subresource]),
        (Filter::not(object), &[Field::Uri]),
    ];
    for (filter, names) in kinds {
        let fields = names.iter().chain(&[Field::Verb, Field::Level, Field::Stage]);
        let fields: Vec<FieldRef> = fields.map(|field| FieldRef::of(*field)).collect();
        let survey = Survey { combinations: vec![(fields.clone(), KINDS)], ..Survey::default() };
        let found = archive.survey(sight, patience, &Question { filter, ..question.clone() }, &survey)?;
        events += found.count;
        for (values, count) in found.combinations.into_iter().flatten() {
            let mut event = Event::blank();
            for (field, value) in fields.iter().zip(&values) {
                if let Some(value) = value {
                    event = event.with(field.field(), value);
                }
            }
            seen.note_many(&event, count);
        }
    }
    Ok((seen, events, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Arc<CoveragePage> {
        Arc::new(CoveragePage { events: 1, start: None, items: Vec::new() })
    }

    #[test]
    fn the_oldest_goes_for_a_new_one_and_all_go_with_the_rules() {
        let known = Known::default();
        for number in 0..=KEPT as i64 {
            known.set(0, format!("scope-{number}"), Timestamp(number), Some(page()));
        }
        let now = Timestamp(100);
        assert!(known.get("scope-0", now).is_none());
        assert!((1..=KEPT).all(|number| known.get(&format!("scope-{number}"), now).flatten().is_some()));

        let begun = known.round();
        known.forget();
        known.set(begun, "scope-1".into(), now, Some(page()));
        assert!(known.get("scope-1", now).is_none(), "of the rules before");
        known.set(known.round(), "scope-1".into(), now, None);
        assert_eq!(known.get("scope-1", now), Some(None));
        assert_eq!(known.get("scope-1", Timestamp(100 + AGAIN)), None);
    }
}
