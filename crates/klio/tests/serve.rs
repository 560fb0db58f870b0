//! The server as API servers and administrators meet it.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use made::{count, events, number, ok, recorded};
use serde_json::{Value, json};
use server::{Server, body, connect, runtime, send};

/// The bodies that a real API server posted.
fn recordings() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(recorded("webhook")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".json.zst"));
    paths.sort();
    let read = |path: &std::path::PathBuf| zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    paths.iter().map(read).collect()
}

fn ids(bodies: &[Vec<u8>]) -> BTreeSet<String> {
    let items = bodies.iter().flat_map(|body| {
        let list: Value = serde_json::from_slice(body).unwrap();
        list["items"].as_array().unwrap().clone()
    });
    items.map(|item| format!("{} {}", item["auditID"], item["stage"])).collect()
}

#[test]
fn what_an_api_server_posts_is_kept_once_however_often_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let bodies = recordings();
    let wanted = ids(&bodies).len() as u64;
    let mut server = Server::start(&data);
    for round in 0..3 {
        // Each body twice at the same time, as when the first answer is late.
        let client = server.client().build().unwrap();
        let answers = runtime().block_on(async {
            let mut sending = tokio::task::JoinSet::new();
            for body in bodies.iter().chain(&bodies) {
                let request = client.post(format!("{}/audit", server.https)).bearer_auth(&token);
                sending.spawn(send(request.body(body.clone())));
            }
            sending.join_all().await
        });
        let mut kept = 0;
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            kept += answer.json()["kept"].as_u64().unwrap();
        }
        assert_eq!(kept, if round == 0 { wanted } else { 0 });
        if round == 0 {
            server.kill();
            server = Server::start(&data);
        } else {
            server.settled();
            server.stop();
            server = Server::start(&data);
        }
    }
    server.stop();
    assert_eq!(count(&data), wanted);
    assert_eq!(number(&data, "SELECT count(*) FROM (SELECT DISTINCT audit_id, stage FROM events)"), wanted);
    ok(&data, &["verify"]);
}

#[test]
fn one_bad_item_costs_none_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    let good = events(0..3);
    let mut items: Vec<String> = good.lines().map(str::to_owned).collect();
    items.insert(1, "{\"kind\":\"Event\",\"password\":\"hunter2\"}".into());
    items.insert(3, "17".into());
    let list = format!("{{\"kind\":\"EventList\",\"items\":[{}]}}", items.join(","));
    let answer = server.post("/audit", &token, list.clone());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), json!({"kept": 3, "known": 0, "deadLetters": 2}));
    // The API server saw no answer and comes again.
    assert_eq!(server.post("/audit", &token, list).json()["known"], 3);
    assert!(server.metric("klio_dead_letters") > 1.5 && server.metric("klio_dead_letters") < 2.5);
    server.settled();
    server.stop();
    assert_eq!(count(&data), 3);
    let letters = ok(&data, &["dead-letters", "list", "-o", "jsonl"]);
    assert_eq!(letters.lines().count(), 2, "{letters}");
    assert!(!letters.contains("hunter2"), "{letters}");
    let first: Value = serde_json::from_str(letters.lines().next().unwrap()).unwrap();
    assert_eq!((&first["cluster"], &first["source"]), (&json!("prod"), &json!("webhook")));
    assert!(ok(&data, &["dead-letters", "show", &first["number"].to_string()]).contains("hunter2"));
}

