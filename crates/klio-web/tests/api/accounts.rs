//! Signing in and out, sessions, tokens, users.

use klio_desk::Role;
use serde_json::json;

use crate::room::{Ask, PASSWORD, Room, Told};
use crate::world::{PLACES, archive};

async fn room() -> Room {
    Room::new(archive(&PLACES, |_| true)).await
}

fn sign_in(name: &str, password: &str) -> Ask {
    Ask::new("POST", "/api/v1/session").json(&json!({ "name": name, "password": password }))
}

/// The cookie's pair and the session's token.
async fn session(room: &Room, name: &str) -> (String, String) {
    let told = room.told(sign_in(name, PASSWORD)).await.is(200);
    let cookie = told.header("set-cookie");
    let csrf = told.json()["who"]["csrf"].as_str().unwrap().to_owned();
    (cookie.split(';').next().unwrap().to_owned(), csrf)
}

#[tokio::test]
async fn a_session_is_a_cookie_that_only_the_browser_has() {
    let room = room().await;
    room.user("ana", Role::Viewer, "prod").await;
    let told = room.told(sign_in("Ana", PASSWORD)).await.is(200);
    let cookie = told.header("set-cookie");
    let mut parts: Vec<&str> = cookie.split("; ").collect();
    let pair = parts.remove(0);
    assert!(pair.starts_with("__Host-klio=") && pair.len() > 50, "{cookie}");
    assert_eq!(parts, ["Path=/", "Max-Age=604800", "Secure", "HttpOnly", "SameSite=Strict"]);
    let body = told.json();
    assert_eq!((body["who"]["name"].as_str(), body["who"]["role"].as_str()), (Some("ana"), Some("viewer")));
    assert!(!told.body.contains(pair.split_once('=').unwrap().1), "the secret is in the cookie alone");

    let whoami = room.told(Ask::get("/api/v1/whoami").header("cookie", pair)).await.is(200).json();
    assert_eq!(whoami["via"], "session");
    assert_eq!(whoami["csrf"], body["who"]["csrf"]);
    let two = format!("{pair}; __Host-klio=planted");
    room.told(Ask::get("/api/v1/whoami").header("cookie", two)).await.is(401);
    // What is no __Host- cookie is no session.
    let other = pair.replace("__Host-", "");
    room.told(Ask::get("/api/v1/whoami").header("cookie", other)).await.is(401);
}

#[tokio::test]
async fn a_session_changes_nothing_without_its_token() {
    let room = room().await;
    room.user("ana", Role::Viewer, "prod").await;
    let (cookie, csrf) = session(&room, "ana").await;
    let make = || Ask::new("POST", "/api/v1/tokens").json(&json!({ "name": "t" })).header("cookie", &cookie);
    room.told(make()).await.is(403);
    room.told(make().header("x-csrf-token", "wrong")).await.is(403);
    let (_, others) = session(&room, "ana").await;
    room.told(make().header("x-csrf-token", &others)).await.is(403);
    let from = |site: &str| make().header("x-csrf-token", &csrf).header("sec-fetch-site", site);
    room.told(from("cross-site")).await.is(403);
    room.told(from("same-site")).await.is(403);
    room.told(make().header("x-csrf-token", &csrf).header("origin", "https://evil.example.org"))
        .await
        .is(403);
    let own = from("same-origin").header("origin", "https://klio.example.org");
    room.told(own).await.is(201);
    // Reading too is for Klio's own pages.
    let read =
        Ask::get("/api/v1/events/export").header("cookie", &cookie).header("sec-fetch-site", "cross-site");
    room.told(read).await.is(403);
    // Nobody is made to sign in as somebody else.
    let planted = sign_in("ana", PASSWORD).header("origin", "https://evil.example.org");
    let told = room.told(planted).await.is(403);
    assert!(told.header("set-cookie").is_empty());
    // A token is sent by nobody's browser: there is nothing to forge.
    let list = room.told(Ask::get("/api/v1/tokens").header("cookie", &cookie)).await.is(200);
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let room = room().await;
    room.user("ana", Role::Viewer, "prod").await;
    let (cookie, csrf) = session(&room, "ana").await;
    let out = Ask::new("DELETE", "/api/v1/session").header("cookie", &cookie).header("x-csrf-token", &csrf);
    let told = room.told(out).await.is(204);
    assert!(told.header("set-cookie").starts_with("__Host-klio=; Path=/; Max-Age=0; Secure; HttpOnly"));
    room.told(Ask::get("/api/v1/whoami").header("cookie", &cookie)).await.is(401);
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let room = room().await;
    room.user("ana", Role::Viewer, "prod").await;
    let (cookie, csrf) = session(&room, "ana").await;
    let change = |current: &str| {
        let body = json!({ "current": current, "new": "quite another few words" });
        Ask::new("PUT", "/api/v1/password")
            .json(&body)
            .header("cookie", &cookie)
            .header("x-csrf-token", &csrf)
    };
    room.told(change("wrong wrong wrong")).await.is(403);
    room.told(change(PASSWORD)).await.is(204);
    room.told(Ask::get("/api/v1/whoami").header("cookie", &cookie)).await.is(401);
    room.told(sign_in("ana", PASSWORD)).await.is(401);
    room.told(sign_in("ana", "quite another few words")).await.is(200);
}

