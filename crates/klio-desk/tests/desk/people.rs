//! Users: made, changed, removed, and who may do so.

use klio_desk::{By, DeskError, ExposeSecret as _, NewUser, Role, Secret, WeakPassword};

use crate::room::{PASSWORD, Room, by, enter, hire, ip};

on_both!(
    the_first_admin_gets_his_password_once,
    names_are_kept_apart,
    a_role_decides_who_may,
    nobody_hands_on_more_than_he_has,
    somebody_can_always_repair,
    passwords_change,
    the_disabled_stay_out,
    names_that_would_be_sql_are_texts,
);

async fn the_first_admin_gets_his_password_once(room: Room) {
    let desk = room.desk().await;
    let (user, password) = desk.bootstrap("Root").await.unwrap();
    assert_eq!((user.name.as_str(), user.role, user.scope.is_all()), ("root", Role::Admin, true));
    assert!(desk.password("root", &password, None).await.unwrap().scope().is_all());
    assert!(matches!(desk.bootstrap("other").await, Err(DeskError::NotEmpty)));
    let told = format!("{:?}{password:?}", room.notes.all());
    assert!(!told.contains(password.expose_secret()), "{told}");
}

async fn names_are_kept_apart(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "Ana@Example.org", Role::Viewer, "*").await;
    let new = |name: &str, password: Option<&str>| NewUser {
        name: name.to_owned(),
        role: Role::Viewer,
        scope: "prod".parse().unwrap(),
        password: password.map(Secret::from),
    };
    let console = By::console();
    let taken = desk.create_user(&console, new("ana@example.ORG", None)).await;
    assert!(matches!(taken, Err(DeskError::Taken(_))));
    assert!(matches!(desk.create_user(&console, new("аna", None)).await, Err(DeskError::BadName(..))));
    let weak = desk.create_user(&console, new("bob@example.org", Some("Bob@example.org"))).await;
    assert!(matches!(weak, Err(DeskError::Weak(WeakPassword::Name))));
    desk.create_user(&console, new("robot", None)).await.unwrap();
    assert!(matches!(desk.password("robot", &PASSWORD.into(), None).await, Err(DeskError::Denied)));
    assert_eq!(room.notes.why(), "the user has no password");
    let names: Vec<(String, bool)> =
        desk.users(&console).await.unwrap().into_iter().map(|u| (u.name, u.has_password)).collect();
    assert_eq!(names, [("ana@example.org".to_owned(), true), ("robot".to_owned(), false)]);
    desk.remove_user(&console, "Robot").await.unwrap();
    assert!(matches!(desk.remove_user(&console, "robot").await, Err(DeskError::Unknown { .. })));
}

async fn a_role_decides_who_may(room: Room) {
    let desk = room.desk().await;
    for role in [Role::Viewer, Role::Analyst, Role::Responder, Role::Admin] {
        hire(&desk, role.name(), role, "*").await;
        let who = by(&enter(&desk, role.name()).await);
        let new = NewUser {
            name: format!("of-{role}"),
            role: Role::Viewer,
            scope: "prod".parse().unwrap(),
            password: None,
        };
        let (made, listed) = (desk.create_user(&who, new).await, desk.users(&who).await);
        let unlocked = desk.unlock(&who, "viewer").await;
        if role == Role::Admin {
            made.unwrap();
            listed.unwrap();
            unlocked.unwrap();
        } else {
            assert!(
                matches!(made, Err(DeskError::NotAllowed { .. })) && listed.is_err() && unlocked.is_err()
            );
            assert_eq!(room.notes.last().who, format!("user:{role}"));
            assert!(room.notes.why().contains("may not do this"));
        }
    }
}

async fn nobody_hands_on_more_than_he_has(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "head", Role::Admin, "prod").await;
    hire(&desk, "clerk", Role::Viewer, "prod/shop").await;
    hire(&desk, "other", Role::Viewer, "test").await;
    let head = by(&enter(&desk, "head").await);
    let beyond =
        |answer: Result<(), DeskError>| assert!(matches!(answer, Err(DeskError::Beyond)), "{answer:?}");
    beyond(desk.set_password(&head, "root", &"a new long password".into()).await);
    beyond(desk.disable_user(&head, "root").await);
    beyond(desk.remove_user(&head, "other").await);
    beyond(desk.set_scope(&head, "clerk", &"*".parse().unwrap()).await);
    beyond(desk.set_scope(&head, "head", &"*".parse().unwrap()).await);
    let wide =
        NewUser { name: "w".into(), role: Role::Viewer, scope: "test".parse().unwrap(), password: None };
    beyond(desk.create_user(&head, wide).await.map(|_| ()));
    desk.set_scope(&head, "clerk", &"prod/shop,prod/web".parse().unwrap()).await.unwrap();
    assert_eq!(room.notes.last().detail["before"], "prod/shop");
    desk.set_role(&head, "clerk", Role::Responder).await.unwrap();
    let seen: Vec<String> = desk.users(&head).await.unwrap().into_iter().map(|u| u.name).collect();
    assert_eq!(seen, ["clerk", "head"]);
    enter(&desk, "root").await;
}

