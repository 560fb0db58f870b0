//! Health, metrics and version, as Kubernetes and Prometheus ask for them.
//! `/livez` and `/readyz` with `?verbose` and a path for each check, as the API server has them
//! (kubernetes.io/docs/reference/using-api/health-checks).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use klio_web::Problem;

use super::Shared;

/// Part of the spool that may be in use while the server says that it is ready.
pub const FULL: f64 = 0.95;

/// Health and version.
pub fn health(server: &Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/livez/{check}", get(live_one))
        .route("/readyz", get(ready))
        .route("/readyz/{check}", get(ready_one))
        .route("/healthz", get(ready))
        .route("/version", get(version))
        .with_state(server.clone())
}

/// What is counted.
pub fn metrics(server: &Arc<Shared>) -> Router {
    Router::new().route("/metrics", get(counted)).with_state(server.clone())
}

type Checks = Vec<(&'static str, Result<(), String>)>;

fn liveness(server: &Shared) -> Checks {
    let judge = if server.judge_is_over() { Err("the judge has ended".into()) } else { Ok(()) };
    vec![("ping", Ok(())), ("judge", judge)]
}

/// Whether events can be taken. That the lake cannot be written is no reason to refuse them while the spool has room.
async fn readiness(server: &Arc<Shared>) -> Checks {
    let mut checks = liveness(server);
    let draining = if server.is_draining() { Err("the server is going down".into()) } else { Ok(()) };
    checks.push(("draining", draining));
    let (used, most) = server.pipeline.intake.spool().room();
    let spool = if used as f64 > most as f64 * FULL {
        Err(format!("{used} of {most} bytes are in use: the lake does not take what is in it"))
    } else {
        Ok(())
    };
    checks.push(("spool", spool));
    let intake = match server.pipeline.live.troubled() {
        // It may be over: nobody delivers while the server is not ready.
        Some(said) => {
            let own = server.clone();
            match tokio::task::spawn_blocking(move || own.probe()).await {
                Ok(Ok(())) => {
                    server.pipeline.live.trouble(None);
                    Ok(())
                }
                _ => Err(said),
            }
        }
        None => Ok(()),
    };
    checks.push(("intake", intake));
    let ends = server.tls.load().ends;
    let certificate = if jiff::Timestamp::now().as_second() >= ends {
        Err("the server's certificate has expired".into())
    } else {
        Ok(())
    };
    checks.push(("certificate", certificate));
    checks
}

/// Whether events can be taken.
pub async fn is_ready(server: &Arc<Shared>) -> bool {
    readiness(server).await.iter().all(|(_, check)| check.is_ok())
}

fn answer(name: &str, checks: &Checks, is_verbose: bool) -> Response {
    let is_good = checks.iter().all(|(_, check)| check.is_ok());
    let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if is_good && !is_verbose {
        return "ok".into_response();
    }
    let mut text = String::new();
    for (check, result) in checks {
        // Writing to a string does not fail.
        let _ = match result {
            Ok(()) => writeln!(text, "[+]{check} ok"),
            Err(said) => writeln!(text, "[-]{check} failed: {said}"),
        };
    }
    let _ = writeln!(text, "{name} check {}", if is_good { "passed" } else { "failed" });
    (status, text).into_response()
}

fn one(checks: &Checks, name: &str) -> Response {
    match checks.iter().find(|(check, _)| *check == name) {
        Some((_, Ok(()))) => "ok".into_response(),
        Some((_, Err(said))) => (StatusCode::SERVICE_UNAVAILABLE, said.clone()).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "there is no such check").into_response(),
    }
}

fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")))
}

async fn live(State(server): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    answer("livez", &liveness(&server), is_verbose(query.as_deref()))
}

async fn live_one(State(server): State<Arc<Shared>>, Path(check): Path<String>) -> Response {
    one(&liveness(&server), &check)
}

async fn ready(State(server): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    answer("readyz", &readiness(&server).await, is_verbose(query.as_deref()))
}

async fn ready_one(State(server): State<Arc<Shared>>, Path(check): Path<String>) -> Response {
    one(&readiness(&server).await, &check)
}

async fn version() -> Response {
    let body = serde_json::json!({ "name": "klio", "version": env!("CARGO_PKG_VERSION") });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn counted(State(server): State<Arc<Shared>>) -> Response {
    let is_ready = is_ready(&server).await;
    let text = server.metrics.text(&server.pipeline, is_ready);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
