//! The overview: what needs attention now, and whether what is shown is all.

mod heat;

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_detect::About as Rule;
use klio_model::{Field, FieldRef, Filter, Severity, TimeRange, Timestamp};

use super::address::{self, Address};
use super::chart::Chart;
use super::frame::{About, Asked, Frame, Nothing, Screen};
use super::{draw, incidents, integrity, sources, words};
use crate::api::{self, findings, split, step_of};
use crate::archive::{Archive, ArchiveError, Patience, Question, Survey, Surveyed};
use crate::view::{
    self, BriefView, ChangeView, Completeness, HistogramView, OverviewView, RuleHits, SourceView,
};
use crate::visitor::Visitor;
use crate::{Problem, Sight, Web};
use heat::Heat;

/// A day, in microseconds.
const DAY: i64 = 24 * 3_600_000_000;
/// Findings count for the heat map for so many days.
const HEAT_DAYS: i64 = 30;
/// Incidents need somebody for so many days after their last request.
const NOW_DAYS: i64 = 7;
/// Incidents that are shown.
const SHOWN: usize = 8;
/// Users and addresses that are compared with yesterday's.
const COMPARED: usize = 1_000;
/// New ones that are named.
const NAMED: usize = 6;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    view: OverviewView,
    chart: Option<Chart>,
    marks: Vec<Mark>,
    heat: Vec<Heat>,
    now: Timestamp,
    range: String,
    /// Where all incidents of the last days are.
    queue: String,
}

/// An incident above the chart.
struct Mark {
    x: String,
    severity: String,
    title: String,
    href: String,
}

impl Overview {
    /// What the last verification came to: a class, and words.
    fn integrity(&self) -> (&'static str, String) {
        let state = &self.view.integrity;
        if state.running_since.is_some() {
            return ("good working", "being verified".to_owned());
        }
        let (class, said) = integrity::verdict(state);
        let said = said.split(':').next().unwrap_or_default();
        let ago = state.last.as_ref().map(|last| format!(", {}", words::ago(&self.now, &last.time)));
        (class, format!("{said}{}", ago.unwrap_or_default()))
    }
}

/// Whether everything arrived that the API server wrote, in words.
fn completeness(source: &SourceView) -> String {
    match &source.completeness {
        Completeness::Unproven => "completeness not proved".to_owned(),
        Completeness::Compared(balance) => format!("{} complete", words::percent(&balance.ratio)),
    }
}

/// By how much more or less, in words.
fn difference(change: &ChangeView) -> String {
    match change.today.cmp(&change.yesterday) {
        std::cmp::Ordering::Equal => "as yesterday".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", draw::number(&(change.today - change.yesterday))),
        std::cmp::Ordering::Less => format!("−{}", draw::number(&(change.yesterday - change.today))),
    }
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let listing = findings::Listing {
        severity: Some(Severity::Medium.name().to_owned()),
        limit: Some(1000),
        ..findings::Listing::default()
    };
    let (mut all, more) = findings::briefs(&web, &visitor, listing).await?;
    incidents::rank(&mut all);
    let asked = web.now();
    let found =
        visitor.ask(&web, move |archive, sight, patience| survey(archive, sight, patience, asked)).await?;
    let since = found.newest.map(|newest| Timestamp(newest.micros().saturating_sub(NOW_DAYS * DAY)));
    let now: Vec<&BriefView> = all.iter().filter(|brief| brief.last >= since).collect();
    let sources = api::sources::list(State(web.clone()), visitor.clone()).await?.0.items;
    let integrity = api::integrity::get(State(web.clone()), visitor.clone()).await?.0;
    let rules = web.inner.options.library.rules();
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let explore = Address::new("/explore").with("from", text(found.start));
    let view = OverviewView {
        start: found.start,
        newest: found.newest,
        incident_count: now.len() as u64,
        more_incidents: more.is_some(),
        severities: severities(&rules, &found),
        changes: changes(&all, &found, &explore),
        attack: heat::attack(&rules, &found.month, api::coverage::known(&web, &visitor).as_deref()),
        incidents: now.iter().take(SHOWN).map(|brief| (*brief).clone()).collect(),
        histogram: found.histogram,
        new_users: found.new_users,
        new_addresses: found.new_addresses,
        sources,
        integrity,
    };
    let chart = Chart::new(&view.histogram, found.drawn, &explore);
    let marks = chart.as_ref().map(|chart| marks(&all, chart.ends())).unwrap_or_default();
    let queue = Address::new("/incidents").with("severity", "medium").with("from", text(since)).to_string();
    let about = About {
        title: "Overview".to_owned(),
        place: "/",
        command: Some(match since {
            Some(since) => format!("klio incident --since {since}"),
            None => "klio incident".to_owned(),
        }),
    };
    let (now, range, heat) =
        (web.now(), draw::range(TimeRange { start: view.start, end: None }), heat::columns(&view.attack));
    screen.show(&web, &visitor, about, view, |frame, view| Overview {
        frame,
        view,
        chart,
        marks,
        heat,
        now,
        range,
        queue,
    })
}

/// What the archive says.
#[derive(Default)]
struct Found {
    /// What the chart shows: of today the part that is not empty.
    drawn: TimeRange,
    start: Option<Timestamp>,
    newest: Option<Timestamp>,
    histogram: HistogramView,
    events: [u64; 2],
    denied: [u64; 2],
    hits: [Vec<RuleHits>; 2],
    month: Vec<RuleHits>,
    new_users: Vec<String>,
    new_addresses: Vec<String>,
}

