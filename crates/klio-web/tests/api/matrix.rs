//! Every route × every role × own and foreign clusters and namespaces: nothing of a foreign place is in any answer, and answers
//! are the same whether the foreign places are there or not.

use klio_desk::{Right, Role};
use klio_web::{AccessOutcome, Need, PAGES, ROUTES};
use serde_json::json;

use crate::asks::{asked, twins};
use crate::room::{Ask, Room, Told};
use crate::world::{PLACES, Place, archive, record};

/// A scope, the places that are visible with it, and the clusters that are as a whole.
const SCOPES: [(&str, &[usize], &[&str]); 4] = [
    ("", &[], &[]),
    ("prod/shop", &[0], &[]),
    ("prod", &[0, 1, 2], &["prod"]),
    // Also what others did with Klio, if he is an admin.
    ("*", &[0, 1, 2, 3], &["prod", "test"]),
];

/// Whether the role is enough.
fn enough(need: Need, role: Role, scope: &str) -> bool {
    match need {
        Need::Open | Need::Anybody => true,
        Need::May(rights) => rights.iter().all(|right| role.may(*right)),
        Need::Whole(rights) => rights.iter().all(|right| role.may(*right)) && scope == "*",
    }
}

struct Case {
    role: Role,
    scope: &'static str,
    own: Vec<Place>,
    foreign: Vec<Place>,
    with: Room,
    without: Room,
    with_memory: crate::memory::Shared,
    without_memory: crate::memory::Shared,
    token: String,
}

async fn cases() -> Vec<Case> {
    let room = Room::new(archive(&[], |_| true)).await;
    for (name, place) in ["shop", "vault", "whole", "test"].iter().zip(PLACES) {
        let scope = place.scope();
        let token = room.token(name, Role::Analyst, &scope).await;
        let hunt = json!({ "title": format!("{}hunt", place.mark()), "filter": format!("user:{}user", place.mark()) });
        room.told(Ask::new("POST", "/api/v1/hunts").token(&token).json(&hunt)).await.is(201);
        let bodies =
            json!({ "title": "in bodies", "filter": format!("request.data.password:BODY{}*", place.mark()) });
        room.told(Ask::new("POST", "/api/v1/hunts").token(&token).json(&bodies)).await.is(201);
    }
    let mut cases = Vec::new();
    for role in Role::ALL {
        for (n, (scope, own, whole)) in SCOPES.into_iter().enumerate() {
            let mut own: Vec<Place> = own.iter().map(|n| PLACES[*n]).collect();
            let mut whole = whole.to_vec();
            if scope == "*" && role.may(Right::ReadAudit) {
                own.push(PLACES[4]);
                whole.push("klio");
            }
            let foreign = PLACES.iter().filter(|place| !own.contains(place)).copied().collect();
            // Sources and letters of a cluster that is seen in part are foreign too.
            let without_memory = archive(&own, |place| whole.contains(&place.cluster));
            let with_memory = archive(&PLACES, |_| true);
            let token = room.token(&format!("{role}{n}"), role, scope).await;
            let (with, without) = (room.beside(with_memory.clone()), room.beside(without_memory.clone()));
            cases.push(Case { role, scope, own, foreign, with, without, with_memory, without_memory, token });
        }
    }
    cases
}

fn comparable(mut told: Told) -> Told {
    told.headers.remove("audit-id");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_foreign_is_in_any_answer() {
    let mut shown = 0;
    for case in cases().await {
        for entry in ROUTES.iter().chain(PAGES) {
            let (method, path) = (entry.method, entry.path);
            let of_desk = ["users", "tokens", "sessions", "passwords", "whoami"].contains(&entry.resource);
            let desks_own = of_desk || (entry.resource == "hunts" && method != "GET");
            let is_page = PAGES.contains(entry);
            for ask in asked(method, path).into_iter().flat_map(|ask| twins(ask, is_page)) {
                let what = format!("{method} {} as {} of {:?}", ask.uri, case.role, case.scope);
                let before = case.with.audit.complete().len();
                let with = case.with.told(ask.clone().token(&case.token)).await;
                let stages = case.with.audit.complete();
                assert_eq!(stages.len(), before + 1, "{what}: exactly one access");
                let access = &stages[before];
                assert_eq!(access.status, with.status.as_u16(), "{what}");
                assert_eq!(access.bytes, with.body.len() as u64, "{what}");
                assert_eq!(access.route, Some(path), "{what}");

                let headers = format!("{:?}", with.headers);
                for place in &case.foreign {
                    let mark = place.mark();
                    // A page has its own address in its links: that nothing else is in it the other archive shows.
                    let repeats = is_page && ask.uri.contains(&mark);
                    assert!(repeats || !with.body.contains(&mark), "{what}: {}", with.body);
                    assert!(!headers.contains(&mark), "{what}: {headers}");
                }
                if !case.role.may(Right::ReadBodies) {
                    assert!(!with.body.contains("BODY"), "{what}: {}", with.body);
                }
                shown += usize::from(case.own.iter().any(|place| with.body.contains(&place.mark())));
                if enough(entry.need, case.role, case.scope) {
                    let body_question = ask.uri.contains("request.data") || ask.uri.contains("event.auditID");
                    let change = entry.method != "GET" && desks_own;
                    assert!(with.status != 403 || body_question || change, "{what}: {}", with.body);
                    assert_ne!(with.status, 500, "{what}: {}", with.body);
                } else {
                    assert_eq!(with.status, 403, "{what}: {}", with.body);
                }
                // The log is one: whoever sees everything sees it grow with what others do with Klio.
                let of_the_log =
                    ["integrity", "verifications", "proofs"].contains(&entry.resource) || path == "/";
                let comparable_here = !desks_own && (!of_the_log || case.scope != "*");
                if comparable_here {
                    let without = case.without.told(ask.token(&case.token)).await;
                    assert_eq!(comparable(with), comparable(without), "{what}");
                }
            }
        }
    }
    assert!(shown > 200, "what is one's own is shown: {shown}");
}

#[tokio::test]
async fn an_admin_finds_every_page_that_the_table_has() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let token = room.token("boss", Role::Admin, "*").await;
    for entry in PAGES {
        let ask = asked(entry.method, entry.path).remove(0).token(&token);
        let told = room.told(ask.clone()).await;
        assert!(told.status != 404 && told.status != 405, "{} {}: {}", entry.method, ask.uri, told.status);
        if entry.method == "GET" {
            // Each knows its query.
            let joint = if ask.uri.contains('?') { '&' } else { '?' };
            let wrong = Ask { uri: format!("{}{joint}fliter=x", ask.uri), ..ask };
            room.told(wrong).await.is(400);
        }
    }
}

