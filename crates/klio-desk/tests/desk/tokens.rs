//! API tokens.

use klio_desk::{By, Deed, Desk, DeskError, ExposeSecret as _, NewToken, Outcome, Role, TokenOrder, Via};
use klio_model::Timestamp;

use crate::room::{Room, by, enter, hire, ip};

on_both!(
    a_token_does_no_more_than_its_owner_does_now,
    a_token_is_not_made_beyond_its_owner,
    tokens_end,
    who_sees_and_revokes_tokens,
    use_is_noted_once_a_minute,
    only_a_hash_is_kept,
);

fn order(name: &str) -> TokenOrder {
    TokenOrder { name: name.to_owned(), owner: None, role: None, scope: None, expires: None }
}

async fn make(desk: &Desk, who: &By, order: TokenOrder) -> NewToken {
    desk.create_token(who, order).await.unwrap()
}

async fn a_token_does_no_more_than_its_owner_does_now(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "ana", Role::Responder, "prod,test/a").await;
    let ana = by(&enter(&desk, "ana").await);
    let whole = make(&desk, &ana, order("whole")).await;
    let less = TokenOrder {
        role: Some(Role::Analyst),
        scope: Some("prod/shop,test/a".parse().unwrap()),
        ..order("less")
    };
    let less = make(&desk, &ana, less).await;
    let check = async |token: &NewToken, role: Role, scope: &str| {
        let who = desk.token(&token.secret, ip("192.0.2.9")).await.unwrap();
        assert_eq!(
            (who.role(), who.scope().to_string().as_str(), who.to_string().as_str()),
            (role, scope, "user:ana")
        );
        assert_eq!(*who.via(), Via::Token(token.token.id.clone()));
    };
    check(&whole, Role::Responder, "prod,test/a").await;
    check(&less, Role::Analyst, "prod/shop,test/a").await;
    // Demoted: at the next use, without anybody touching the tokens.
    let console = By::console();
    desk.set_role(&console, "ana", Role::Viewer).await.unwrap();
    desk.set_scope(&console, "ana", &"prod".parse().unwrap()).await.unwrap();
    check(&whole, Role::Viewer, "prod").await;
    check(&less, Role::Viewer, "prod/shop").await;
    // Promoted: a token stays what it was made for.
    desk.set_role(&console, "ana", Role::Admin).await.unwrap();
    desk.set_scope(&console, "ana", &"*".parse().unwrap()).await.unwrap();
    check(&whole, Role::Responder, "prod,test/a").await;
    check(&less, Role::Analyst, "prod/shop,test/a").await;
    desk.set_scope(&console, "ana", &"other".parse().unwrap()).await.unwrap();
    assert!(desk.token(&less.secret, None).await.unwrap().scope().is_nothing());
}

async fn a_token_is_not_made_beyond_its_owner(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Analyst, "prod/shop").await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "head", Role::Admin, "prod").await;
    let [ana, head] = [by(&enter(&desk, "ana").await), by(&enter(&desk, "head").await)];
    let beyond = async |who: &By, order: TokenOrder| {
        let answer = desk.create_token(who, order).await;
        assert!(matches!(answer, Err(DeskError::Beyond)), "{answer:?}");
    };
    beyond(&ana, TokenOrder { role: Some(Role::Admin), ..order("x") }).await;
    beyond(&ana, TokenOrder { scope: Some("prod".parse().unwrap()), ..order("x") }).await;
    beyond(&head, TokenOrder { owner: Some("root".into()), ..order("x") }).await;
    beyond(&head, TokenOrder { owner: Some("ana".into()), role: Some(Role::Admin), ..order("x") }).await;
    let foreign = desk.create_token(&ana, TokenOrder { owner: Some("root".into()), ..order("x") }).await;
    assert!(matches!(foreign, Err(DeskError::NotAllowed { .. })));
    let gone = desk.create_token(&ana, TokenOrder { expires: Some(Timestamp(0)), ..order("x") }).await;
    assert!(matches!(gone, Err(DeskError::Expired)));
    let own = make(&desk, &ana, TokenOrder { owner: Some("ANA".into()), ..order("own") }).await;
    make(&desk, &head, TokenOrder { owner: Some("ana".into()), ..order("by the head") }).await;
    // A stolen token makes no others and begins no sessions.
    let token = desk.token(&own.secret, None).await.unwrap();
    assert!(matches!(desk.create_token(&by(&token), order("x")).await, Err(DeskError::NotWithToken)));
    assert!(matches!(desk.begin_session(&token, None).await, Err(DeskError::NotWithToken)));
}