fn survey(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    now: Timestamp,
) -> Result<Found, ArchiveError> {
    let all = Question { clusters: Vec::new(), filter: Filter::All, range: TimeRange::default() };
    let Some(newest) = api::newest(archive, sight, patience, &all, now)? else { return Ok(Found::default()) };
    let back = |days: i64| Some(Timestamp(newest.micros().saturating_sub(days * DAY)));
    // Events from the future would flatten the chart.
    let end = Some(Timestamp(newest.micros().saturating_add(1)));
    let days = [TimeRange { start: back(1), end }, TimeRange { start: back(2), end: back(1) }];
    let of = |range: TimeRange| Question { range, ..all.clone() };
    let outcome = FieldRef::of(Field::Outcome);
    let drawn = api::until(archive, sight, patience, &all, DAY, newest)?;
    let step = step_of(archive, sight, patience, &of(drawn), None)?;
    let tops = vec![
        (outcome.clone(), COMPARED),
        (FieldRef::of(Field::User), COMPARED),
        (FieldRef::of(Field::SourceIp), COMPARED),
    ];
    let survey = Survey { tops, steps: step.map(|step| (outcome.clone(), step)), ..Survey::default() };
    let today = archive.survey(sight, patience, &of(days[0]), &survey)?;
    let before = archive.survey(sight, patience, &of(days[1]), &Survey { steps: None, ..survey })?;
    let denied = |found: &Surveyed| {
        let values = found.tops.first().map(|top| top.values.as_slice()).unwrap_or_default();
        values.iter().find(|(value, _)| value == "denied").map_or(0, |(_, count)| *count)
    };
    // Without a yesterday everything would be new.
    let fresh = |number: usize| -> Vec<String> {
        let (Some(now), Some(old)) = (today.tops.get(number), before.tops.get(number)) else {
            return Vec::new();
        };
        if before.count == 0 || old.other > 0 {
            return Vec::new();
        }
        let is_new = |value: &&String| !old.values.iter().any(|(known, _)| known == *value);
        now.values.iter().map(|(value, _)| value).filter(is_new).cloned().collect()
    };
    let hits = days.map(|range| archive.rule_hits(sight, patience, range));
    let [hits_today, hits_before] = hits;
    Ok(Found {
        denied: [denied(&today), denied(&before)],
        events: [today.count, before.count],
        new_users: fresh(1),
        new_addresses: fresh(2),
        histogram: split(step, Some(&outcome), today.steps),
        hits: [hits_today?, hits_before?],
        month: archive.rule_hits(sight, patience, TimeRange { start: back(HEAT_DAYS), end })?,
        drawn,
        start: back(1),
        newest: Some(newest),
    })
}

/// How often rules of each severity fired.
fn severities(rules: &[Rule], found: &Found) -> Vec<ChangeView> {
    let of: BTreeMap<&str, Severity> = rules.iter().map(|rule| (rule.id.as_str(), rule.severity)).collect();
    let count = |hits: &[RuleHits], level: Severity| {
        let own = hits.iter().filter(|hit| of.get(hit.rule.as_str()) == Some(&level));
        own.map(|hit| hit.hits).sum::<u64>()
    };
    let from = found.start.map(|start| start.to_string()).unwrap_or_default();
    let address = Address::new("/detections").with("state", "hit").with("from", from);
    let change = |level: Severity| ChangeView {
        what: level.name().to_owned(),
        today: count(&found.hits[0], level),
        yesterday: count(&found.hits[1], level),
        page: address.clone().with("severity", level.name()).to_string(),
    };
    Severity::ALL.into_iter().rev().map(change).collect()
}

fn changes(all: &[BriefView], found: &Found, explore: &Address) -> Vec<ChangeView> {
    let begun = |from: Option<Timestamp>, to: Option<Timestamp>| {
        let range = TimeRange { start: from, end: to };
        all.iter().filter(|brief| brief.first.is_some() && range.holds(brief.first)).count() as u64
    };
    let before = found.start.map(|start| Timestamp(start.micros().saturating_sub(DAY)));
    let from = found.start.map(|start| start.to_string()).unwrap_or_default();
    let change = |what: &str, [today, yesterday]: [u64; 2], page: Address| ChangeView {
        what: what.to_owned(),
        today,
        yesterday,
        page: page.to_string(),
    };
    vec![
        change(
            "incidents begun",
            [begun(found.start, None), begun(before, found.start)],
            Address::new("/incidents").with("from", from).with("severity", "medium"),
        ),
        change("events", found.events, explore.clone()),
        change("requests denied", found.denied, explore.clone().with("filter", "outcome:denied")),
    ]
}

/// The incidents that began within the chart.
fn marks(all: &[BriefView], (start, end): (i64, i64)) -> Vec<Mark> {
    let width = (end - start).max(1) as f64;
    let mark = |brief: &BriefView| {
        let first = brief.first?.micros();
        (start..end).contains(&first).then(|| Mark {
            x: format!("{:.2}%", (first - start) as f64 / width * 100.0),
            severity: brief.severity.clone(),
            title: format!("{}: {}: {}", brief.severity, view::who(&brief.actors), brief.deeds()),
            href: address::path("/incidents", &brief.id),
        })
    };
    // The gravest above the others.
    all.iter().rev().filter_map(mark).collect()
}
