//! Each use of Klio is itself audited.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use klio_desk::Role;
use klio_model::{Event, Timestamp};
use klio_web::archive::Record;
use klio_web::{AccessOutcome, AccessStage, OWN_CLUSTER, Rate};
use serde_json::json;

use crate::memory::Memory;
use crate::room::{Ask, PASSWORD, Room, limits, options};
use crate::world::{PLACES, archive};

#[tokio::test]
async fn what_cannot_be_audited_is_refused_and_changes_nothing() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::new(memory.clone()).await;
    let admin = room.token("boss", Role::Admin, "*").await;
    room.audit.refuses.store(true, Ordering::Relaxed);
    for uri in ["/api/v1/events", "/api/v1/events/export", "/api/v1/events/tail", "/api/v1/whoami"] {
        let told = room.get(&admin, uri).await.is(503);
        assert!(!told.body.contains("MARK"), "{}", told.body);
    }
    room.told(Ask::new("DELETE", "/api/v1/dead-letters/100").token(&admin)).await.is(503);
    room.told(Ask::new("DELETE", "/api/v1/users/root").token(&admin)).await.is(503);
    room.told(Ask::new("POST", "/api/v1/session").json(&json!({ "name": "boss", "password": PASSWORD })))
        .await
        .is(503);
    assert_eq!(memory.letters.lock().unwrap().len(), 5);
    room.audit.refuses.store(false, Ordering::Relaxed);
    let users = room.get(&admin, "/api/v1/users").await.is(200);
    assert!(users.body.contains("root"));
    assert_eq!(room.audit.complete().len(), 1);

    // What was begun with the audit's leave and cannot be told to its end says so.
    room.audit.refuses_ends.store(true, Ordering::Relaxed);
    let told = room.told(Ask::new("DELETE", "/api/v1/dead-letters/100").token(&admin)).await.is(503);
    assert!(told.body.contains("this was done") && memory.letters.lock().unwrap().len() == 4);
    // An answer whose end cannot be told does not end well.
    let answer = room.ask(Ask::get("/api/v1/events/export").token(&admin)).await;
    assert_eq!(answer.status(), 200);
    assert!(axum::body::to_bytes(answer.into_body(), 1 << 20).await.is_err());
}

#[tokio::test]
async fn changes_are_told_before_and_after_and_streams_when_they_begin() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let admin = room.token("boss", Role::Admin, "*").await;
    let stages = || {
        let mut all = room.audit.all.lock().unwrap();
        let told: Vec<_> = all.iter().map(|a| (a.stage, a.status, a.id.clone())).collect();
        all.clear();
        assert!(told.windows(2).all(|pair| pair[0].2 == pair[1].2), "one id");
        told.into_iter().map(|(stage, status, _)| (stage, status)).collect::<Vec<_>>()
    };
    room.told(Ask::new("DELETE", "/api/v1/dead-letters/100").token(&admin)).await.is(204);
    assert_eq!(stages(), [(AccessStage::Received, 0), (AccessStage::Complete, 204)]);
    room.get(&admin, "/api/v1/events/export").await.is(200);
    assert_eq!(stages(), [(AccessStage::Started, 200), (AccessStage::Complete, 200)]);
    room.get(&admin, "/api/v1/events").await.is(200);
    assert_eq!(stages(), [(AccessStage::Complete, 200)]);
    room.get("klio_no", "/api/v1/events").await.is(401);
    assert_eq!(stages(), [(AccessStage::Complete, 401)]);
    room.get(&admin, "/api/nowhere").await.is(404);
    assert_eq!(stages(), [(AccessStage::Complete, 404)]);
}

