//! Explore: ask, look at numbers, narrow down, read.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_model::field::FIELDS;
use klio_model::{Event, Field, FieldRef, Filter, Matcher, TextMatch, TimeRange, Timestamp};
use serde::Deserialize;

use super::address::Address;
use super::chart::Chart;
use super::draw;
use super::event::Drawer;
use super::frame::{About, Asked, Frame, Screen};
use crate::api::{event_view, split, step_of, usual};
use crate::archive::{Archive, ArchiveError, Page, Patience, Question, Record, Slice, Survey};
use crate::cursor::Thread;
use crate::input::{Which, field, limit};
use crate::route;
use crate::view::{
    CellView, ColumnView, ExploreView, FacetValue, FacetView, HistogramView, PartView, QuestionView, RowView,
    Top,
};
use crate::visitor::Visitor;
use crate::{Problem, Sight, Web};

/// Events of a page.
const ROWS: usize = 50;
/// Events of a page at most.
const MOST_ROWS: usize = 200;
/// Columns of the table at most.
const MOST_COLUMNS: usize = 20;
/// Values of a facet.
const VALUES: usize = 6;
/// Values of a facet that was opened.
const MORE_VALUES: usize = 40;
/// Without a time: what happened in so many microseconds before the newest event.
const USUAL: i64 = 24 * 3_600_000_000;

/// The facets that are always there.
const FACETS: [&str; 8] = ["outcome", "verb", "resource", "namespace", "user", "source.ip", "code", "agent"];
/// The columns, if nobody chooses others.
const COLUMNS: [&str; 5] = ["user", "verb", "object", "code", "source.ip"];

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    filter: Option<String>,
    cluster: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// The field by which the histogram is split.
    by: Option<String>,
    /// A facet of which more values are wanted, or that is not always there.
    facet: Option<String>,
    /// Columns with commas between.
    columns: Option<String>,
    /// One more column.
    column: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    /// The audit id of the event that is shown beside the others; nothing or empty if `mark` alone says which.
    event: Option<String>,
    /// Which of the events with this audit id.
    mark: Option<String>,
}

impl Wanted {
    fn address(&self) -> Address {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Address::new("/explore")
            .with("filter", text(&self.filter))
            .with("cluster", text(&self.cluster))
            .with("from", text(&self.from))
            .with("to", text(&self.to))
            .with("by", text(&self.by))
            .with("facet", text(&self.facet))
            .with("columns", if self.has_own_columns() { self.columns().join(",") } else { String::new() })
            .with("limit", self.limit.map(|n| n.to_string()).unwrap_or_default())
    }

    fn has_own_columns(&self) -> bool {
        [&self.columns, &self.column].into_iter().flatten().any(|text| !text.is_empty())
    }

    fn columns(&self) -> Vec<String> {
        let mut all: Vec<String> = match self.columns.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            None => COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
        };
        let more = self.column.as_deref().map(str::trim).unwrap_or_default();
        if !more.is_empty() && !all.iter().any(|name| name == more) {
            all.push(more.to_owned());
        }
        all.truncate(MOST_COLUMNS);
        all
    }
}

