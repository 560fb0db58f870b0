//! The API over a real lake: what is durable is seen at once, and by nobody who may not.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::path::Path;
use std::time::{Duration, Instant};

use made::{number, ok};
use serde_json::Value;
use server::{Answer, PORTS, Server, body, connect, runtime, send};

const CANARY: &str = "canary-of-somebody-else";

/// A request about a secret in a namespace.
fn event(id: &str, namespace: Option<&str>, name: &str, verb: &str) -> String {
    let now = jiff::Timestamp::now();
    let namespace = namespace.map(|ns| format!("\"namespace\":\"{ns}\",")).unwrap_or_default();
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"{id}\",\
         \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/x/{name}\",\"verb\":\"{verb}\",\
         \"user\":{{\"username\":\"user-{name}\",\"groups\":[\"g\"]}},\"sourceIPs\":[\"203.0.113.9\"],\
         \"objectRef\":{{\"resource\":\"secrets\",{namespace}\"name\":\"{name}\",\"apiVersion\":\"v1\"}},\
         \"responseStatus\":{{\"code\":200}},\"requestReceivedTimestamp\":\"{now:.6}\",\"stageTimestamp\":\"{now:.6}\"}}"
    )
}

fn token(data: &Path, user: &str, role: &str, scope: &str) -> String {
    ok(data, &["user", "add", user, "--role", role, "--scope", scope]);
    ok(data, &["user", "token", user, "--name", "test"]).trim().to_owned()
}

fn get(server: &Server, token: &str, path: &str) -> Answer {
    let request = server.client().build().unwrap().get(format!("{}{path}", server.https));
    runtime().block_on(send(request.bearer_auth(token))).unwrap()
}

fn post(server: &Server, token: &str, path: &str, body: &Value) -> Answer {
    let request = server.client().build().unwrap().post(format!("{}{path}", server.https));
    let request = request.header("content-type", "application/json").body(body.to_string());
    runtime().block_on(send(request.bearer_auth(token))).unwrap()
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A grave deed: somebody binds cluster-admin.
fn attack(id: &str) -> String {
    let now = jiff::Timestamp::now();
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"RequestResponse\",\"auditID\":\"{id}\",\
         \"stage\":\"ResponseComplete\",\"requestURI\":\"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings\",\
         \"verb\":\"create\",\"user\":{{\"username\":\"eve\",\"groups\":[\"system:authenticated\"]}},\
         \"sourceIPs\":[\"203.0.113.9\"],\"userAgent\":\"kubectl/v1.36.0\",\
         \"objectRef\":{{\"resource\":\"clusterrolebindings\",\"name\":\"{CANARY}\",\
         \"apiGroup\":\"rbac.authorization.k8s.io\",\"apiVersion\":\"v1\"}},\"responseStatus\":{{\"code\":201}},\
         \"requestObject\":{{\"kind\":\"ClusterRoleBinding\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\
         \"metadata\":{{\"name\":\"{CANARY}\"}},\"roleRef\":{{\"apiGroup\":\"rbac.authorization.k8s.io\",\
         \"kind\":\"ClusterRole\",\"name\":\"cluster-admin\"}},\"subjects\":[{{\"kind\":\"User\",\"name\":\"eve\"}}]}},\
         \"requestReceivedTimestamp\":\"{now:.6}\",\"stageTimestamp\":\"{now:.6}\"}}"
    )
}

