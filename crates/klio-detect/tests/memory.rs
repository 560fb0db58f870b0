//! What a memory says about made-up and recorded streams of events.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)] // helpers of tests

#[path = "made/stream.rs"]
mod stream;

use klio_detect::{Memory, Trace};
use klio_model::Facts;
use stream::{Made, at};

const BUDGET: usize = 64 << 20;

fn observe(memory: &mut Memory, made: &Made) -> Facts {
    made.observe(memory)
}

fn alice() -> Made {
    Made::new("alice@example.com")
        .from("198.51.100.21")
        .agent("kubectl/v1.36.1 (linux/amd64)")
        .of("get", "pods", "shop")
}

#[test]
fn what_was_never_seen_is_new_and_then_it_is_not() {
    let mut m = Memory::new(BUDGET);
    let first = observe(&mut m, &alice().at(at(0, 0)));
    assert_eq!(
        (first.new_actor, first.new_agent, first.new_action, first.actor_age),
        (None, None, None, None)
    );
    assert_eq!(first.history_days, Some(0));
    let again = observe(&mut m, &alice().at(at(0, 10)));
    let no = Some(false);
    assert_eq!((again.new_actor, again.new_agent, again.new_address), (no, no, no));
    assert_eq!((again.new_action, again.new_namespace, again.actor_age), (no, no, Some(10)));

    // A new identity has no history that its client could be new against.
    let bob = observe(&mut m, &Made::new("bob@example.com").of("get", "pods", "shop").at(at(0, 20)));
    assert_eq!((bob.new_actor, bob.new_agent, bob.new_action), (Some(true), None, None));
    assert_eq!(bob.peers_action, Some(true));

    let yes = Some(true);
    let other = |made: Made| {
        let mut copy = Memory::restore(&m.snapshot()).unwrap();
        observe(&mut copy, &made.at(at(0, 30)))
    };
    assert_eq!(other(alice().agent("curl/8.5.0")).new_agent, yes);
    assert_eq!(other(alice().agent("kubectl/v1.37.0 (darwin/arm64)")).new_agent, no);
    assert_eq!(other(alice().from("198.51.100.200")).new_address, no);
    assert_eq!(other(alice().from("203.0.113.9")).new_address, yes);
    assert_eq!(other(alice().of("get", "pods", "kube-system")).new_namespace, yes);
    assert_eq!(other(alice().of("get", "pods", "kube-system")).new_action, no);
    let secret = other(alice().of("get", "secrets", "shop").name("db"));
    assert_eq!((secret.new_action, secret.new_secret, secret.secrets_day), (yes, yes, Some(1)));
    assert_eq!(secret.peers_action, no);
    assert_eq!(other(alice()).new_secret, None);
    // Whoever acts as somebody else is another identity.
    assert_eq!(other(alice().acting_as("system:admin")).new_actor, yes);
    // After 30 days it is new again.
    assert_eq!(observe(&mut m, &alice().at(at(32, 0))).new_actor, yes);
}

#[test]
fn a_country_is_new_once_there_is_one_to_compare_it_with() {
    let mut m = Memory::new(BUDGET);
    let mut new = |made: Made, day: i64| {
        let facts = observe(&mut m, &made.at(at(day, 0)));
        (facts.new_country, facts.new_asn)
    };
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(new(alice(), 0), (None, None));
    // The database came after the history: whatever it says first is not new.
    assert_eq!(new(alice().lies_in("DE", 64497), 1), (None, None));
    assert_eq!(new(alice().lies_in("DE", 64497), 2), (no, no));
    assert_eq!(new(alice().lies_in("DE", 64496), 3), (no, yes));
    assert_eq!(new(alice().lies_in("BR", 64498).code(403), 4), (yes, yes));
    assert_eq!(new(alice().lies_in("BR", 64498), 5), (no, no));
    assert_eq!(new(alice(), 6), (None, None));
    // A country is not a network with the same number, and nobody else's.
    assert_eq!(new(Made::new("bob@example.com").lies_in("BR", 1), 6), (None, None));
    assert_eq!(new(Made::new("bob@example.com").lies_in("BR", 2), 7), (no, yes));
    // After 30 days it is new again.
    assert_eq!(new(alice().lies_in("DE", 64497), 31), (no, no));
    assert_eq!(new(alice().lies_in("BR", 64498), 40), (yes, yes));
}

