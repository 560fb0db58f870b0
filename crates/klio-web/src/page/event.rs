//! One request: what it means, what it changed, who judged it, what was around it, and that it is as it was sealed.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use klio_model::history::Step;
use klio_model::{Event, Field, TimeRange, Timestamp};
use serde::{Deserialize, Serialize};

use super::address::{self, Address};
use super::draw;
use super::frame::{About, Asked, Frame, Screen};
use super::tree::Tree;
use crate::api::{event_view, events, findings, history, is};
use crate::archive::{Archive, ArchiveError, Patience, Question, Record, Slice};
use crate::route;
use crate::view::{EventView, FindingView};
use crate::visitor::Visitor;
use crate::{Problem, Sight, Web};

/// Events before and after that are shown.
const AROUND: usize = 5;
/// Events that are looked at for those after.
const MANY: usize = 200;
/// How long after is looked, microseconds: the first that holds enough.
const AFTER: [i64; 3] = [1_000_000, 30_000_000, 900_000_000];

/// What the address says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Which of the events that bear the audit id; the last unless given.
    mark: Option<String>,
}

/// One of several events of an audit id.
struct Other {
    said: String,
    to: String,
    here: bool,
}

/// All that is told of an audit id.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventPageView {
    audit_id: String,
    /// Its events; clients choose ids, so several requests may bear one.
    items: Vec<EventView>,
    /// What it changed, rebuilt from answers and patches.
    changes: Vec<Step>,
    /// Why that is not known; nothing if it is.
    no_changes: Option<String>,
    /// What rules said of it.
    findings: Vec<FindingView>,
    /// What the same identity did before, the newest last.
    before: Vec<EventView>,
    /// What it did after.
    after: Vec<EventView>,
    /// Why its proof cannot be had; nothing if it can.
    no_proof: Option<String>,
    /// Whether more events than those bear the audit id.
    is_cut: bool,
}

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    frame: Frame,
    view: EventPageView,
    last: EventView,
    facts: Vec<Fact>,
    tree: Tree,
    /// All events of the audit id, if there are several.
    others: Vec<Other>,
    /// Explore, asked for the audit id.
    same: String,
}

/// A fact, and where it leads.
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) to: Option<String>,
}

/// An event in short, beside others.
pub(crate) struct Drawer {
    pub(crate) event: EventView,
    pub(crate) facts: Vec<Fact>,
    pub(crate) tree: Tree,
    /// Its page.
    pub(crate) page: String,
    /// How many events bear its audit id, with it.
    pub(crate) same: usize,
}

impl Drawer {
    /// Of a [mark](EventView::mark), or else the last of an audit id's events.
    pub(crate) async fn of(
        web: &Web,
        visitor: &Visitor,
        id: &str,
        mark: Option<&str>,
    ) -> Result<Self, Problem> {
        let (event, all) = shown(web, visitor, id.to_owned(), mark).await?;
        let value = serde_json::from_str(event.event.get()).unwrap_or_default();
        let (facts, tree) = (facts(&event), Tree::of(&value));
        let page = event.page();
        Ok(Self { event, facts, tree, page, same: all.len() })
    }
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(id): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let (last, items) = shown(&web, &visitor, id, wanted.mark.as_deref()).await?;
    let audit_id = last.audit_id.clone().unwrap_or_default();
    // Clients choose audit ids, so that one request could stand before another.
    let others = items.iter().map(|event| Other {
        said: format!("{} {}: {}", draw::maybe_time(event.time.as_ref()), event.stage, event.sentence),
        to: event.page(),
        here: event.mark == last.mark,
    });
    let others: Vec<Other> = others.collect();
    let filter = is(Field::AuditId, &audit_id).to_string();
    let same = Address::new("/explore").with("filter", filter.clone()).with("from", "1970").to_string();
    // What cannot be told of it does not hide the event.
    let (changes, no_changes) = match changes(&web, &visitor, &audit_id, &last).await {
        Ok(steps) => (steps, None),
        Err(problem) => (Vec::new(), Some(problem.detail)),
    };
    let no_proof = if audit_id.is_empty() {
        Some("it has no audit id to ask for it by".to_owned())
    } else {
        route::why_not(&visitor, "GET", "/events/{auditId}/proof")
    };
    let mut view = EventPageView {
        changes,
        no_changes,
        findings: findings::about(&web, &visitor, &audit_id, last.time).await?,
        before: Vec::new(),
        after: Vec::new(),
        no_proof,
        is_cut: items.len() >= events::STAGES,
        audit_id,
        items,
    };
    if let (Some(user), Some(time)) = (last.user.clone(), last.time) {
        let cluster = last.cluster.clone();
        let found =
            visitor.ask(&web, move |a, sight, patience| around(a, sight, patience, &cluster, &user, time));
        let (before, after) = found.await?;
        let bodies = visitor.bodies();
        let shown = |records: Vec<Record>| {
            let views = records.iter().filter_map(|record| event_view(record, &visitor.sight, bodies));
            views.filter(|event| event.mark != last.mark).collect::<Vec<_>>()
        };
        let (before, after) = (shown(before), shown(after));
        (view.before, view.after) = (before, after);
    }
    let about = About {
        title: last.sentence.chars().take(90).collect(),
        place: "/explore",
        command: Some(format!("klio hunt {}", draw::shell(&filter))),
    };
    let value = serde_json::from_str(last.event.get()).unwrap_or_default();
    let (facts, tree) = (facts(&last), Tree::of(&value));
    screen.show(&web, &visitor, about, view, |frame, view| EventPage {
        frame,
        view,
        last,
        facts,
        tree,
        others,
        same,
    })
}

