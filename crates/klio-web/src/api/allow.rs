//! The allow-list: what an entry would have removed, entries that are made, and entries that are taken back.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use klio_model::{Event, Field, FieldRef, Filter, Matcher, Severity, TextMatch, TimeRange, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Answer;
use crate::archive::{ArchiveError, Patience, Question, Slice, Verdict, VerdictKind, Wanted};
use crate::input::{Given, range};
use crate::view::{AllowView, BriefView, FindingView, NewAllow, StoryView, TriedView};
use crate::visitor::Visitor;
use crate::{Archive, Problem, Sight, Web, bodies};

/// Findings that are looked at.
const FINDINGS: usize = 2_000;
/// Events that are asked for at once, by their ids.
const AT_ONCE: usize = 200;
/// Incidents among which those of the findings are looked for.
const INCIDENTS: usize = 1_000;
/// Findings that are shown of each kind.
const EXAMPLES: usize = 10;

/// What is to be tried.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Try {
    /// The rule, by id, name or title; nothing for all rules.
    pub(crate) rule: Option<String>,
    /// Which events.
    pub(crate) filter: String,
    /// Findings not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    pub(crate) from: Option<String>,
    /// Before this time.
    pub(crate) to: Option<String>,
}

/// What an entry would have removed of the findings that the asker sees.
#[utoipa::path(post, path = "/api/v1/allow/replay", tag = "rules", request_body = Try,
    responses((status = 200, description = "What it removes and leaves", body = TriedView)))]
pub(crate) async fn replay(
    State(web): State<Web>,
    visitor: Visitor,
    Given(asked): Given<Try>,
) -> Answer<TriedView> {
    tried(&web, &visitor, asked).await.map(Json)
}

/// The same, for a page.
pub(crate) async fn tried(web: &Web, visitor: &Visitor, asked: Try) -> Result<TriedView, Problem> {
    let filter = Filter::parse(&asked.filter)?;
    if filter == Filter::All {
        return Err(Problem::bad("the filter is true of every event: say whom and what it excuses"));
    }
    let filter = web.inner.archive.people().resolve(filter);
    if !visitor.bodies() {
        bodies::check(&filter)?;
    }
    let rule = asked.rule.filter(|name| !name.is_empty()).map(|name| {
        let rules = web.inner.options.library.rules();
        let about = rules.into_iter().find(|about| {
            about.id == name || about.title == name || about.name.as_deref() == Some(name.as_str())
        });
        about.map(|about| about.id).ok_or_else(|| Problem::bad(format!("there is no rule `{name}`")))
    });
    let rule = rule.transpose()?;
    let range = range(asked.from.as_deref(), asked.to.as_deref(), web.now())?;
    let wanted = Wanted { range, rule, ..Wanted::default() };
    let bodies = visitor.bodies();
    let view = visitor.ask(web, move |archive, sight, patience| {
        Trial { archive, sight, patience, bodies }.run(&wanted, &filter)
    });
    let view = view.await?;
    visitor.note.rows(view.examples.len() + view.left.len());
    Ok(view)
}

/// Cluster, audit id, stage and time of an event.
type Proof = (String, String, String, Option<Timestamp>);

struct Trial<'a> {
    archive: &'a dyn Archive,
    sight: &'a Sight,
    patience: &'a Patience,
    bodies: bool,
}