#[test]
fn nobody_sees_or_counts_what_is_not_his_whether_it_is_in_the_spool_or_in_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("klio.yaml"), format!("server:\n{PORTS}  flush_seconds: 3\n")).unwrap();
    let (prod, test) = (connect(&data, "prod"), connect(&data, "test"));
    let admin = token(&data, "root", "admin", "*");
    let ana = token(&data, "ana", "analyst", "prod/shop");
    let ben = token(&data, "ben", "analyst", "test");
    let cara = token(&data, "cara", "analyst", "*");
    let nobody = token(&data, "nobody", "viewer", "elsewhere");
    let server = Server::start(&data);
    let mine: Vec<String> =
        (0..20).map(|n| event(&format!("own-{n}"), Some("shop"), "mine", "get")).collect();
    let foreign: Vec<String> = (0..30)
        .map(|n| event(&format!("{CANARY}-{n}"), [Some("bank"), None][n % 2], CANARY, "delete"))
        .chain([attack("deed")])
        .collect();
    assert_eq!(
        server.post("/audit", &prod, body(&[mine.join("\n"), foreign.join("\n")].join("\n"))).status,
        200
    );
    assert_eq!(server.post("/audit", &test, body(&event("there", Some("shop"), "there", "get"))).status, 200);
    let reads = [
        "/api/v1/events?limit=100",
        "/api/v1/events/count",
        "/api/v1/events/top?field=user",
        "/api/v1/events/top?field=ns",
        "/api/v1/events/histogram?interval=60s",
        "/api/v1/events/export?format=jsonl",
        "/api/v1/events/export?format=csv",
        "/api/v1/events/canary-of-somebody-else-0",
        "/api/v1/events/canary-of-somebody-else-0/proof",
        "/api/v1/events/deed",
        "/api/v1/findings",
        "/api/v1/stories",
        "/api/v1/actors/eve",
        "/api/v1/actors/user-canary-of-somebody-else",
        "/api/v1/objects/secrets/bank/canary-of-somebody-else",
        "/api/v1/sources",
        "/api/v1/rules",
        "/api/v1/integrity",
        "/api/v1/dead-letters",
        "/api/v1/whoami",
    ];
    for round in ["fresh", "kept"] {
        if round == "kept" {
            server.settled();
        } else {
            server.until("it is judged", |server| server.metric("klio_judged_events_total") >= 52.0);
        }
        let count =
            |token: &str| json(&get(&server, token, "/api/v1/events/count"))["count"].as_u64().unwrap();
        assert_eq!((count(&admin), count(&ana), count(&ben), count(&nobody)), (52, 20, 1, 0), "{round}");
        for path in reads {
            for token in [&ana, &ben, &nobody] {
                let answer = get(&server, token, path);
                // What was asked for may be said again, as in a refusal; what is kept of it may not.
                let told = answer.body.replace(path, "");
                let asked = path.contains(CANARY) && answer.status != 200;
                assert!(asked || !told.contains(CANARY), "{round} {path} {answer:?}");
                assert!(answer.status < 500, "{round} {path} {answer:?}");
            }
        }
        let whole = get(&server, &admin, "/api/v1/events?limit=100");
        assert!(
            whole.body.contains(CANARY) && json(&whole)["items"].as_array().unwrap().len() == 52,
            "{round}"
        );
        let sql = serde_json::json!({ "query": "SELECT count(*) AS n FROM events WHERE cluster <> 'klio'" });
        assert_eq!(post(&server, &ana, "/api/v1/sql", &sql).status, 403, "{round}");
        let answer = post(&server, &admin, "/api/v1/sql", &sql);
        assert_eq!(json(&answer)["rows"][0]["n"], 52, "{round} {answer:?}");
        // Who sees all clusters, but not what others did with Klio, cannot learn of it by what fails or is explained either.
        let probe = "CAST(CASE WHEN cluster = 'klio' THEN 'x' ELSE '1' END AS INT) = 1";
        for (condition, n) in [("true", 52), ("cluster = 'klio'", 0), (probe, 52), ("cluster = 'prod'", 51)] {
            let sql =
                serde_json::json!({ "query": format!("SELECT count(*) AS n FROM events WHERE {condition}") });
            let answer = post(&server, &cara, "/api/v1/sql", &sql);
            assert_eq!(json(&answer)["rows"][0]["n"], n, "{round} {condition} {answer:?}");
        }
        let explain = serde_json::json!({ "query": "EXPLAIN ANALYZE SELECT * FROM events" });
        let told = post(&server, &cara, "/api/v1/sql", &explain).body;
        assert!(told.contains("What may be seen") && !told.contains("parquet"), "{told}");
        assert_eq!(get(&server, "klio_wrong", "/api/v1/events").status, 401);
    }
    let paged: usize = {
        let (mut told, mut cursor) = (0, String::new());
        loop {
            let page = json(&get(&server, &ana, &format!("/api/v1/events?limit=7{cursor}")));
            told += page["items"].as_array().unwrap().len();
            let Some(next) = page["next"].as_str() else { break told };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(paged, 20);
    server.settled();
    server.stop();
    // Everybody's requests are events themselves.
    let own = number(&data, "SELECT count(*) FROM events WHERE cluster = 'klio' AND user_name = 'user:ana'");
    assert!(own >= 2 * reads.len() as u64, "{own}");
    ok(&data, &["verify"]);
}

#[test]
fn a_finding_is_seen_before_it_is_in_a_file_and_an_event_is_followed_as_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("klio.yaml"), format!("server:\n{PORTS}  flush_seconds: 600\n")).unwrap();
    let prod = connect(&data, "prod");
    let (admin, ana) = (token(&data, "root", "admin", "*"), token(&data, "ana", "analyst", "prod/shop"));
    let server = Server::start(&data);
    let tail = |token: &str| {
        let client = server.client().timeout(Duration::from_secs(20)).build().unwrap();
        let request = client.get(format!("{}/api/v1/events/tail", server.https)).bearer_auth(token);
        runtime().block_on(async { request.send().await }).unwrap()
    };
    let (mut all, mut some) = (tail(&admin), tail(&ana));
    let read = |answer: &mut reqwest::Response, what: &str| {
        let mut text = String::new();
        while !text.contains(what) {
            let part = runtime().block_on(answer.chunk()).unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&part));
        }
        text
    };
    read(&mut all, "event: begin");
    read(&mut some, "event: begin");
    let sent = [attack("deed"), event("own", Some("shop"), "mine", "get")].join("\n");
    assert_eq!(server.post("/audit", &prod, body(&sent)).status, 200);
    let started = Instant::now();
    server.until("the finding is there", |server| {
        let found = json(&get(server, &admin, "/api/v1/findings"));
        found["items"].as_array().unwrap().iter().any(|finding| finding["actor"]["user"] == "eve")
    });
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(json(&get(&server, &ana, "/api/v1/findings"))["items"].as_array().unwrap().len(), 0);
    assert!(read(&mut all, "\"own\"").contains("deed"));
    assert!(!read(&mut some, "\"own\"").contains("deed"));
    drop((all, some));
    server.stop();
}