async fn somebody_can_always_repair(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "head", Role::Admin, "prod").await;
    let console = By::console();
    let last =
        |answer: Result<(), DeskError>| assert!(matches!(answer, Err(DeskError::LastAdmin(_))), "{answer:?}");
    last(desk.remove_user(&console, "root").await);
    last(desk.disable_user(&console, "root").await);
    last(desk.set_role(&console, "root", Role::Responder).await);
    last(desk.set_scope(&console, "root", &"prod".parse().unwrap()).await);
    enter(&desk, "root").await;
    hire(&desk, "second", Role::Admin, "*").await;
    // Two admins that remove each other at the same moment: one stays.
    let (root, second) = (by(&enter(&desk, "root").await), by(&enter(&desk, "second").await));
    let (a, b) = tokio::join!(desk.remove_user(&root, "second"), desk.remove_user(&second, "root"));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
}

async fn passwords_change(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let ana = by(&enter(&desk, "ana").await);
    let new: Secret = "another long password".into();
    assert!(matches!(desk.change_password(&ana, &"wrong".into(), &new).await, Err(DeskError::Denied)));
    assert!(matches!(
        desk.change_password(&ana, &PASSWORD.into(), &"short".into()).await,
        Err(DeskError::Weak(_))
    ));
    desk.change_password(&ana, &PASSWORD.into(), &new).await.unwrap();
    assert!(matches!(desk.password("ana", &PASSWORD.into(), None).await, Err(DeskError::Denied)));
    desk.password("ana", &new, None).await.unwrap();
    desk.set_password(&By::console(), "ana", &PASSWORD.into()).await.unwrap();
    enter(&desk, "ana").await;
    // A hash that was made at another cost is made anew when its password is shown.
    let raw = room.raw().await;
    let dear = room
        .try_open(klio_desk::Options { cost: klio_desk::Cost::default(), ..room.options() })
        .await
        .unwrap();
    enter(&dear, "ana").await;
    let hash: String = sqlx::query_scalar("SELECT password FROM desk_user").fetch_one(&raw).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    enter(&dear, "ana").await;
}

async fn the_disabled_stay_out(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    desk.disable_user(&By::console(), "ana").await.unwrap();
    let answers = [
        (desk.password("ana", &PASSWORD.into(), None).await, "the user is disabled"),
        (desk.password("ana", &"wrong password".into(), None).await, "the user is disabled"),
        (desk.password("nobody", &PASSWORD.into(), None).await, "there is no such user"),
    ];
    for (answer, _) in &answers {
        // One answer for all: who asks learns nothing.
        assert_eq!(answer.as_ref().err().unwrap().to_string(), "not let in");
    }
    let told: Vec<String> = room.notes.all().iter().rev().take(3).map(|a| a.detail["why"].clone()).collect();
    assert_eq!(told, [answers[2].1, answers[1].1, answers[0].1]);
    desk.enable_user(&By::console(), "ana").await.unwrap();
    enter(&desk, "ana").await;
}

async fn names_that_would_be_sql_are_texts(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let ana = enter(&desk, "ana").await;
    for odd in [
        "' OR '1'='1",
        "x'; DROP TABLE desk_user; --",
        "\\'; --",
        "ana' --",
        "%",
        "$1",
        "?",
        "ana\0",
        "\u{202e}ana",
        "",
    ] {
        assert!(desk.password(odd, &PASSWORD.into(), ip("198.51.100.9")).await.is_err(), "{odd:?}");
        assert!(desk.password("ana", &odd.into(), ip("192.0.2.1")).await.is_err());
        assert!(desk.token(&odd.into(), None).await.is_err() && desk.session(&odd.into()).await.is_err());
        let console = By::console();
        assert!(
            desk.remove_user(&console, odd).await.is_err() && desk.end_session(&console, odd).await.is_err()
        );
        assert!(desk.revoke_token(&console, odd).await.is_err());
        let order = klio_desk::TokenOrder {
            name: odd.to_owned(),
            owner: None,
            role: None,
            scope: None,
            expires: None,
        };
        match desk.create_token(&by(&ana), order).await {
            Ok(new) => assert!(
                desk.tokens(&console).await.unwrap().iter().any(|t| t.name == odd && t.id == new.token.id)
            ),
            Err(error) => assert!(odd.trim().is_empty() || odd.contains('\0'), "{odd:?} {error}"),
        }
        desk.unlock(&console, "ana").await.unwrap();
        room.pass(3600);
    }
    enter(&desk, "ana").await;
    assert_eq!(desk.users(&By::console()).await.unwrap().len(), 1);
}