#[test]
fn bodies_that_cannot_be_taken_are_refused_in_the_way_that_api_servers_understand() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let other = connect(&data, "test");
    let settings = format!("server:\n{}  body_bytes: 65536\n  in_flight_bytes: 131072\n", server::PORTS);
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let server = Server::start(&data);
    let good = body(&events(0..2));
    for (path, token, sent, status) in [
        ("/audit", token.as_str(), "not JSON".to_owned(), 400),
        ("/audit", &token, "{\"kind\":\"EventList\",\"items\":[{".to_owned(), 400),
        ("/audit", &token, body(&events(0..1000)), 413),
        ("/audit", "klio_c_wrong", good.clone(), 401),
        ("/audit", "", good.clone(), 401),
        ("/audit/prod", &other, good.clone(), 403),
        ("/audit/nowhere", &token, good.clone(), 403),
        ("/audit/prod", &token, good.clone(), 200),
        ("/audit", &token, "{\"kind\":\"EventList\",\"items\":null}".to_owned(), 200),
    ] {
        let answer = server.post(path, token, sent);
        assert_eq!(answer.status, status, "{path} {answer:?}");
        if status != 200 {
            assert_eq!(answer.json()["status"], status, "{answer:?}");
        }
    }
    let packed = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let client = server.client().build().unwrap();
    let with = |coding: &str, body: Vec<u8>| {
        let request = client.post(format!("{}/audit", server.https)).bearer_auth(&token);
        runtime().block_on(send(request.header("content-encoding", coding).body(body))).unwrap().status
    };
    assert_eq!(with("gzip", packed(&body(&events(10..12)))), 200);
    assert_eq!(with("gzip", packed(&" ".repeat(1 << 24))), 413, "a bomb");
    assert_eq!(with("gzip", b"not gzip".to_vec()), 400);
    assert_eq!(with("br", b"x".to_vec()), 415);
    server.settled();
    server.stop();
    assert_eq!(count(&data), 4);
}

#[test]
fn who_guesses_tokens_is_told_to_wait_and_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    let answers: Vec<_> = (0..40).map(|n| server.post("/audit", &format!("klio_c_{n}"), "{}")).collect();
    assert!(answers.iter().take(10).all(|answer| answer.status == 401));
    let last = answers.last().unwrap();
    assert_eq!((last.status, last.again), (429, Some(60)), "{last:?}");
    // From the same address.
    assert_eq!(server.post("/audit", &token, body(&events(0..1))).status, 200);
    assert!(server.metric("klio_ingest_refused_total") >= 40.0);
    assert!(server.said("wrong credentials") <= 3);
    assert_eq!(server.said("klio_c_"), 0, "what was tried is not logged");
}

#[test]
fn a_client_certificate_is_as_good_as_a_token_and_one_of_a_stranger_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let server = Server::start(&data);
    let out = dir.path().join("files").display().to_string();
    let url = &server.https;
    ok(&data, &["connect", "cluster", "edge", "--mtls", "--no-wait", "--url", url, "--out", &out]);
    let kubeconfig = format!("{out}/klio-webhook.yaml");
    server.until("the certificate is known", |_| {
        let told = made::klio(&data, &["connect", "test", &kubeconfig]);
        told.status.success() && made::out(&told).contains("durable after")
    });
    // Another authority.
    let strange = dir.path().join("strange");
    ok(&strange, &["connect", "cluster", "edge", "--mtls", "--no-wait", "--url", url, "--out", &out]);
    let own = std::fs::read_to_string(data.join("tls/ca.pem")).unwrap();
    let ca = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, own);
    let text = std::fs::read_to_string(format!("{out}/klio-webhook.yaml")).unwrap();
    let (before, after) = text.split_once("certificate-authority-data: ").unwrap();
    let after = after.split_once('\n').unwrap().1;
    let forged =
        made::file(dir.path(), "forged.yaml", &format!("{before}certificate-authority-data: {ca}\n{after}"));
    let refused = made::klio(&data, &["connect", "test", &forged]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    server.settled();
    server.stop();
    assert_eq!(number(&data, "SELECT count(*) FROM events WHERE cluster = 'edge'"), 1);
}

#[test]
fn a_new_cluster_is_heard_without_a_restart_and_the_administrator_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let server = Server::start(&data);
    let out = dir.path().join("files").display().to_string();
    let arguments = ["connect", "cluster", "late", "--url", &server.https, "--out", &out, "--wait", "30"];
    let waiting = made::command(&data, &arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let kubeconfig = format!("{out}/klio-webhook.yaml");
    server.until("the credential is read", |_| {
        std::path::Path::new(&kubeconfig).exists()
            && made::klio(&data, &["connect", "test", &kubeconfig]).status.success()
    });
    let done = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && said.contains("late is connected"), "{said}");
    for flag in ["--audit-webhook-config-file", "--audit-policy-file", "--audit-webhook-batch-max-wait=1s"] {
        assert!(said.contains(flag), "{said}");
    }
}

