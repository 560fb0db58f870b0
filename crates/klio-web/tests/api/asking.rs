//! Questions: pages, mistakes, numbers, limits of time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use klio_desk::Role;
use klio_web::Limits;
use serde_json::json;

use crate::room::{Ask, Room, limits, options};
use crate::world::{PLACES, archive, record};

#[tokio::test]
async fn pages_lead_from_one_to_the_next() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("ana", Role::Analyst, "prod").await;
    let mut seen = Vec::new();
    let mut uri = "/api/v1/events?limit=4".to_owned();
    loop {
        let page = room.get(&token, &uri).await.is(200).json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|e| e["auditId"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(items.len(), 4);
        uri = format!("/api/v1/events?limit=4&cursor={next}");
    }
    assert_eq!(seen.len(), 15);
    let count = room.get(&token, "/api/v1/events/count").await.is(200).json();
    assert_eq!(count["count"], 15);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 15, "each event once");

    // A cursor belongs to its question, and to who sees what its owner saw.
    let told = room.get(&token, &format!("{uri}&filter=verb:get")).await.is(400);
    assert!(told.body.contains("another question"), "{}", told.body);
    let other = room.token("bob", Role::Analyst, "prod/shop").await;
    room.get(&other, &uri).await.is(400);
    room.get(&token, "/api/v1/events?cursor=%00").await.is(400);
    room.get(&token, "/api/v1/events?cursor=AAAA").await.is(400);
}

#[tokio::test]
async fn mistakes_are_named() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let told = room.get(&token, "/api/v1/events?filter=verb:get%20and%20ur1:x").await.is(400);
    assert_eq!(told.header("content-type"), "application/problem+json");
    let problem = told.json();
    assert_eq!(
        (problem["status"].as_u64(), problem["position"].as_u64()),
        (Some(400), Some(13)),
        "{problem}"
    );
    assert!(problem["detail"].as_str().unwrap().contains("ur1"));
    for (uri, part) in [
        ("/api/v1/events?fliter=x", "fliter"),
        ("/api/v1/events?limit=0", "between 1 and 1000"),
        ("/api/v1/events?limit=1001", "between 1 and 1000"),
        ("/api/v1/events?from=yesterday", "`from` is no time"),
        ("/api/v1/events?from=now&to=now-1h", "not after"),
        ("/api/v1/events?from=now-15250284w&to=now", "`from` is not in the years 1 to 9999"),
        ("/api/v1/events/histogram?from=now&to=now%2B416100w", "`to` is not in the years 1 to 9999"),
        ("/api/v1/events/top?field=usr", "did you mean"),
        ("/api/v1/events/top", "field"),
        ("/api/v1/events/histogram?interval=soon", "interval"),
        ("/api/v1/events/histogram?interval=1s&from=2020&to=2026", "longer `interval`"),
        ("/api/v1/events/export?format=xml", "format"),
        ("/api/v1/findings?severity=bad", "severity"),
    ] {
        let told = room.get(&token, uri).await.is(400);
        assert!(told.json()["detail"].as_str().unwrap().contains(part), "{uri}: {}", told.body);
    }
    let told = room.get(&token, "/api/v1/nothing").await.is(404);
    assert_eq!(told.json()["status"], 404);
    let told = room.told(Ask::new("POST", "/api/v1/events").token(&token)).await.is(405);
    assert_eq!(told.header("allow"), "GET");
    let sql = |body: &serde_json::Value| Ask::new("POST", "/api/v1/sql").token(&token).json(body);
    let told = room.told(sql(&json!({ "query": "DROP" }))).await.is(400);
    assert_eq!(told.json()["detail"], "only SELECT");
    let told = room.told(sql(&json!({ "query": "SELECT 1", "limit": 3 }))).await.is(200).json();
    assert_eq!((told["count"].as_u64(), told["cut"].as_bool()), (Some(3), Some(true)));
    assert_eq!(told["rows"].as_array().unwrap().len(), 3);
    let lines = room.told(sql(&json!({ "query": "SELECT 1", "format": "jsonl" }))).await.is(200);
    assert_eq!(lines.body.lines().count(), 20);
}

