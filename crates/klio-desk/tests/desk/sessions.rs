//! Sessions, and identities from outside.

use klio_desk::{By, DeskError, ExposeSecret as _, Identity, Kind, Mapping, MappingRule, Role, Via};

use crate::room::{PASSWORD, Room, by, enter, hire, ip};

on_both!(
    sessions_end_by_time,
    sessions_end_with_password_and_state,
    a_session_that_is_just_being_made_ends_too,
    a_renewed_session_has_another_secret,
    forms_belong_to_their_session,
    own_sessions_and_those_of_others,
    outside_identities_are_mapped_at_each_use,
);

async fn sessions_end_by_time(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "prod").await;
    let ana = enter(&desk, "ana").await;
    let idle = desk.begin_session(&ana, None).await.unwrap();
    let used = desk.begin_session(&ana, None).await.unwrap();
    for _ in 0..14 {
        room.pass(12 * 3600 - 1);
        assert!(desk.session(&idle.secret).await.is_ok(), "used in time");
        desk.session(&used.secret).await.unwrap();
        if room.now.load(std::sync::atomic::Ordering::SeqCst) > used.ends.micros() - 12 * 3600 * 1_000_000 {
            break;
        }
    }
    room.pass(12 * 3600 - 60);
    let last = desk.session(&used.secret).await;
    assert!(
        matches!(last, Err(DeskError::Denied))
            || room.now.load(std::sync::atomic::Ordering::SeqCst) < used.ends.micros()
    );
    room.pass(12 * 3600);
    assert!(desk.session(&used.secret).await.is_err() && desk.session(&idle.secret).await.is_err());
    let fresh = desk.begin_session(&enter(&desk, "ana").await, None).await.unwrap();
    room.pass(12 * 3600);
    assert!(matches!(desk.session(&fresh.secret).await, Err(DeskError::Denied)), "idle");
    desk.tidy().await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM desk_session").fetch_one(&room.raw().await).await.unwrap();
    assert_eq!(left, 0);
}

async fn sessions_end_with_password_and_state(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let console = By::console();
    let begin = async || desk.begin_session(&enter(&desk, "ana").await, ip("192.0.2.1")).await.unwrap();

    let session = begin().await;
    let who = desk.session(&session.secret).await.unwrap();
    assert_eq!((who.to_string().as_str(), who.via()), ("user:ana", &Via::Session(session.id.clone())));
    desk.set_role(&console, "ana", Role::Responder).await.unwrap();
    assert_eq!(desk.session(&session.secret).await.unwrap().role(), Role::Responder);
    desk.set_password(&console, "ana", &PASSWORD.into()).await.unwrap();
    assert!(desk.session(&session.secret).await.is_err());

    let session = begin().await;
    desk.change_password(&by(&who), &PASSWORD.into(), &"another long password".into()).await.unwrap();
    assert!(desk.session(&session.secret).await.is_err());
    desk.set_password(&console, "ana", &PASSWORD.into()).await.unwrap();

    let session = begin().await;
    desk.disable_user(&console, "ana").await.unwrap();
    desk.enable_user(&console, "ana").await.unwrap();
    assert!(desk.session(&session.secret).await.is_err());

    let session = begin().await;
    desk.remove_user(&console, "ana").await.unwrap();
    hire(&desk, "ana", Role::Admin, "*").await;
    assert!(desk.session(&session.secret).await.is_err());
}

async fn a_session_that_is_just_being_made_ends_too(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let before = enter(&desk, "ana").await;
    desk.set_password(&By::console(), "ana", &"another long password".into()).await.unwrap();
    assert!(matches!(desk.begin_session(&before, None).await, Err(DeskError::Denied)));
    // Who came with a session or a console has shown no password.
    assert!(matches!(desk.begin_session(&By::console().principal, None).await, Err(DeskError::NotWithToken)));
}

async fn a_renewed_session_has_another_secret(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let old = desk.begin_session(&enter(&desk, "ana").await, None).await.unwrap();
    room.pass(3600);
    let new = desk.renew_session(&old.secret, None).await.unwrap();
    assert_eq!((&new.id, new.ends), (&old.id, old.ends));
    assert!(desk.session(&old.secret).await.is_err() && desk.renew_session(&old.secret, None).await.is_err());
    desk.session(&new.secret).await.unwrap();
    assert!(!desk.is_csrf(&new.secret, old.csrf.expose_secret()));
}

async fn forms_belong_to_their_session(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let ana = enter(&desk, "ana").await;
    let (a, b) =
        (desk.begin_session(&ana, None).await.unwrap(), desk.begin_session(&ana, None).await.unwrap());
    let shown = a.csrf.expose_secret();
    assert!(desk.is_csrf(&a.secret, shown) && desk.csrf(&a.secret).expose_secret() == shown);
    assert!(
        !desk.is_csrf(&b.secret, shown)
            && !desk.is_csrf(&a.secret, "")
            && !desk.is_csrf(&a.secret, &shown[1..])
    );
    assert_ne!(a.secret.expose_secret(), shown);
}