async fn tokens_end(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let ana = by(&enter(&desk, "ana").await);
    let day = Timestamp(room.now.load(std::sync::atomic::Ordering::SeqCst) + 86_400 * 1_000_000);
    let short = make(&desk, &ana, TokenOrder { expires: Some(day), ..order("short") }).await;
    let long = make(&desk, &ana, order("long")).await;
    room.pass(86_399);
    desk.token(&short.secret, None).await.unwrap();
    room.pass(1);
    let denied = async |token: &NewToken, why: &str| {
        assert!(matches!(desk.token(&token.secret, None).await, Err(DeskError::Denied)));
        assert_eq!((room.notes.why().as_str(), room.notes.last().who.as_str()), (why, "user:ana"));
    };
    denied(&short, "expired").await;
    let console = By::console();
    desk.disable_user(&console, "ana").await.unwrap();
    denied(&long, "the owner is disabled").await;
    desk.enable_user(&console, "ana").await.unwrap();
    desk.token(&long.secret, None).await.unwrap();
    desk.revoke_token(&ana, &long.token.id).await.unwrap();
    denied(&long, "revoked").await;
    let third = make(&desk, &ana, order("third")).await;
    desk.remove_user(&console, "ana").await.unwrap();
    hire(&desk, "ana", Role::Viewer, "*").await;
    assert!(desk.token(&third.secret, None).await.is_err());
    assert_eq!(room.notes.why(), "there is no such token");
    assert!(desk.create_token(&ana, order("of one who was removed")).await.is_err());
}

async fn who_sees_and_revokes_tokens(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "prod").await;
    hire(&desk, "bob", Role::Viewer, "test").await;
    hire(&desk, "head", Role::Admin, "prod").await;
    let [ana, bob, head] = ["ana", "bob", "head"].map(|name| enter(&desk, name));
    let [ana, bob, head] = [by(&ana.await), by(&bob.await), by(&head.await)];
    let (a, b) = (make(&desk, &ana, order("a")).await, make(&desk, &bob, order("b")).await);
    let names = async |who: &By| -> Vec<String> {
        desk.tokens(who).await.unwrap().into_iter().map(|t| t.name).collect()
    };
    assert_eq!(names(&ana).await, ["a"]);
    assert_eq!(names(&head).await, ["a"]);
    assert_eq!(names(&By::console()).await.len(), 2);
    assert!(matches!(desk.revoke_token(&ana, &b.token.id).await, Err(DeskError::Unknown { .. })));
    assert!(matches!(desk.revoke_token(&head, &b.token.id).await, Err(DeskError::Unknown { .. })));
    desk.revoke_token(&head, &a.token.id).await.unwrap();
    desk.token(&b.secret, None).await.unwrap();
    assert!(desk.tokens(&ana).await.unwrap()[0].revoked.is_some());
}

async fn use_is_noted_once_a_minute(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let ana = by(&enter(&desk, "ana").await);
    let new = make(&desk, &ana, order("x")).await;
    let begun = new.token.created.micros();
    let mut seen = Vec::new();
    for _ in 0..5 {
        desk.token(&new.secret, None).await.unwrap();
        seen.push((desk.tokens(&ana).await.unwrap()[0].used.unwrap().micros() - begun) / 1_000_000);
        room.pass(25);
    }
    assert_eq!(seen, [0, 0, 0, 75, 75]);
    assert_eq!(room.notes.count(Deed::UseToken, Outcome::Done), 1);
    // One bad token after the other fills no ledger.
    for _ in 0..30 {
        assert!(desk.token(&"klio_nonsense".into(), ip("198.51.100.1")).await.is_err());
    }
    assert_eq!(room.notes.count(Deed::UseToken, Outcome::Refused), 10);
    desk.token(&new.secret, ip("198.51.100.1")).await.unwrap();
}

async fn only_a_hash_is_kept(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "ana", Role::Viewer, "*").await;
    let ana = enter(&desk, "ana").await;
    let token = make(&desk, &by(&ana), order("x")).await;
    let session = desk.begin_session(&ana, None).await.unwrap();
    let raw = room.raw().await;
    let mut all = format!("{:?} {token:?} {session:?} {ana:?}", room.notes.all());
    for column in
        ["SELECT hash FROM desk_token", "SELECT hash FROM desk_session", "SELECT password FROM desk_user"]
    {
        let text: String = sqlx::query_scalar(column).fetch_one(&raw).await.unwrap();
        all.push_str(&text);
    }
    let files: Vec<u8> = std::fs::read_dir(room.dir.path())
        .unwrap()
        .flat_map(|f| std::fs::read(f.unwrap().path()).unwrap())
        .collect();
    for secret in [token.secret.expose_secret(), session.secret.expose_secret(), crate::room::PASSWORD] {
        assert!(!all.contains(secret) && !files.windows(secret.len()).any(|w| w == secret.as_bytes()));
    }
}