#[test]
fn the_allow_list_is_written_where_its_link_leads_and_lists_what_is_wrong() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let boss = token(&data, "boss", "admin", "*");
    let (kept, link) = (dir.path().join("kept.yaml"), data.join("allow.yaml"));
    let gone = "- rule: gone\n  where: 'user:ci'\n  owner: ops\n  reason: known\n  until: 2999-01-01\n- where: 'user:cd'\n  owner: ops\n  \
         reason: known\n  until: soon\n";
    std::fs::write(&kept, gone).unwrap();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&kept, &link).unwrap();
    let server = Server::start(&data);
    let list = || get(&server, &boss, "/api/v1/allow").json()["items"].as_array().unwrap().clone();
    let wrong = list();
    let said = |item: &Value| item["wrong"].as_str().unwrap().to_owned();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(said(&wrong[0]).contains("there is no rule `gone`") && !wrong[0]["until"].is_null());
    assert!(said(&wrong[1]).contains("soon is no time") && wrong[1]["until"].is_null());
    let page = get(&server, &boss, "/detections");
    assert!(page.body.contains("It excuses nothing: there is no rule `gone`"), "{}", page.body);
    let new = serde_json::json!({ "filter": "user:builder", "owner": "ops", "reason": "builds", "until": "2999-01-01" });
    let made = post(&server, &boss, "/api/v1/allow", &new);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(list().iter().filter(|item| item["wrong"].is_null()).count(), 1);
    // All of them can be taken back.
    for item in list() {
        let path = format!("{}/api/v1/allow/{}", server.https, item["id"].as_str().unwrap());
        let request = server.client().build().unwrap().delete(path).bearer_auth(&boss);
        assert_eq!(runtime().block_on(send(request)).unwrap().status, 204, "{item}");
    }
    assert!(list().is_empty());
    assert!(link.is_symlink());
    assert!(std::fs::read_to_string(&kept).unwrap().starts_with("# Written by Klio"));
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o640);
    server.stop();
}
