//! Who is behind a request, as a memory tells it from made-up and recorded streams of events.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)] // helpers of tests

#[path = "made/stream.rs"]
mod stream;

use std::collections::BTreeMap;
use std::path::Path;

use klio_detect::{Memory, Trace};
use klio_model::attribution::Because;
use klio_model::{Attribution, Event, Field};
use stream::{Made, at};

const BUDGET: usize = 64 << 20;

fn controller(name: &str) -> Made {
    Made::new(&format!("system:serviceaccount:kube-system:{name}-controller"))
}

fn owned(kind: &str, name: &str, uid: &str) -> String {
    format!(
        r#"{{"metadata":{{"ownerReferences":[{{"kind":"{kind}","name":"{name}","uid":"{uid}","controller":true}}]}}}}"#
    )
}

/// A request with the token of a pod.
fn of_pod(account: &str, pod: &str) -> Made {
    let made = Made::new(&format!("system:serviceaccount:shop:{account}")).of("list", "secrets", "shop");
    made.token(pod).pod(pod, &format!("uid-{pod}"), "node-1")
}

#[test]
fn behind_a_service_account_stands_who_wrote_its_workload() {
    let mut m = Memory::new(BUDGET);
    let alice = || Made::new("alice@example.com");
    let cart = alice().of("create", "deployments", "shop").name("cart").code(201).id("a1").at(at(0, 0));
    assert_eq!(cart.behind(&mut m), [""; 0]);
    // Without bodies: by names.
    let set = controller("deployment").of("create", "replicasets", "shop").name("cart-7c9f6d5b8c").code(201);
    assert_eq!(set.at(at(0, 1)).behind(&mut m), ["owner alice@example.com a1 ?"]);
    let used = of_pod("cart", "cart-7c9f6d5b8c-x2v9k");
    assert_eq!(used.at(at(0, 2)).behind(&mut m), ["workload alice@example.com a1 ?"]);
    // Recorded owners are sure, over a set that nobody saw written, too.
    let pod = |set: &str| {
        controller("replicaset").of("create", "pods", "shop").code(201).body(&owned("ReplicaSet", set, "u"))
    };
    let named = pod("cart-5f569bcd55").name("cart-5f569bcd55-abcde");
    assert_eq!(named.at(at(0, 3)).behind(&mut m), ["owner alice@example.com a1 ?"]);
    let set = controller("deployment").of("create", "replicasets", "shop").name("cart-7c9f6d5b8c").code(201);
    set.body(&owned("Deployment", "cart", "u1")).at(at(0, 4)).observe(&mut m);
    let named = pod("cart-7c9f6d5b8c").name("cart-7c9f6d5b8c-zzzzz");
    assert_eq!(named.at(at(0, 5)).behind(&mut m), ["owner alice@example.com a1"]);
    let used = of_pod("cart", "cart-7c9f6d5b8c-zzzzz");
    assert_eq!(used.at(at(0, 6)).behind(&mut m), ["workload alice@example.com a1"]);

    // Who scales it, or binds its pods, wrote nothing that runs; whoever patches it did.
    let mallory = || Made::new("mallory@example.com");
    mallory()
        .of("patch", "deployments", "shop")
        .sub("scale")
        .name("cart")
        .id("m1")
        .at(at(0, 7))
        .observe(&mut m);
    let custom =
        Made::new("system:serviceaccount:shop:scheduler").of("create", "pods", "shop").sub("binding");
    custom.name("cart-7c9f6d5b8c-zzzzz").code(201).id("s1").at(at(0, 8)).observe(&mut m);
    assert_eq!(used.at(at(0, 9)).behind(&mut m), ["workload alice@example.com a1"]);
    let other = of_pod("cart", "cart-7c9f6d5b8c-bbbbb");
    assert_eq!(other.at(at(0, 10)).behind(&mut m), ["workload alice@example.com a1 ?"]);
    mallory().of("patch", "deployments", "shop").name("cart").id("m2").at(at(0, 11)).observe(&mut m);
    assert_eq!(other.at(at(0, 12)).behind(&mut m), ["workload mallory@example.com m2 ?"]);
    // What was made before stays whose it was.
    assert_eq!(used.at(at(0, 13)).behind(&mut m), ["workload alice@example.com a1"]);

    // A pod of one's own, a StatefulSet's, a DaemonSet's, a CronJob's.
    alice().of("create", "pods", "shop").name("tool").code(201).id("a2").at(at(0, 14)).observe(&mut m);
    assert_eq!(of_pod("cart", "tool").at(at(0, 15)).behind(&mut m), ["workload alice@example.com a2"]);
    for (n, (kind, pod)) in
        [("statefulsets", "db-0"), ("daemonsets", "db-x2v9k"), ("cronjobs", "db-29920391-x2v9k")]
            .into_iter()
            .enumerate()
    {
        let (time, id) = (at(1 + n as i64, 0), format!("w{n}"));
        alice().of("create", kind, "shop").name("db").code(201).id(&id).at(time).observe(&mut m);
        let want = format!("workload alice@example.com {id} ?");
        assert_eq!(of_pod("db", pod).at(time + 1).behind(&mut m), [want], "{kind}");
        alice().of("delete", kind, "shop").name("db").id("gone").at(time + 2).observe(&mut m);
    }
    // A pod that is made again under its name is of who wrote its workload last.
    let again = || controller("statefulset").of("create", "pods", "shop").name("web-0").code(201);
    alice().of("create", "statefulsets", "shop").name("web").code(201).id("e1").at(at(5, 0)).observe(&mut m);
    assert_eq!(again().at(at(5, 1)).behind(&mut m), ["owner alice@example.com e1 ?"]);
    mallory().of("patch", "statefulsets", "shop").name("web").id("e2").at(at(5, 2)).observe(&mut m);
    assert_eq!(of_pod("web", "web-0").at(at(5, 3)).behind(&mut m), ["workload alice@example.com e1 ?"]);
    assert_eq!(again().at(at(5, 4)).behind(&mut m), ["owner mallory@example.com e2 ?"]);
    let bound = Made::new("system:kube-scheduler").of("create", "pods", "shop").sub("binding").name("web-0");
    assert_eq!(bound.code(201).at(at(5, 5)).behind(&mut m), ["owner mallory@example.com e2 ?"]);
    assert_eq!(of_pod("web", "web-0").at(at(5, 6)).behind(&mut m), ["workload mallory@example.com e2 ?"]);
    assert!(Memory::restore(&m.snapshot()).unwrap().snapshot() == m.snapshot());
}

