//! Guessing passwords costs time, and costs others nothing.

use klio_desk::{By, Deed, DeskError, Outcome, Role, Secret};

use crate::room::{PASSWORD, Room, enter, hire, ip};

on_both!(
    guessing_a_name_has_to_wait,
    guessing_from_one_address_has_to_wait,
    strangers_do_not_lock_somebody_out,
    fifty_sign_in_at_once,
    fifty_guesses_at_once_are_ten,
    who_hangs_up_is_counted,
);

fn wrong() -> Secret {
    "wrong password".into()
}

async fn guessing_a_name_has_to_wait(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    // From many addresses, as a botnet does.
    for i in 0..10 {
        let answer = desk.password("ana", &wrong(), ip(&format!("198.51.100.{i}"))).await;
        assert!(matches!(answer, Err(DeskError::Denied)), "{i} {answer:?}");
    }
    let waits = async |seconds: i64| {
        let answer = desk.password("ANA", &PASSWORD.into(), ip("203.0.113.5")).await;
        let until = room.now.load(std::sync::atomic::Ordering::SeqCst) + seconds * 1_000_000;
        assert!(matches!(answer, Err(DeskError::TooMany(at)) if at.micros() == until), "{answer:?}");
    };
    waits(30).await;
    assert!(room.notes.why().contains("too many failures"));
    room.pass(29);
    // What comes too early does not lengthen the wait.
    waits(1).await;
    room.pass(1);
    let answer = desk.password("ana", &wrong(), ip("198.51.100.77")).await;
    assert!(matches!(answer, Err(DeskError::Denied)));
    waits(60).await;
    room.pass(60);
    desk.password("ana", &PASSWORD.into(), ip("203.0.113.5")).await.unwrap();
    // And an admin ends it at once, at the machine itself if need be.
    for i in 0..10 {
        let _ = desk.password("ana", &wrong(), ip(&format!("198.51.100.{i}"))).await;
    }
    waits_no_more(&desk).await;
    // A name that does not exist behaves the same: waiting does not tell who exists.
    for _ in 0..10 {
        assert!(matches!(desk.password("nobody", &wrong(), None).await, Err(DeskError::Denied)));
    }
    assert!(matches!(desk.password("nobody", &wrong(), None).await, Err(DeskError::TooMany(_))));
    room.pass(20 * 60 + 60);
    assert!(matches!(desk.password("nobody", &wrong(), None).await, Err(DeskError::Denied)));
    assert!(matches!(desk.password("nobody", &wrong(), None).await, Err(DeskError::Denied)), "forgotten");
}

async fn waits_no_more(desk: &klio_desk::Desk) {
    let from = ip("203.0.113.99");
    assert!(matches!(desk.password("ana", &PASSWORD.into(), from).await, Err(DeskError::TooMany(_))));
    desk.unlock(&By::console(), "ana").await.unwrap();
    desk.password("ana", &PASSWORD.into(), from).await.unwrap();
}

async fn guessing_from_one_address_has_to_wait(room: Room) {
    let desk = room.desk().await;
    for name in ["eve", "ana", "bob"] {
        hire(&desk, name, Role::Viewer, "*").await;
    }
    enter(&desk, "bob").await;
    let from = ip("2001:db8::5");
    // One name after the other, and with an account of one's own in between.
    for i in 0..9 {
        let _ = desk.password(&format!("user{i}"), &wrong(), ip(&format!("2001:db8::{i}"))).await;
    }
    desk.password("eve", &PASSWORD.into(), from).await.unwrap();
    let _ = desk.password("user9", &wrong(), from).await;
    assert!(matches!(desk.password("ana", &wrong(), from).await, Err(DeskError::TooMany(_))));
    assert!(matches!(desk.password("ana", &PASSWORD.into(), from).await, Err(DeskError::TooMany(_))));
    // Others elsewhere notice nothing.
    desk.password("ana", &PASSWORD.into(), ip("2001:db8:0:1::5")).await.unwrap();
}

async fn strangers_do_not_lock_somebody_out(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    enter(&desk, "root").await;
    // A day of guessing, from elsewhere and from the same office with other names.
    for i in 0..60 {
        let _ = desk.password("root", &wrong(), ip(&format!("198.51.100.{i}"))).await;
        let _ = desk.password(&format!("user{i}"), &wrong(), ip("192.0.2.1")).await;
        room.pass(24 * 60);
        if i % 10 == 0 {
            enter(&desk, "root").await;
        }
    }
    for i in 0..30 {
        let _ = desk.password("root", &wrong(), ip(&format!("198.51.100.{i}"))).await;
        let _ = desk.password(&format!("user{i}"), &wrong(), ip("192.0.2.1")).await;
    }
    enter(&desk, "root").await;
    // Guessing in the office itself has to wait there, and only there.
    for _ in 0..10 {
        let _ = desk.password("root", &wrong(), ip("192.0.2.1")).await;
    }
    assert!(matches!(
        desk.password("root", &PASSWORD.into(), ip("192.0.2.1")).await,
        Err(DeskError::TooMany(_))
    ));
    // However long somebody went on, the longest wait is a quarter of an hour.
    for _ in 0..12 {
        room.pass(15 * 60);
        let _ = desk.password("root", &wrong(), ip("192.0.2.1")).await;
    }
    room.pass(15 * 60);
    enter(&desk, "root").await;
}

async fn fifty_sign_in_at_once(room: Room) {
    let desk = room.desk().await;
    for i in 0..5 {
        hire(&desk, &format!("user{i}"), Role::Viewer, "prod").await;
    }
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            let desk = desk.clone();
            tokio::spawn(async move {
                let who = enter(&desk, &format!("user{}", i % 5)).await;
                let session = desk.begin_session(&who, ip("192.0.2.1")).await.unwrap();
                desk.session(&session.secret).await.unwrap().to_string()
            })
        })
        .collect();
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), format!("user:user{}", i % 5));
    }
    assert_eq!(room.notes.count(Deed::SignIn, Outcome::Done), 50);
    assert_eq!(desk.sessions(&By::console()).await.unwrap().len(), 50);
}

async fn fifty_guesses_at_once_are_ten(room: Room) {
    let (desk, other) = (room.desk().await, room.desk().await);
    hire(&desk, "ana", Role::Viewer, "*").await;
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            let desk = if i % 2 == 0 { desk.clone() } else { other.clone() };
            tokio::spawn(async move { desk.password("ana", &wrong(), ip(&format!("198.51.100.{i}"))).await })
        })
        .collect();
    let mut judged = 0;
    for task in tasks {
        match task.await.unwrap() {
            Err(DeskError::Denied) => judged += 1,
            Err(DeskError::TooMany(_)) => {}
            odd => panic!("{odd:?}"),
        }
    }
    assert_eq!(judged, 10);
    assert_eq!(room.notes.count(Deed::SignIn, Outcome::Refused), 50);
}

async fn who_hangs_up_is_counted(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    for _ in 0..10 {
        let secret = wrong();
        let mut attempt = Box::pin(desk.password("ana", &secret, ip("198.51.100.1")));
        // Asked once, then dropped.
        std::future::poll_fn(|cx| {
            let _ = attempt.as_mut().poll(cx);
            std::task::Poll::Ready(())
        })
        .await;
    }
    while room.notes.count(Deed::SignIn, Outcome::Refused) < 10 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(
        desk.password("ana", &PASSWORD.into(), ip("203.0.113.1")).await,
        Err(DeskError::TooMany(_))
    ));
}