#[test]
fn who_is_denied_does_not_train_his_action() {
    let mut m = Memory::new(BUDGET);
    observe(&mut m, &alice().at(at(0, 0)));
    let secret = || alice().of("get", "secrets", "kube-system").name("admin");
    for i in 1..5 {
        for made in [secret().code(403), secret().uri("/x?dryRun=All"), secret().code(429)] {
            let facts = observe(&mut m, &made.at(at(0, i)));
            assert_eq!(
                (facts.new_action, facts.new_namespace, facts.new_secret),
                [Some(true); 3].into_tuple()
            );
        }
    }
    // But who he is, is known: a denied request proves it.
    let denied = alice().from("203.0.113.9").code(403);
    assert_eq!(observe(&mut m, &denied.at(at(0, 9))).new_address, Some(true));
    assert_eq!(observe(&mut m, &denied.at(at(0, 10))).new_address, Some(false));
    // Not found is allowed, and no secret was read.
    let missing = secret().code(404).allowed();
    assert_eq!(observe(&mut m, &missing.at(at(0, 11))).new_action, Some(true));
    let then = observe(&mut m, &missing.at(at(0, 12)));
    assert_eq!((then.new_action, then.new_secret, then.secrets_day), (Some(false), Some(true), Some(0)));
    // A 401 is nobody's.
    assert!(Made::new("alice@example.com").code(401).trace().is_none());
    assert!(Made::new("system:anonymous").trace().is_none());
}

trait IntoTuple<T> {
    fn into_tuple(self) -> (T, T, T);
}

impl<T: Copy> IntoTuple<T> for [T; 3] {
    fn into_tuple(self) -> (T, T, T) {
        (self[0], self[1], self[2])
    }
}

#[test]
fn late_events_never_make_anything_new_again() {
    let mut m = Memory::new(BUDGET);
    observe(&mut m, &alice().at(at(40, 0)));
    let late = observe(&mut m, &alice().at(at(0, 0)));
    assert_eq!((late.new_actor, late.new_action, late.actor_age), (Some(false), Some(false), Some(0)));
    let now = observe(&mut m, &alice().at(at(40, 60)));
    assert_eq!((now.new_actor, now.new_action), (Some(false), Some(false)));
    assert_eq!(now.actor_age, Some(40 * 86_400 + 60));
    // Of forty days two were learnt.
    assert_eq!(now.history_days, Some(2));
}

#[test]
fn a_service_account_is_one_identity_whatever_its_pods() {
    let mut m = Memory::new(BUDGET);
    let pod = |n: u32, ip: &str| {
        Made::new("system:serviceaccount:shop:cart")
            .from(ip)
            .of("list", "configmaps", "shop")
            .token(&format!("t{n}"))
            .pod(&format!("cart-7c9f6d5b8c-x2v9{n}"), &format!("uid-{n}"), "node-1")
    };
    observe(&mut m, &pod(1 + 3, "10.244.1.4").at(at(0, 0)));
    let second = observe(&mut m, &pod(5, "10.244.1.5").at(at(0, 5)));
    assert_eq!((second.new_actor, second.new_action), (Some(false), Some(false)));
    // The first request of a pod comes from an address of its own.
    assert_eq!(second.new_address, None);
    assert_eq!(second.workload.as_deref(), Some("deployments/shop/cart"));
    let stolen = observe(&mut m, &pod(5, "10.244.9.9").at(at(0, 6)));
    assert_eq!((stolen.new_address, stolen.credential_moved), (Some(true), Some(true)));
    assert_eq!(stolen.peers_action, None);
    let peer = Made::new("system:serviceaccount:shop:payments").of("list", "configmaps", "shop");
    assert_eq!(observe(&mut m, &peer.at(at(0, 7))).peers_action, Some(true));
}

