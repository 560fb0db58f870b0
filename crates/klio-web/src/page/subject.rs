//! Actors, objects, addresses, credentials, namespaces, pods, nodes: what each does over time, what is usual, what is new.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use klio_model::{FieldRef, Filter, Matcher, TextMatch, TimeRange, Timestamp};
use serde::{Deserialize, Serialize};

use super::address::{self, Address};
use super::chart::Chart;
use super::draw;
use super::frame::{About, Asked, Frame, Screen};
use crate::api::subjects::{During, Kind, subject};
use crate::api::{event_view, findings, history, over_time};
use crate::archive::{Question, Slice};
use crate::input::{clusters, range};
use crate::view::{EventView, FindingView, HistogramView, HistoryView, SubjectView, TopView, capital};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Newest events that are shown.
const EVENTS: usize = 30;
/// What was never seen before the last so many microseconds is new.
const NEW: i64 = 24 * 3_600_000_000;
/// Values that are compared to tell what is new.
const VALUES: usize = 500;

/// When and where.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    cluster: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// All that a page tells of a subject.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubjectPageView {
    #[serde(flatten)]
    subject: SubjectView,
    /// Values that were first seen within the last day of its events.
    new: Vec<TopView>,
    /// Its requests over time, by what they came to.
    histogram: HistogramView,
    /// Findings about it as an actor, the newest first.
    findings: Vec<FindingView>,
    /// Of an object: what happened to it.
    history: Option<HistoryView>,
    /// Why that cannot be told; nothing if it can.
    no_history: Option<String>,
    /// The newest events.
    events: Vec<EventView>,
}

#[derive(Template)]
#[template(path = "subject.html")]
struct SubjectPage {
    frame: Frame,
    view: SubjectPageView,
    chart: Option<Chart>,
    explore: Address,
}

impl SubjectPage {
    /// The subject's events with this value.
    fn search(&self, field: &str, value: &str) -> String {
        let Ok(field) = FieldRef::parse(field) else { return self.explore.to_string() };
        let own = Filter::parse(&self.view.subject.filter).unwrap_or(Filter::All);
        let test = Filter::test(field, Matcher::Text(TextMatch::exactly(value)));
        self.explore.clone().with("filter", Filter::and([own, test]).to_string()).to_string()
    }
}

async fn page(
    web: Web,
    visitor: Visitor,
    screen: Screen,
    kind: Kind,
    names: Vec<String>,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Wanted { cluster, from, to } = wanted;
    let range = range(from.as_deref(), to.as_deref(), web.now())?;
    let during = During { cluster: cluster.clone(), from: from.clone(), to: to.clone() };
    let subject = subject(&web, &visitor, kind, &names, during).await?.0;
    let question = Question { clusters: clusters(cluster.as_deref()), filter: kind.filter(&names), range };
    let asked = question.clone();
    let last = subject.last;
    let found = visitor.ask(&web, move |archive, sight, patience| {
        let by = FieldRef::parse("outcome").ok();
        let histogram = over_time(archive, sight, patience, &asked, None, by)?;
        let events = archive.events(sight, patience, &asked, &Slice { after: None, most: EVENTS })?;
        let mut new = Vec::new();
        if let Some(last) = last {
            let split = Some(Timestamp(last.micros().saturating_sub(NEW)));
            let part = |start, end| Question { range: TimeRange { start, end }, ..asked.clone() };
            let (before, after) = (part(asked.range.start, split), part(split, asked.range.end));
            // Without a past everything would be new.
            if archive.count(sight, patience, &before)? > 0 {
                for field in kind.usual() {
                    let field = FieldRef::of(*field);
                    let old = archive.top(sight, patience, &before, &field, VALUES)?;
                    let mut now = archive.top(sight, patience, &after, &field, VALUES)?;
                    now.values.retain(|(value, _)| {
                        old.other == 0 && !old.values.iter().any(|(known, _)| known == value)
                    });
                    now.values.truncate(10);
                    if !now.values.is_empty() {
                        new.push(TopView::of(field.name(), now));
                    }
                }
            }
        }
        Ok((histogram, events.items, new))
    });
    let (histogram, records, new) = found.await?;
    let bodies = visitor.bodies();
    let mut no_history = None;
    let view = SubjectPageView {
        new,
        findings: match kind {
            Kind::Actor => {
                findings::of_actor(&web, &visitor, names.first().copied().unwrap_or_default(), range).await?
            }
            _ => Vec::new(),
        },
        history: match (kind, names.as_slice()) {
            (Kind::Object, [resource, namespace, name]) => {
                let told = history::target(resource, namespace, name).ok();
                match told {
                    Some(target) => {
                        let clusters = clusters(cluster.as_deref());
                        let show = move |event: &klio_model::Event<'_>| range.holds(event.time());
                        match history::history(&web, &visitor, target, clusters, range.end, show).await {
                            Ok(told) => told,
                            // The rest of the page does not need it.
                            Err(problem) => {
                                no_history = Some(problem.detail);
                                None
                            }
                        }
                    }
                    None => None,
                }
            }
            _ => None,
        },
        events: records.iter().filter_map(|record| event_view(record, &visitor.sight, bodies)).collect(),
        no_history,
        histogram,
        subject,
    };
    let text = |text: Option<String>| text.unwrap_or_default();
    let named = text(cluster.clone());
    let explore = Address::new("/explore")
        .with("filter", view.subject.filter.clone())
        .with("cluster", text(cluster))
        .with("from", from.filter(|text| !text.is_empty()).unwrap_or_else(|| "1970".to_owned()))
        .with("to", text(to));
    let chart = Chart::new(&view.histogram, range, &explore);
    let about = About {
        title: format!("{} {}", capital(kind.name()), view.subject.name),
        place: "/explore",
        command: Some(command(kind, &view.subject, &named, range)),
    };
    screen.show(&web, &visitor, about, view, |frame, view| SubjectPage { frame, view, chart, explore })
}

fn command(kind: Kind, subject: &SubjectView, cluster: &str, range: TimeRange) -> String {
    let limits = draw::limits(cluster, range.start, range.end);
    match kind {
        // That one tells of all time.
        Kind::Actor if range.is_all() => format!("klio actor {}{limits}", draw::shell(&subject.name)),
        Kind::Object => {
            format!("klio object {}{limits}", draw::shell(&subject.name.replacen("/-/", "/", 1)))
        }
        _ => format!("klio hunt {}{limits}", draw::shell(&subject.filter)),
    }
}

macro_rules! pages {
    ($($name:ident $kind:ident ($($part:ident),+);)*) => {$(
        pub(crate) async fn $name(
            State(web): State<Web>,
            visitor: Visitor,
            screen: Screen,
            Path(($($part,)+)): Path<pages!(@ $($part),+)>,
            Asked(wanted): Asked<Wanted>,
        ) -> Result<Response, Problem> {
            page(web, visitor, screen, Kind::$kind, vec![$($part),+], wanted).await
        }
    )*};
    (@ $a:ident) => { (String,) };
    (@ $a:ident, $b:ident) => { (String, String) };
    (@ $a:ident, $b:ident, $c:ident) => { (String, String, String) };
}

pages! {
    actor Actor (name);
    address Address (name);
    credential Credential (name);
    namespace Namespace (name);
    node Node (name);
    pod Pod (namespace, name);
    object Object (resource, namespace, name);
}