#[tokio::test]
async fn numbers_are_of_what_is_seen() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("ana", Role::Viewer, "prod/shop").await;
    let top = room.get(&token, "/api/v1/events/top?field=verb").await.is(200).json();
    assert_eq!(top["values"], json!([{ "value": "get", "count": 3 }, { "value": "create", "count": 2 }]));
    let histogram = room.get(&token, "/api/v1/events/histogram?interval=1m").await.is(200).json();
    assert_eq!(histogram["series"][0]["bars"].as_array().unwrap().len(), 5);
    let split = room.get(&token, "/api/v1/events/histogram?interval=1h&field=verb").await.is(200).json();
    assert_eq!(split["series"].as_array().unwrap().len(), 2, "{split}");
    let actor = format!("/api/v1/actors/{}user", PLACES[0].mark());
    let actor = room.get(&token, &actor).await.is(200).json();
    assert_eq!(actor["count"], 5);
    assert!(actor["first"].as_str() < actor["last"].as_str());
    let rule = room.get(&token, "/api/v1/rules/rule-1").await.is(200).json();
    assert_eq!(rule["hits"], 1);
    let event = room.get(&token, "/api/v1/events?limit=1").await.is(200).json();
    let event = &event["items"][0];
    assert_eq!(event["bodiesWithheld"], true);
    assert!(
        event["event"]["requestObject"].is_null() && event["sentence"].as_str().unwrap().contains("secret")
    );
    // A search would tell letter by letter what is not shown.
    for filter in
        ["BODY*", "request.data.password:BODY*", "not%20request:*", "event.requestObject.kind:Secret"]
    {
        let uri = format!("/api/v1/events/count?filter={filter}");
        room.get(&token, &uri).await.is(403);
    }
}

#[tokio::test]
async fn what_takes_too_long_is_given_up_and_many_questions_wait_their_turn() {
    let memory = archive(&PLACES, |_| true);
    let limits = Limits {
        questions: 1,
        turn: Duration::from_millis(20),
        question: Duration::from_millis(300),
        ..limits()
    };
    let room = Room::with(memory.clone(), klio_web::Options { limits, ..options() }).await;
    let (ana, bob) = (room.token("ana", Role::Viewer, "*").await, room.token("bob", Role::Viewer, "*").await);
    memory.slow.store(true, Ordering::Relaxed);
    let uri = "/api/v1/events/count";
    let first = tokio::spawn(room.app.clone().into_service_oneshot(Ask::get(uri).token(&ana)));
    while memory.begun.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    // Only one question of hers at a time; the second does not get its turn.
    let told = room.get(&ana, uri).await.is(429);
    assert_eq!(told.header("retry-after"), "2");
    let others = tokio::spawn(room.app.clone().into_service_oneshot(Ask::get(uri).token(&bob)));
    assert_eq!(first.await.unwrap(), 504);
    assert_eq!(others.await.unwrap(), 504, "his own turn is not taken by her");
    memory.slow.store(false, Ordering::Relaxed);
    while room.get(&ana, uri).await.status != 200 {}
}

trait Oneshot {
    fn into_service_oneshot(self, ask: Ask) -> impl Future<Output = u16> + Send + 'static;
}

impl Oneshot for axum::Router {
    fn into_service_oneshot(self, ask: Ask) -> impl Future<Output = u16> + Send + 'static {
        use tower::ServiceExt as _;
        async move { self.oneshot(ask.request()).await.unwrap().status().as_u16() }
    }
}