#[test]
fn a_chain_goes_on_to_the_person_over_tokens_workloads_and_accounts() {
    let mut m = Memory::new(BUDGET);
    let user = |name: &str, token: &str| Made::new(name).token(token).of("list", "pods", "shop");
    // Alice, acting as somebody, writes the runner; its account mints a token, which writes a pod, whose account reads.
    let alice = Made::new("alice@example.com").acting_as("system:admin").of("create", "statefulsets", "shop");
    alice.name("runner").code(201).id("a1").at(at(0, 0)).observe(&mut m);
    of_pod("runner", "runner-0").issues("t1").id("b2").at(at(0, 1)).observe(&mut m);
    let admin = "system:serviceaccount:shop:admin";
    let chain = ["token system:serviceaccount:shop:runner b2", "workload alice@example.com a1 ?"];
    assert_eq!(user(admin, "t1").at(at(0, 2)).behind(&mut m), chain);
    user(admin, "t1")
        .of("create", "pods", "shop")
        .name("bad")
        .code(201)
        .id("c3")
        .at(at(0, 3))
        .observe(&mut m);
    let mut longer = vec!["workload system:serviceaccount:shop:admin c3"];
    longer.extend(chain);
    let used = of_pod("bad", "bad").at(at(0, 4));
    assert_eq!(used.behind(&mut m), longer);
    let told = m.attribution(&used.trace().unwrap(), Some("system:serviceaccount:shop:bad"));
    assert_eq!(told.first_cause().unwrap().acting_as.as_deref(), Some("system:admin"));
    assert_eq!(told.chain[1].workload.as_deref(), Some("statefulsets/shop/runner"));
    assert_eq!(told.chain[0].what.as_deref(), Some("create pods/shop/bad"));
    // A chain is as it was when it was made.
    let bob = Made::new("bob@example.com").of("patch", "statefulsets", "shop").name("runner");
    bob.id("b9").at(at(0, 5)).observe(&mut m);
    assert_eq!(used.at(at(0, 6)).behind(&mut m), longer);

    // An account of which nothing else is known.
    let made = user(admin, "t1").of("create", "serviceaccounts", "shop").name("ghost").code(201).id("d4");
    made.at(at(0, 7)).observe(&mut m);
    let ghost = Made::new("system:serviceaccount:shop:ghost").of("list", "secrets", "shop").at(at(0, 8));
    let mut account = vec!["account system:serviceaccount:shop:admin d4"];
    account.extend(chain);
    assert_eq!(ghost.behind(&mut m), account);

    // Who has a controller's token issued to himself is behind what it does, and behind what follows from it.
    let dsc = "system:serviceaccount:kube-system:daemon-set-controller";
    of_pod("runner", "runner-0").issues("t2").id("e5").at(at(0, 9)).observe(&mut m);
    let set =
        user(dsc, "t2").of("create", "daemonsets", "shop").name("evil").code(201).id("f6").at(at(0, 10));
    let thief = ["token system:serviceaccount:shop:runner e5", "workload bob@example.com b9 ?"];
    assert_eq!(set.behind(&mut m), thief);
    let facts = set.observe(&mut m);
    assert_eq!(facts.author.as_deref(), Some("system:serviceaccount:shop:runner"));
    let pod = user(dsc, "own").of("create", "pods", "shop").name("evil-x2v9k").code(201);
    let mut owner = vec!["owner system:serviceaccount:kube-system:daemon-set-controller f6"];
    owner.extend(thief);
    assert_eq!(pod.body(&owned("DaemonSet", "evil", "u")).at(at(0, 11)).behind(&mut m), owner);

    // Nobody is behind a person.
    assert_eq!(Made::new("alice@example.com").at(at(0, 12)).behind(&mut m), [""; 0]);
}

