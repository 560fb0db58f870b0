//! Events as they come, as server-sent events (HTML Living Standard, 9.2).
//!
//! A reader who is too slow does not hold the server up: what does not fit into his buffer is counted and told to him as an event
//! `lost`. Each event has an id; a reader who comes again with `Last-Event-ID` goes on after it.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::events::view;
use crate::archive::{ArchiveError, Followed, Patience, Position, Question};
use crate::cursor::Thread;
use crate::gate::again;
use crate::input::{Asked, Which};
use crate::stream::{self, Broken};
use crate::view::EventView;
use crate::visitor::{Visitor, too_many};
use crate::{Problem, Web};

/// Events that are asked for at once.
const AT_ONCE: usize = 500;
/// How long is waited when an archive does not wait itself.
const PAUSE: Duration = Duration::from_millis(250);

/// What is followed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Follow {
    /// A filter, as docs/filter.md has them; all events without one.
    filter: Option<String>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    cluster: Option<String>,
    /// As the header `Last-Event-ID`: what comes after this id. Without it, what comes from now on.
    cursor: Option<String>,
}

/// The data of an event `lost`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Lost {
    /// Events that match and were not told.
    lost: u64,
}

/// Events as they come. Events are named `event` (data: an event), `begin` (its id is where the tail begins), `lost` (events
/// that a slow reader missed) and `end` (come again with the last id); lines with a colon alone say that the connection
/// lives.
#[utoipa::path(get, path = "/api/v1/events/tail", tag = "events",
    params(Follow, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read")),
    responses((status = 200, description = "A stream", content_type = "text/event-stream", body = EventView)))]
pub(crate) async fn tail(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Asked(asked): Asked<Follow>,
) -> Result<Response, Problem> {
    let which = Which { filter: asked.filter, cluster: asked.cluster, from: None, to: None };
    let question = which.question(&web, &visitor)?;
    let thread = Thread::new(&visitor.sight, &[&["tail"], &which.words()[..]].concat());
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let after = thread.position(last.or(asked.cursor).as_deref())?;

    let limits = web.limits();
    let turn = web.inner.tails.turn(&visitor.principal.to_string(), Duration::ZERO).await;
    let turn = turn.ok_or_else(too_many)?;
    // What cannot be followed is refused before the answer begins.
    let after = if let Some(after) = after {
        after
    } else {
        let question = question.clone();
        let end = move |a: &dyn crate::Archive, sight: &_, patience: &Patience| {
            a.follow(sight, patience, &question, None, AT_ONCE)
        };
        visitor.ask(&web, end).await?.next
    };
    let (send, parts) = mpsc::channel(limits.tail_buffer.max(1));
    let teller = Teller { web: web.clone(), visitor, question, thread, send, lost: 0 };
    tokio::spawn(async move {
        let _turn = turn;
        teller.tell(after).await;
    });
    let mut answer = stream::answer("text/event-stream", None, parts);
    // Proxies that collect answers before they pass them on are told not to.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(answer)
}

struct Teller {
    web: Web,
    visitor: Visitor,
    question: Question,
    thread: Thread,
    send: mpsc::Sender<Result<Bytes, Broken>>,
    /// Events that were not told yet that they were not told.
    lost: u64,
}

impl Teller {
    async fn tell(mut self, mut after: Position) {
        let limits = *self.web.limits();
        let end = Instant::now() + limits.tail;
        let (mut heard, mut checked) = (Instant::now(), Instant::now());
        self.say(&format!("event: begin\nid: {}\ndata: {{}}\n\n", self.thread.cursor(&after)));
        while Instant::now() < end && !self.send.is_closed() && !self.visitor.stop.is_set() {
            let asked = Instant::now();
            let followed = match self.follow(&after, limits.heartbeat).await {
                Ok(followed) => followed,
                Err(ArchiveError::TooSlow) => Followed { items: Vec::new(), next: after.clone(), lost: 0 },
                Err(error) => {
                    tracing::warn!(%error, "a live tail broke off");
                    break;
                }
            };
            self.lost += followed.lost;
            let nothing = followed.items.is_empty();
            for (position, record) in &followed.items {
                let Some(view) = view(record, &self.visitor.sight, self.visitor.bodies()) else { continue };
                let data = serde_json::to_string(&view).unwrap_or_default().replace(['\n', '\r'], " ");
                let id = self.thread.cursor(position);
                if self.own_up() && self.say(&format!("event: event\nid: {id}\ndata: {data}\n\n")) {
                    self.visitor.note.rows(1);
                    heard = Instant::now();
                } else {
                    self.lost += 1;
                }
            }
            after = followed.next;
            self.own_up();
            if heard.elapsed() >= limits.heartbeat {
                heard = Instant::now();
                self.say(":\n\n");
            }
            if checked.elapsed() >= limits.heartbeat {
                checked = Instant::now();
                if !self.is_still_let_in().await {
                    break;
                }
            }
            if nothing && asked.elapsed() < PAUSE {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE.min(limits.heartbeat)) => {}
                    () = self.send.closed() => {}
                }
            }
        }
        self.say("event: end\ndata: {}\n\n");
    }

    /// Puts a text into the reader's buffer; false if it is full.
    fn say(&self, text: &str) -> bool {
        self.send.try_send(Ok(Bytes::copy_from_slice(text.as_bytes()))).is_ok()
    }

    /// Tells what was lost; false if there is no room for that either.
    fn own_up(&mut self) -> bool {
        if self.lost == 0 {
            return true;
        }
        let lost = serde_json::to_string(&Lost { lost: self.lost }).unwrap_or_default();
        let told = self.say(&format!("event: lost\ndata: {lost}\n\n"));
        if told {
            self.lost = 0;
        }
        told
    }

    async fn follow(&self, after: &Position, time: Duration) -> Result<Followed, ArchiveError> {
        let patience = Patience::new(time, self.visitor.stop.clone());
        let (archive, sight) = (self.web.inner.archive.clone(), self.visitor.sight.clone());
        let (question, after) = (self.question.clone(), after.clone());
        let asked = tokio::task::spawn_blocking(move || {
            archive.follow(&sight, &patience, &question, Some(&after), AT_ONCE)
        });
        asked.await.unwrap_or_else(|e| Err(ArchiveError::Unavailable(e.to_string())))
    }

    /// Whether the reader may still see what he sees. Whose identity others vouch for is asked again when the tail ends.
    async fn is_still_let_in(&self) -> bool {
        match again(&self.web, &self.visitor.credential, self.visitor.from).await {
            None => true,
            Some(Ok(now)) => {
                let was = &self.visitor.principal;
                now.role() == was.role() && now.scope() == was.scope()
            }
            Some(Err(_)) => false,
        }
    }
}