/// The event that an address means, and the events with its audit id, in the order of time.
pub(super) async fn shown(
    web: &Web,
    visitor: &Visitor,
    id: String,
    mark: Option<&str>,
) -> Result<(EventView, Vec<EventView>), Problem> {
    let Some(mark) = mark else {
        let items = events::get(State(web.clone()), visitor.clone(), Path(id)).await?.0.items;
        let last = items.last().cloned().ok_or_else(Problem::not_found)?;
        return Ok((last, items));
    };
    let own = if id == address::NO_ID { "" } else { &id };
    let event = events::marked(web, visitor, own, mark).await?;
    let items = match event.audit_id.clone().filter(|id| !id.is_empty()) {
        Some(id) => events::get(State(web.clone()), visitor.clone(), Path(id)).await?.0.items,
        None => vec![event.clone()],
    };
    Ok((event, items))
}

/// What the request changed of its object.
async fn changes(web: &Web, visitor: &Visitor, id: &str, last: &EventView) -> Result<Vec<Step>, Problem> {
    let (Some(resource), Some(name), Some(time)) = (&last.resource, &last.name, last.time) else {
        return Ok(Vec::new());
    };
    if !matches!(last.verb.as_deref(), Some("create" | "update" | "patch" | "delete")) {
        return Ok(Vec::new());
    }
    let namespace = last.namespace.as_deref().filter(|text| !text.is_empty()).unwrap_or("-");
    let Ok(target) = history::target(resource, namespace, name) else { return Ok(Vec::new()) };
    let own = id.to_owned();
    let show = move |event: &Event<'_>| event.audit_id.as_ref().is_some_and(|id| id.0 == own.as_str());
    let end = Some(Timestamp(time.micros().saturating_add(1)));
    let told = history::history(web, visitor, target, vec![last.cluster.clone()], end, show).await?;
    Ok(told.map(|told| told.steps).unwrap_or_default())
}

impl EventView {
    /// Its page.
    pub(crate) fn page(&self) -> String {
        address::event(self.audit_id.as_deref(), Some(&self.mark))
    }
}

/// What the same identity did before and after.
fn around(
    archive: &dyn Archive,
    sight: &Sight,
    patience: &Patience,
    cluster: &str,
    user: &str,
    time: Timestamp,
) -> Result<(Vec<Record>, Vec<Record>), ArchiveError> {
    let ask = |range: TimeRange, most: usize| {
        let question = Question { clusters: vec![cluster.to_owned()], filter: is(Field::User, user), range };
        archive.events(sight, patience, &question, &Slice { after: None, most })
    };
    let mut before = ask(TimeRange { start: None, end: Some(time) }, AROUND)?.items;
    before.reverse();
    let mut after = Vec::new();
    for length in AFTER {
        let range = TimeRange {
            start: Some(Timestamp(time.micros().saturating_add(1))),
            end: Some(Timestamp(time.micros().saturating_add(length))),
        };
        let mut page = ask(range, MANY)?;
        // The nearest are wanted.
        for part in [4, 16, 64, 256, 1024] {
            if page.next.is_none() {
                break;
            }
            let end = Some(Timestamp(time.micros().saturating_add(length / part)));
            page = ask(TimeRange { end, ..range }, MANY)?;
        }
        after = page.items;
        after.reverse();
        if after.len() >= AROUND {
            break;
        }
    }
    after.truncate(AROUND);
    Ok((before, after))
}

fn facts(event: &EventView) -> Vec<Fact> {
    let parsed = Event::parse(event.event.get()).ok();
    let mut facts = Vec::new();
    let mut add = |name, value: Option<String>, to: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| Fact { name, value, to }));
    };
    let to = |before: &str, name: &Option<String>| name.as_deref().map(|name| address::path(before, name));
    add("Who", event.user.clone(), to("/actors", &event.user));
    add("Acting as", event.impersonated.clone(), to("/actors", &event.impersonated));
    add("From", event.source_ip.clone(), to("/addresses", &event.source_ip));
    let value = |field: Field| parsed.as_ref().and_then(|event| event.text_of(field)).map(str::to_owned);
    let search = |field: Field, value: &Option<String>| {
        let value = value.as_deref()?;
        Some(Address::new("/explore").with("filter", is(field, value).to_string()).to_string())
    };
    let agent = value(Field::UserAgent);
    add("Client", agent.clone(), search(Field::UserAgent, &agent));
    let credential = parsed
        .as_ref()
        .and_then(|event| klio_model::FieldRef::of(Field::Credential).values(event).into_iter().next());
    add("Credential", credential.clone(), to("/credentials", &credential));
    let object = parsed.as_ref().map(draw::object);
    add("Object", object, object_page(event));
    let code = event.code.map(|code| format!("{code} {}", event.outcome));
    add("Result", code.or_else(|| Some(event.outcome.to_owned())), None);
    let reason = parsed.as_ref().and_then(|event| event.annotation("authorization.k8s.io/reason"));
    add("Allowed by", reason.map(std::borrow::Cow::into_owned), None);
    add("Level", event.level.map(str::to_owned), None);
    add("Source", Some(format!("{} / {}", event.cluster, event.source)), None);
    add("Received", Some(draw::time(&event.received)), None);
    facts
}

/// The page of the event's object.
pub(crate) fn object_page(event: &EventView) -> Option<String> {
    let name = event.name.as_deref().filter(|name| !name.is_empty())?;
    Some(address::object(&event.cluster, event.resource.as_deref()?, event.namespace.as_deref(), name))
}