#[tokio::test]
async fn who_guesses_waits_and_an_admin_ends_the_wait() {
    let room = room().await;
    room.user("ana", Role::Viewer, "prod").await;
    let admin = room.token("boss", Role::Admin, "*").await;
    let from = |n: u8, password: &str| {
        let mut ask = sign_in("ana", password);
        ask.from = [198, 51, 100, n].into();
        ask
    };
    for n in 0..10 {
        let told = room.told(from(n, "a wrong password")).await.is(401);
        // The same answer as for a name that there is not.
        let nobody = room.told(sign_in(&format!("nobody{n}"), "a wrong password")).await;
        assert_eq!(told.body, nobody.body);
    }
    let told = room.told(from(99, PASSWORD)).await.is(429);
    let wait: u64 = told.header("retry-after").parse().unwrap();
    assert!((25..=31).contains(&wait), "{wait}");
    room.told(Ask::new("POST", "/api/v1/users/ana/unlock").token(&admin)).await.is(204);
    room.told(from(99, PASSWORD)).await.is(200);
}

#[tokio::test]
async fn the_token_of_somebody_who_is_trusted_with_less_does_less() {
    let room = room().await;
    let admin = room.token("boss", Role::Admin, "*").await;
    let token = room.token("ana", Role::Analyst, "*").await;
    let change = |body: &serde_json::Value| Ask::new("PATCH", "/api/v1/users/ana").token(&admin).json(body);
    room.get(&token, "/api/v1/events/export").await.is(200);
    room.told(change(&json!({ "role": "viewer" }))).await.is(204);
    room.get(&token, "/api/v1/events/export").await.is(403);
    let told = room.get(&token, "/api/v1/events").await.is(200);
    assert!(told.body.contains(&PLACES[3].mark()) && !told.body.contains("BODY"));
    room.told(change(&json!({ "scope": "prod/shop" }))).await.is(204);
    let told = room.get(&token, "/api/v1/events").await.is(200);
    assert!(told.body.contains(&PLACES[0].mark()) && !told.body.contains(&PLACES[3].mark()));
    room.told(change(&json!({ "disabled": true }))).await.is(204);
    room.get(&token, "/api/v1/events").await.is(401);
    room.told(change(&json!({ "disabled": false, "role": "admin" }))).await.is(400);
    room.get(&token, "/api/v1/events").await.is(401);
}

#[tokio::test]
async fn people_are_managed() {
    let room = room().await;
    let admin = room.token("boss", Role::Admin, "*").await;
    let viewer = room.token("ana", Role::Viewer, "prod").await;
    let create = json!({ "name": "bot", "role": "viewer", "scope": "prod/shop" });
    room.told(Ask::new("POST", "/api/v1/users").token(&viewer).json(&create)).await.is(403);
    let told = room.told(Ask::new("POST", "/api/v1/users").token(&admin).json(&create)).await.is(201).json();
    assert_eq!((told["name"].as_str(), told["hasPassword"].as_bool()), (Some("bot"), Some(false)));
    room.told(Ask::new("POST", "/api/v1/users").token(&admin).json(&create)).await.is(409);
    let odd = json!({ "name": "x", "role": "king", "scope": "" });
    let told = room.told(Ask::new("POST", "/api/v1/users").token(&admin).json(&odd)).await.is(400);
    assert!(told.body.contains("viewer, analyst"), "{}", told.body);
    // Tokens make no tokens.
    let order = json!({ "name": "t", "owner": "bot" });
    room.told(Ask::new("POST", "/api/v1/tokens").token(&admin).json(&order)).await.is(403);
    room.user("chief", Role::Admin, "*").await;
    let (cookie, csrf) = session(&room, "chief").await;
    let with = |ask: Ask| ask.header("cookie", &cookie).header("x-csrf-token", &csrf);
    let made = room.told(with(Ask::new("POST", "/api/v1/tokens").json(&order))).await.is(201).json();
    let secret = made["secret"].as_str().unwrap();
    let who = room.get(secret, "/api/v1/whoami").await.is(200).json();
    assert_eq!((who["name"].as_str(), who["scope"].as_str()), (Some("bot"), Some("prod/shop")));
    let id = made["token"]["id"].as_str().unwrap();
    room.told(Ask::new("DELETE", &format!("/api/v1/tokens/{id}")).token(&viewer)).await.is(404);
    room.told(with(Ask::new("DELETE", &format!("/api/v1/tokens/{id}")))).await.is(204);
    room.get(secret, "/api/v1/whoami").await.is(401);
    room.told(with(Ask::new("DELETE", "/api/v1/users/bot"))).await.is(204);
    let users = room.get(&admin, "/api/v1/users").await.is(200);
    assert!(users.body.contains("\"ana\"") && !users.body.contains("bot"));

    let sessions = room.told(with(Ask::get("/api/v1/sessions"))).await.is(200).json();
    let id = sessions["items"][0]["id"].as_str().unwrap();
    room.told(Ask::new("DELETE", &format!("/api/v1/sessions/{id}")).token(&viewer)).await.is(404);
    room.told(Ask::new("DELETE", "/api/v1/sessions?who=user:chief").token(&admin)).await.is(204);
    Told::of(room.ask(with(Ask::get("/api/v1/whoami"))).await).await.is(401);
}