#[tokio::test]
async fn an_access_says_who_did_what_from_where_and_holds_no_secret() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("ana", Role::Analyst, "prod").await;
    let told = room
        .told(Ask::get("/api/v1/events/export?filter=verb:get").token(&token).header("user-agent", "x/1"))
        .await;
    let access = room.audit.last();
    let who = access.who.clone().unwrap();
    assert_eq!((who.name.as_str(), who.role, who.scope.as_str()), ("user:ana", Role::Analyst, "prod"));
    assert!(who.via.starts_with("token "));
    assert_eq!((access.verb, access.resource, access.rows), ("list", "events", 9));
    assert_eq!((access.bytes, access.agent.as_str()), (told.body.len() as u64, "x/1"));
    assert_eq!(access.address, Some([192, 0, 2, 1].into()));
    assert_eq!(access.outcome, Some(AccessOutcome::Allowed));
    assert_eq!(told.header("audit-id"), access.id);

    let sign_in = |password: &str| {
        Ask::new("POST", "/api/v1/session").json(&json!({ "name": "ana", "password": password }))
    };
    room.told(sign_in("wrong wrong wrong")).await.is(401);
    assert!(room.audit.last().who.is_none());
    let entered = room.told(sign_in(PASSWORD)).await.is(200);
    let csrf = entered.json()["who"]["csrf"].as_str().unwrap().to_owned();
    assert_eq!(room.audit.last().who.unwrap().name, "user:ana");
    let cookie = entered.header("set-cookie");
    let secret = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let cookie = format!("__Host-klio={secret}");
    let make = Ask::new("POST", "/api/v1/tokens").header("cookie", &cookie).header("x-csrf-token", &csrf);
    let made = room.told(make.json(&json!({ "name": "t" }))).await.is(201).json();
    let made = made["secret"].as_str().unwrap();
    room.told(Ask::get(&format!("/api/v1/events?token={made}")).token(&token)).await.is(400);
    let all = room.audit.all.lock().unwrap();
    for access in all.iter() {
        let event = access.to_event().to_string();
        for secret in [PASSWORD, "wrong wrong wrong", &secret, &csrf, &token[5..], &made[5..]] {
            assert!(!event.contains(secret), "{event}");
        }
        let read = Event::parse(&event).unwrap();
        assert_eq!(read.stage.name(), access.stage.name());
        assert!(read.time().is_some());
        assert_eq!(read.code, (access.status != 0).then_some(i64::from(access.status)));
    }
}

#[tokio::test]
async fn everybody_sees_what_he_did_and_admins_what_all_did() {
    let memory = Arc::new(Memory::default());
    let room = Room::new(memory.clone()).await;
    let ana = room.token("ana", Role::Viewer, "*").await;
    let bob = room.token("bob", Role::Responder, "prod").await;
    let boss = room.token("boss", Role::Admin, "*").await;
    let small = room.token("small", Role::Admin, "prod").await;
    for token in [&ana, &bob, &boss, &small] {
        room.get(token, "/api/v1/whoami").await.is(200);
    }
    for (n, access) in room.audit.complete().iter().enumerate() {
        memory.push(Record {
            raw: access.to_event().to_string(),
            cluster: OWN_CLUSTER.into(),
            source: "klio".into(),
            received: Timestamp(n as i64),
            salvaged: false,
        });
    }
    for (token, seen) in [(&ana, 1), (&bob, 1), (&boss, 4), (&small, 1)] {
        let count = room.get(token, "/api/v1/events/count?cluster=klio").await.is(200).json();
        assert_eq!(count["count"], seen);
        // Not among the events of clusters, where each look would change the numbers.
        let count = room.get(token, "/api/v1/events/count").await.is(200).json();
        assert_eq!(count["count"], 0);
    }
    let own = room.get(&ana, "/api/v1/events?cluster=klio").await.is(200).json();
    assert_eq!(own["items"][0]["user"], "user:ana");
}

#[tokio::test]
async fn a_flood_is_refused_and_does_not_flood_the_audit() {
    let rate = Rate { per_second: 0.1, burst: 5.0 };
    let limits = klio_web::Limits { address: rate, ..limits() };
    let room = Room::with(archive(&[], |_| true), klio_web::Options { limits, ..options() }).await;
    for n in 0..50 {
        let told = room.told(Ask::get("/api/v1/events")).await;
        assert_eq!(told.status, if n < 5 { 401 } else { 429 });
        if n >= 5 {
            assert!(told.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    }
    let mut other = Ask::get("/api/v1/events");
    other.from = [203, 0, 113, 5].into();
    room.told(other).await.is(401);
    let all = room.audit.complete();
    assert_eq!(all.iter().filter(|access| access.status == 429).count(), 1);
    assert_eq!(all.len(), 7);
}
