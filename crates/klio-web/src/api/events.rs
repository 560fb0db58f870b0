//! Events: lists, one, numbers, proofs.

use axum::Json;
use axum::extract::{Path, State};
use std::collections::BTreeMap;

use klio_model::{Event, Field, FieldRef, Filter, Matcher, TextMatch, TimeRange, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::Answer;
use crate::archive::{Archive, ArchiveError, Patience, Question, Record, Slice, Survey};
use crate::cursor::Thread;
use crate::input::{Asked, Which, field, limit, span};
use crate::view::{
    Bar, CountView, EventPage, EventStages, EventView, HistogramView, ProofView, Series, TopView,
};
use crate::visitor::Visitor;
use crate::{Problem, Sight, Web};

/// Events of a page, if nobody says how many.
const PAGE: usize = 100;
/// Events of a page at most.
const MOST: usize = 1000;
/// Events of one audit id that are shown.
pub(crate) const STAGES: usize = 200;
/// Steps of a histogram at most, if nobody says how long one is.
const BARS: i64 = 120;
/// Steps of a histogram at most.
const MOST_BARS: i64 = 10_000;
/// Series of a histogram.
const SERIES: usize = 10;

/// Which part of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// A filter, as docs/filter.md has them; all events without one.
    filter: Option<String>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
    /// How many: 1 to 1000, usually 100.
    limit: Option<usize>,
    /// What `next` of the page before said.
    cursor: Option<String>,
}

/// The view of a record. What the archive must not have answered is left out, and told to the log.
pub(crate) fn view(record: &Record, sight: &Sight, bodies: bool) -> Option<EventView> {
    let seen = sight.filter_for(&record.cluster).is_some_and(|filter| {
        filter == Filter::All
            || Event::parse(&record.raw).is_ok_and(|mut event| {
                event.salvaged = record.salvaged;
                filter.matches(&event)
            })
    });
    if !seen {
        tracing::error!(cluster = %record.cluster, "the archive answered with an event that is not to be seen");
        return None;
    }
    EventView::of(record, bodies)
}

/// Events, the newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Listing),
    responses((status = 200, description = "A page", body = EventPage)))]
pub(crate) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<Listing>,
) -> Answer<EventPage> {
    let Listing { filter, cluster, from, to, limit: most, cursor } = asked;
    let which = Which { filter, cluster, from, to };
    let question = which.question(&web, &visitor)?;
    let thread = Thread::new(&visitor.sight, &[&["events"], &which.words()[..]].concat());
    let slice = Slice { after: thread.position(cursor.as_deref())?, most: limit(most, PAGE, MOST)? };
    let page =
        visitor.ask(&web, move |a, sight, patience| a.events(sight, patience, &question, &slice)).await?;
    let bodies = visitor.bodies();
    let items: Vec<EventView> =
        page.items.iter().filter_map(|record| view(record, &visitor.sight, bodies)).collect();
    visitor.note.rows(items.len());
    Ok(Json(EventPage { items, next: page.next.map(|p| thread.cursor(&p)) }))
}

/// How many events match.
#[utoipa::path(get, path = "/api/v1/events/count", tag = "events", params(Which),
    responses((status = 200, description = "A number", body = CountView)))]
pub(crate) async fn count(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(which): Asked<Which>,
) -> Answer<CountView> {
    let question = which.question(&web, &visitor)?;
    let count = visitor.ask(&web, move |a, sight, patience| a.count(sight, patience, &question)).await?;
    visitor.note.rows(1);
    Ok(Json(CountView { count }))
}

/// Which field's values.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Frequent {
    /// The field, as docs/fields.md has them.
    field: String,
    /// A filter, as docs/filter.md has them; all events without one.
    filter: Option<String>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
    /// How many values: 1 to 1000, usually 10.
    limit: Option<usize>,
}

/// The most frequent values of a field.
#[utoipa::path(get, path = "/api/v1/events/top", tag = "events", params(Frequent),
    responses((status = 200, description = "Values and numbers", body = TopView)))]
pub(crate) async fn top(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<Frequent>,
) -> Answer<TopView> {
    let Frequent { field: name, filter, cluster, from, to, limit: most } = asked;
    let question = Which { filter, cluster, from, to }.question(&web, &visitor)?;
    let field = field(&name, &visitor)?;
    let most = limit(most, 10, MOST)?;
    let name = field.name().to_owned();
    let top =
        visitor.ask(&web, move |a, sight, patience| a.top(sight, patience, &question, &field, most)).await?;
    visitor.note.rows(top.values.len());
    Ok(Json(TopView::of(&name, top)))
}

/// Events over time.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OverTime {
    /// How long a step is: `30s`, `5m`, `1h`, `1d`; if none is given, one that makes at most 120 of the time.
    interval: Option<String>,
    /// Split by the values of this field; the ten most frequent ones.
    field: Option<String>,
    /// A filter, as docs/filter.md has them; all events without one.
    filter: Option<String>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
}