#[tokio::test]
async fn a_question_whose_asker_goes_is_stopped_and_told() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Viewer, "*").await;
    memory.slow.store(true, Ordering::Relaxed);
    let asked = room.app.clone().into_service_oneshot(Ask::get("/api/v1/events/count").token(&token));
    assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err());
    let access = room.audit.until(1).await;
    assert_eq!((access.status, memory.ended.load(Ordering::Relaxed)), (504, 1));
}

#[tokio::test]
async fn numbers_in_addresses_may_be_of_any_size() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    for uri in ["/explore?from=now-15250284w&to=now", "/trends?from=now-15250284w&to=now"] {
        let told = room.get(&token, uri).await;
        assert!(told.body.contains("is not in the years 1 to 9999"), "{uri}: {} {}", told.status, told.body);
    }
    for uri in [
        "/explore?from=0001-01-01&to=9999-12-31",
        "/explore?from=now-100000w",
        "/incidents?after=18446744073709551615",
        &format!("/incidents/{}Story?after=18446744073709551615", PLACES[0].mark()),
    ] {
        room.get(&token, uri).await.is(200);
    }
}

#[tokio::test]
async fn proposed_values_are_few_and_of_the_newest_day() {
    let memory = archive(&PLACES, |_| true);
    let mut old = record(PLACES[0], -3000);
    old.raw = old.raw.replace("\"verb\":\"get\"", "\"verb\":\"deletecollection\"");
    memory.push(old);
    let room = Room::new(memory).await;
    let token = room.token("ana", Role::Viewer, "*").await;
    let proposed = async |text: &str| {
        let view = room.get(&token, &format!("/api/v1/complete?text={text}")).await.is(200).json();
        let items = view["items"].as_array().unwrap().iter();
        items.map(|item| item["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(proposed("verb:").await, ["get", "create"]);
    assert_eq!(proposed("verb:&from=2020").await, ["get", "create", "deletecollection"]);
    // Each request has its own: to count them is to hold them all.
    for field in ["audit.id:", "uri:", "uri:/api"] {
        assert!(proposed(field).await.is_empty(), "{field}");
    }
}

#[tokio::test]
async fn an_event_is_shown_also_if_what_it_changed_cannot_be_told() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let uri = format!("/events/{}id1", PLACES[0].mark());
    let told = room.get(&token, &format!("{uri}?as=json")).await.is(200).json();
    assert!(told["noChanges"].is_null(), "{told}");
    *memory.refuses.lock().unwrap() = Some("secrets");
    let told = room.get(&token, &format!("{uri}?as=json")).await.is(200).json();
    assert_eq!(told["noChanges"], "it is too large");
    let page = room.get(&token, &uri).await.is(200);
    assert!(page.body.contains("What it changed cannot be told: it is too large."), "{}", page.body);
}

#[tokio::test]
async fn a_reader_who_goes_spoils_no_answer_for_others() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    memory.slow.store(true, Ordering::Relaxed);
    let asked = room.app.clone().into_service_oneshot(Ask::get("/api/v1/coverage").token(&token));
    assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err());
    room.audit.until(1).await;

    // A page waits for it no longer than people do, and finds it out for the next.
    let page = room.get(&token, "/detections?as=json").await.is(200).json();
    assert!(page["coverage"].is_null(), "{page}");
    memory.slow.store(false, Ordering::Relaxed);
    room.get(&token, "/api/v1/coverage").await.is(200);
    let page = room.get(&token, "/detections?as=json").await.is(200).json();
    assert!(page["coverage"].is_object(), "{page}");
}

#[tokio::test]
async fn what_cannot_be_found_out_is_not_tried_again_at_once() {
    let memory = archive(&PLACES, |_| true);
    let limits = Limits { question: Duration::from_millis(200), ..limits() };
    let room = Room::with(memory.clone(), klio_web::Options { limits, ..options() }).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    memory.slow.store(true, Ordering::Relaxed);
    room.get(&token, "/api/v1/coverage").await.is(504);
    memory.slow.store(false, Ordering::Relaxed);
    room.get(&token, "/api/v1/coverage").await.is(503);
}