#[test]
fn whoever_wrote_last_is_behind_it_whether_uids_are_recorded_or_not() {
    let by = |name: &str, verb: &str, kind: &str, n: i64| {
        Made::new(&format!("{name}@example.com")).of(verb, kind, "shop").name("cart").id(name).at(at(0, n))
    };
    let made = |by: &str, uid: &str, n: i64| {
        let set = controller(by).of("create", "replicasets", "shop").name(&format!("cart-7c9d8f7b{n}d"));
        set.code(201).body(&owned("Deployment", "cart", uid)).uid(&format!("rs{n}")).at(at(0, n))
    };
    // Only the creation, or the change too, was recorded with its answer.
    for answer in ["", "u1"] {
        let mut m = Memory::new(BUDGET);
        by("alice", "create", "deployments", 0).code(201).uid("u1").observe(&mut m);
        assert_eq!(made("deployment", "u1", 1).behind(&mut m), ["owner alice@example.com alice"]);
        by("mallory", "patch", "deployments", 2).uid(answer).observe(&mut m);
        assert_eq!(made("deployment", "u1", 3).behind(&mut m), ["owner mallory@example.com mallory"]);
        let pod =
            controller("replicaset").of("create", "pods", "shop").name("cart-7c9d8f7b3d-x2bcd").code(201);
        let pod = pod.body(&owned("ReplicaSet", "cart-7c9d8f7b3d", "rs3")).uid("p").at(at(0, 4));
        assert_eq!(pod.behind(&mut m), ["owner mallory@example.com mallory"]);
        let used = of_pod("default", "cart-7c9d8f7b3d-x2bcd").at(at(0, 5));
        assert_eq!(used.behind(&mut m), ["workload mallory@example.com mallory"]);
        // Another object of that name is not his.
        by("bob", "delete", "deployments", 6).observe(&mut m);
        by("bob", "create", "deployments", 7).code(201).uid("u2").observe(&mut m);
        assert_eq!(made("deployment", "u1", 8).behind(&mut m), ["owner mallory@example.com mallory"]);
        assert_eq!(made("deployment", "u2", 9).behind(&mut m), ["owner bob@example.com bob"]);
        // Nor is one of which nobody knows whether it is another.
        by("carol", "create", "deployments", 10).code(201).observe(&mut m);
        assert_eq!(made("deployment", "u2", 11).behind(&mut m), ["owner carol@example.com carol ?"]);
        assert!(Memory::restore(&m.snapshot()).unwrap().snapshot() == m.snapshot());
    }
}

