//! Live tail: the newest events, and those that come. The browser follows `/api/v1/events/tail`.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::draw;
use super::frame::{About, Asked, Frame, Screen};
use crate::api::event_view;
use crate::archive::Slice;
use crate::cursor::Thread;
use crate::input::Which;
use crate::view::EventView;
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Events that are there already.
const ROWS: usize = 30;

/// Usual filters.
const USUAL: [(&str, &str); 5] = [
    ("Everything", ""),
    ("People", "user.kind:human"),
    ("Changes", "request.write:true"),
    ("Denied", "outcome:denied"),
    ("Secrets", "resource:secrets"),
];

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    filter: Option<String>,
    cluster: Option<String>,
}

/// What is followed, and the newest of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TailView {
    filter: String,
    cluster: String,
    /// Why it cannot be followed; then the rest is empty.
    problem: Option<Problem>,
    /// Where what comes after the events is told.
    stream: String,
    /// The same events, without their coming.
    explore: String,
    /// The newest first.
    events: Vec<EventView>,
}

#[derive(Template)]
#[template(path = "tail.html")]
struct Tail {
    frame: Frame,
    view: TailView,
    /// Usual filters, where they lead, and whether it is this one.
    usual: Vec<(&'static str, String, bool)>,
}

impl Tail {
    /// The filter with what is wrong in the middle.
    fn marked(&self) -> Option<(&str, &str, &str)> {
        self.view.problem.as_ref()?.marked(&self.view.filter)
    }
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let filter = wanted.filter.clone().unwrap_or_default();
    let cluster = wanted.cluster.clone().unwrap_or_default();
    let with = |path, filter: &str| Address::new(path).with("filter", filter).with("cluster", &cluster);
    let mut view = TailView {
        problem: None,
        stream: String::new(),
        explore: with("/explore", &filter).to_string(),
        events: Vec::new(),
        filter,
        cluster: cluster.clone(),
    };
    match begin(&web, &visitor, wanted).await {
        Ok((cursor, events)) => {
            view.stream = with("/api/v1/events/tail", &view.filter).with("cursor", cursor).to_string();
            view.events = events;
        }
        // A filter that is none is told beside it.
        Err(problem) if problem.status() == axum::http::StatusCode::BAD_REQUEST && !screen.wants_json() => {
            view.problem = Some(problem);
        }
        Err(problem) => return Err(problem),
    }
    let usual =
        USUAL.map(|(name, text)| (name, with("/tail", text).to_string(), text == view.filter)).to_vec();
    let about = About {
        title: "Live tail".to_owned(),
        place: "/tail",
        command: Some(format!(
            "klio tail -f{}{}",
            if view.filter.is_empty() { String::new() } else { format!(" {}", draw::shell(&view.filter)) },
            draw::limits(&view.cluster, None, None)
        )),
    };
    screen.show(&web, &visitor, about, view, |frame, view| Tail { frame, view, usual })
}

/// Where the tail begins, and the newest events before it. The place is asked for first: what comes in between is told twice, and
/// never not at all.
async fn begin(web: &Web, visitor: &Visitor, wanted: Wanted) -> Result<(String, Vec<EventView>), Problem> {
    let which = Which { filter: wanted.filter, cluster: wanted.cluster, from: None, to: None };
    let question = which.question(web, visitor)?;
    let thread = Thread::new(&visitor.sight, &[&["tail"], &which.words()[..]].concat());
    let (end, page) = visitor
        .ask(web, move |archive, sight, patience| {
            let end = archive.follow(sight, patience, &question, None, 1)?;
            let slice = Slice { after: None, most: ROWS };
            Ok((end.next, archive.events(sight, patience, &question, &slice)?))
        })
        .await?;
    let bodies = visitor.bodies();
    let events: Vec<EventView> =
        page.items.iter().filter_map(|record| event_view(record, &visitor.sight, bodies)).collect();
    visitor.note.rows(events.len());
    Ok((thread.cursor(&end), events))
}