#[test]
fn credentials_are_followed_to_who_had_them_issued() {
    let mut m = Memory::new(BUDGET);
    let user = |name: &str, token: &str| Made::new(name).token(token).of("list", "pods", "shop");
    let (ci, admin) = ("system:serviceaccount:ci:deployer", "system:serviceaccount:kube-system:admin");
    let node = Made::new("system:node:n1").from("10.0.1.11").certificate("n1");
    node.clone().issues("a").at(at(0, 0)).observe(&mut m);
    let own = observe(&mut m, &user(ci, "a").at(at(0, 1)));
    assert_eq!((own.credential_issuer.as_deref(), own.credential_depth), (Some("system:node:n1"), Some(0)));
    assert_eq!((own.credential_root.as_deref(), own.credential_age), (Some("system:node:n1"), Some(1)));
    assert_eq!(own.credential_moved, Some(false));

    user(ci, "a").issues("b").at(at(0, 2)).observe(&mut m);
    let minted = observe(&mut m, &user(admin, "b").at(at(0, 5)));
    assert_eq!((minted.credential_issuer.as_deref(), minted.credential_depth), (Some(ci), Some(1)));
    assert_eq!((minted.credential_root.as_deref(), minted.credential_age), (Some(ci), Some(3)));

    user(admin, "b").issues("c").at(at(0, 6)).observe(&mut m);
    let third = observe(&mut m, &user(admin, "c").at(at(0, 7)));
    assert_eq!((third.credential_issuer.as_deref(), third.credential_depth), (Some(admin), Some(2)));
    assert_eq!(third.credential_root.as_deref(), Some(ci));

    // A person ends the chain; the control plane's own tokens hide nobody.
    let person = Made::new("alice@example.com").certificate("alice");
    assert_eq!(observe(&mut m, &person.clone().at(at(0, 8))).credential_depth, Some(0));
    let controller = "system:serviceaccount:kube-system:daemon-set-controller";
    person.issues("d").at(at(0, 9)).observe(&mut m);
    user(controller, "d").issues("e").at(at(0, 10)).observe(&mut m);
    let end = observe(&mut m, &user(admin, "e").at(at(0, 11)));
    assert_eq!(end.credential_issuer.as_deref(), Some(controller));
    assert_eq!((end.credential_root.as_deref(), end.credential_depth), (Some("alice@example.com"), Some(2)));

    // A token that nobody saw issued tells nothing.
    let other = observe(&mut m, &user(admin, "z").at(at(0, 12)));
    assert_eq!((other.credential_issuer, other.credential_depth, other.credential_moved), (None, None, None));
    assert_eq!(other.credential_age, None);
    // A refused TokenRequest issues nothing.
    user(ci, "a").issues("y").code(403).at(at(0, 13)).observe(&mut m);
    assert_eq!(observe(&mut m, &user(admin, "y").at(at(0, 14))).credential_issuer, None);
}

#[test]
fn a_pods_token_is_at_home_with_the_pod_and_its_node() {
    let mut m = Memory::new(BUDGET);
    let node = Made::new("system:node:node-1").from("10.0.1.11").certificate("n1");
    let use_from = |ip: &str, s: i64| {
        let made = Made::new("system:serviceaccount:shop:cart").from(ip).of("list", "pods", "shop");
        made.token("t").pod("cart-0", "uid-0", "node-1").at(at(0, s))
    };
    assert_eq!(observe(&mut m, &use_from("10.244.1.4", 0)).credential_elsewhere, None);
    let status = r#"{"metadata":{"uid":"uid-0"},"status":{"podIP":"10.244.1.4","podIPs":[{"ip":"10.244.1.4"},{"ip":"fd00::4"}]}}"#;
    let told = node.clone().of("patch", "pods", "shop").sub("status").name("cart-0").body(status);
    told.at(at(0, 1)).observe(&mut m);
    for home in ["10.244.1.4", "fd00::4", "10.0.1.11"] {
        assert_eq!(observe(&mut m, &use_from(home, 2)).credential_elsewhere, Some(false), "{home}");
    }
    let away = observe(&mut m, &use_from("10.244.7.7", 3));
    assert_eq!((away.credential_elsewhere, away.credential_moved), (Some(true), Some(true)));
    assert_eq!(away.credential_addresses, Some(4));
    assert_eq!(observe(&mut m, &use_from("10.244.1.4", 86_500)).credential_addresses, Some(1));
    assert_eq!(away.workload.as_deref(), Some("statefulsets/shop/cart"));
    // Only a kubelet is believed.
    let liar = Made::new("mallory@example.com").of("patch", "pods", "shop").sub("status").name("cart-0");
    liar.body(&status.replace("10.244.1.4", "10.244.7.7")).at(at(1, 200)).observe(&mut m);
    assert_eq!(observe(&mut m, &use_from("10.244.7.7", 86_700)).credential_elsewhere, Some(true));
}

