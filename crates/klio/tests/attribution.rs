//! Who is behind a finding, as a user reads it: chains to the first cause, both identities, and persons.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::path::Path;

use made::{err, klio, ok, out, recorded, refused};
use serde_json::Value;
use server::{PORTS, Server, body, connect, runtime, send};

const FOOTHOLD: &str = "system:serviceaccount:orders:legacy-importer";

fn lines(text: &str, kind: &str) -> Vec<Value> {
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["type"] == kind).collect()
}

fn people(dir: &Path, text: &str) -> String {
    let path = dir.join("people.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn an_intrusion_is_told_from_its_first_cause_on() {
    let dir = tempfile::tempdir().unwrap();
    for run in ["metadata", "recommended"] {
        let log = recorded(&format!("killchain/{run}.jsonl.zst"));
        let told = ok(dir.path(), &["scan", &log, "-o", "jsonl"]);
        let labels = std::fs::read_to_string(recorded("killchain/labels.json")).unwrap();
        let labels: Value = serde_json::from_str(&labels).unwrap();
        let malicious = labels["runs"][run]["malicious"].as_object().unwrap();
        let findings = lines(&told, "finding");
        let mut minted = 0;
        for finding in &findings {
            let (actor, chain) = (&finding["actor"]["user"], finding["attribution"]["chain"].as_array());
            let thief = ["argocd:argocd-application-controller", "kube-system:node-health-agent"];
            let is_stolen = finding["evidence"].as_array().unwrap().iter().any(|event| {
                malicious.contains_key(event["audit_id"].as_str().unwrap())
                    && thief.iter().any(|name| actor.as_str().unwrap_or_default().ends_with(name))
            });
            if is_stolen {
                let first = chain.and_then(|chain| chain.last()).unwrap_or_else(|| panic!("{finding}"));
                assert_eq!(
                    (&first["user"], &first["because"]),
                    (&FOOTHOLD.into(), &"token".into()),
                    "{finding}"
                );
                let step = malicious[first["audit_id"].as_str().unwrap()].as_str().unwrap();
                assert!(step.contains("TokenRequest"), "{step}");
                minted += 1;
            }
        }
        assert!(minted > 5, "{run}: {minted}");
        let is_his = |story: &Value| story["actors"][0]["user"] == FOOTHOLD;
        let story = lines(&told, "story").into_iter().find(is_his).unwrap();
        assert_eq!(story["first_cause"]["user"], FOOTHOLD, "{}", story["first_cause"]);
        assert_eq!(story["first_cause"]["workload"], "deployments/orders/legacy-importer");
        assert!(malicious.contains_key(story["first_cause"]["audit_id"].as_str().unwrap()));
        for paragraph in story["causes"].as_array().unwrap() {
            assert!(!paragraph["evidence"].as_array().unwrap().is_empty(), "{paragraph}");
        }

        let by = "By service account argocd/argocd-application-controller, with a token that service account \
                  orders/legacy-importer of Deployment orders/legacy-importer minted on 2026-11-21 at ";
        for form in ["table", "html", "md"] {
            let shown = ok(dir.path(), &["scan", &log, "-o", form]).replace('\\', "");
            assert!(shown.contains(by), "{form}");
        }
        let csv = ok(dir.path(), &["scan", &log, "-o", "csv"]);
        assert!(csv.lines().next().unwrap().contains(",line,person,attribution,story,"), "{csv}");
        let id = story["id"].as_str().unwrap();
        let page = ok(dir.path(), &["incident", id, "--log", &log]);
        let began = page.split("Where it began").nth(1).unwrap();
        assert!(
            began.trim_start().starts_with("First cause: service account orders/legacy-importer"),
            "{began}"
        );
        assert!(began.contains("By service account argocd/argocd-application-controller, with a token that service account orders/legacy-importer"), "{began}");
    }
}

#[test]
fn who_acts_as_somebody_else_is_told_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    let log = recorded("attacks/14-impersonate-masters/recommended.jsonl.zst");
    let told = ok(dir.path(), &["scan", &log, "-o", "jsonl"]);
    let acting: Vec<Value> = lines(&told, "finding")
        .into_iter()
        .filter(|finding| finding["actor"]["impersonated"] == "superadmin")
        .collect();
    assert!(!acting.is_empty());
    for finding in &acting {
        assert_eq!(finding["actor"]["user"], "erin@corp.example");
        assert_eq!(finding["attribution"]["said"], "erin@corp.example, acting as superadmin");
        assert!(finding["message"].as_str().unwrap().contains("acting as superadmin"), "{finding}");
    }
    let table = ok(dir.path(), &["scan", &log]);
    assert!(table.contains("erin@corp.example as superadmin from 198.51.100.80"), "{table}");
    let incidents = ok(dir.path(), &["incident", "--log", &log]);
    assert!(incidents.contains("erin@corp.example"), "{incidents}");
    ok(dir.path(), &["ingest", &log]);
    let of = ok(dir.path(), &["actor", "superadmin"]);
    assert!(of.contains("Nobody came as superadmin himself") && of.contains("erin@corp.example"), "{of}");
    let erin = ok(dir.path(), &["actor", "erin@corp.example"]);
    assert!(erin.contains("superadmin"), "{erin}");
    let timeline = ok(dir.path(), &["timeline", "--actor", "superadmin"]);
    assert!(timeline.contains("erin@corp.example acting as superadmin"), "{timeline}");
}

