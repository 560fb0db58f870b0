//! Opening, growing and guarding the database.

use std::os::unix::fs::PermissionsExt as _;

use klio_desk::{By, DeskError, Place, Role};

use crate::room::{Room, enter, hire};

on_both!(
    what_was_written_is_there_again,
    many_open_it_at_once,
    a_newer_one_is_refused,
    damage_lets_nobody_in
);

async fn what_was_written_is_there_again(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Analyst, "prod/shop").await;
    desk.close().await;
    let again = room.desk().await;
    let ana = enter(&again, "ANA").await;
    assert_eq!(
        (ana.name(), ana.role(), ana.scope().to_string().as_str()),
        ("ana", Role::Analyst, "prod/shop")
    );
}

async fn many_open_it_at_once(room: Room) {
    let opened = futures(6, || room.desk()).await;
    hire(&opened[0], "ana", Role::Viewer, "*").await;
    for desk in &opened {
        enter(desk, "ana").await;
    }
    // Each version once.
    let counts: (i64, i64) = sqlx::query_as("SELECT COUNT(*), MAX(version) FROM desk_schema")
        .fetch_one(&room.raw().await)
        .await
        .unwrap();
    assert_eq!(counts.0, counts.1);
}

async fn futures<T, F: Future<Output = T>>(n: usize, make: impl Fn() -> F) -> Vec<T> {
    let mut all: Vec<std::pin::Pin<Box<F>>> = (0..n).map(|_| Box::pin(make())).collect();
    let mut done: Vec<Option<T>> = (0..n).map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, slot) in all.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

async fn a_newer_one_is_refused(room: Room) {
    room.desk().await.close().await;
    sqlx::query("INSERT INTO desk_schema (version) VALUES (99)").execute(&room.raw().await).await.unwrap();
    let error = room.try_open(room.options()).await.err().unwrap();
    assert!(
        matches!(error, DeskError::Newer { found: 99, .. }) && error.to_string().contains("newer Klio"),
        "{error}"
    );
}

async fn damage_lets_nobody_in(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "prod").await;
    let raw = room.raw().await;
    for damage in
        ["UPDATE desk_user SET role = 'root'", "UPDATE desk_user SET role = 'viewer', scope = 'prod/*'"]
    {
        sqlx::query(damage).execute(&raw).await.unwrap();
        let answer = desk.password("ana", &crate::room::PASSWORD.into(), None).await;
        assert!(matches!(answer, Err(DeskError::Damaged(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn only_the_owner_reads_the_file() {
    let room = Room::sqlite();
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let Place::File(path) = &room.place else { panic!() };
    for entry in std::fs::read_dir(room.dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    desk.close().await;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = room.try_open(room.options()).await.err().unwrap();
    assert!(error.to_string().contains("must be 0600"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let room = Room::sqlite();
    let place = Place::Postgres("postgres://klio:hunter2hunter2@127.0.0.1:1/klio".into());
    let error = klio_desk::Desk::open(&place, room.notes.clone(), room.options()).await.err().unwrap();
    let told = format!("{error} {error:?} {place:?}");
    assert!(matches!(error, DeskError::Database(_)) && !told.contains("hunter2"), "{told}");
    assert!(By::console().from.is_none());
}