#[test]
fn behind_a_controller_stands_who_wrote_the_owner() {
    let mut m = Memory::new(BUDGET);
    let alice = || Made::new("alice@example.com");
    let controller = |name: &str| Made::new(&format!("system:serviceaccount:kube-system:{name}-controller"));
    let owned = |kind: &str, name: &str, uid: &str| {
        format!(
            r#"{{"metadata":{{"ownerReferences":[{{"kind":"{kind}","name":"{name}","uid":"{uid}","controller":true}}]}}}}"#
        )
    };
    let author = |facts: Facts| (facts.author.map(|a| a.to_string()), facts.author_sure);
    let by_alice = |sure| (Some("alice@example.com".to_owned()), Some(sure));

    let made = alice().acting_as("system:admin").of("create", "deployments", "shop").name("cart").code(201);
    assert_eq!(author(observe(&mut m, &made.at(at(0, 0)))), by_alice(true));
    // With bodies, by the owner that stands in the object.
    let rs = controller("deployment").of("create", "replicasets", "shop").name("cart-7c9f6d5b8c").code(201);
    let rs = rs.body(&owned("Deployment", "cart", "u1"));
    assert_eq!(author(observe(&mut m, &rs.at(at(0, 1)))), by_alice(true));
    let pod = || controller("replicaset").of("create", "pods", "shop").code(201);
    let with_owner = pod().body(&owned("ReplicaSet", "cart-7c9f6d5b8c", "u2"));
    assert_eq!(author(observe(&mut m, &with_owner.at(at(0, 2)))), by_alice(true));
    // Without a body the event names neither pod nor owner.
    assert!(pod().trace().is_none());
    // A token of that pod is of the deployment, by its owners.
    let token = Made::new("system:serviceaccount:shop:cart").of("list", "pods", "shop").token("t");
    let facts = observe(&mut m, &token.pod("cart-7c9f6d5b8c-x2v9k", "p1", "n1").at(at(0, 3)));
    assert_eq!(facts.workload.as_deref(), Some("deployments/shop/cart"));

    // Without bodies, by names.
    alice().of("create", "cronjobs", "shop").name("report").code(201).at(at(0, 4)).observe(&mut m);
    let job = controller("cronjob").of("create", "jobs", "shop").name("report-29920391").code(201);
    assert_eq!(author(observe(&mut m, &job.at(at(0, 5)))), by_alice(false));
    let bound = Made::new("system:kube-scheduler").of("create", "pods", "shop").sub("binding");
    let bound = bound.name("report-29920391-xfvnk").code(201);
    assert_eq!(author(observe(&mut m, &bound.at(at(0, 6)))), by_alice(false));
    // Who writes last is behind what follows; who fails is not.
    let bob = || Made::new("bob@example.com").of("patch", "deployments", "shop").name("cart");
    bob().code(409).at(at(0, 7)).observe(&mut m);
    let next =
        || controller("deployment").of("create", "replicasets", "shop").name("cart-5f569bcd55").code(201);
    assert_eq!(author(observe(&mut m, &next().at(at(0, 8)))), by_alice(false));
    bob().at(at(0, 9)).observe(&mut m);
    let next = next().body(&owned("Deployment", "cart", "u1"));
    assert_eq!(author(observe(&mut m, &next.at(at(0, 10)))).0.as_deref(), Some("bob@example.com"));
    assert_eq!(author(observe(&mut m, &alice().at(at(0, 11)))), (None, None));
}

#[test]
fn hours_are_unusual_after_two_weeks_of_other_hours() {
    let mut m = Memory::new(BUDGET);
    for day in 0..16 {
        let facts = observe(&mut m, &alice().at(at(day, 9 * 3600)));
        assert_eq!(facts.actor_hour_unusual, (day >= 14).then_some(false), "{day}");
    }
    let hour = |m: &mut Memory, h: i64| observe(m, &alice().at(at(16, h * 3600))).actor_hour_unusual;
    assert_eq!(hour(&mut m, 10), Some(false));
    assert_eq!(hour(&mut m, 3), Some(true));
    assert_eq!(hour(&mut m, 3), Some(false));
    let account = Made::new("system:serviceaccount:shop:cart");
    assert_eq!(observe(&mut m, &account.at(at(16, 0))).actor_hour_unusual, None);
}

