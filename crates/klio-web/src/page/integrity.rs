//! Integrity: whether what is kept is what was sealed, how it is verified here and elsewhere, and the proof of one event.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use klio_model::{Event, Timestamp, explain};
use serde::Deserialize;

use super::frame::{About, Asked, Frame, Nothing, Screen};
use super::{address, draw, words};
use crate::api::{events, integrity};
use crate::route;
use crate::view::{IntegrityView, ProofView, Verdict};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Problems that are shown; the API has all.
const PROBLEMS: usize = 50;

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Of the event whose proof is wanted.
    #[serde(rename = "auditId")]
    audit_id: Option<String>,
}

#[derive(Template)]
#[template(path = "integrity.html")]
struct Integrity {
    frame: Frame,
    view: IntegrityView,
    now: Timestamp,
    /// Why the reader may not have everything verified.
    no_verify: Option<String>,
    /// Why the reader may not have proofs.
    no_proof: Option<String>,
    /// Why the reader does not see the log.
    no_log: bool,
}

/// What the last verification came to: a class, and words; before the colon they are enough.
pub(super) fn verdict(view: &IntegrityView) -> (&'static str, &'static str) {
    match view.last.as_ref().map(|last| last.verdict) {
        None => ("idle", "not verified since the server began"),
        Some(Verdict::Intact) => ("good", "intact: nothing was altered, removed or added"),
        Some(Verdict::Damaged) => ("bad", "damaged: something was altered, removed or added"),
        Some(Verdict::Failed) => ("bad", "the last verification could not be finished"),
    }
}

impl Integrity {
    /// A class, and what is to be said first.
    fn verdict(&self) -> (&'static str, &'static str) {
        verdict(&self.view)
    }

    /// The problems that are shown, and how many more there are.
    fn problems(&self) -> (&[String], u64) {
        let all = self.view.last.as_ref().map(|last| last.problems.as_slice()).unwrap_or_default();
        let shown = all.get(..PROBLEMS).unwrap_or(all);
        (shown, (all.len() - shown.len()) as u64)
    }
}

/// The state of the seal.
pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Wanted { audit_id }): Asked<Wanted>,
) -> Result<Response, Problem> {
    if let Some(id) = audit_id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
        return Ok(Redirect::to(&format!("{}/proof", address::path("/events", id))).into_response());
    }
    let view = integrity::get(State(web.clone()), visitor.clone()).await?.0;
    let about =
        About { title: "Integrity".to_owned(), place: "/integrity", command: Some("klio verify".to_owned()) };
    let no_verify = route::why_not(&visitor, "POST", "/api/v1/integrity/verify");
    let no_proof = route::why_not(&visitor, "GET", "/events/{auditId}/proof");
    let (now, no_log) = (web.now(), !visitor.sight.is_all());
    screen.show(&web, &visitor, about, view, |frame, view| Integrity {
        frame,
        view,
        now,
        no_verify,
        no_proof,
        no_log,
    })
}

/// What of a proof a person reads (`klio_store::Proof`); the whole of it is in the API's answer.
#[derive(Deserialize)]
struct Shown {
    event: String,
    row: u64,
    rows: u64,
    index: u64,
    checkpoint: String,
}

impl Shown {
    /// The record is what follows the first line, which says cluster, source and time of receipt.
    fn sentence(&self) -> String {
        let record = self.event.split_once('\n').map_or(self.event.as_str(), |(_, record)| record);
        Event::parse(record).map(|event| explain(&event)).unwrap_or_default()
    }

    /// Cluster, source and time of receipt, as they were sealed.
    fn received(&self) -> String {
        let line = self.event.lines().next().unwrap_or_default();
        match serde_json::from_str::<(String, String, i64)>(line) {
            Ok((cluster, source, time)) => {
                format!("{} from {source} of {cluster}", draw::time(&Timestamp(time)))
            }
            Err(_) => line.to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "proof.html")]
struct Proof {
    frame: Frame,
    view: ProofView,
    proofs: Vec<Shown>,
    /// The event's page.
    event: String,
    /// The proof as the API has it.
    whole: String,
}

/// The proofs of an audit id.
pub(crate) async fn proof(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(audit_id): Path<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let view = events::proof(State(web.clone()), visitor.clone(), Path(audit_id)).await?.0;
    let event = address::event(Some(&view.audit_id), None);
    let whole = format!("{}/proof", address::path("/api/v1/events", &view.audit_id));
    let proofs = view.proofs.iter().filter_map(|proof| serde_json::from_str(proof.get()).ok()).collect();
    let about = About {
        title: "Proof of an event".to_owned(),
        place: "/integrity",
        command: Some(format!("klio evidence prove {}", draw::shell(&view.audit_id))),
    };
    screen.show(&web, &visitor, about, view, |frame, view| Proof { frame, view, proofs, event, whole })
}
