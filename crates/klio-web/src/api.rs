//! The routes, one module for each kind of thing. `crate::ROUTES` says what each takes.

// The macros that describe the routes write whole paths.
#![allow(unused_qualifications)]

pub(crate) mod allow;
mod complete;
pub(crate) mod coverage;
pub(crate) mod dead;
pub(crate) mod events;
mod export;
pub(crate) mod findings;
pub(crate) mod history;
pub(crate) mod integrity;
pub(crate) mod rules;
pub(crate) mod sessions;
mod sign_in;
pub(crate) mod sources;
mod sql;
pub(crate) mod subjects;
mod tail;
pub(crate) mod tokens;
pub(crate) mod users;

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::any;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::PROBLEM;
use crate::route::Need;
use crate::{COOKIE, Problem, ROUTES, Web};

pub(crate) use events::{is, newest, over_time, present, split, step_of, until, usual, view as event_view};
pub(crate) use sign_in::{is_local, ways_of};

/// An answer of JSON.
pub(crate) type Answer<T> = Result<axum::Json<T>, Problem>;

fn described() -> OpenApiRouter<Web> {
    OpenApiRouter::default()
        .routes(routes!(openapi))
        .routes(routes!(sessions::sign_in, sessions::sign_out))
        .routes(routes!(sign_in::ways))
        .routes(routes!(sign_in::leave))
        .routes(routes!(sign_in::back))
        .routes(routes!(sessions::whoami))
        .routes(routes!(sessions::change_password))
        .routes(routes!(events::list))
        .routes(routes!(events::count))
        .routes(routes!(events::top))
        .routes(routes!(events::histogram))
        .routes(routes!(complete::complete))
        .routes(routes!(export::export))
        .routes(routes!(tail::tail))
        .routes(routes!(events::get))
        .routes(routes!(events::proof))
        .routes(routes!(findings::list))
        .routes(routes!(findings::get))
        .routes(routes!(findings::stories))
        .routes(routes!(findings::story))
        .routes(routes!(subjects::actor))
        .routes(routes!(subjects::object))
        .routes(routes!(subjects::address))
        .routes(routes!(subjects::credential))
        .routes(routes!(subjects::namespace))
        .routes(routes!(subjects::pod))
        .routes(routes!(subjects::node))
        .routes(routes!(history::get))
        .routes(routes!(rules::list))
        .routes(routes!(rules::get))
        .routes(routes!(rules::allowed, allow::create))
        .routes(routes!(allow::replay))
        .routes(routes!(allow::remove))
        .routes(routes!(coverage::get))
        .routes(routes!(rules::hunts, rules::save))
        .routes(routes!(rules::hunt, rules::forget))
        .routes(routes!(sources::list))
        .routes(routes!(integrity::get))
        .routes(routes!(integrity::verify))
        .routes(routes!(sql::sql))
        .routes(routes!(dead::list))
        .routes(routes!(dead::get, dead::remove))
        .routes(routes!(dead::replay))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::change, users::remove))
        .routes(routes!(users::unlock))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(sessions::list, sessions::end_all))
        .routes(routes!(sessions::end))
}

pub(crate) fn router(web: Web) -> Router {
    let (routes, _) = described().split_for_parts();
    behind_the_gate(routes.merge(crate::page::routes()), web).merge(crate::page::assets())
}

/// What else is asked for, below `/api` and beside it, gets to the gate too, which refuses it.
fn behind_the_gate(routes: Router<Web>, web: Web) -> Router {
    routes
        .route("/api", any(nothing))
        .route("/api/", any(nothing))
        .route("/api/{*rest}", any(nothing))
        .fallback(nothing)
        .layer(from_fn_with_state(web.clone(), crate::gate::gate))
        .with_state(web)
}

async fn nothing() -> Problem {
    Problem::not_found()
}

/// The description of this API.
#[utoipa::path(get, path = "/openapi.json", tag = "about", responses((status = 200, description = "OpenAPI 3", body = Object)))]
async fn openapi() -> impl IntoResponse {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| serde_json::to_string(&description()).unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The description, with what all routes have in common.
pub(crate) fn description() -> OpenApi {
    let (_, mut api) = described().split_for_parts();
    api.info = Info::new("Klio", env!("CARGO_PKG_VERSION"));
    api.info.description = Some("Kubernetes auditing. The manual page is docs/api.md.".to_owned());
    let components = api.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("token", bearer);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    components.add_security_scheme("session", cookie);
    let problem = <Problem as utoipa::PartialSchema>::schema();
    components.schemas.insert("Problem".to_owned(), problem);
    for entry in ROUTES {
        let Some(path) = api.paths.paths.get_mut(entry.path) else { continue };
        let operation = match entry.method {
            "GET" => &mut path.get,
            "POST" => &mut path.post,
            "PUT" => &mut path.put,
            "PATCH" => &mut path.patch,
            _ => &mut path.delete,
        };
        let Some(operation) = operation else { continue };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refused = ResponseBuilder::new().description("Refused").content(PROBLEM, content).build();
        operation.responses.responses.insert("default".to_owned(), RefOr::T(refused));
        if entry.need != Need::Open {
            let none: [String; 0] = [];
            operation.security = Some(vec![
                SecurityRequirement::new("token", none.clone()),
                SecurityRequirement::new("session", none),
            ]);
        }
        let takes = match entry.need {
            Need::Open => "Takes nothing.".to_owned(),
            Need::Anybody => "Takes to be signed in.".to_owned(),
            Need::May(rights) => format!("Takes {rights:?}."),
            Need::Whole(rights) => format!("Takes {rights:?} and a scope that is everything."),
        };
        let said = operation.description.take().filter(|text| !text.is_empty());
        operation.description = Some(said.map_or_else(|| takes.clone(), |said| format!("{said}\n\n{takes}")));
    }
    api
}

#[cfg(test)]
mod tests;