impl Trial<'_> {
    fn run(&self, wanted: &Wanted, filter: &Filter) -> Result<TriedView, ArchiveError> {
        let (findings, more) = self.verdicts(VerdictKind::Finding, wanted, FINDINGS)?;
        let seen = |v: &Verdict| FindingView::of(v, self.bodies, self.sight.sees_whole(&v.cluster));
        let findings: Vec<FindingView> = findings.iter().filter_map(seen).collect();
        let excused = self.excused(&findings, filter)?;
        let mut view = TriedView {
            findings: findings.len(),
            more,
            removed: 0,
            touched: 0,
            in_incidents: 0,
            incidents: Vec::new(),
            more_incidents: false,
            examples: Vec::new(),
            left: Vec::new(),
        };
        let mut gone: HashSet<String> = HashSet::new();
        for finding in findings {
            let of = |evidence: &crate::view::EvidenceView| {
                let time = evidence.time.as_deref().and_then(Timestamp::parse);
                excused.contains(&(
                    finding.cluster.clone(),
                    evidence.audit_id.clone(),
                    evidence.stage.clone(),
                    time,
                ))
            };
            let count = finding.evidence.iter().filter(|evidence| of(evidence)).count();
            if count == 0 {
                if view.left.len() < EXAMPLES {
                    view.left.push(finding);
                }
                continue;
            }
            gone.insert(finding.id.clone());
            if count == finding.evidence.len() {
                view.removed += 1;
                if view.examples.len() < EXAMPLES {
                    view.examples.push(finding);
                }
            } else {
                view.touched += 1;
            }
        }
        self.incidents(&gone, &mut view)?;
        Ok(view)
    }

    fn verdicts(
        &self,
        kind: VerdictKind,
        wanted: &Wanted,
        most: usize,
    ) -> Result<(Vec<Verdict>, bool), ArchiveError> {
        let slice = Slice { after: None, most };
        let page = self.archive.verdicts(self.sight, self.patience, kind, wanted, &slice)?;
        let mut items = page.items;
        items.retain(|verdict| self.sight.filter_for(&verdict.cluster).is_some());
        Ok((items, page.next.is_some()))
    }

    /// The events that prove findings and of which the filter is certainly true.
    fn excused(&self, findings: &[FindingView], filter: &Filter) -> Result<HashSet<Proof>, ArchiveError> {
        let mut asked: Vec<(&str, Option<Timestamp>)> = findings
            .iter()
            .flat_map(|finding| &finding.evidence)
            .map(|evidence| (evidence.audit_id.as_str(), evidence.time.as_deref().and_then(Timestamp::parse)))
            .collect();
        asked.sort_by_key(|(id, time)| (*time, *id));
        asked.dedup();
        let mut excused = HashSet::new();
        for part in asked.chunks(AT_ONCE) {
            let ids: Vec<TextMatch> = part.iter().map(|(id, _)| TextMatch::exactly(id)).collect();
            let one_of = Filter::test(FieldRef::of(Field::AuditId), Matcher::OneOf(ids.into()));
            // Nothing lies beyond the times of the evidence, if all of it has times.
            let times = part.iter().map(|(_, time)| *time);
            let known: Option<Vec<Timestamp>> = times.collect();
            let range = known.map_or_else(TimeRange::default, |known| TimeRange {
                start: known.first().copied(),
                end: known.last().map(|last| Timestamp(last.micros().saturating_add(1))),
            });
            let question =
                Question { clusters: Vec::new(), filter: Filter::and([one_of, filter.clone()]), range };
            let mut slice = Slice { after: None, most: 8 * AT_ONCE };
            // Clients choose ids, and may give one to many requests.
            loop {
                let page = self.archive.events(self.sight, self.patience, &question, &slice)?;
                for record in page.items {
                    let Ok(event) = Event::parse(&record.raw) else { continue };
                    if let Some(id) = event.text_of(Field::AuditId) {
                        let (stage, time) = (event.stage.name().to_owned(), event.time());
                        excused.insert((record.cluster.clone(), id.to_owned(), stage, time));
                    }
                }
                match page.next {
                    Some(next) => slice.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(excused)
    }

    /// The incidents of medium or above that findings are in which it removes or touches.
    fn incidents(&self, gone: &HashSet<String>, view: &mut TriedView) -> Result<(), ArchiveError> {
        if gone.is_empty() {
            return Ok(());
        }
        // A story's time is its first request, which may lie before the findings.
        let grave = Wanted { severity: Some(Severity::Medium), ..Wanted::default() };
        let (stories, more) = self.verdicts(VerdictKind::Story, &grave, INCIDENTS)?;
        view.more_incidents = more;
        for verdict in stories {
            let Some(story) = StoryView::of(&verdict) else { continue };
            let count = story.findings.iter().filter(|id| gone.contains(*id)).count();
            if count > 0 {
                view.in_incidents += count;
                view.incidents.extend(BriefView::of(&verdict));
            }
        }
        Ok(())
    }
}

/// Excuses from now on.
#[utoipa::path(post, path = "/api/v1/allow", tag = "rules", request_body = NewAllow,
    responses((status = 201, description = "The entry", body = AllowView)))]
pub(crate) async fn create(
    State(web): State<Web>,
    visitor: Visitor,
    Given(new): Given<NewAllow>,
) -> Result<(StatusCode, Json<AllowView>), Problem> {
    // A wrong word is shown with its place.
    Filter::parse(&new.filter)?;
    let NewAllow { rule, filter, owner, until, .. } = &new;
    let rule = rule.as_deref().unwrap_or("all rules");
    visitor.note.say(format!("{rule}: {filter}; owner {owner}, until {until}"));
    let library = web.inner.options.library.clone();
    let made = tokio::task::spawn_blocking(move || library.allow(new)).await;
    let made =
        made.map_err(|_| Problem::unavailable("the entry was not made; the server's log says why"))??;
    visitor.note.rows(1);
    Ok((StatusCode::CREATED, Json(made)))
}

/// Takes an entry back that was made so.
#[utoipa::path(delete, path = "/api/v1/allow/{id}", tag = "rules", params(("id" = String, Path)),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn remove(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let library = web.inner.options.library.clone();
    if let Some(entry) = library.allowed().into_iter().find(|entry| entry.id.as_deref() == Some(id.as_str()))
    {
        let rule = entry.rule.as_deref().unwrap_or("all rules");
        visitor.note.say(format!("{rule}: {}; owner {}", entry.filter, entry.owner));
    }
    let removed = tokio::task::spawn_blocking(move || library.disallow(&id)).await;
    removed.map_err(|_| Problem::unavailable("the entry stays; the server's log says why"))??;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}
