//! Who is behind a finding, as a user reads it: chains to the first cause, both identities, and persons.
#![cfg(feature = "lake")]

#[path = "made/klio.rs"]
mod made;

use std::path::Path;

use made::{err, klio, ok, out, recorded, refused};
use serde_json::Value;

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
        let story = lines(&told, "story").into_iter().find(|story| story["severity"] == "critical").unwrap();
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
        assert!(began.contains("with a token that service account orders/legacy-importer"), "{began}");
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
    assert!(erin > 10 && team == erin, "{erin} {team}");
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
    assert!(hunted.lines().count() > 10 && hunted == by_name);
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
