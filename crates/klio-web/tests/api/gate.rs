//! Who gets in, from where, with what; and what each answer bears.

use std::sync::Arc;

use async_trait::async_trait;
use klio_desk::{Identity, Kind, Mapping, Role};
use klio_web::{Identify, Limits, Options, Shown, Unidentified};
use serde_json::json;

use crate::room::{Ask, Room, limits, options};
use crate::world::{PLACES, archive};

struct Others;

#[async_trait]
impl Identify for Others {
    async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, Unidentified> {
        let of = |kind, name: &str| Identity {
            kind,
            by: String::new(),
            subject: name.into(),
            name: name.into(),
            groups: vec![],
        };
        match shown {
            Shown::Certificate(b"good") => Ok(Some(of(Kind::Certificate, "carl"))),
            Shown::Certificate(_) => Err(Unidentified::Refused("revoked".into())),
            Shown::Bearer("oidc") => Ok(Some(of(Kind::Oidc, "olga"))),
            Shown::Bearer("down") => Err(Unidentified::Unavailable("no route to /secret/host".into())),
            Shown::Bearer("stranger") => Ok(Some(of(Kind::Oidc, "nobody"))),
            Shown::Bearer(_) => Ok(None),
        }
    }
}

#[tokio::test]
async fn others_may_vouch() {
    let rules = json!([
        { "kind": "certificate", "user": "carl", "role": "analyst", "scope": "prod/shop" },
        { "kind": "oidc", "user": "olga", "role": "viewer", "scope": "test" },
    ]);
    let mapping: Mapping = serde_json::from_value(rules).unwrap();
    let options = Options { identify: vec![Arc::new(Others)], ..options() };
    let room = Room::of(archive(&PLACES, |_| true), options, mapping).await;
    let carl = |uri: &str| {
        let mut ask = Ask::get(uri);
        ask.certificate = Some(Arc::from(*b"good"));
        ask
    };
    let who = room.told(carl("/api/v1/whoami")).await.is(200).json();
    assert_eq!((who["kind"].as_str(), who["via"].as_str()), (Some("certificate"), Some("identity")));
    let told = room.told(carl("/api/v1/events")).await.is(200);
    assert!(told.body.contains(&PLACES[0].mark()) && !told.body.contains(&PLACES[1].mark()));
    // Browsers send certificates on their own.
    room.told(carl("/api/v1/events").header("sec-fetch-site", "cross-site")).await.is(403);
    let mut other = Ask::get("/api/v1/whoami");
    other.certificate = Some(Arc::from(*b"bad"));
    room.told(other).await.is(401);

    let who = room.get("oidc", "/api/v1/whoami").await.is(200).json();
    assert_eq!((who["kind"].as_str(), who["scope"].as_str()), (Some("oidc"), Some("test")));
    room.get("stranger", "/api/v1/whoami").await.is(401);
    room.get("else", "/api/v1/whoami").await.is(401);
    let down = room.get("down", "/api/v1/whoami").await.is(503);
    assert!(!down.body.contains("secret"), "{}", down.body);
    // What is shown in a header counts alone.
    room.told(carl("/api/v1/whoami").token("else")).await.is(401);
}

#[tokio::test]
async fn only_trusted_proxies_say_from_where() {
    let options = Options { proxies: vec!["10.0.0.0/8".parse().unwrap()], ..options() };
    let room = Room::with(archive(&[], |_| true), options).await;
    let mut ask = Ask::get("/api/v1/events").header("x-forwarded-for", "203.0.113.9");
    room.told(ask.clone()).await.is(401);
    let access = room.audit.last();
    assert_eq!((access.address, access.proxy), (Some([192, 0, 2, 1].into()), None));
    ask.from = [10, 1, 2, 3].into();
    room.told(ask).await.is(401);
    let access = room.audit.last();
    assert_eq!((access.address, access.proxy), (Some([203, 0, 113, 9].into()), Some([10, 1, 2, 3].into())));
}

#[tokio::test]
async fn a_server_that_does_not_say_who_asks_gets_no_answers() {
    let room = Room::new(archive(&[], |_| true)).await;
    let token = room.token("ana", Role::Admin, "*").await;
    let mut request = Ask::get("/api/v1/events").token(&token).request();
    request.extensions_mut().clear();
    let answer = tower::ServiceExt::oneshot(room.app.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 500);
}

#[tokio::test]
async fn every_answer_bears_what_protects_the_reader() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("ana", Role::Admin, "*").await;
    for uri in ["/api/v1/events", "/api/v1/events/export", "/api/v1/nothing", "/openapi.json"] {
        for ask in [Ask::get(uri), Ask::get(uri).token(&token)] {
            let told = room.told(ask).await;
            assert_eq!(told.header("x-content-type-options"), "nosniff", "{uri}");
            assert_eq!(told.header("cache-control"), "no-store", "{uri}");
            assert!(told.header("content-security-policy").contains("frame-ancestors 'none'"), "{uri}");
            assert_eq!(told.header("referrer-policy"), "no-referrer", "{uri}");
            assert_eq!(told.header("audit-id").len(), 36, "{uri}");
            assert!(told.header("access-control-allow-origin").is_empty(), "{uri}");
            if told.status == 401 {
                assert!(told.header("www-authenticate").starts_with("Bearer"), "{uri}");
            }
        }
    }
    let api = room.told(Ask::get("/openapi.json")).await.is(200).json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.") && api["paths"]["/api/v1/events"].is_object());
}

#[tokio::test]
async fn bodies_are_small_and_json() {
    let limits = Limits { body_time: std::time::Duration::from_millis(50), ..limits() };
    let room = Room::with(archive(&[], |_| true), Options { limits, ..options() }).await;
    let token = room.token("ana", Role::Admin, "*").await;
    let ask = |body: String, kind: &str| {
        let mut ask = Ask::new("POST", "/api/v1/sql").token(&token).header("content-type", kind);
        ask.body = Some(body);
        ask
    };
    let large = format!("{{\"query\":\"{}\"}}", "x".repeat(1 << 20));
    room.told(ask(large, "application/json")).await.is(413);
    room.told(ask("query=SELECT".into(), "application/x-www-form-urlencoded")).await.is(415);
    room.told(ask("{\"query\":\"SELECT 1\"}".into(), "text/plain")).await.is(415);
    let told = room.told(ask("{\"query\":hunter2}".into(), "application/json")).await.is(400);
    assert!(!told.body.contains("hunter2") && told.body.contains("column"), "{}", told.body);
    let told = room.told(ask("{\"qwery\":\"hunter2\"}".into(), "application/json")).await.is(400);
    assert!(!told.body.contains("hunter2"), "{}", told.body);

    let mut request = ask(String::new(), "application/json").request();
    *request.body_mut() =
        axum::body::Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>());
    let answer = tower::ServiceExt::oneshot(room.app.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 408);
}
