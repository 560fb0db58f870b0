//! What does a person see? The HTTP API `/api/v1`, and the pages, which show the same view structs.
//!
//! [`router`] answers from three things that the program hands it: an [`Archive`] (what has happened), a [`klio_desk::Desk`] (who
//! works here) and an [`OwnAudit`] (who used Klio). Each request passes one gate: who is it, does the route's entry in
//! [`ROUTES`] let him, is he too fast; and each leaves one [`Access`]. What a route answers is a view struct.
//!
//! What does not exist here: the lake, SQL planning, a listening socket, TLS, and a switch that turns the audit off.

pub mod archive;

pub mod view;

mod sight;

mod access;

mod problem;

mod route;

mod pace;

mod web;

mod visitor;

mod gate;

mod journey;

mod stream;

mod input;

mod cursor;

mod bodies;

mod api;

mod page;

pub use access::{Access, AccessOutcome, AccessStage, AuditError, OwnAudit, Who};
pub use archive::{Archive, ArchiveError};
pub use gate::{COOKIE, CSRF_HEADER, Identify, LetIn, Peer, Shown, Unidentified, session_cookie};
pub use journey::{Back, Leave, Providers};
pub use pace::Rate;
pub use page::PLATFORMS;
pub use problem::Problem;
pub use route::{Entry, Need, PAGES, ROUTES};
pub use sight::{OWN_CLUSTER, Sight};
pub use web::{Library, Limits, Options, Web};

/// The API's routes, each behind the gate. Requests must carry a [`Peer`] as extension; without one they are refused.
pub fn router(web: Web) -> axum::Router {
    api::router(web)
}

/// The API's description as OpenAPI, made from the code.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::description()
}
