//! Signing in at somebody else's page, with a provider that believes everything but a wrong nonce.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use klio_desk::{Identity, Kind, Mapping};
use klio_web::{Back, Leave, Options, Providers, Unidentified};
use serde_json::json;

use crate::room::{Ask, Room, Told, options};
use crate::world::archive;

/// What was taken along, last.
#[derive(Default)]
struct Page(Mutex<Option<(String, String, String)>>);

#[async_trait]
impl Providers for Page {
    fn names(&self) -> Vec<String> {
        vec!["corp".into(), "other".into(), "down".into()]
    }

    async fn leave(&self, name: &str, leave: Leave<'_>) -> Result<String, Unidentified> {
        if name == "down" {
            return Err(Unidentified::Unavailable("no route to /secret/host".into()));
        }
        assert_eq!(leave.redirect, format!("https://klio.example.org/api/v1/sign-in/oidc/{name}/callback"));
        assert_eq!((leave.state.len(), leave.challenge.len()), (43, 43));
        let taken = (leave.state.into(), leave.nonce.into(), leave.challenge.into());
        *self.0.lock().unwrap() = Some(taken);
        Ok(format!("https://id.example.org/auth?state={}", leave.state))
    }

    async fn back(&self, name: &str, back: Back<'_>) -> Result<Identity, Unidentified> {
        let (_, nonce, _) = self.0.lock().unwrap().clone().unwrap();
        if nonce != back.nonce || back.code == "bad" {
            return Err(Unidentified::Refused("a wrong nonce".into()));
        }
        Ok(Identity {
            kind: Kind::Oidc,
            by: name.into(),
            subject: "https://id.example.org#1".into(),
            name: back.code.into(),
            groups: vec![],
        })
    }
}

async fn room() -> (Room, Arc<Page>) {
    let rules = json!([{ "kind": "oidc", "by": "corp", "user": "olga", "role": "viewer", "scope": "test" }]);
    let mapping: Mapping = serde_json::from_value(rules).unwrap();
    let page = Arc::new(Page::default());
    let origins = vec!["https://klio.example.org".to_owned()];
    let options = Options { providers: Some(page.clone()), origins, ..options() };
    (Room::of(archive(&[], |_| true), options, mapping).await, page)
}

/// The state, and the cookie as a browser sends it back.
async fn leave(room: &Room, page: &Page, uri: &str) -> (String, String) {
    let told = room.told(Ask::get(uri)).await.is(303);
    let state = page.0.lock().unwrap().clone().unwrap().0;
    assert_eq!(told.header("location"), format!("https://id.example.org/auth?state={state}"));
    let cookie = told.header("set-cookie");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600", "__Host-klio-sign-in="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    (state, cookie.split(';').next().unwrap().to_owned())
}

async fn back(room: &Room, name: &str, query: &str, cookie: &str) -> Told {
    let ask = Ask::get(&format!("/api/v1/sign-in/oidc/{name}/callback?{query}"));
    // Browsers say that they come from the provider.
    room.told(ask.header("cookie", cookie).header("sec-fetch-site", "cross-site")).await
}

#[tokio::test]
async fn one_signs_in_at_somebody_elses_page() {
    let (room, page) = room().await;
    let ways = room.told(Ask::get("/api/v1/sign-in")).await.is(200).json();
    assert_eq!(ways["items"][0], json!({ "kind": "password", "url": "/api/v1/session" }));
    assert_eq!(ways["items"][1]["url"], "/api/v1/sign-in/oidc/corp");
    let (state, cookie) = leave(&room, &page, "/api/v1/sign-in/oidc/corp?return_to=/events%3Fa%3Db").await;
    let told =
        back(&room, "corp", &format!("code=olga&state={state}&session_state=x"), &cookie).await.is(303);
    assert_eq!(told.header("location"), "/events?a=b");
    let cookies: Vec<String> =
        told.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    assert!(cookies[0].starts_with("__Host-klio=") && cookies[0].contains("SameSite=Strict"), "{cookies:?}");
    assert!(
        cookies[1].starts_with("__Host-klio-sign-in=;") && cookies[1].contains("Max-Age=0"),
        "{cookies:?}"
    );
    let session = cookies[0].split(';').next().unwrap();
    let who = room.told(Ask::get("/api/v1/whoami").header("cookie", session)).await.is(200).json();
    assert_eq!(
        (who["name"].as_str(), who["kind"].as_str(), who["via"].as_str(), who["scope"].as_str()),
        (Some("olga"), Some("oidc"), Some("session"), Some("test"))
    );
    // The audit says who came, and not with what.
    let came: Vec<_> =
        room.audit.all.lock().unwrap().iter().filter(|a| a.path.ends_with("/callback")).cloned().collect();
    assert_eq!(came.len(), 2, "before and after");
    assert!(came.iter().all(|access| access.query == "code&state&session_state"), "{came:?}");
    assert_eq!(came[1].who.as_ref().unwrap().name, "oidc:olga");
    assert!(!format!("{came:?}").contains(&state));
}