/// Numbers of events over time.
#[utoipa::path(get, path = "/api/v1/events/histogram", tag = "events", params(OverTime),
    responses((status = 200, description = "Numbers", body = HistogramView)))]
pub(crate) async fn histogram(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<OverTime>,
) -> Answer<HistogramView> {
    let OverTime { interval, field: by, filter, cluster, from, to } = asked;
    let question = Which { filter, cluster, from, to }.question(&web, &visitor)?;
    let by = by.filter(|name| !name.is_empty()).map(|name| field(&name, &visitor)).transpose()?;
    let step = match interval.as_deref() {
        None | Some("") => None,
        Some(text) => Some(
            span(text)
                .filter(|step| *step > 0)
                .ok_or_else(|| Problem::bad("`interval` is no span of time: write 30s, 5m, 1h or 1d"))?,
        ),
    };
    let view = visitor
        .ask(&web, move |archive, sight, patience| over_time(archive, sight, patience, &question, step, by))
        .await?;
    visitor.note.rows(view.series.iter().map(|s| s.bars.len()).sum());
    Ok(Json(view))
}

/// Numbers of events over time, in steps of so many microseconds, split by the values of a field.
pub(crate) fn over_time(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    question: &Question,
    step: Option<i64>,
    by: Option<FieldRef>,
) -> Result<HistogramView, ArchiveError> {
    let Some(step) = step_of(archive, sight, patience, question, step)? else {
        return Ok(split(step, by.as_ref(), Vec::new()));
    };
    let Some(by) = by else {
        let all = archive.histogram(sight, patience, question, step)?;
        return Ok(split(Some(step), None, vec![(None, all)]));
    };
    let survey = Survey { steps: Some((by.clone(), step)), ..Survey::default() };
    let found = archive.survey(sight, patience, question, &survey)?;
    Ok(split(Some(step), Some(&by), found.steps))
}

/// Clocks differ by so much, microseconds: what claims to be later is not the newest.
const SKEW: i64 = 5 * 60 * 1_000_000;

/// The time of the newest event of a question, leaving out those from the future: a single one would hide all others from whoever
/// looks at the newest day.
pub(crate) fn newest(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    question: &Question,
    now: Timestamp,
) -> Result<Option<Timestamp>, ArchiveError> {
    let end = present(now);
    let end = Some(question.range.end.map_or(end, |own| own.min(end)));
    let question = Question { range: TimeRange { end, ..question.range }, ..question.clone() };
    let page = archive.events(sight, patience, &question, &Slice { after: None, most: 1 })?;
    Ok(page.items.first().and_then(|record| Event::parse(&record.raw).ok()?.time()))
}

/// How far clocks may go ahead.
pub(crate) fn present(now: Timestamp) -> Timestamp {
    Timestamp(now.micros().saturating_add(SKEW))
}

/// The time that a page shows unless another was asked for: so many microseconds before the newest event, up to it; of a time that is
/// mostly empty the part that is not. What comes from the future is left out: a single event would flatten every chart.
pub(crate) fn usual(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    question: &Question,
    length: i64,
    now: Timestamp,
) -> Result<TimeRange, ArchiveError> {
    if !question.range.is_all() {
        return Ok(question.range);
    }
    match newest(archive, sight, patience, question, now)? {
        Some(last) => until(archive, sight, patience, question, length, last),
        None => Ok(TimeRange::default()),
    }
}

/// So many microseconds up to an event, without its empty beginning if that is most of it.
pub(crate) fn until(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    question: &Question,
    length: i64,
    last: Timestamp,
) -> Result<TimeRange, ArchiveError> {
    let end = Some(Timestamp(last.micros().saturating_add(1)));
    let start = Timestamp(last.micros().saturating_sub(length));
    let whole = Question { range: TimeRange { start: Some(start), end }, ..question.clone() };
    let first = archive.span(sight, patience, &whole)?.map_or(start, |(first, _)| first);
    let is_empty = last.micros().saturating_sub(first.micros()) < length / 4;
    Ok(TimeRange { start: Some(if is_empty { first } else { start }), end })
}

/// How long the steps of a histogram are, microseconds: as asked for, or as it fits the time; `None` if there is nothing to count.
pub(crate) fn step_of(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    question: &Question,
    step: Option<i64>,
) -> Result<Option<i64>, ArchiveError> {
    let TimeRange { start, end } = question.range;
    let span = match (start, end) {
        (Some(start), Some(end)) => Some((start, end)),
        _ => archive.span(sight, patience, question)?.map(|(first, last)| {
            // Of a time without an end that is mostly empty, the part that is not.
            let length = last.micros().saturating_sub(first.micros()).max(1_000_000);
            let near = |time: &Timestamp, to: Timestamp| {
                time.micros().saturating_sub(to.micros()).saturating_abs() <= length.saturating_mul(4)
            };
            let (start, end) = (start.filter(|s| near(s, first)), end.filter(|e| near(e, last)));
            (start.unwrap_or(first), end.unwrap_or(last))
        }),
    };
    let Some((start, end)) = span else { return Ok(None) };
    let length = end.micros().saturating_sub(start.micros()).max(1);
    let step = step.unwrap_or_else(|| usual_step(length));
    if length / step > MOST_BARS {
        return Err(ArchiveError::BadQuestion(format!(
            "this makes more than {MOST_BARS} steps; write a longer `interval`"
        )));
    }
    Ok(Some(step))
}

