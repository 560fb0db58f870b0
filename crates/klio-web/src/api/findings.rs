//! Findings and stories.

use std::borrow::Cow;
use std::collections::HashSet;

use axum::Json;
use axum::extract::{Path, State};
use klio_model::{Severity, TimeRange, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::archive::{ArchiveError, Page, Slice, Verdict, VerdictKind, Wanted};
use crate::cursor::Thread;
use crate::input::{Asked, clusters, limit, range};
use crate::view::{BriefView, FindingPage, FindingView, StoryPage, StoryView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Items of a page, if nobody says how many.
const PAGE: usize = 100;
/// A correlation that a request is part of completes at most so long after it, microseconds.
const LATER: i64 = 24 * 3_600_000_000;
/// Items of a page at most.
const MOST: usize = 1000;
/// Findings among which those of a story are looked for.
const MOST_OF_STORY: usize = 20_000;

/// Which findings or stories.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// At least so grave: informational, low, medium, high or critical.
    pub(crate) severity: Option<String>,
    /// Of the rule with this id.
    pub(crate) rule: Option<String>,
    /// Of this actor.
    pub(crate) actor: Option<String>,
    /// Of these clusters, with commas between.
    pub(crate) cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    pub(crate) from: Option<String>,
    /// Before this time.
    pub(crate) to: Option<String>,
    /// How many: 1 to 1000, usually 100.
    pub(crate) limit: Option<usize>,
    /// What `next` of the page before said.
    pub(crate) cursor: Option<String>,
}

async fn page(
    web: &Web,
    visitor: &Visitor,
    kind: VerdictKind,
    asked: Listing,
) -> Result<(Page<Verdict>, Thread), Problem> {
    let text = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let severity: Option<Severity> =
        text(&asked.severity).map(|s| s.parse()).transpose().map_err(Problem::bad)?;
    let wanted = Wanted {
        clusters: clusters(asked.cluster.as_deref()),
        range: range(asked.from.as_deref(), asked.to.as_deref(), web.now())?,
        severity,
        rule: text(&asked.rule),
        actor: text(&asked.actor),
    };
    let kind_word = format!("{kind:?}");
    let mut words = vec![kind_word.as_str()];
    let parts = [&asked.severity, &asked.rule, &asked.actor, &asked.cluster, &asked.from, &asked.to];
    words.extend(parts.iter().map(|t| t.as_deref().unwrap_or_default()));
    let thread = Thread::new(&visitor.sight, &words);
    let slice =
        Slice { after: thread.position(asked.cursor.as_deref())?, most: limit(asked.limit, PAGE, MOST)? };
    let ask = move |a: &dyn crate::Archive, sight: &_, patience: &_| {
        a.verdicts(sight, patience, kind, &wanted, &slice)
    };
    let mut page = visitor.ask(web, ask).await?;
    page.items.retain(|verdict| visitor.sight.filter_for(&verdict.cluster).is_some());
    visitor.note.rows(page.items.len());
    Ok((page, thread))
}

async fn one(web: &Web, visitor: &Visitor, kind: VerdictKind, id: String) -> Result<Verdict, Problem> {
    let ask = move |a: &dyn crate::Archive, sight: &_, patience: &_| a.verdict(sight, patience, kind, &id);
    let verdict = visitor.ask(web, ask).await?;
    if visitor.sight.filter_for(&verdict.cluster).is_none() {
        return Err(Problem::not_found());
    }
    visitor.note.rows(1);
    Ok(verdict)
}

/// The findings that have a request as evidence.
pub(crate) async fn about(
    web: &Web,
    visitor: &Visitor,
    audit_id: &str,
    time: Option<Timestamp>,
) -> Result<Vec<FindingView>, Problem> {
    let Some(time) = time else { return Ok(Vec::new()) };
    let mut found: Vec<FindingView> = Vec::new();
    // Most tell the request's own time; a correlation that of the request that completed it.
    for length in [1, LATER] {
        let end = Some(Timestamp(time.micros().saturating_add(length)));
        let wanted = Wanted { range: TimeRange { start: Some(time), end }, ..Wanted::default() };
        for finding in newest(web, visitor, wanted, MOST).await? {
            let is_about = finding.evidence.iter().any(|evidence| evidence.audit_id == audit_id);
            if is_about && !found.iter().any(|known| known.id == finding.id) {
                found.push(finding);
            }
        }
    }
    Ok(found)
}

/// The newest findings of a rule.
pub(crate) async fn of_rule(
    web: &Web,
    visitor: &Visitor,
    rule: &str,
    most: usize,
) -> Result<Vec<FindingView>, Problem> {
    newest(web, visitor, Wanted { rule: Some(rule.to_owned()), ..Wanted::default() }, most).await
}

async fn newest(
    web: &Web,
    visitor: &Visitor,
    wanted: Wanted,
    most: usize,
) -> Result<Vec<FindingView>, Problem> {
    let slice = Slice { after: None, most };
    let ask = move |a: &dyn crate::Archive, sight: &_, patience: &_| {
        a.verdicts(sight, patience, VerdictKind::Finding, &wanted, &slice)
    };
    let page = visitor.ask(web, ask).await?;
    let bodies = visitor.bodies();
    let seen = page.items.iter().filter(|verdict| visitor.sight.filter_for(&verdict.cluster).is_some());
    Ok(seen.filter_map(|v| FindingView::of(v, bodies, visitor.sight.sees_whole(&v.cluster))).collect())
}

/// The newest findings about what an actor did.
pub(crate) async fn of_actor(
    web: &Web,
    visitor: &Visitor,
    actor: &str,
    range: TimeRange,
) -> Result<Vec<FindingView>, Problem> {
    let wanted = Wanted { range, actor: Some(actor.to_owned()), ..Wanted::default() };
    newest(web, visitor, wanted, 20).await
}

/// Stories without their requests, the newest first, and the cursor to go on.
pub(crate) async fn briefs(
    web: &Web,
    visitor: &Visitor,
    asked: Listing,
) -> Result<(Vec<BriefView>, Option<String>), Problem> {
    let (page, thread) = page(web, visitor, VerdictKind::Story, asked).await?;
    let items: Option<Vec<_>> = page.items.iter().map(BriefView::of).collect();
    Ok((items.ok_or_else(|| unreadable("story"))?, page.next.map(|p| thread.cursor(&p))))
}

/// The findings of a story, in the order of time.
pub(crate) async fn of_story(
    web: &Web,
    visitor: &Visitor,
    story: &StoryView,
) -> Result<Vec<FindingView>, Problem> {
    let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    let end = time(&story.last).map(|last| Timestamp(last.micros().saturating_add(1)));
    let wanted = Wanted {
        clusters: vec![story.cluster.clone()],
        range: TimeRange { start: time(&story.first), end },
        ..Wanted::default()
    };
    let ids: HashSet<&str> = story.findings.iter().map(String::as_str).collect();
    let slice = Slice { after: None, most: MOST_OF_STORY };
    let ask = move |a: &dyn crate::Archive, sight: &_, patience: &_| {
        a.verdicts(sight, patience, VerdictKind::Finding, &wanted, &slice)
    };
    let page = visitor.ask(web, ask).await?;
    let bodies = visitor.bodies();
    let is_its = |verdict: &&Verdict| {
        let id = serde_json::from_str::<Named<'_>>(&verdict.json).map(|named| named.id);
        visitor.sight.filter_for(&verdict.cluster).is_some() && id.is_ok_and(|id| ids.contains(&*id))
    };
    let own = page.items.iter().filter(is_its);
    let mut found: Vec<FindingView> =
        own.filter_map(|v| FindingView::of(v, bodies, visitor.sight.sees_whole(&v.cluster))).collect();
    found.reverse();
    visitor.note.rows(found.len());
    Ok(found)
}

/// What it takes to tell a finding from others.
#[derive(Deserialize)]
struct Named<'j> {
    #[serde(borrow)]
    id: Cow<'j, str>,
}

