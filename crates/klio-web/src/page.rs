//! The pages: the same view structs as the API's, drawn by the templates in `templates/`, or as JSON with `as=json`.

mod address;
mod asset;
mod audit;
mod chart;
mod connect;
mod draw;
mod event;
mod excuse;
mod explore;
mod frame;
mod incident;
mod incidents;
mod integrity;
mod letters;
mod library;
mod markdown;
mod overview;
mod problem;
mod settings;
mod sign_in;
mod sources;
mod subject;
mod tail;
mod tree;
mod trends;
mod words;

use axum::Router;
use axum::routing::get;
pub use connect::PLATFORMS;

use crate::Web;

pub(crate) use asset::routes as assets;
pub(crate) use frame::Screen;
pub(crate) use problem::{Drawn, page as refused};

/// What browsers may do on a page: load what this server has, and nothing else (W3C CSP Level 3).
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The pages, each with its entry in [`crate::route::PAGES`].
pub(crate) fn routes() -> Router<Web> {
    Router::new()
        .route("/", get(overview::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/sign-out", axum::routing::post(sign_in::leave))
        .route("/explore", get(explore::page))
        .route("/events/{auditId}", get(event::page))
        .route("/detections", get(library::detections))
        .route("/detections/{id}", get(library::detection))
        .route("/detections/{id}/excuse", get(excuse::page))
        .route("/hunts", get(library::hunts))
        .route("/hunts/{name}", get(library::hunt))
        .route("/actors/{name}", get(subject::actor))
        .route("/addresses/{address}", get(subject::address))
        .route("/credentials/{id}", get(subject::credential))
        .route("/namespaces/{name}", get(subject::namespace))
        .route("/nodes/{name}", get(subject::node))
        .route("/pods/{namespace}/{name}", get(subject::pod))
        .route("/objects/{resource}/{namespace}/{name}", get(subject::object))
        .route("/incidents", get(incidents::page))
        .route("/incidents/{id}", get(incident::page))
        .route("/tail", get(tail::page))
        .route("/integrity", get(integrity::page))
        .route("/events/{auditId}/proof", get(integrity::proof))
        .route("/settings", get(settings::page))
        .route("/settings/users", get(settings::people))
        .route("/settings/users/{name}", get(settings::person))
        .route("/own-audit", get(audit::page))
        .route("/trends", get(trends::page))
        .route("/sources", get(sources::page))
        .route("/sources/connect", get(connect::page))
        .route("/sources/dead-letters", get(letters::list))
        .route("/sources/dead-letters/{number}", get(letters::letter))
}