#[test]
fn persons_stand_beside_their_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let list = people(
        dir.path(),
        "- person: Erin Example <erin@example.com>\n  team: platform\n  accounts: ['erin@*', kubernetes-admin]\n\
         - person: Mallory\n  accounts: [mallory@corp.example]\n  where: 'source.ip:198.51.100.*'\n",
    );
    let log = recorded("attacks/14-impersonate-masters/recommended.jsonl.zst");
    let told = ok(dir.path(), &["scan", &log, "--people", &list, "-o", "jsonl"]);
    let of_erin: Vec<Value> = lines(&told, "finding")
        .into_iter()
        .filter(|finding| finding["actor"]["user"] == "erin@corp.example")
        .collect();
    assert!(!of_erin.is_empty());
    for finding in &of_erin {
        assert_eq!(finding["actor"]["person"]["name"], "Erin Example <erin@example.com>");
        assert_eq!(finding["actor"]["person"]["team"], "platform");
        let message = finding["message"].as_str().unwrap();
        assert!(message.contains("erin@corp.example (Erin Example <erin@example.com>)"), "{message}");
    }
    let asked = |filter: &str| {
        let told = klio(dir.path(), &["scan", &log, "--people", &list, "--where", filter, "-o", "jsonl"]);
        lines(&out(&told), "summary").remove(0)["events"].as_u64().unwrap()
    };
    let (erin, team) = (asked("user.person:erin*"), asked("user.team:platform"));
    assert!(erin > 5 && team == erin, "{erin} {team}");
    assert_eq!(asked("user:erin@* or user:kubernetes-admin"), erin);
    let rule = dir.path().join("rule.yml");
    let text = "title: Somebody of platform\nlogsource: {product: kubernetes, service: audit}\n\
                detection: {s: {user.team: platform, verb: get}, condition: s}\nlevel: low\n";
    std::fs::write(&rule, text).unwrap();
    let rule = rule.display().to_string();
    let by_rule =
        ok(dir.path(), &["scan", &log, "--people", &list, "--rules", &rule, "--only-rules", "-o", "jsonl"]);
    let found = lines(&by_rule, "finding");
    assert!(!found.is_empty());
    assert!(
        found.iter().all(|finding| finding["evidence"][0]["fields"]["user.team"] == "platform"),
        "{found:?}"
    );

    // The lake holds no persons: who is meant is asked by his accounts.
    refused(dir.path(), &["hunt", "user.person:erin*"], 2, "nobody said which person uses which accounts");
    let settings = dir.path().join("klio.yaml");
    std::fs::write(&settings, format!("people: {list}\n")).unwrap();
    ok(dir.path(), &["ingest", &log]);
    let hunted = ok(dir.path(), &["hunt", "user.person:erin* and stage:ResponseComplete"]);
    let by_name = ok(dir.path(), &["hunt", "user:(erin@* or kubernetes-admin) and stage:ResponseComplete"]);
    assert!(hunted.lines().count() > 5 && hunted == by_name);
    let top = ok(dir.path(), &["stats", "top", "user.person", "--json"]);
    assert!(top.contains("Erin Example") && !top.contains("Mallory"), "{top}");
    let teams = ok(dir.path(), &["stats", "top", "user.team"]);
    assert!(teams.contains("platform") && teams.contains("(no value)"), "{teams}");
    let timeline = ok(dir.path(), &["timeline", "--actor", "erin@corp.example"]);
    assert!(timeline.contains("erin@corp.example (Erin Example <erin@example.com>)"), "{timeline}");
    assert!(ok(dir.path(), &["actor", "erin@corp.example"]).contains("Person: Erin Example"));
    assert!(ok(dir.path(), &["incident"]).contains("erin@corp.example (Erin Example"));
}

#[test]
fn a_wrong_list_of_people_is_told_with_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let log = recorded("attacks/14-impersonate-masters/recommended.jsonl.zst");
    let two = "- person: Alice\n  accounts:\n  - kubernetes-*\n- person: Bob\n  accounts: [bob, kubernetes-admin]\n";
    let list = people(dir.path(), two);
    let told = klio(dir.path(), &["scan", &log, "--people", &list]);
    assert_eq!(told.status.code(), Some(2));
    let said = "people.yaml: line 5: `kubernetes-admin` of Bob is also `kubernetes-*` of Alice on line 3";
    assert!(err(&told).contains(said), "{}", err(&told));
    refused(dir.path(), &["scan", &log, "--people", "/no/such/file"], 2, "/no/such/file");
    refused(dir.path(), &["scan", &log, "--where", "user.person:bob"], 2, "nobody said which person");
}

