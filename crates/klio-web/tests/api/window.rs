//! Pages at the gate: refusals as browsers and the audit see them, signing in without a script, what a role may.

use std::sync::Arc;

use async_trait::async_trait;
use klio_desk::{Identity, Kind, Mapping, Role};
use klio_web::{AccessOutcome, Identify, Options, Shown, Unidentified};
use serde_json::json;

use crate::room::{Ask, PASSWORD, Room, Told, options};
use crate::world::{PLACES, archive, record};

async fn room() -> Room {
    Room::new(archive(&PLACES, |_| true)).await
}

/// A form as a browser sends it.
fn form(uri: &str, fields: &[(&str, &str)]) -> Ask {
    let mut ask = Ask::new("POST", uri)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "https://klio.example.org");
    ask.body = Some(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish());
    ask
}

fn sign_in(name: &str, password: &str) -> Ask {
    form("/sign-in", &[("name", name), ("password", password), ("return_to", "/explore?filter=verb:get")])
}

/// The cookie of somebody who signed in.
async fn cookie(room: &Room, name: &str) -> String {
    let told = room.told(sign_in(name, PASSWORD)).await.is(303);
    told.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn denied(room: &Room) -> (u16, Option<AccessOutcome>) {
    let access = room.audit.last();
    let event = access.to_event().to_string();
    assert!(event.contains("\"authorization.k8s.io/decision\":\"forbid\""), "{event}");
    (access.status, access.outcome)
}

#[tokio::test]
async fn a_refusal_is_told_the_audit_whatever_browsers_are_told() {
    let room = room().await;
    let guess = || Ask::get("/explore?filter=verb:get").header("cookie", "__Host-klio=a-guess");
    let was_denied = (401, Some(AccessOutcome::Denied));
    let told = room.told(guess()).await.is(303);
    assert_eq!(told.header("location"), "/sign-in?return_to=%2Fexplore%3Ffilter%3Dverb%3Aget");
    assert_eq!(denied(&room), was_denied);
    // Another site led here: the browser asks again, with the cookie that it kept back.
    let led = room.told(guess().header("sec-fetch-site", "cross-site")).await.is(200);
    assert!(led.body.contains("http-equiv=\"refresh\""), "{}", led.body);
    assert_eq!(denied(&room), was_denied);
    room.told(guess().header("accept", "application/json")).await.is(401);
    assert_eq!(denied(&room), was_denied);
    // Who posts comes back to where something can be looked at.
    let two = form("/sign-out", &[]).header("cookie", "__Host-klio=a; __Host-klio=b");
    assert_eq!(room.told(two).await.is(303).header("location"), "/sign-in?return_to=%2F");
    assert_eq!(denied(&room), was_denied);
    let viewer = room.token("vic", Role::Viewer, "*").await;
    let told = room.get(&viewer, "/settings/users").await.is(403);
    assert!(told.body.contains("a viewer may not do this (ManageUsers)"), "{}", told.body);
    assert_eq!(denied(&room), (403, Some(AccessOutcome::Denied)));
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_form_is_as_it_was() {
    let room = room().await;
    room.user("ana", Role::Viewer, "prod").await;
    let kept = |told: &Told| {
        assert!(told.header("content-type").starts_with("text/html"));
        assert!(told.body.contains("name=\"name\" value=\"ana\""), "{}", told.body);
        assert!(told.body.contains("name=\"return_to\" value=\"/explore?filter=verb:get\""), "{}", told.body);
        assert!(told.header("set-cookie").is_empty() && !told.body.contains("wrong wrong"));
    };
    for n in 0..10 {
        let mut ask = sign_in("ana", "wrong wrong wrong");
        ask.from = [198, 51, 100, n].into();
        let told = room.told(ask).await.is(401);
        assert!(told.body.contains("Name or password is wrong."), "{}", told.body);
        kept(&told);
        assert_eq!(denied(&room), (401, Some(AccessOutcome::Denied)));
        assert!(room.audit.last().who.is_none());
    }
    let locked = room.told(sign_in("ana", PASSWORD)).await.is(429);
    assert!(!locked.header("retry-after").is_empty());
    assert!(locked.body.contains("role=\"alert\"") && !locked.body.contains("is wrong"), "{}", locked.body);
    kept(&locked);
    assert_eq!(denied(&room), (429, Some(AccessOutcome::Denied)));
    let admin = room.token("boss", Role::Admin, "*").await;
    room.told(Ask::new("POST", "/api/v1/users/ana/unlock").token(&admin)).await.is(204);
    let entered = room.told(sign_in("ana", PASSWORD)).await.is(303);
    assert_eq!(entered.header("location"), "/explore?filter=verb:get");
    let access = room.audit.last();
    assert_eq!((access.status, access.outcome), (303, Some(AccessOutcome::Allowed)));
    assert_eq!(access.who.unwrap().name, "user:ana");
}

#[tokio::test]
async fn a_part_of_a_page_that_is_asked_for_after_the_session_leads_to_signing_in() {
    let room = room().await;
    let part = |uri: &str, page: &str| {
        Ask::get(uri).header("hx-request", "true").header("hx-current-url", page).header("hx-target", "seal")
    };
    let to = |told: Told| told.is(401).header("hx-redirect");
    let told = room.told(part("/integrity", "https://klio.example.org/integrity?x=1#y")).await;
    assert_eq!(to(told), "/sign-in?return_to=%2Fintegrity%3Fx%3D1");
    assert_eq!(denied(&room), (401, Some(AccessOutcome::Denied)));
    // Nobody is led elsewhere.
    for page in ["https://evil.example/x", "https://klio.example.org//evil.example", "nonsense"] {
        assert_eq!(to(room.told(part("/integrity", page)).await), "/sign-in?return_to=%2F");
    }
    // A link that was followed leads to what it named.
    let link = part("/sources", "https://klio.example.org/integrity").header("hx-boosted", "true");
    assert_eq!(to(room.told(link).await), "/sign-in?return_to=%2Fsources");
}

#[tokio::test]
async fn an_address_at_which_there_is_nothing_is_a_page_that_leads_on() {
    let room = room().await;
    let token = room.token("ana", Role::Viewer, "*").await;
    for uri in ["/incidentz", "/settings/nobody/else", "/sign-in/"] {
        for ask in [Ask::get(uri), Ask::get(uri).token(&token)] {
            let told = room.told(ask).await.is(404);
            assert!(told.header("content-type").starts_with("text/html"), "{uri}");
            assert!(told.header("content-security-policy").contains("script-src 'self'"));
            assert!(told.body.contains("href=\"/\"") && told.body.contains("Not Found"), "{}", told.body);
            assert_eq!(room.audit.last().status, 404);
        }
        let told = room.told(Ask::get(uri).header("accept", "application/json")).await.is(404);
        assert_eq!(told.header("content-type"), "application/problem+json");
    }
    for uri in ["/api", "/api/v1/incidentz", "/api/v2/events"] {
        let told = room.get(&token, uri).await.is(404);
        assert_eq!(told.header("content-type"), "application/problem+json", "{uri}");
    }
    let told = room.told(Ask::new("POST", "/explore").token(&token)).await.is(405);
    assert_eq!(told.header("allow"), "GET");
    assert!(told.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn hunts_are_saved_by_analysts_and_those_about_bodies_shown_to_who_reads_bodies() {
    let room = room().await;
    let analyst = room.token("ana", Role::Analyst, "prod").await;
    let viewer = room.token("vic", Role::Viewer, "prod").await;
    let save = |token: &str, filter: &str| {
        Ask::new("POST", "/api/v1/hunts").token(token).json(&json!({ "title": "a hunt", "filter": filter }))
    };
    for filter in ["verb:delete", "request.data.password:hunter2*", "hunter2", "not rbac.role:hunter2"] {
        room.told(save(&analyst, filter)).await.is(201);
    }
    let told = room.told(save(&viewer, "verb:get")).await.is(403);
    assert!(told.body.contains("SaveHunts"), "{}", told.body);
    let all = room.get(&analyst, "/api/v1/hunts").await.is(200).json();
    assert_eq!(all["saved"].as_array().unwrap().len(), 4);
    let seen = room.get(&viewer, "/api/v1/hunts").await.is(200).json();
    let seen = seen["saved"].as_array().unwrap();
    assert_eq!((seen.len(), &seen[0]["filter"]), (1, &json!("verb:delete")));
    assert_eq!(seen[0]["removable"], false);
    let page = room.get(&viewer, "/hunts").await.is(200);
    assert!(page.body.contains("verb:delete") && !page.body.contains("hunter2"), "{}", page.body);
    assert!(room.get(&analyst, "/hunts").await.is(200).body.contains("hunter2"));
    let id = seen[0]["id"].as_str().unwrap();
    let remove = |token: &str| Ask::new("DELETE", &format!("/api/v1/hunts/{id}")).token(token);
    room.told(remove(&viewer)).await.is(403);
    // Of another place it is as if it were not there.
    let other = room.token("tom", Role::Analyst, "test").await;
    let foreign = room.told(remove(&other)).await.is(404);
    let none = room.told(Ask::new("DELETE", "/api/v1/hunts/none").token(&other)).await.is(404);
    assert_eq!(foreign.body, none.body);
    room.told(remove(&analyst)).await.is(204);
    // Explore says why not.
    let explore = "/explore?filter=verb:get&from=1970";
    let page = room.get(&viewer, explore).await.is(200);
    assert!(page.body.contains("a viewer may not do this (SaveHunts)"), "{}", page.body);
    assert!(!page.body.contains("data-api=\"POST /api/v1/hunts\""));
    assert!(room.get(&analyst, explore).await.is(200).body.contains("data-api=\"POST /api/v1/hunts\""));
}

struct Certificates;

#[async_trait]
impl Identify for Certificates {
    async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, Unidentified> {
        let Shown::Certificate(_) = shown else { return Ok(None) };
        let (by, name) = (String::new(), "carl".to_owned());
        Ok(Some(Identity { kind: Kind::Certificate, by, subject: name.clone(), name, groups: vec![] }))
    }
}

#[tokio::test]
async fn a_link_of_another_site_asks_no_sql() {
    let rules = json!([{ "kind": "certificate", "user": "carl", "role": "analyst", "scope": "*" }]);
    let mapping: Mapping = serde_json::from_value(rules).unwrap();
    let options = Options { identify: vec![Arc::new(Certificates)], ..options() };
    let room = Room::of(archive(&PLACES, |_| true), options, mapping).await;
    room.user("ana", Role::Analyst, "*").await;
    let cookie = cookie(&room, "ana").await;
    let asked = |told: &Told| told.body.contains("aria-label=\"Answer\"");
    let entry = |room: &Room| {
        let access = room.audit.last();
        (access.verb, access.resource, access.rows > 1)
    };
    let uri = "/hunts/in-sql?ask=yes";
    let mut certified = Ask::get(uri);
    certified.certificate = Some(Arc::from(*b"good"));
    for ask in [certified, Ask::get(uri).header("cookie", &cookie)] {
        let led = ask.clone().header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        for other in [
            led.clone().header("sec-fetch-site", "cross-site"),
            led.clone().header("sec-fetch-site", "same-site"),
            led.clone().header("sec-fetch-site", "none"),
            ask.clone(),
        ] {
            let told = room.told(other).await.is(200);
            assert!(!asked(&told) && told.body.contains("href=\"?ask=yes\""), "{}", told.body);
            assert_eq!(entry(&room), ("get", "hunts", false));
        }
        let told = room.told(led.header("sec-fetch-site", "same-origin")).await.is(200);
        assert!(asked(&told), "{}", told.body);
        assert_eq!(entry(&room), ("create", "sql", true));
    }
    // Nobody's browser sends a token.
    let token = room.token("tina", Role::Analyst, "*").await;
    assert!(asked(&room.get(&token, uri).await.is(200)));
    // Who may not is not asked for, and is told so.
    let viewer = room.token("vic", Role::Viewer, "*").await;
    let told = room.get(&viewer, uri).await.is(200);
    assert!(!asked(&told) && told.body.contains("a viewer may not do this (ReadBodies)"), "{}", told.body);
    assert_eq!(entry(&room).1, "hunts");
}

/// The `n`th event of prod/shop with something else in it.
fn altered(n: i64, alter: impl FnOnce(&mut serde_json::Value)) -> klio_web::archive::Record {
    let mut record = record(PLACES[0], n);
    let mut event = serde_json::from_str(&record.raw).unwrap();
    alter(&mut event);
    record.raw = event.to_string();
    record
}

#[tokio::test]
async fn a_link_shows_the_event_that_it_was_pressed_on_whatever_its_audit_id() {
    let memory = archive(&PLACES, |_| true);
    let ids = [Some("same"), Some("same"), Some(".."), Some("-"), None];
    for (n, id) in ids.into_iter().enumerate() {
        memory.push(altered(10 + n as i64, |event| {
            event["auditID"] = json!(id);
            event["objectRef"]["name"] = json!(format!("object-{n}-end"));
        }));
    }
    let room = Room::new(memory).await;
    let token = room.token("ana", Role::Analyst, "prod").await;
    let mut seen = 0;
    let rows = room.get(&token, "/explore?from=1970&limit=200&as=json").await.is(200).json();
    for row in rows["events"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        if !name.ends_with("-end") {
            continue;
        }
        seen += 1;
        let beside = row["page"].as_str().unwrap();
        let beside = room.get(&token, &format!("{beside}&as=json")).await.is(200).json();
        assert_eq!(beside["event"]["name"], name);
        let id = row["auditId"].as_str().filter(|id| *id == "same").unwrap_or("-");
        let page = format!("/events/{id}?mark={}", row["mark"].as_str().unwrap());
        let page = room.get(&token, &page).await.is(200).body;
        let told = page.split("<h1").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
        assert!(told.contains(name), "{name}: {told}");
        assert_eq!(page.contains("2 events bear this audit id"), id == "same", "{name}");
    }
    assert_eq!(seen, ids.len());
    room.get(&token, "/events/same?mark=1.0011223344556677").await.is(404);
    // Who may not see it does not find it by its mark.
    let mark = rows["events"][0]["mark"].as_str().unwrap();
    let other = room.token("bob", Role::Analyst, "test").await;
    room.get(&other, &format!("/events/-?mark={mark}")).await.is(404);
}

#[tokio::test]
async fn an_event_of_the_future_flattens_no_chart() {
    let memory = archive(&PLACES, |_| true);
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Analyst, "prod").await;
    let pages = ["/explore?as=json", "/trends?as=json", "/?as=json"];
    let histogram = async |at| {
        let page = room.get(&token, at).await.is(200).json();
        [&page["histogram"], &page["volume"]].map(serde_json::Value::to_string)
    };
    let mut before = Vec::new();
    for at in pages {
        before.push(histogram(at).await);
    }
    memory.push(altered(1, |event| event["requestReceivedTimestamp"] = json!("2099-01-01T00:00:00.000000Z")));
    for (at, before) in pages.into_iter().zip(before) {
        assert_eq!(histogram(at).await, before, "{at}");
    }
}