#[test]
fn an_attack_is_a_finding_at_once_and_an_incident_in_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let (token, other) = (connect(&data, "prod"), connect(&data, "test"));
    let server = Server::start(&data);
    let lines = recorded_attack();
    let batches: Vec<String> = lines.chunks(200).map(|chunk| body(&chunk.join("\n"))).collect();
    for batch in &batches {
        assert_eq!(server.post("/audit", &token, batch.clone()).status, 200);
    }
    server.until("findings are counted", |server| server.metric("klio_findings_total") > 0.0);
    // The same in another cluster is another incident.
    for batch in &batches {
        assert_eq!(server.post("/audit", &other, batch.clone()).status, 200);
    }
    server.settled();
    server.stop();
    assert_eq!(count(&data), 2 * lines.len() as u64);
    let found = "SELECT count(DISTINCT id) FROM incidents WHERE cluster = ";
    assert!(number(&data, &format!("{found}'prod'")) > 0);
    assert_eq!(number(&data, &format!("{found}'prod'")), number(&data, &format!("{found}'test'")));
    let both =
        "SELECT count(*) FROM (SELECT id FROM findings GROUP BY id HAVING count(DISTINCT cluster) > 1)";
    assert_eq!(number(&data, both), 0);
    ok(&data, &["verify"]);
}

fn recorded_attack() -> Vec<String> {
    let mut names: Vec<_> = made::files(recorded("attacks").as_ref());
    names.retain(|path| path.to_string_lossy().contains("jsonl"));
    let bytes = zstd::decode_all(std::fs::File::open(&names[0]).unwrap()).unwrap();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_incident_goes_on_when_rules_are_read_again_in_its_midst() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let allow = made::file(dir.path(), "allow.yaml", "# nothing yet\n");
    let server = Server::start_with(&data, &["--allow", &allow]);
    let bytes =
        zstd::decode_all(std::fs::File::open(recorded("killchain/recommended.jsonl.zst")).unwrap()).unwrap();
    let lines: Vec<&str> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    let (first, second) = lines.split_at(3_000);
    for chunk in first.chunks(250) {
        assert_eq!(server.post("/audit", &token, body(&chunk.join("\n"))).status, 200);
    }
    server.until("findings are counted", |server| server.metric("klio_findings_total") > 0.0);
    server.settled();
    let entry =
        "- where: 'user:nobody-of-these'\n  owner: team-platform\n  reason: known\n  until: 2030-01-01\n";
    std::fs::write(&allow, entry).unwrap();
    server.until("the rules are read again", |server| server.said("the rules were read again") > 0);
    for chunk in second.chunks(250) {
        assert_eq!(server.post("/audit", &token, body(&chunk.join("\n"))).status, 200);
    }
    server.settled();
    server.stop();
    assert_eq!(number(&data, "SELECT count(DISTINCT id) FROM incidents"), 1);
    // A token that was minted before and used after.
    let across = "SELECT count(*) FROM findings WHERE title LIKE 'Token minted by hand and used for%'";
    assert_eq!(number(&data, across), 1);
}

#[test]
fn the_server_goes_down_in_order_and_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    assert_eq!(server.get("/readyz").body, "ok");
    assert!(server.get("/readyz?verbose").body.contains("[+]spool ok"));
    assert_eq!(server.get("/livez/judge").status, 200);
    assert_eq!(server.get("/readyz/nothing").status, 404);
    assert!(server.metric("klio_ready") > 0.5);
    assert_eq!(server.post("/audit", &token, body(&events(0..100))).status, 200);
    server.signal("-TERM");
    server.until("it is not ready", |server| server.get("/readyz").status == 503);
    assert_eq!(server.get("/livez").status, 200);
    let late = server.post("/audit", &token, body(&events(100..101)));
    assert_eq!((late.status, late.again), (503, Some(2)));
    let took = server.stop();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(count(&data), 100);
}

