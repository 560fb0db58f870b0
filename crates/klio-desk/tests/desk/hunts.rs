//! Saved hunts.

use klio_desk::{Deed, DeskError, Outcome, Role};

use crate::room::{Room, by, enter, hire};

on_both!(
    a_hunt_is_shown_to_who_sees_as_much,
    hunts_are_removed_by_their_owners_and_who_manages_people,
    hunts_go_with_their_owner
);

async fn a_hunt_is_shown_to_who_sees_as_much(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "shop", Role::Analyst, "prod/shop").await;
    hire(&desk, "vic", Role::Viewer, "*").await;
    hire(&desk, "prod", Role::Analyst, "prod").await;
    let [root, shop, prod] =
        [enter(&desk, "root").await, enter(&desk, "shop").await, enter(&desk, "prod").await];
    let [root, shop, prod] = [by(&root), by(&shop), by(&prod)];
    desk.save_hunt(&root, "all", "user:alice and namespace:secret-plan").await.unwrap();
    desk.save_hunt(&prod, "ours", "verb:delete").await.unwrap();
    let kept = desk.save_hunt(&shop, "  the shop's ", " resource:secrets ").await.unwrap();
    assert_eq!(
        (kept.title.as_str(), kept.filter.as_str(), kept.owner.as_str()),
        ("the shop's", "resource:secrets", "user:shop")
    );
    let titles = async |who| -> Vec<String> {
        let mut titles: Vec<_> = desk.hunts(who).await.unwrap().into_iter().map(|hunt| hunt.title).collect();
        titles.sort();
        titles
    };
    assert_eq!(titles(&root).await, ["all", "ours", "the shop's"]);
    assert_eq!(titles(&prod).await, ["ours", "the shop's"]);
    assert_eq!(titles(&shop).await, ["the shop's"]);
    // Who sees less by now is shown less of others', and still his own.
    desk.set_scope(&root, "prod", &"prod/web".parse().unwrap()).await.unwrap();
    let prod = by(&enter(&desk, "prod").await);
    assert_eq!(titles(&prod).await, ["ours"]);
    let vic = by(&enter(&desk, "vic").await);
    assert_eq!(titles(&vic).await, ["all", "ours", "the shop's"]);
    assert!(matches!(desk.save_hunt(&vic, "x", "verb:get").await, Err(DeskError::NotAllowed { .. })));
    assert!(matches!(desk.remove_hunt(&vic, &kept.id).await, Err(DeskError::NotAllowed { .. })));
    for (title, filter) in [("", "verb:get"), ("x", "  "), ("a\nb", "verb:get"), ("x", &"y".repeat(9_000))] {
        assert!(matches!(desk.save_hunt(&shop, title, filter).await, Err(DeskError::BadName(..))));
    }
}

async fn hunts_are_removed_by_their_owners_and_who_manages_people(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "ana", Role::Analyst, "*").await;
    hire(&desk, "bob", Role::Analyst, "*").await;
    let [root, ana, bob] = [enter(&desk, "root").await, enter(&desk, "ana").await, enter(&desk, "bob").await];
    let [root, ana, bob] = [by(&root), by(&ana), by(&bob)];
    let first = desk.save_hunt(&ana, "first", "verb:get").await.unwrap();
    let second = desk.save_hunt(&ana, "second", "verb:list").await.unwrap();
    assert!(matches!(desk.remove_hunt(&bob, &first.id).await, Err(DeskError::Unknown { .. })));
    desk.remove_hunt(&ana, &first.id).await.unwrap();
    desk.remove_hunt(&root, &second.id).await.unwrap();
    assert!(desk.hunts(&ana).await.unwrap().is_empty());
    assert!(matches!(desk.remove_hunt(&ana, &first.id).await, Err(DeskError::Unknown { .. })));
    let ledger = &room.notes;
    assert_eq!(
        (ledger.count(Deed::SaveHunt, Outcome::Done), ledger.count(Deed::RemoveHunt, Outcome::Done)),
        (2, 2)
    );
    assert_eq!(ledger.count(Deed::RemoveHunt, Outcome::Refused), 2);
}

async fn hunts_go_with_their_owner(room: Room) {
    let desk = room.desk().await;
    hire(&desk, "root", Role::Admin, "*").await;
    hire(&desk, "ana", Role::Analyst, "*").await;
    hire(&desk, "anna", Role::Analyst, "*").await;
    let [root, ana, anna] =
        [enter(&desk, "root").await, enter(&desk, "ana").await, enter(&desk, "anna").await];
    desk.save_hunt(&by(&ana), "hers", "user:somebody").await.unwrap();
    desk.save_hunt(&by(&anna), "another's", "verb:get").await.unwrap();
    desk.remove_user(&by(&root), "Ana").await.unwrap();
    // Who gets her name gets nothing of hers.
    hire(&desk, "ana", Role::Analyst, "prod").await;
    let ana = by(&enter(&desk, "ana").await);
    assert!(desk.hunts(&ana).await.unwrap().is_empty());
    let left = desk.hunts(&by(&root)).await.unwrap();
    assert_eq!(left.iter().map(|hunt| hunt.title.as_str()).collect::<Vec<_>>(), ["another's"]);
}
