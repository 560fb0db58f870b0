//! To excuse: an entry of the allow-list from a finding, and what it would have removed before it is made.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use klio_model::filter::alike::{MARKS, alike, mark};
use klio_model::{Event, Timestamp};
use serde::{Deserialize, Serialize};

use super::address;
use super::frame::{About, Asked, Frame, Screen};
use super::{draw, words};
use crate::api::{allow, rules};
use crate::route;
use crate::view::{self, RuleView, TriedView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// How long an entry is proposed to hold, microseconds: 90 days.
const HOLDS: i64 = 90 * 86_400_000_000;

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The request that is right: its marks make the first filter.
    event: Option<String>,
    /// Which of the events with this audit id.
    mark: Option<String>,
    /// The filter to be tried.
    filter: Option<String>,
}

/// What would be excused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExcuseView {
    rule: RuleView,
    /// Which events.
    filter: String,
    /// What it would have removed; nothing if there is no filter yet, or it is none.
    tried: Option<TriedView>,
    /// What is wrong with it.
    problem: Option<Problem>,
    /// A day on which it ends.
    until: String,
}

#[derive(Template)]
#[template(path = "excuse.html")]
struct Excuse {
    frame: Frame,
    view: ExcuseView,
    /// Why the reader may not make entries.
    refused: Option<String>,
    /// Who makes it.
    owner: String,
    /// Whether the reader sees all incidents: they belong to who sees all of a cluster.
    sees_all: bool,
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(id): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let during = crate::input::Asked(rules::During::default());
    let rule = rules::get(State(web.clone()), visitor.clone(), Path(id), during).await?.0;
    let filter = match (wanted.filter, wanted.event) {
        (Some(filter), _) => filter,
        (None, Some(event)) => from_event(&web, &visitor, event, wanted.mark).await?,
        (None, None) => String::new(),
    };
    let (mut tried, mut problem) = (None, None);
    if !filter.trim().is_empty() {
        let asked = allow::Try { rule: Some(rule.id.clone()), filter: filter.clone(), from: None, to: None };
        match allow::tried(&web, &visitor, asked).await {
            Ok(view) => tried = Some(view),
            Err(wrong) if wrong.status().is_client_error() => problem = Some(wrong),
            Err(wrong) => return Err(wrong),
        }
    }
    let until = Timestamp(web.now().micros().saturating_add(HOLDS)).to_string();
    let until = until.get(..10).unwrap_or_default().to_owned();
    let refused = route::why_not(&visitor, "POST", "/api/v1/allow");
    let owner = visitor.principal.name().to_owned();
    let sees_all = visitor.principal.scope().is_all();
    let about = About {
        title: format!("Excuse: {}", rule.title),
        place: "/detections",
        command: Some("klio tune PATH --try allow.yaml".to_owned()),
    };
    let view = ExcuseView { rule, filter, tried, problem, until };
    screen.show(&web, &visitor, about, view, |frame, view| Excuse { frame, view, refused, owner, sees_all })
}

/// The filter of all requests that are like this one.
async fn from_event(
    web: &Web,
    visitor: &Visitor,
    id: String,
    which: Option<String>,
) -> Result<String, Problem> {
    let last = super::event::shown(web, visitor, id, which.as_deref()).await?.0;
    let Ok(event) = Event::parse(last.event.get()) else { return Ok(String::new()) };
    let marks: Vec<_> = MARKS.iter().filter_map(|field| mark(*field, event.text_of(*field))).collect();
    Ok(if marks.is_empty() { String::new() } else { alike(&marks).to_string() })
}

impl Excuse {
    /// The line of the filter, cut at what is wrong with it.
    fn marked(&self) -> Option<(&str, &str, &str)> {
        self.view.problem.as_ref()?.marked(&self.view.filter)
    }
}