#[test]
fn a_pod_that_somebody_wrote_himself_is_no_part_of_a_workload_of_that_name() {
    let mut m = Memory::new(BUDGET);
    let alice = Made::new("alice@example.com").of("create", "deployments", "shop").name("cart").code(201);
    alice.at(at(0, 0)).observe(&mut m);
    let mallory = Made::new("mallory@example.com").of("create", "pods", "shop").code(201).id("m");
    let operator = Made::new("system:serviceaccount:shop:operator").of("create", "pods", "shop").code(201);
    for (writer, pod, want) in [
        (mallory, "cart-7c9d8f7b6d-x2bcd", ("pods/shop/cart-7c9d8f7b6d-x2bcd", true)),
        (operator, "cart-7c9d8f7b6d-zzzzz", ("pods/shop/cart-7c9d8f7b6d", false)),
    ] {
        let user = writer.name(pod).at(at(0, 1));
        user.observe(&mut m);
        let used = of_pod("default", pod).at(at(0, 2));
        assert_eq!(used.observe(&mut m).workload.as_deref(), Some(want.0));
        let told = m.attribution(&used.trace().unwrap(), Some("system:serviceaccount:shop:default"));
        assert_eq!((told.workload.as_deref(), told.workload_sure), (Some(want.0), Some(want.1)));
        assert!(told.first_cause().unwrap().sure);
    }
    // By names alone it is the workload's, and that is not sure.
    let used = of_pod("default", "cart-7c9d8f7b6d-bbbbb").at(at(0, 3));
    used.observe(&mut m);
    let told = m.attribution(&used.trace().unwrap(), None);
    assert_eq!((told.workload.as_deref(), told.workload_sure), (Some("deployments/shop/cart"), Some(false)));
    // A pod that a controller made anew under its name is not who's made the old one.
    let old = Made::new("mallory@example.com").of("create", "pods", "shop").name("db-0").code(201);
    old.at(at(0, 4)).observe(&mut m);
    let new = controller("statefulset").of("create", "pods", "shop").name("db-0").code(201);
    new.at(at(0, 5)).observe(&mut m);
    let used = of_pod("default", "db-0").at(at(0, 6));
    assert_eq!(used.behind(&mut m), [""; 0]);
    assert_eq!(used.observe(&mut m).workload.as_deref(), Some("statefulsets/shop/db"));
}

#[test]
fn many_cheap_writes_make_nobody_forgotten() {
    let mut m = Memory::new(8 << 20);
    let mallory = || Made::new("mallory@example.com");
    let used = Made::new("system:serviceaccount:shop:robot").token("t1").of("list", "secrets", "shop");
    mallory().issues("t1").id("mint").at(at(0, 0)).observe(&mut m);
    Made::new("alice@example.com")
        .of("create", "deployments", "shop")
        .name("cart")
        .code(201)
        .id("a1")
        .at(at(0, 1))
        .observe(&mut m);
    let set = controller("deployment").of("create", "replicasets", "shop").name("cart-7c9d8f7b6d").code(201);
    set.body(&owned("Deployment", "cart", "u1")).at(at(0, 2)).observe(&mut m);
    // Of one object only the last write counts, and those from which something was made.
    for n in 0..3_000 {
        let at = at(0, 10 + n);
        mallory().of("patch", "configmaps", "shop").name("x").id(&format!("x{n}")).at(at).observe(&mut m);
        mallory().of("patch", "deployments", "shop").name("cart").id(&format!("d{n}")).at(at).observe(&mut m);
    }
    assert_eq!(m.stats().evicted, 0);
    assert_eq!(used.at(at(0, 4_000)).behind(&mut m), ["token mallory@example.com mint"]);
    let pod = controller("replicaset").of("create", "pods", "shop").code(201).name("cart-7c9d8f7b6d-x2bcd");
    let pod = pod.body(&owned("ReplicaSet", "cart-7c9d8f7b6d", "rs")).at(at(0, 4_001));
    assert_eq!(pod.behind(&mut m), ["owner alice@example.com a1"]);
    // Where requests are forgotten, who made them is not.
    for n in 0..3_000 {
        let made = mallory().of("create", "configmaps", "shop").name(&format!("y{n}")).code(201);
        made.id(&format!("y{n}")).at(at(0, 5_000 + n)).observe(&mut m);
    }
    assert!(m.stats().evicted > 0 && m.stats().bytes <= 8 << 20, "{:?}", m.stats());
    assert_eq!(used.at(at(0, 9_000)).behind(&mut m), ["token mallory@example.com -"]);
    assert!(Memory::restore(&m.snapshot()).unwrap().snapshot() == m.snapshot());
}