/// An event of now.
fn event(id: &str, user: &str, extra: &str, resource: &str, name: &str, body: &str) -> String {
    let now = jiff::Timestamp::now();
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Request\",\"auditID\":\"{id}\",\
         \"stage\":\"ResponseComplete\",\"requestURI\":\"/x\",\"verb\":\"create\",\
         \"user\":{{\"username\":\"{user}\",\"groups\":[\"g\"],\"extra\":{{{extra}}}}},\"sourceIPs\":[\"203.0.113.9\"],\
         \"userAgent\":\"curl/8\",\"objectRef\":{{\"resource\":\"{resource}\",\"namespace\":\"shop\",\"name\":\"{name}\",\
         \"apiVersion\":\"v1\"}},\"responseStatus\":{{\"code\":201}},\"requestObject\":{body},\
         \"requestReceivedTimestamp\":\"{now:.6}\",\"stageTimestamp\":\"{now:.6}\"}}"
    )
}

#[test]
fn the_server_tells_who_is_behind_it_to_whom_it_shows_all_and_reads_people_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    std::fs::create_dir_all(&data).unwrap();
    let list = people(dir.path(), "- person: Alice\n  accounts: [alice]\n");
    std::fs::write(data.join("klio.yaml"), format!("people: {list}\nserver:\n{PORTS}  flush_seconds: 1\n"))
        .unwrap();
    let prod = connect(&data, "prod");
    let token = |user: &str, scope: &str| {
        ok(&data, &["user", "add", user, "--role", "analyst", "--scope", scope]);
        ok(&data, &["user", "token", user, "--name", "test"]).trim().to_owned()
    };
    let (whole, part) = (token("ana", "*"), token("ben", "prod/shop"));
    let server = Server::start(&data);
    let extra = |key: &str, value: &str| format!("\"authentication.kubernetes.io/{key}\":[\"{value}\"]");
    let pod = [extra("pod-name", "db-0"), extra("pod-uid", "u"), extra("credential-id", "JTI=1")].join(",");
    let bad = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"bad\"},\"spec\":{\"hostPID\":true,\"containers\":[\
               {\"name\":\"c\",\"image\":\"i\",\"securityContext\":{\"privileged\":true}}]}}";
    let events = [
        event("wrote", "alice", "", "statefulsets", "db", "{}"),
        event("deed", "system:serviceaccount:shop:db", &pod, "pods", "bad", bad),
    ];
    assert_eq!(server.post("/audit", &prod, body(&events.join("\n"))).status, 200);
    server.settled();
    let get = |token: &str, path: &str| {
        let request = server.client().build().unwrap().get(format!("{}{path}", server.https));
        let answer = runtime().block_on(send(request.bearer_auth(token))).unwrap();
        assert_eq!(answer.status, 200, "{path} {answer:?}");
        answer.json()
    };
    let of_deed = |token: &str| {
        let found = get(token, "/api/v1/findings");
        let all = found["items"].as_array().unwrap().clone();
        let of_deed = |finding: &&Value| finding["evidence"][0]["auditId"] == "deed";
        all.iter().find(of_deed).unwrap_or_else(|| panic!("{found}")).clone()
    };
    let told = of_deed(&whole)["attribution"].clone();
    assert_eq!(told["workload"], "statefulsets/shop/db", "{told}");
    let first = &told["chain"][0];
    assert_eq!((&first["auditId"], &first["person"]["name"]), (&"wrote".into(), &"Alice".into()), "{told}");
    assert_eq!(of_deed(&part)["attribution"], Value::Null);
    let story = |token: &str| get(token, "/api/v1/stories")["items"][0].clone();
    assert_eq!(story(&whole)["firstCause"]["user"], "alice");
    assert!(story(&whole)["causes"][0]["text"].as_str().unwrap().starts_with("First cause: alice (Alice)"));

    // Persons are asked by their accounts, as the file has them now.
    let count = |filter: &str| get(&whole, &format!("/api/v1/events/count?filter={filter}"))["count"].clone();
    assert_eq!((count("user.person:alice"), count("user.person:bob")), (1.into(), 0.into()));
    std::fs::write(&list, "- person: Bob\n  accounts: [alice, 'system:serviceaccount:shop:*']\n").unwrap();
    server.until("the file is read again", |_| count("user.person:bob") == 2);
    let top = get(&whole, "/api/v1/events/top?field=user.person");
    assert_eq!((&top["values"][0]["value"], &top["values"][0]["count"]), (&"Bob".into(), &2.into()), "{top}");
    // A file that is wrong is not taken.
    std::fs::write(&list, "- person: Bob\n  accounts: ['*']\n").unwrap();
    server.until("the file is refused", |server| server.said("the rules stay as they were") > 0);
    assert_eq!(count("user.person:bob"), 2);
}