#[derive(Template)]
#[template(path = "explore.html")]
struct Explore {
    frame: Frame,
    view: ExploreView,
    chart: Option<Chart>,
    /// Usual times and where they lead.
    presets: Vec<(&'static str, String)>,
    /// What a column can show.
    fields: Vec<&'static str>,
    /// What a form about the table keeps of the address: names and values.
    kept: Vec<(&'static str, String)>,
    /// The event that is shown beside the others.
    drawer: Option<Drawer>,
    /// The same without it.
    closed: String,
    /// Why the reader may not save the question.
    no_save: Option<String>,
}

impl Explore {
    /// The filter with what is wrong in the middle.
    fn marked(&self) -> Option<(&str, &str, &str)> {
        self.view.problem.as_ref()?.marked(&self.view.question.filter)
    }
}

/// Usual times.
const PRESETS: [(&str, &str); 6] = [
    ("15 minutes", "now-15m"),
    ("1 hour", "now-1h"),
    ("24 hours", "now-24h"),
    ("7 days", "now-7d"),
    ("30 days", "now-30d"),
    ("All time", "1970"),
];

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let address = wanted.address();
    let filter = wanted.filter.clone().unwrap_or_default();
    let columns = wanted.columns();
    let mut view = ExploreView {
        question: QuestionView {
            kept: address.others(&["filter", "from", "to"]),
            cluster: wanted.cluster.clone().unwrap_or_default(),
            from: wanted.from.clone().unwrap_or_default(),
            to: wanted.to.clone().unwrap_or_default(),
            by: wanted.by.clone().filter(|by| !by.is_empty()).unwrap_or_else(|| "outcome".to_owned()),
            filter: filter.clone(),
            ..QuestionView::default()
        },
        problem: None,
        count: 0,
        histogram: None,
        facets: Vec::new(),
        events: Vec::new(),
        event: None,
        older: None,
        columns: column_views(&columns, &address),
    };
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let drawer = match (some(&wanted.event), some(&wanted.mark)) {
        (None, None) => None,
        (id, mark) => Some(Drawer::of(&web, &visitor, &id.unwrap_or_default(), mark.as_deref()).await?),
    };
    view.event = drawer.as_ref().map(|drawer| drawer.event.clone());
    let closed = address.clone().with("cursor", wanted.cursor.clone().unwrap_or_default()).to_string();
    let no_save = route::why_not(&visitor, "POST", "/api/v1/hunts");
    // Who opens an event beside the others has the others already.
    if screen.wants_only("drawer") {
        let about = About { title: "Explore".to_owned(), place: "/explore", command: None };
        return screen.show(&web, &visitor, about, view, |frame, view| Explore {
            frame,
            view,
            chart: None,
            presets: Vec::new(),
            fields: Vec::new(),
            kept: Vec::new(),
            drawer,
            closed,
            no_save,
        });
    }
    if let Err(problem) = answer(&web, &visitor, wanted, &columns, &address, &mut view).await {
        // A question that is none is told beside the question; anything else is a refusal.
        if problem.status() != axum::http::StatusCode::BAD_REQUEST || screen.wants_json() {
            return Err(problem);
        }
        view.problem = Some(problem);
    }
    let about =
        About { title: "Explore".to_owned(), place: "/explore", command: Some(command(&view.question)) };
    let range = TimeRange { start: view.question.start, end: view.question.end };
    let chart = view.histogram.as_ref().and_then(|histogram| Chart::new(histogram, range, &address));
    let preset = |(label, from)| (label, address.clone().with("from", from).with("to", "").to_string());
    let presets = PRESETS.map(preset).to_vec();
    let fields = FIELDS.iter().map(|field| field.name).collect();
    let kept = address.others(&[]);
    screen.show(&web, &visitor, about, view, |frame, view| Explore {
        frame,
        view,
        chart,
        presets,
        fields,
        kept,
        drawer,
        closed,
        no_save,
    })
}

fn column_views(columns: &[String], address: &Address) -> Vec<ColumnView> {
    let without = |field: &String| {
        let rest: Vec<&str> = columns.iter().filter(|other| *other != field).map(String::as_str).collect();
        address.clone().with("columns", rest.join(",")).to_string()
    };
    columns.iter().map(|field| ColumnView { field: field.clone(), without: without(field) }).collect()
}

/// Fills the view in.
async fn answer(
    web: &Web,
    visitor: &Visitor,
    wanted: Wanted,
    columns: &[String],
    address: &Address,
    view: &mut ExploreView,
) -> Result<(), Problem> {
    let which = Which {
        filter: wanted.filter.clone(),
        cluster: wanted.cluster.clone(),
        from: wanted.from.clone(),
        to: wanted.to.clone(),
    };
    let asked = match wanted.filter.as_deref().map(str::trim) {
        None | Some("") => Filter::All,
        Some(text) => Filter::parse(text)?,
    };
    view.question.parts = parts(&asked, address);
    let question = which.question(web, visitor)?;
    let by = field(&view.question.by, visitor)?;
    let cells = columns.iter().map(|name| Cell::of(name, visitor)).collect::<Result<Vec<_>, _>>()?;
    let facets = facets(wanted.facet.as_deref(), visitor)?;
    let thread = Thread::new(&visitor.sight, &[&["explore"], &which.words()[..]].concat());
    let cursor = wanted.cursor.clone().unwrap_or_default();
    let slice = Slice {
        after: thread.position(wanted.cursor.as_deref())?,
        most: limit(wanted.limit, ROWS, MOST_ROWS)?,
    };
    let now = web.now();
    let found = visitor
        .ask(web, move |archive, sight, patience| {
            survey(archive, sight, patience, question, (by, facets), &slice, now)
        })
        .await?;
    visitor.note.rows(found.page.items.len());
    let TimeRange { start, end } = found.range;
    (view.question.start, view.question.end) = (start, end);
    view.question.range = draw::range(found.range);
    view.count = found.count;
    view.histogram = Some(found.histogram);
    view.facets =
        found.facets.into_iter().map(|(facet, top)| facet_view(&facet, top, &asked, address)).collect();
    let bodies = visitor.bodies();
    let row_address = address.clone().with("cursor", cursor);
    let row = |record| {
        let event = event_view(record, &visitor.sight, bodies)?;
        let parsed = Event::parse(event.event.get()).ok()?;
        let cells = cells.iter().map(|cell| cell.view(&parsed)).collect();
        let page = row_address.clone().with("event", event.audit_id.clone().unwrap_or_default());
        let page = page.with("mark", event.mark.clone()).to_string();
        Some(RowView { event, cells, page })
    };
    view.events = found.page.items.iter().filter_map(row).collect();
    view.older = found.page.next.map(|at| address.clone().with("cursor", thread.cursor(&at)).to_string());
    Ok(())
}

/// What the archive says.
struct Found {
    range: TimeRange,
    count: u64,
    histogram: HistogramView,
    facets: Vec<(Facet, Top)>,
    page: Page<Record>,
}

fn survey(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    mut question: Question,
    (by, facets): (FieldRef, Vec<Facet>),
    slice: &Slice,
    now: Timestamp,
) -> Result<Found, ArchiveError> {
    // A cluster that has been silent since last week still shows what it did, whatever is asked.
    let all = Question { filter: Filter::All, ..question.clone() };
    question.range = usual(archive, sight, patience, &all, USUAL, now)?;
    let range = question.range;
    let step = step_of(archive, sight, patience, &question, None)?;
    let survey = Survey {
        tops: facets.iter().map(|facet| (facet.field.clone(), facet.most)).collect(),
        steps: step.map(|step| (by.clone(), step)),
        ..Survey::default()
    };
    let found = archive.survey(sight, patience, &question, &survey)?;
    let histogram = split(step, Some(&by), found.steps);
    let facets = facets.into_iter().zip(found.tops).collect();
    let page = archive.events(sight, patience, &question, slice)?;
    Ok(Found { range, count: found.count, histogram, facets, page })
}

/// A field whose values are counted.
struct Facet {
    field: FieldRef,
    most: usize,
}

fn facets(wanted: Option<&str>, visitor: &Visitor) -> Result<Vec<Facet>, Problem> {
    let wanted = wanted.filter(|name| !name.is_empty());
    let others = wanted.filter(|name| !FACETS.contains(name));
    let names = others.into_iter().chain(FACETS);
    let facet = |name: &str| {
        let most = if wanted == Some(name) { MORE_VALUES } else { VALUES };
        Ok(Facet { field: field(name, visitor)?, most })
    };
    names.map(facet).collect()
}

fn facet_view(facet: &Facet, top: Top, asked: &Filter, address: &Address) -> FacetView {
    let name = facet.field.name();
    let most = top.values.first().map_or(1, |(_, count)| *count).max(1);
    let to = |filter: Filter| address.clone().with("filter", text(&filter)).to_string();
    let value = |(value, count): (String, u64)| {
        let test = Filter::test(facet.field.clone(), Matcher::Text(TextMatch::literal(&value)));
        let is_asked = *asked == test || matches!(asked, Filter::And(parts) if parts.contains(&test));
        FacetValue {
            label: draw::account(&value).to_owned(),
            include: to(if is_asked { asked.clone() } else { Filter::and([asked.clone(), test.clone()]) }),
            exclude: to(Filter::and([asked.clone(), Filter::not(test.clone())])),
            only: to(test),
            asked: is_asked,
            share: (count * 100 / most).max(1) as u8,
            value,
            count,
        }
    };
    let is_cut = top.other > 0 && facet.most < MORE_VALUES;
    FacetView {
        field: name.to_owned(),
        about: facet.field.field().info().doc,
        more: is_cut.then(|| address.clone().with("facet", name).to_string()),
        values: top.values.into_iter().map(value).collect(),
        other: top.other,
        missing: top.missing,
    }
}

/// The parts of a filter that all must hold.
fn parts(asked: &Filter, address: &Address) -> Vec<PartView> {
    let all = match asked {
        Filter::All => return Vec::new(),
        Filter::And(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let without = |skipped: usize| {
        let rest = all.iter().enumerate().filter(|(at, _)| *at != skipped).map(|(_, part)| part.clone());
        address.clone().with("filter", text(&Filter::and(rest))).to_string()
    };
    let part = |(at, part): (usize, &Filter)| PartView { text: part.to_string(), without: without(at) };
    all.iter().enumerate().map(part).collect()
}

/// As filters are written; nothing for all events.
fn text(filter: &Filter) -> String {
    if *filter == Filter::All { String::new() } else { filter.to_string() }
}

/// What says which object it is.
const OBJECT: [Field; 4] = [Field::Resource, Field::Subresource, Field::Namespace, Field::Name];

/// What a column shows.
enum Cell {
    /// Kind, namespace and name.
    Object,
    Field(FieldRef),
}

impl Cell {
    fn of(name: &str, visitor: &Visitor) -> Result<Self, Problem> {
        if name == "object" { Ok(Self::Object) } else { field(name, visitor).map(Self::Field) }
    }

    fn view(&self, event: &Event<'_>) -> CellView {
        let test = |field: &FieldRef| {
            let value = field.values(event).first().map(|value| TextMatch::literal(value))?;
            Some(Filter::test(field.clone(), Matcher::Text(value)))
        };
        match self {
            Self::Object => {
                let tests: Vec<Filter> =
                    OBJECT.into_iter().map(FieldRef::of).filter_map(|field| test(&field)).collect();
                let filter = (!tests.is_empty()).then(|| Filter::and(tests).to_string());
                CellView { text: draw::object(event), filter }
            }
            Self::Field(field) => {
                let values = field.values(event);
                let text = values.iter().map(|value| draw::account(value)).collect::<Vec<_>>().join(", ");
                CellView { text, filter: test(field).map(|test| test.to_string()) }
            }
        }
    }
}

/// What says the same in a terminal.
fn command(question: &QuestionView) -> String {
    let filter = if question.filter.trim().is_empty() { "*" } else { question.filter.as_str() };
    let limits = draw::limits(&question.cluster, question.start, question.end);
    format!("klio hunt {}{limits}", draw::shell(filter))
}