#[test]
fn what_says_nothing_is_not_remembered() {
    let mut m = Memory::new(BUDGET);
    let (person, account) = ("eve@example.com", "system:serviceaccount:shop:cart");
    for n in 0..100 {
        for (user, resource) in
            [(person, "leases"), (person, "subjectaccessreviews"), (account, "configmaps")]
        {
            let made = Made::new(user).of("create", resource, "shop").name(&format!("x{n}")).code(201);
            made.at(at(0, n)).observe(&mut m);
        }
    }
    let quiet = m.snapshot().len();
    for n in 0..100 {
        Made::new(person)
            .of("create", "deployments", "shop")
            .name(&format!("x{n}"))
            .code(201)
            .id("id")
            .observe(&mut m);
    }
    assert!(m.snapshot().len() > quiet + 100 * 30);
    // Denied, tried out and failed writes are nobody's cause.
    let mut m = Memory::new(BUDGET);
    for made in
        [Made::new(person).code(403), Made::new(person).code(409), Made::new(person).uri("/x?dryRun=All")]
    {
        made.of("create", "statefulsets", "shop").name("db").observe(&mut m);
    }
    assert_eq!(of_pod("db", "db-0").at(at(0, 9)).behind(&mut m), [""; 0]);
    // A long audit id, which the client chooses, hides nobody.
    let long =
        Made::new(person).of("create", "statefulsets", "shop").name("db").code(201).id(&"x".repeat(2_000));
    long.at(at(0, 10)).observe(&mut m);
    assert_eq!(of_pod("db", "db-0").at(at(0, 11)).behind(&mut m), ["workload eve@example.com - ?"]);
}

/// The attribution of each request of a recording, by audit id.
fn recorded(name: &str) -> BTreeMap<String, (String, Attribution)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded").join(name);
    let bytes = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_cached_key(|json| Event::parse(json).unwrap().time());
    let (mut m, mut all) = (Memory::new(BUDGET), BTreeMap::new());
    for json in lines {
        let event = Event::parse(json).unwrap();
        let Some(trace) = Trace::of(&event) else { continue };
        m.observe(&trace);
        let user = event.text_of(Field::User).unwrap();
        let id = event.text_of(Field::AuditId).unwrap().to_owned();
        all.insert(id, (user.to_owned(), m.attribution(&trace, Some(user))));
    }
    all
}

fn labels(name: &str, run: &str, what: &str) -> klio_model::Json<'static> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded").join(name);
    let text: &'static str = std::fs::read_to_string(path).unwrap().leak();
    klio_model::Json::parse(text).unwrap().pointer(&format!("/runs/{run}/{what}")).unwrap().clone()
}

#[test]
fn the_chain_of_the_recorded_intrusion_ends_at_the_foothold() {
    for run in ["metadata", "recommended"] {
        let all = recorded(&format!("killchain/{run}.jsonl.zst"));
        let labels = labels("killchain/labels.json", run, "malicious");
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for (id, _) in labels.members() {
            let Some((user, told)) = all.get(&**id) else { continue };
            let end = told.first_cause().map_or(user.as_str(), |cause| cause.user.as_str());
            *ends.entry(end.to_owned()).or_default() += 1;
        }
        println!("{run}: {ends:?}");
        assert!(
            ends.len() == 1 && ends.contains_key("system:serviceaccount:orders:legacy-importer"),
            "{ends:?}"
        );
    }
}

#[test]
fn what_controllers_did_with_an_attackers_objects_leads_to_him() {
    for run in ["metadata", "recommended", "requestresponse"] {
        let name = "attacks/18-cronjob-daemonset-persistence";
        let all = recorded(&format!("{name}/{run}.jsonl.zst"));
        let malicious = labels(&format!("{name}/labels.json"), run, "malicious");
        let is_his = |id: &str| malicious.members().iter().any(|(own, _)| **own == *id);
        let (mut found, mut wrong) = (0, Vec::new());
        for id in labels(&format!("{name}/labels.json"), run, "consequences").items() {
            let Some((user, told)) = all.get(id.as_str().unwrap()) else { continue };
            let Some(first) = told.first_cause() else { continue };
            found += 1;
            if first.user != "kubernetes-admin" || !is_his(first.audit_id.as_deref().unwrap()) {
                wrong.push(format!("{user} {first:?}"));
            }
            assert_eq!(
                first.sure,
                run != "metadata" || told.chain[0].because == Because::Token,
                "{run} {told:?}"
            );
        }
        println!("{run}: {found} consequences lead to him");
        assert!(wrong.is_empty(), "{run}: {wrong:?}");
        assert!(found >= 6, "{run}: {found}");
    }
}