#[tokio::test]
async fn strangers_get_nothing() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    for entry in PAGES.iter().filter(|entry| entry.need != Need::Open) {
        for ask in asked(entry.method, entry.path) {
            let to = room.told(ask.clone()).await.is(303).header("location");
            assert!(to.starts_with("/sign-in?return_to=%2F"), "{to}");
            let access = room.audit.last();
            assert_eq!((access.status, access.outcome), (401, Some(AccessOutcome::Denied)), "{}", ask.uri);
        }
    }
    for entry in ROUTES.iter().filter(|entry| entry.need != Need::Open) {
        for ask in asked(entry.method, entry.path).into_iter().chain([Ask::new(entry.method, entry.path)]) {
            for ask in [
                ask.clone(),
                ask.clone().token("klio_wrong"),
                ask.clone().header("authorization", "Basic cm9vdDpyb290"),
                ask.clone().header("cookie", "__Host-klio=wrong"),
            ] {
                let told = room.told(ask.clone()).await;
                assert_eq!(told.status, 401, "{} {}", entry.method, ask.uri);
                assert!(!told.body.contains("MARK"), "{}", told.body);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_tells_nothing_foreign() {
    let mut tails = Vec::new();
    for case in cases().await {
        tails.push(tokio::spawn(async move {
            let own: Vec<&Place> = case.own.iter().filter(|place| place.cluster != "klio").collect();
            let ask = || Ask::get("/api/v1/events/tail").token(&case.token);
            let (with, without) = tokio::join!(case.with.ask(ask()), case.without.ask(ask()));
            for n in 10..14 {
                for place in PLACES {
                    case.with_memory.push(record(place, n));
                    if own.contains(&&place) {
                        case.without_memory.push(record(place, n));
                    }
                }
            }
            let (with, without) = tokio::join!(Told::of(with), Told::of(without));
            for place in PLACES.iter().filter(|place| !own.contains(place)) {
                assert!(!with.body.contains(&place.mark()), "{}", with.body);
            }
            assert_eq!(with.body.matches("event: event\n").count(), own.len() * 4, "{}", with.body);
            let lines = |told: &Told| {
                let lines =
                    told.body.lines().filter(|line| line.starts_with("id:") || line.starts_with("data:"));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            // Cursors too are the same.
            assert_eq!(lines(&with), lines(&without));
        }));
    }
    for tail in tails {
        tail.await.unwrap();
    }
}

#[tokio::test]
async fn what_an_archive_ought_not_to_have_answered_is_left_out() {
    let memory = archive(&PLACES, |_| true);
    memory.careless.store(true, std::sync::atomic::Ordering::Relaxed);
    let room = Room::new(memory.clone()).await;
    let token = room.token("ana", Role::Analyst, "prod/shop").await;
    let foreign = |told: &Told| PLACES[1..].iter().any(|place| told.body.contains(&place.mark()));
    let told = room.get(&token, "/api/v1/events").await.is(200);
    assert!(told.body.contains(&PLACES[0].mark()) && !foreign(&told), "{}", told.body);
    let told = room.get(&token, &format!("/api/v1/events/{}id1", PLACES[1].mark())).await.is(404);
    assert!(!foreign(&told));
    let tail = room.ask(Ask::get("/api/v1/events/tail").token(&token)).await;
    for place in PLACES {
        memory.push(record(place, 50));
    }
    let told = Told::of(tail).await;
    assert!(told.body.contains(&PLACES[0].mark()) && !foreign(&told), "{}", told.body);
}
