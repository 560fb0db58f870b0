//! Klio's own audit: who looked at what, and changed what. It is the cluster `klio` of the same lake, and no role can turn it off.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_model::{Event, Field, FieldRef, Filter, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::Address;
use super::chart::Chart;
use super::draw;
use super::frame::{About, Asked, Frame, Screen};
use crate::api::{event_view, is, split, step_of};
use crate::archive::{Archive, ArchiveError, Page, Patience, Question, Record, Slice, Survey};
use crate::cursor::Thread;
use crate::view::{HistogramView, Top};
use crate::visitor::Visitor;
use crate::{OWN_CLUSTER, Problem, Sight, Web, input};

/// Accesses of a page.
const ROWS: usize = 50;
/// Values of a facet.
const VALUES: usize = 8;
/// Without a time.
const USUAL: &str = "now-7d";
/// Usual times.
const PRESETS: [(&str, &str); 4] =
    [("24 hours", "now-24h"), ("7 days", "now-7d"), ("30 days", "now-30d"), ("All time", "1970")];
/// What one narrows down by: the name in the address, the field, what it is called.
const FACETS: [(&str, Field, &str); 4] = [
    ("user", Field::User, "who"),
    ("verb", Field::Verb, "verb"),
    ("resource", Field::Resource, "what"),
    ("outcome", Field::Outcome, "result"),
];

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    user: Option<String>,
    verb: Option<String>,
    resource: Option<String>,
    outcome: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
}

impl Wanted {
    fn of(&self, name: &str) -> &str {
        let value = match name {
            "user" => &self.user,
            "verb" => &self.verb,
            "resource" => &self.resource,
            _ => &self.outcome,
        };
        value.as_deref().unwrap_or_default()
    }

    fn from(&self) -> &str {
        self.from.as_deref().filter(|text| !text.is_empty()).unwrap_or(USUAL)
    }

    fn address(&self) -> Address {
        let address = FACETS
            .iter()
            .fold(Address::new("/own-audit"), |address, (name, _, _)| address.with(name, self.of(name)));
        address
            .with("from", self.from.clone().unwrap_or_default())
            .with("to", self.to.clone().unwrap_or_default())
    }

    /// Each request once, at its end.
    fn filter(&self) -> Filter {
        let chosen = FACETS.iter().filter(|(name, _, _)| !self.of(name).is_empty());
        let chosen = chosen.map(|(name, field, _)| is(*field, self.of(name)));
        Filter::and([is(Field::Stage, "ResponseComplete")].into_iter().chain(chosen))
    }
}

/// What was done with Klio.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditView {
    /// As filters are written, for the cluster `klio`.
    filter: String,
    /// From then on.
    start: Option<Timestamp>,
    /// Before then.
    end: Option<Timestamp>,
    /// Whether it is what everybody did, or only what the reader did.
    all: bool,
    count: u64,
    histogram: HistogramView,
    facets: Vec<FacetView>,
    /// The newest first.
    items: Vec<AccessView>,
    /// The page after this one.
    older: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FacetView {
    name: &'static str,
    values: Vec<ValueView>,
    other: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueView {
    value: String,
    count: u64,
    /// Of a hundred of the most frequent value so many.
    share: u64,
    /// The same question with this value, or without it if it has it.
    to: String,
    asked: bool,
}

/// One request, or one action at the desk.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessView {
    time: Option<Timestamp>,
    /// As `kind:name`; nothing if that was not found out.
    who: String,
    /// What he showed.
    via: String,
    verb: String,
    /// What was asked for, and which.
    what: String,
    /// The filter or SQL that he asked, as far as the address has it.
    question: String,
    address: String,
    agent: String,
    /// allowed, denied, failed or left.
    result: String,
    code: Option<i64>,
    rows: Option<u64>,
    /// The event's page.
    page: String,
}