#[tokio::test]
async fn what_does_not_come_back_as_it_left_is_refused() {
    let (room, page) = room().await;
    let begin = "/api/v1/sign-in/oidc/corp";
    // Somebody else's browser, and then it is used up.
    let (state, cookie) = leave(&room, &page, begin).await;
    let (other, _) = leave(&room, &page, begin).await;
    let query = |state: &str| format!("code=olga&state={state}");
    let told = back(&room, "corp", &query(&other), &cookie).await.is(400);
    assert!(told.body.contains("begin anew at /api/v1/sign-in/oidc/corp"), "{}", told.body);
    assert!(told.header("set-cookie").is_empty());
    back(&room, "corp", &query(&state), "__Host-klio-sign-in=").await.is(400);
    back(&room, "corp", &query(&state), &cookie).await.is(400);
    // What is no way back ends nothing.
    let (state, cookie) = leave(&room, &page, begin).await;
    back(&room, "corp", &query(&state), "").await.is(400);
    back(&room, "corp", &query(&state), &format!("{cookie}; {cookie}")).await.is(400);
    back(&room, "corp", "code=olga", &cookie).await.is(400);
    back(&room, "corp", &query("x"), &cookie).await.is(400);
    back(&room, "corp", &query(&state), &cookie).await.is(303);
    back(&room, "corp", &query(&state), &cookie).await.is(400);
    // Another provider's way back.
    let (state, cookie) = leave(&room, &page, begin).await;
    back(&room, "other", &query(&state), &cookie).await.is(400);
    // The provider says no, or something that is not good.
    let (state, cookie) = leave(&room, &page, begin).await;
    let told = back(&room, "corp", &format!("error=access_denied&state={state}"), &cookie).await.is(401);
    assert!(told.body.contains("access_denied"), "{}", told.body);
    let (state, cookie) = leave(&room, &page, begin).await;
    back(&room, "corp", &format!("code=bad&state={state}"), &cookie).await.is(401);
    let (state, cookie) = leave(&room, &page, begin).await;
    back(&room, "corp", &format!("state={state}"), &cookie).await.is(400);
    // No rule fits: neither this name, nor this provider.
    let (state, cookie) = leave(&room, &page, begin).await;
    let told = back(&room, "corp", &format!("code=eve&state={state}"), &cookie).await.is(403);
    assert!(told.body.contains("sign_in.mapping"), "{}", told.body);
    let (state, cookie) = leave(&room, &page, "/api/v1/sign-in/oidc/other").await;
    back(&room, "other", &query(&state), &cookie).await.is(403);

    for elsewhere in ["//evil.example", "https://evil.example", "/%5Cevil.example", "/%09/evil.example"] {
        room.told(Ask::get(&format!("{begin}?return_to={elsewhere}"))).await.is(400);
    }
    room.told(Ask::get(&format!("{begin}?goto=/"))).await.is(400);
    room.told(Ask::get("/api/v1/sign-in/oidc/nobody")).await.is(404);
    let down = room.told(Ask::get("/api/v1/sign-in/oidc/down")).await.is(503);
    assert!(!down.header("retry-after").is_empty() && !down.body.contains("secret"), "{}", down.body);
}
