//! Nothing is done that the ledger is not told.

use std::sync::atomic::Ordering;

use klio_desk::{Action, By, Deed, DeskError, Outcome, Role};

use crate::room::{PASSWORD, Room, by, enter, hire, ip};

on_both!(each_deed_is_told, a_ledger_that_refuses_lets_nobody_in, what_was_not_told_is_told_later);

async fn each_deed_is_told(room: Room) {
    let desk = room.desk().await;
    desk.bootstrap("root").await.unwrap();
    hire(&desk, "ana", Role::Viewer, "prod").await;
    let ana = enter(&desk, "ana").await;
    let _ = desk.password("Ana", &"wrong password".into(), ip("198.51.100.1")).await;
    let _ = desk.password("my secret password!", &"ana".into(), ip("198.51.100.1")).await;
    let session = desk.begin_session(&ana, ip("192.0.2.1")).await.unwrap();
    desk.end_session(&by(&ana), &session.id).await.unwrap();
    let _ = desk.set_role(&by(&ana), "ana", Role::Admin).await;
    desk.disable_user(&By::console(), "ana").await.unwrap();
    let told: Vec<(Deed, String, Outcome)> =
        room.notes.all().into_iter().map(|a| (a.deed, a.who, a.outcome)).collect();
    let row = |deed, who: &str, outcome| (deed, who.to_owned(), outcome);
    let expect = [
        row(Deed::Bootstrap, "console:console", Outcome::Done),
        row(Deed::CreateUser, "console:console", Outcome::Done),
        row(Deed::SignIn, "user:ana", Outcome::Done),
        row(Deed::SignIn, "user:ana", Outcome::Refused),
        // Somebody typed his password into the wrong field.
        row(Deed::SignIn, "(not a name)", Outcome::Refused),
        row(Deed::BeginSession, "user:ana", Outcome::Done),
        row(Deed::EndSession, "user:ana", Outcome::Done),
        row(Deed::SetRole, "user:ana", Outcome::Refused),
        row(Deed::DisableUser, "console:console", Outcome::Done),
    ];
    assert_eq!(told, expect);
    let failed = &room.notes.all()[3];
    assert_eq!((failed.from, failed.detail["why"].as_str()), (ip("198.51.100.1"), "wrong password"));
    let json = serde_json::to_string(failed).unwrap();
    assert!(
        json.contains(r#""time":"2026-11-22T08:00:00.000000Z""#) && json.contains(r#""deed":"sign-in""#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<Action>(&json).unwrap(), *failed);
    let waiting: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM desk_action").fetch_one(&room.raw().await).await.unwrap();
    assert_eq!(waiting, 0);
}

async fn a_ledger_that_refuses_lets_nobody_in(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "prod").await;
    let ana = enter(&desk, "ana").await;
    room.notes.refuses.store(true, Ordering::SeqCst);
    let sign_in = desk.password("ana", &PASSWORD.into(), None).await;
    assert!(matches!(&sign_in, Err(DeskError::Ledger(_))) && sign_in.unwrap_err().is_transient());
    assert!(matches!(desk.begin_session(&ana, None).await, Err(DeskError::Ledger(_))));
    assert!(matches!(desk.unlock(&By::console(), "ana").await, Err(DeskError::Ledger(_))));
}

async fn what_was_not_told_is_told_later(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "prod").await;
    room.notes.refuses.store(true, Ordering::SeqCst);
    // To lock somebody out must not fail because a disk is full.
    assert!(desk.disable_user(&By::console(), "ana").await.is_err());
    room.notes.refuses.store(false, Ordering::SeqCst);
    assert!(matches!(desk.password("ana", &PASSWORD.into(), None).await, Err(DeskError::Denied)));
    assert_eq!(room.notes.count(Deed::DisableUser, Outcome::Done), 0);
    // It may still be on its way from another process; half a minute later it is not.
    assert_eq!(desk.tell_waiting().await.unwrap(), 0);
    room.pass(30);
    room.desk().await;
    assert_eq!(room.notes.count(Deed::DisableUser, Outcome::Done), 1);
    assert_eq!(desk.tell_waiting().await.unwrap(), 0);
}