/// Steps of each value, the most frequent value first, as a histogram: those of the most frequent values, then of all others.
pub(crate) fn split(
    step: Option<i64>,
    by: Option<&FieldRef>,
    steps: Vec<(Option<String>, Vec<Bar>)>,
) -> HistogramView {
    let mut series = Vec::new();
    let mut rest: BTreeMap<Timestamp, u64> = BTreeMap::new();
    for (value, bars) in steps {
        if value.is_some() && series.len() < SERIES {
            series.push(Series { value, bars });
        } else {
            for bar in bars {
                *rest.entry(bar.start).or_default() += bar.count;
            }
        }
    }
    if !rest.is_empty() {
        let bars = rest.into_iter().map(|(start, count)| Bar { start, count }).collect();
        series.push(Series { value: None, bars });
    }
    HistogramView {
        interval_seconds: step.map_or(60, |step| (step / 1_000_000) as u64),
        field: by.map(|field| field.name().to_owned()),
        series,
    }
}

/// A step that people count in, of which about a hundred make the time.
fn usual_step(length: i64) -> i64 {
    const STEPS: [i64; 16] =
        [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];
    let seconds = length / 1_000_000 / BARS;
    let step = STEPS.into_iter().find(|step| *step >= seconds);
    step.unwrap_or_else(|| (seconds / 86_400 + 1) * 86_400) * 1_000_000
}

/// All events of an audit id, in the order of time.
#[utoipa::path(get, path = "/api/v1/events/{auditId}", tag = "events", params(("auditId" = String, Path)),
    responses((status = 200, description = "Its events", body = EventStages)))]
pub(crate) async fn get(
    State(web): State<Web>,
    visitor: Visitor,
    Path(audit_id): Path<String>,
) -> Answer<EventStages> {
    let id = audit_id.clone();
    let records = visitor.ask(&web, move |a, sight, patience| a.event(sight, patience, &id, STAGES)).await?;
    let bodies = visitor.bodies();
    let items: Vec<EventView> =
        records.iter().filter_map(|record| view(record, &visitor.sight, bodies)).collect();
    if items.is_empty() {
        return Err(Problem::not_found());
    }
    visitor.note.rows(items.len());
    Ok(Json(EventStages { audit_id, items }))
}

/// The one event with a [mark](EventView::mark); of an audit id, unless that is empty.
pub(crate) async fn marked(
    web: &Web,
    visitor: &Visitor,
    audit_id: &str,
    mark: &str,
) -> Result<EventView, Problem> {
    let time = mark.split('.').next().and_then(|micros| micros.parse().ok()).map(Timestamp);
    let filter = if audit_id.is_empty() { Filter::All } else { super::is(Field::AuditId, audit_id) };
    let end = time.map(|time| Timestamp(time.micros().saturating_add(1)));
    let question = Question { clusters: Vec::new(), filter, range: TimeRange { start: time, end } };
    let slice = Slice { after: None, most: MOST };
    let page =
        visitor.ask(web, move |a, sight, patience| a.events(sight, patience, &question, &slice)).await?;
    let bodies = visitor.bodies();
    let found = page.items.iter().filter_map(|record| view(record, &visitor.sight, bodies));
    let found = found.into_iter().find(|event| event.mark == mark).ok_or_else(Problem::not_found)?;
    visitor.note.rows(1);
    Ok(found)
}

/// Proofs that the events of an audit id were sealed.
#[utoipa::path(get, path = "/api/v1/events/{auditId}/proof", tag = "events", params(("auditId" = String, Path)),
    responses((status = 200, description = "One proof for each event", body = ProofView)))]
pub(crate) async fn proof(
    State(web): State<Web>,
    visitor: Visitor,
    Path(audit_id): Path<String>,
) -> Answer<ProofView> {
    let id = audit_id.clone();
    let proofs = visitor.ask(&web, move |a, sight, patience| a.proofs(sight, patience, &id)).await?;
    let proofs: Vec<Box<RawValue>> =
        proofs.into_iter().filter_map(|json| RawValue::from_string(json).ok()).collect();
    if proofs.is_empty() {
        return Err(Problem::not_found());
    }
    visitor.note.rows(proofs.len());
    Ok(Json(ProofView { audit_id, proofs }))
}

/// `field` is exactly this text.
pub(crate) fn is(field: Field, value: &str) -> Filter {
    Filter::test(FieldRef::of(field), Matcher::Text(TextMatch::exactly(value)))
}
