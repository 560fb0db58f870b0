//! The pages for those who run Klio: sources, dead letters, tail, integrity, trends, the own audit, settings.

use klio_desk::{Right, Role};

use crate::room::{Ask, Room};
use crate::world::{PLACES, archive};

/// A page, and what in it says that it shows something.
const PAGES: [(&str, &str); 8] = [
    ("/sources", "not proved"),
    ("/sources/connect?name=prod&platform=k3s", "klio connect cluster prod"),
    ("/sources/dead-letters", "no JSON"),
    ("/tail", "/api/v1/events/tail?cursor="),
    ("/trends?from=1970", "Who costs most"),
    ("/own-audit?from=1970", "MARK.klio.none.user"),
    ("/integrity", "klio lake public-key"),
    ("/settings/users", "root"),
];
const SCOPES: [(&str, &[usize]); 4] =
    [("", &[]), ("prod/shop", &[0]), ("prod", &[0, 1, 2]), ("*", &[0, 1, 2, 3, 4])];

#[tokio::test]
async fn pages_and_their_twins_show_nothing_of_foreign_places() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    for (number, (scope, visible)) in SCOPES.into_iter().enumerate() {
        for role in Role::ALL {
            let token = room.token(&format!("{role}{number}"), role, scope).await;
            let letters =
                PLACES.iter().enumerate().map(|(at, _)| format!("/sources/dead-letters/{}", 100 + at));
            let proofs = PLACES.iter().map(|place| format!("/events/{}id1/proof", place.mark()));
            let lists = PAGES.iter().map(|(page, _)| (*page).to_owned());
            for uri in lists.chain(letters).chain(proofs).chain(["/settings".to_owned()]) {
                let joint = if uri.contains('?') { '&' } else { '?' };
                for uri in [uri.clone(), format!("{uri}{joint}as=json")] {
                    let told = room.get(&token, &uri).await;
                    for (at, place) in PLACES.iter().enumerate() {
                        let is_his = visible.contains(&at) && (at != 4 || role.may(Right::ReadAudit));
                        // A refusal may repeat nothing but what was asked.
                        let named = uri.contains(&place.mark());
                        let shown = told.body.contains(&place.mark()) && !(named && told.status != 200);
                        assert!(is_his || !shown, "{role} of {scope:?} at {uri}: {}", told.body);
                    }
                    assert!(!told.body.contains("BODY") || role.may(Right::ReadBodies), "{role} at {uri}");
                }
            }
        }
    }
}

#[tokio::test]
async fn whom_everything_is_for_sees_it_and_others_are_told_why_not() {
    let room = Room::new(archive(&PLACES, |_| true)).await;
    let admin = room.token("boss", Role::Admin, "*").await;
    for (uri, said) in PAGES {
        let told = room.get(&admin, uri).await.is(200);
        assert!(told.body.contains(said), "{uri}: {}", told.body);
        let joint = if uri.contains('?') { '&' } else { '?' };
        room.get(&admin, &format!("{uri}{joint}as=json")).await.is(200).json();
    }
    let letter = room.get(&admin, "/sources/dead-letters/100").await.is(200);
    assert!(letter.body.contains("MARK.prod.shop.") && letter.body.contains("Remove for ever"));
    let found = Ask::get("/integrity?auditId=a%2Fb").token(&admin);
    assert_eq!(room.told(found).await.is(303).header("location"), "/events/a%2Fb/proof");

    let viewer = room.token("vic", Role::Viewer, "*").await;
    let settings = room.get(&viewer, "/settings").await.is(200);
    assert!(settings.body.contains("a viewer may not do this (ManageUsers)"), "{}", settings.body);
    room.get(&viewer, "/settings/users").await.is(403);
    room.get(&viewer, "/sources/dead-letters").await.is(403);
    let integrity = room.get(&viewer, "/integrity").await.is(200);
    assert!(integrity.body.contains("a viewer may not do this (VerifyIntegrity)"), "{}", integrity.body);
    // What is no filter is told beside the question, and nothing is followed.
    let tail = room.get(&viewer, "/tail?filter=verb:(").await.is(200);
    assert!(tail.body.contains("role=\"alert\"") && !tail.body.contains("<klio-tail"), "{}", tail.body);
    room.get(&viewer, "/tail?filter=request.data.password:x").await.is(403);
}