#[test]
fn a_snapshot_goes_on_where_the_memory_stood() {
    let stream: Vec<Made> = (0..400)
        .map(|i| {
            let name = format!("user-{}@example.com", i * 7 % 13);
            let made = Made::new(&name).of("get", "secrets", "shop").name(&format!("s{}", i % 90));
            made.token(&format!("t{}", i % 31))
                .from(&format!("10.0.0.{}", i % 5))
                .at(at(i / 20, i * 61 % 80_000))
        })
        .collect();
    let (mut whole, mut half) = (Memory::new(BUDGET), Memory::new(BUDGET));
    let facts: Vec<Facts> = stream.iter().map(|made| made.observe(&mut whole)).collect();
    for (i, made) in stream.iter().enumerate() {
        if i % 100 == 50 {
            half = Memory::restore(&half.snapshot()).unwrap();
        }
        assert_eq!(made.observe(&mut half), facts[i]);
    }
    assert!(whole.snapshot() == half.snapshot());
    assert!(Memory::restore(&whole.snapshot()).unwrap().snapshot() == whole.snapshot());
}

#[test]
fn no_bytes_panic() {
    let mut m = Memory::new(1 << 20);
    for i in 0..50 {
        let made = alice().of("get", "secrets", "shop").name(&format!("s{i}")).token(&format!("t{i}"));
        made.at(at(i, 0)).observe(&mut m);
    }
    let whole = m.snapshot();
    for end in 0..whole.len() {
        assert!(Memory::restore(&whole[..end]).is_err());
    }
    for at in 8..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(mut memory) = Memory::restore(&bytes) {
                alice().observe(&mut memory);
            }
        }
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(Memory::restore(&longer).is_err());
}

#[test]
fn a_small_memory_forgets_who_was_not_seen_for_long() {
    let mut m = Memory::new(1 << 20);
    for i in 0..60_000i64 {
        let made = Made::new(&format!("user-{i}@example.com")).of("get", "secrets", "shop").name("db");
        made.token(&format!("t{i}")).at(at(0, i)).observe(&mut m);
        alice().at(at(0, i)).observe(&mut m);
    }
    let stats = m.stats();
    assert!(stats.bytes <= 1 << 20, "{stats:?}");
    assert!(stats.evicted > 0 && stats.actors > 100, "{stats:?}");
    assert_eq!(observe(&mut m, &alice().at(at(1, 0))).new_actor, Some(false));
    let first = Made::new("user-0@example.com").at(at(1, 0));
    assert_eq!(observe(&mut m, &first).new_actor, Some(true));
    let _: Option<Trace> = first.trace();
}

#[test]
fn who_is_at_work_in_one_network_and_comes_from_another_has_arrived_there() {
    let mut m = Memory::new(BUDGET);
    let old = alice().at(at(0, 0));
    assert_eq!(observe(&mut m, &old).address_age, None);
    let there = || alice().from("203.0.113.9");
    assert_eq!(observe(&mut m, &there().at(at(0, 60))).address_age, Some(0));
    assert_eq!(observe(&mut m, &alice().at(at(0, 70))).address_age, None);
    assert_eq!(observe(&mut m, &there().at(at(0, 100))).address_age, Some(40));
    // Two hours without work are a journey; a private address is the office or a tunnel to it.
    let later = at(0, 2 * 3600 + 200);
    assert_eq!(observe(&mut m, &alice().from("192.0.2.9").at(later)).address_age, None);
    let mut copy = Memory::restore(&m.snapshot()).unwrap();
    assert_eq!(observe(&mut copy, &alice().from("10.8.0.3").at(later + 60)).address_age, None);
}

#[test]
fn a_person_has_a_home_however_many_networks_he_comes_from() {
    let mut m = Memory::new(BUDGET);
    observe(&mut m, &alice().at(at(0, 0)));
    let there = |n: i64| alice().from(&format!("203.0.{n}.9"));
    for n in 1..6 {
        assert_eq!(observe(&mut m, &there(n).at(at(0, 60 * n))).address_age, Some(0));
    }
    // None of them makes another one forgotten.
    assert_eq!(observe(&mut m, &there(1).at(at(0, 400))).address_age, Some(340));
    let mut m = Memory::restore(&m.snapshot()).unwrap();
    assert_eq!(observe(&mut m, &there(2).at(at(0, 400))).address_age, Some(280));
    assert_eq!(observe(&mut m, &alice().at(at(0, 500))).address_age, None);
    // After 30 days he lives there.
    for day in [10, 20, 30] {
        assert!(observe(&mut m, &there(1).at(at(day, 0))).address_age > Some(0));
    }
    assert_eq!(observe(&mut m, &there(1).at(at(31, 0))).address_age, None);
}

