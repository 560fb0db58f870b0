//! Exports and live tails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use klio_desk::{By, Role};
use klio_web::{AccessOutcome, AccessStage, Limits, Options};

use crate::memory::Memory;
use crate::room::{Ask, Room, Told, limits, options};
use crate::world::{PLACES, archive, record};

const LINES: u64 = 200_000;
const BYTES: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_200_000_events_is_never_held() {
    let memory = Arc::new(Memory { made_up: Some((LINES, BYTES)), ..Memory::default() });
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let answer = room.ask(Ask::get("/api/v1/events/export").token(&token)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"klio-events.jsonl\"");
    let mut body = answer.into_body();
    let (mut read, mut ahead) = (0, 0);
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len() as u64;
        ahead = ahead.max(memory.written.load(Ordering::Relaxed).saturating_sub(read));
    }
    assert_eq!(read, LINES * (BYTES as u64 + 1));
    assert!(ahead < 1 << 20, "{ahead} bytes were written and not read");
    let access = room.audit.last();
    assert_eq!((access.rows, access.bytes, access.outcome), (LINES, read, Some(AccessOutcome::Allowed)));
}

#[tokio::test]
async fn an_export_whose_reader_goes_ends_and_is_told() {
    let memory = Arc::new(Memory { made_up: Some((LINES, BYTES)), ..Memory::default() });
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let mut body = room.ask(Ask::get("/api/v1/events/export").token(&token)).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap().len() as u64;
    assert_eq!(room.audit.all.lock().unwrap()[0].stage, AccessStage::Started);
    drop(body);
    let access = room.audit.until(1).await;
    assert_eq!((access.outcome, access.bytes), (Some(AccessOutcome::Left), first));
    while memory.ended.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(memory.written.load(Ordering::Relaxed) < 1 << 20);
}

#[tokio::test]
async fn a_reader_who_takes_nothing_does_not_keep_his_place() {
    let memory = Arc::new(Memory { made_up: Some((LINES, BYTES)), ..Memory::default() });
    let limits = Limits { stalled: Duration::from_millis(50), ..limits() };
    let room = Room::with(memory.clone(), Options { limits, ..options() }).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let answer = room.ask(Ask::get("/api/v1/events/export").token(&token)).await;
    while memory.ended.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What he reads later is not taken for the whole.
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(room.audit.until(1).await.outcome, Some(AccessOutcome::Failed));
}

#[tokio::test]
async fn an_export_that_fails_is_not_taken_for_a_whole_one() {
    let memory =
        Arc::new(Memory { made_up: Some((LINES, BYTES)), breaks_after: Some(10_000), ..Memory::default() });
    let room = Room::new(memory).await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let answer = room.ask(Ask::get("/api/v1/events/export").token(&token)).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(room.audit.until(1).await.outcome, Some(AccessOutcome::Failed));

    // Before the first byte, it is a refusal, which does not say where the disk is.
    let memory =
        Arc::new(Memory { made_up: Some((LINES, BYTES)), breaks_after: Some(0), ..Memory::default() });
    let room = room.beside(memory);
    let told = room.get(&token, "/api/v1/events/export").await.is(503);
    assert!(!told.body.contains("secret"), "{}", told.body);
}

/// Reads a tail until a text stands in it.
async fn until(body: &mut Body, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("no {text:?} in {read}")).expect(&read).unwrap();
        read.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    read
}

fn patient() -> Limits {
    Limits { tail: Duration::from_mins(1), ..limits() }
}

#[tokio::test]
async fn a_tail_tells_what_comes_and_goes_on_where_it_was() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::with(memory.clone(), Options { limits: patient(), ..options() }).await;
    let token = room.token("ana", Role::Viewer, "prod").await;
    let tail = || Ask::get("/api/v1/events/tail?filter=verb:get").token(&token);
    let answer = room.ask(tail()).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let begin = until(&mut body, "event: begin").await;
    assert!(!begin.contains("MARK"), "only what comes");
    for n in [10, 11, 12] {
        memory.push(record(PLACES[0], n));
    }
    let read = until(&mut body, "id12").await;
    assert!(read.contains("id10") && !read.contains("id11") && !read.contains("BODY"), "{read}");
    until(&mut body, ":\n\n").await;
    drop(body);
    let access = room.audit.until(1).await;
    assert_eq!((access.outcome, access.verb, access.rows), (Some(AccessOutcome::Left), "watch", 2));

    let id = read.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    memory.push(record(PLACES[0], 14));
    let mut body = room.ask(tail().header("last-event-id", id)).await.into_body();
    let read = until(&mut body, "id14").await;
    assert!(read.contains("id12") && !read.contains("id10"), "after the id: {read}");
    let odd = tail().header("last-event-id", "odd");
    room.told(odd).await.is(400);
}

#[tokio::test]
async fn a_slow_reader_is_told_what_he_missed() {
    let memory = archive(&[], |_| true);
    let limits = Limits { tail_buffer: 16, ..patient() };
    let room = Room::with(memory.clone(), Options { limits, ..options() }).await;
    let token = room.token("ana", Role::Viewer, "*").await;
    let mut body = room.ask(Ask::get("/api/v1/events/tail").token(&token)).await.into_body();
    until(&mut body, "event: begin").await;
    for n in 0..2000 {
        memory.push(record(PLACES[0], n));
    }
    // He reads nothing until all are told or lost; the server does not wait for him.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let read = until(&mut body, "event: lost").await;
    let told = read.matches("event: event\n").count() as u64;
    let lost: u64 = {
        let rest = read.split("event: lost\ndata: {\"lost\":").nth(1).map(str::to_owned);
        let rest = match rest {
            Some(rest) if rest.contains('}') => rest,
            _ => until(&mut body, "}").await,
        };
        rest.split('}').next().unwrap().parse().unwrap()
    };
    assert!(told <= 17 && told + lost == 2000, "{told} told, {lost} lost");
    memory.push(record(PLACES[0], 3000));
    until(&mut body, "id3000").await;
}

#[tokio::test]
async fn a_tail_ends_when_its_reader_is_not_let_in_any_more() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::with(memory.clone(), Options { limits: patient(), ..options() }).await;
    for (name, is_locked_out) in [("ana", true), ("bob", false)] {
        let token = room.token(name, Role::Analyst, "*").await;
        let mut body = room.ask(Ask::get("/api/v1/events/tail").token(&token)).await.into_body();
        until(&mut body, "event: begin").await;
        if is_locked_out {
            room.desk.disable_user(&By::console(), name).await.unwrap();
        } else {
            room.desk.set_scope(&By::console(), name, &"prod/shop".parse().unwrap()).await.unwrap();
        }
        // Also while events come all the time.
        let busy = memory.clone();
        let pushing = tokio::spawn(async move {
            for n in 100.. {
                busy.push(record(PLACES[3], n));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        until(&mut body, "event: end").await;
        pushing.abort();
        let rest = body.collect().await.unwrap();
        assert!(rest.to_bytes().len() < 100);
    }
}

#[tokio::test]
async fn tails_are_counted() {
    let limits = Limits { tails: 2, ..patient() };
    let room = Room::with(archive(&[], |_| true), Options { limits, ..options() }).await;
    let token = room.token("ana", Role::Viewer, "*").await;
    let ask = || room.ask(Ask::get("/api/v1/events/tail").token(&token));
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    Told::of(ask().await).await.is(429);
    drop(first);
    while ask().await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