impl AccessView {
    fn of(record: &Record, visitor: &Visitor) -> Option<Self> {
        let view = event_view(record, &visitor.sight, visitor.bodies())?;
        let event: Value = serde_json::from_str(view.event.get()).ok()?;
        let note = |name: &str| event["annotations"][name].as_str().unwrap_or_default().to_owned();
        let parsed = Event::parse(view.event.get()).ok()?;
        let uri = event["requestURI"].as_str().unwrap_or_default();
        let query = uri.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let asked = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "filter");
        let deed = note("klio.dev/deed");
        let result = note("klio.dev/outcome");
        Some(Self {
            time: view.time,
            who: view.user.clone().unwrap_or_default(),
            via: event["user"]["extra"]["klio.dev/via"][0].as_str().unwrap_or_default().to_owned(),
            verb: view.verb.clone().unwrap_or_default(),
            what: if deed.is_empty() {
                draw::object(&parsed)
            } else {
                format!("{} ({deed})", draw::object(&parsed))
            },
            question: asked.map(|(_, text)| text.into_owned()).unwrap_or_default(),
            address: view.source_ip.clone().unwrap_or_default(),
            agent: event["userAgent"].as_str().unwrap_or_default().to_owned(),
            result: if result.is_empty() { view.outcome.to_owned() } else { result },
            code: view.code,
            rows: note("klio.dev/rows").parse().ok(),
            page: view.page(),
        })
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    view: AuditView,
    chart: Option<Chart>,
    range: String,
    /// Usual times, where they lead, and whether it is this one.
    presets: Vec<(&'static str, String, bool)>,
    /// The same events in Explore.
    explore: String,
    /// Everything.
    anew: Option<String>,
}

/// What the archive says.
struct Found {
    count: u64,
    histogram: HistogramView,
    tops: Vec<Top>,
    page: Page<Record>,
}

fn survey(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    question: &Question,
    slice: &Slice,
) -> Result<Found, ArchiveError> {
    let by = FieldRef::of(Field::User);
    let step = step_of(archive, sight, patience, question, None)?;
    let survey = Survey {
        tops: FACETS.iter().map(|(_, field, _)| (FieldRef::of(*field), VALUES)).collect(),
        steps: step.map(|step| (by.clone(), step)),
        ..Survey::default()
    };
    let found = archive.survey(sight, patience, question, &survey)?;
    Ok(Found {
        tops: found.tops,
        count: found.count,
        histogram: split(step, Some(&by), found.steps),
        page: archive.events(sight, patience, question, slice)?,
    })
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let address = wanted.address();
    let range = input::range(Some(wanted.from()), wanted.to.as_deref(), web.now())?;
    let filter = wanted.filter();
    let question = Question { clusters: vec![OWN_CLUSTER.to_owned()], filter: filter.clone(), range };
    let here = address.to_string();
    let thread = Thread::new(&visitor.sight, &["audit", &here]);
    let slice = Slice { after: thread.position(wanted.cursor.as_deref())?, most: ROWS };
    let asked = visitor
        .ask(&web, move |archive, sight, patience| survey(archive, sight, patience, &question, &slice));
    let found = asked.await?;
    visitor.note.rows(found.page.items.len());
    let facets = FACETS
        .iter()
        .zip(found.tops)
        .map(|((name, _, title), top)| facet(name, title, top, &wanted, &address));
    let view = AuditView {
        filter: filter.to_string(),
        start: range.start,
        end: range.end,
        all: visitor.sight.sees_audit(),
        count: found.count,
        facets: facets.collect(),
        items: found.page.items.iter().filter_map(|record| AccessView::of(record, &visitor)).collect(),
        older: found.page.next.map(|at| address.clone().with("cursor", thread.cursor(&at)).to_string()),
        histogram: found.histogram,
    };
    let chart = Chart::new(&view.histogram, range, &address);
    let preset = |(name, from): (&'static str, &str)| {
        let to = address.clone().with("from", from).with("to", "").to_string();
        (name, to, from == wanted.from() && wanted.to.is_none())
    };
    let presets = PRESETS.map(preset).to_vec();
    let explore = Address::new("/explore").with("cluster", OWN_CLUSTER).with("filter", &view.filter);
    let explore =
        explore.with("from", wanted.from()).with("to", wanted.to.clone().unwrap_or_default()).to_string();
    let is_narrow = FACETS.iter().any(|(name, _, _)| !wanted.of(name).is_empty());
    let anew = is_narrow.then(|| Address::new("/own-audit").with("from", wanted.from()).to_string());
    let about = About {
        title: "Klio's own audit".to_owned(),
        place: "/own-audit",
        command: Some(command(&view, &visitor)),
    };
    let range = draw::range(range);
    screen.show(&web, &visitor, about, view, |frame, view| Audit {
        frame,
        view,
        chart,
        range,
        presets,
        explore,
        anew,
    })
}

fn facet(name: &'static str, title: &'static str, top: Top, wanted: &Wanted, address: &Address) -> FacetView {
    let most = top.values.first().map_or(1, |(_, count)| *count).max(1);
    let value = |(value, count): (String, u64)| {
        let asked = wanted.of(name) == value;
        let to = address.clone().with(name, if asked { "" } else { value.as_str() }).to_string();
        ValueView { share: (count * 100 / most).max(1), value, count, to, asked }
    };
    FacetView { name: title, values: top.values.into_iter().map(value).collect(), other: top.other }
}

/// What says the same in a terminal: a hunt over the lake has the own audit too.
fn command(view: &AuditView, visitor: &Visitor) -> String {
    let own = if view.all { String::new() } else { format!(" and user:\"{}\"", visitor.principal) };
    let filter = format!("group:klio.dev and {}{own}", view.filter);
    let since = view.start.map(|start| format!(" --since {start}")).unwrap_or_default();
    format!("klio hunt {}{since}", draw::shell(&filter))
}