#[test]
fn an_account_that_comes_from_ever_new_networks_arrives_nowhere() {
    let mut m = Memory::new(BUDGET);
    let account = |ip: &str, second: i64| {
        Made::new("system:serviceaccount:ci:deployer").from(ip).of("get", "pods", "shop").at(at(0, second))
    };
    let ages: Vec<_> = (0..5)
        .map(|n| {
            observe(&mut m, &account("10.244.1.10", 60 * n));
            observe(&mut m, &account(&format!("203.0.{n}.9"), 60 * n + 30)).address_age
        })
        .collect();
    assert_eq!(ages, [Some(0), Some(0), Some(0), None, None]);
}

#[test]
fn who_only_asks_makes_neither_network_nor_client_known() {
    let mut m = Memory::new(BUDGET);
    observe(&mut m, &alice().at(at(0, 0)));
    let yes = Some(true);
    let there = || alice().from("203.0.113.9").agent("Helm/3.14.0");
    let asking = [
        there().of("get", "", "").uri("/version"),
        there().of("get", "", "").uri("/apis/apps/v1?timeout=32s"),
        there().of("create", "selfsubjectaccessreviews", "").code(201),
    ];
    for (n, ask) in asking.iter().enumerate() {
        let facts = observe(&mut m, &ask.at(at(0, 10 + n as i64)));
        assert_eq!((facts.new_address, facts.new_agent, facts.agent_age), (yes, yes, Some(0)));
        assert_eq!(facts.address_age, Some(0));
    }
    let read = |s: i64| there().of("get", "secrets", "shop").name("db").at(at(0, s));
    let facts = observe(&mut m, &read(20));
    assert_eq!((facts.new_address, facts.new_agent, facts.address_age), (yes, yes, Some(0)));
    let facts = observe(&mut m, &read(5_020));
    assert_eq!((facts.new_address, facts.new_agent), (Some(false), Some(false)));
    assert_eq!((facts.agent_age, facts.address_age), (Some(5_000), Some(5_000)));
    // Nobody is at work by asking: a journey is none the less one because it begins so.
    let later = at(1, 0);
    let home = || alice().from("192.0.2.7");
    observe(&mut m, &home().of("get", "", "").uri("/api").at(later));
    assert_eq!(observe(&mut m, &home().at(later + 1)).address_age, None);
    // After 30 days a client is new again.
    assert_eq!(observe(&mut m, &read(40 * 86_400)).agent_age, Some(0));
}

#[test]
fn an_account_arrives_where_it_comes_from_a_pod_and_not_from_elsewhere_outside() {
    let account = |ip: &str, second: i64| {
        Made::new("system:serviceaccount:ci:deployer").from(ip).of("get", "pods", "shop").at(at(0, second))
    };
    let mut inside = Memory::new(BUDGET);
    observe(&mut inside, &account("10.244.1.10", 0));
    assert_eq!(observe(&mut inside, &account("203.0.113.9", 5)).address_age, Some(0));
    let mut outside = Memory::new(BUDGET);
    observe(&mut outside, &account("198.51.100.10", 0));
    assert_eq!(observe(&mut outside, &account("203.0.113.9", 5)).address_age, None);
}

#[test]
fn nobody_arrives_where_colleagues_are_at_home() {
    let mut m = Memory::new(BUDGET);
    let person = |name: &str, ip: &str, second: i64| Made::new(name).from(ip).at(at(0, second));
    // A log that begins with the thief.
    observe(&mut m, &person("bob@example.com", "198.51.100.34", 0));
    observe(&mut m, &person("alice@example.com", "203.0.113.9", 1));
    let owner = observe(&mut m, &person("alice@example.com", "198.51.100.21", 2));
    assert_eq!((owner.new_address, owner.address_age), (Some(true), None));
    // Who has arrived himself makes a place no home for others.
    observe(&mut m, &person("bob@example.com", "192.0.2.9", 3));
    assert_eq!(observe(&mut m, &person("alice@example.com", "192.0.2.9", 4)).address_age, Some(0));
}