async fn own_sessions_and_those_of_others(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "prod").await;
    hire(&desk, "bob", Role::Viewer, "test").await;
    hire(&desk, "head", Role::Admin, "prod").await;
    let (ana, bob, head) =
        (enter(&desk, "ana").await, enter(&desk, "bob").await, by(&enter(&desk, "head").await));
    let first = desk.begin_session(&ana, ip("192.0.2.7")).await.unwrap();
    let second = desk.begin_session(&ana, None).await.unwrap();
    let other = desk.begin_session(&bob, None).await.unwrap();
    let own = desk.sessions(&by(&ana)).await.unwrap();
    assert!(
        own.len() == 2
            && own.iter().all(|s| s.who == "user:ana")
            && own.iter().any(|s| s.address == "192.0.2.7")
    );
    assert!(matches!(desk.end_session(&by(&ana), &other.id).await, Err(DeskError::Unknown { .. })));
    assert_eq!(desk.end_sessions(&head, "user:bob").await.unwrap(), 0);
    desk.end_session(&by(&ana), &first.id).await.unwrap();
    assert!(desk.session(&first.secret).await.is_err());
    assert_eq!(desk.end_sessions(&head, "user:ana").await.unwrap(), 1);
    assert!(desk.session(&second.secret).await.is_err());
    desk.session(&other.secret).await.unwrap();
}

fn mapping(role: Role, scope: &str) -> Mapping {
    let rule = |kind, group: &str, role, scope: &str| MappingRule {
        kind,
        by: None,
        subject: None,
        user: None,
        group: Some(group.to_owned()),
        role,
        scope: scope.parse().unwrap(),
    };
    vec![
        rule(Kind::Oidc, "klio-*", role, scope),
        rule(Kind::Oidc, "everyone", Role::Admin, "test"),
        rule(Kind::Certificate, "ops", Role::Admin, "*"),
    ]
    .try_into()
    .unwrap()
}

async fn outside_identities_are_mapped_at_each_use(room: Room) {
    let desk = room.desk_with(mapping(Role::Analyst, "prod")).await;
    hire(&desk, "ana", Role::Admin, "*").await;
    let identity = |kind, groups: &[&str]| Identity {
        kind,
        by: "corp".to_owned(),
        subject: "https://id.example#17".to_owned(),
        name: "ana".to_owned(),
        groups: groups.iter().map(|&g| g.to_owned()).collect(),
    };
    let from = ip("192.0.2.1");
    // The first rule that fits counts, alone.
    let ana = desk.identity(&identity(Kind::Oidc, &["everyone", "klio-eu"]), from).await.unwrap();
    assert_eq!(
        (ana.to_string().as_str(), ana.role(), ana.scope().to_string().as_str()),
        ("oidc:ana", Role::Analyst, "prod")
    );
    for stranger in [
        identity(Kind::Oidc, &["ops"]),
        identity(Kind::Kubernetes, &["klio-eu"]),
        identity(Kind::Certificate, &[]),
    ] {
        assert!(matches!(desk.identity(&stranger, from).await, Err(DeskError::Denied)));
        assert_eq!(room.notes.why(), "no rule fits");
    }
    assert!(
        desk.identity(&Identity { name: "a\nb".into(), ..identity(Kind::Oidc, &["klio-eu"]) }, from)
            .await
            .is_err()
    );
    let session = desk.begin_session(&ana, from).await.unwrap();
    assert_eq!(desk.session(&session.secret).await.unwrap().role(), Role::Analyst);
    // A user of the same name is somebody else: he has neither his sessions nor his tokens.
    assert!(
        desk.sessions(&by(&enter(&desk, "ana").await)).await.unwrap().len() == 1,
        "as an admin of everything"
    );
    let order =
        klio_desk::TokenOrder { name: "x".into(), owner: None, role: None, scope: None, expires: None };
    assert!(desk.create_token(&by(&ana), order).await.is_err());
    assert_eq!(desk.end_sessions(&by(&ana), "user:ana").await.unwrap(), 0);
    // Rules that are about one provider say nothing about those of another.
    let mut of_corp: Vec<MappingRule> = mapping(Role::Analyst, "prod").into();
    of_corp[0].by = Some("corp".to_owned());
    desk.set_mapping(of_corp.try_into().unwrap());
    assert!(desk.session(&session.secret).await.is_ok());
    let other = Identity { by: "other".into(), ..identity(Kind::Oidc, &["klio-eu"]) };
    assert!(matches!(desk.identity(&other, from).await, Err(DeskError::Denied)));
    // Other rules: the session is worth what they say now.
    desk.set_mapping(mapping(Role::Viewer, "test"));
    assert_eq!(desk.session(&session.secret).await.unwrap().role(), Role::Viewer);
    let less = room.desk_with(mapping(Role::Viewer, "prod/shop")).await;
    let now = less.session(&session.secret).await.unwrap();
    assert_eq!((now.role(), now.scope().to_string().as_str()), (Role::Viewer, "prod/shop"));
    let none = room.desk().await;
    assert!(matches!(none.session(&session.secret).await, Err(DeskError::Denied)));
}

#[test]
fn rules_that_cannot_be_meant_so_are_refused() {
    let rule = |kind, user: Option<&str>| MappingRule {
        kind,
        by: None,
        subject: None,
        user: user.map(str::to_owned),
        group: None,
        role: Role::Viewer,
        scope: "prod".parse().unwrap(),
    };
    for (bad, told) in [
        (rule(Kind::Oidc, None), "fits everybody"),
        (rule(Kind::User, Some("ana")), "only oidc"),
        (rule(Kind::Oidc, Some("*@example.org")), "before the end"),
        (MappingRule { by: Some("x".into()), ..rule(Kind::Certificate, Some("ana")) }, "leave it out"),
    ] {
        let error = Mapping::try_from(vec![rule(Kind::Oidc, Some("*")), bad]).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("rule 2"), "{error}");
    }
    let read: Result<Vec<MappingRule>, _> =
        serde_json::from_str(r#"[{"kind":"oidc","grup":"x","role":"viewer","scope":"*"}]"#);
    assert!(read.unwrap_err().to_string().contains("grup"));
}