fn unreadable(kind: &str) -> Problem {
    ArchiveError::Unavailable(format!("a {kind} as it is kept cannot be read")).into()
}

/// Findings, the newest first.
#[utoipa::path(get, path = "/api/v1/findings", tag = "findings", params(Listing),
    responses((status = 200, description = "A page", body = FindingPage)))]
pub(crate) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<Listing>,
) -> Answer<FindingPage> {
    let (page, thread) = page(&web, &visitor, VerdictKind::Finding, asked).await?;
    let bodies = visitor.bodies();
    let items: Option<Vec<_>> =
        page.items.iter().map(|v| FindingView::of(v, bodies, visitor.sight.sees_whole(&v.cluster))).collect();
    let items = items.ok_or_else(|| unreadable("finding"))?;
    Ok(Json(FindingPage { items, next: page.next.map(|p| thread.cursor(&p)) }))
}

/// One finding.
#[utoipa::path(get, path = "/api/v1/findings/{id}", tag = "findings", params(("id" = String, Path)),
    responses((status = 200, description = "The finding", body = FindingView)))]
pub(crate) async fn get(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Answer<FindingView> {
    let verdict = one(&web, &visitor, VerdictKind::Finding, id).await?;
    FindingView::of(&verdict, visitor.bodies(), visitor.sight.sees_whole(&verdict.cluster))
        .map(Json)
        .ok_or_else(|| unreadable("finding"))
}

/// Stories, the newest first.
#[utoipa::path(get, path = "/api/v1/stories", tag = "findings", params(Listing),
    responses((status = 200, description = "A page", body = StoryPage)))]
pub(crate) async fn stories(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<Listing>,
) -> Answer<StoryPage> {
    let (page, thread) = page(&web, &visitor, VerdictKind::Story, asked).await?;
    let items: Option<Vec<_>> = page.items.iter().map(StoryView::of).collect();
    let items = items.ok_or_else(|| unreadable("story"))?;
    Ok(Json(StoryPage { items, next: page.next.map(|p| thread.cursor(&p)) }))
}

/// One story.
#[utoipa::path(get, path = "/api/v1/stories/{id}", tag = "findings", params(("id" = String, Path)),
    responses((status = 200, description = "The story", body = StoryView)))]
pub(crate) async fn story(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Answer<StoryView> {
    let verdict = one(&web, &visitor, VerdictKind::Story, id).await?;
    StoryView::of(&verdict).map(Json).ok_or_else(|| unreadable("story"))
}