#[test]
fn wrong_settings_are_refused_with_their_place_and_later_ones_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    made::with_settings(&data, "server:\n  lisen: 127.0.0.1:1\n");
    made::refused(&data, &["serve"], 2, "lisen");
    std::fs::remove_file(data.join("klio.yaml")).unwrap();
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    std::fs::write(data.join("klio.yaml"), "server:\n  lisen: 127.0.0.1:1\n").unwrap();
    server.until("the mistake is told", |server| server.said("the settings stay as they were") > 0);
    assert_eq!(server.post("/audit", &token, body(&events(0..1))).status, 200);
    // Two servers on one lake would both be the writer.
    std::fs::write(data.join("klio.yaml"), format!("server:\n{}", server::PORTS)).unwrap();
    made::refused(&data, &["serve"], 3, "in use");
}

/// A request of a service account on one day, with one client.
fn of_day(day: u32, agent: &str, code: u32) -> String {
    let decision = if code == 403 { "forbid" } else { "allow" };
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("{agent} {day}"),
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/configmaps/cart", "verb": "get",
        "user": {"username": "system:serviceaccount:shop:cart", "groups": ["system:serviceaccounts"]},
        "sourceIPs": ["10.244.1.7"], "userAgent": agent,
        "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "cart", "apiVersion": "v1"},
        "responseStatus": {"code": code}, "annotations": {"authorization.k8s.io/decision": decision},
        "requestReceivedTimestamp": format!("2026-07-{day:02}T10:00:00.000000Z"),
        "stageTimestamp": format!("2026-07-{day:02}T10:00:00.001000Z"),
    })
    .to_string()
        + "\n"
}

#[test]
fn what_was_learnt_since_the_last_file_of_the_memory_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    std::fs::write(data.join("klio.yaml"), format!("server:\n{}  flush_seconds: 1\n", server::PORTS))
        .unwrap();
    let memory = data.join("memory/prod");
    let server = Server::start(&data);
    server.post("/audit", &token, body(&of_day(1, "cart/1.0", 200)));
    server.until("the memory is written", |_| memory.exists());
    let written = std::fs::read(&memory).unwrap();
    for day in 2..10 {
        server.post("/audit", &token, body(&of_day(day, "cart/1.0", 200)));
    }
    server.settled();
    server.kill();
    assert_eq!(std::fs::read(&memory).unwrap(), written);
    let server = Server::start(&data);
    server.post("/audit", &token, body(&of_day(10, "curl/8.5.0", 403)));
    server.settled();
    server.stop();
    // A client that is new after nine days of another one.
    let found =
        "SELECT count(*) FROM findings WHERE title = 'Refused with a client that the identity never used'";
    assert_eq!(number(&data, found), 1);
}

#[test]
fn what_the_allow_list_of_a_server_excuses_is_counted_and_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let allow = made::file(
        dir.path(),
        "allow.yaml",
        "- rule: Default administrator account used\n  where: 'user:kubernetes-admin'\n  owner: team-platform\n  \
         reason: the bootstrap\n  until: 2030-01-01\n",
    );
    let server = Server::start_with(&data, &["--allow", &allow]);
    assert!(server.metric("klio_allowed_findings_total").abs() < 0.5);
    let admin =
        of_day(1, "kubectl/v1.36.1", 200).replace("system:serviceaccount:shop:cart", "kubernetes-admin");
    server.post("/audit", &token, body(&admin));
    server.settled();
    server.until("it is counted", |server| server.metric("klio_allowed_findings_total") > 0.5);
    assert!(server.get("/metrics").body.contains("owner=\"team-platform\""));
    server.stop();
    assert_eq!(number(&data, "SELECT count(*) FROM findings"), 0);
}
