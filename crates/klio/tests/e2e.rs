//! A real API server with its audit webhook and its log file both pointed at Klio (`cargo xtask e2e`).
//!
//! `KLIO_E2E_BIN` is the directory of the programs that `e2e/cluster` builds; without it there is nothing to test.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use made::{number, ok};
use serde_json::{Value, json};
use server::Server;

fn bin() -> Option<PathBuf> {
    let bin = std::env::var_os("KLIO_E2E_BIN").map(PathBuf::from);
    if bin.is_none() {
        println!("skipped: there is no API server; `cargo xtask e2e` builds one where Go is");
    }
    bin
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An API server and its etcd.
struct Cluster {
    child: Child,
    ready: Value,
}

impl Cluster {
    fn start(bin: &Path, dir: &Path, klio: &Path) -> Self {
        Self::start_with(bin, dir, klio, &[])
    }

    /// Of a flag that is given twice the last counts.
    fn start_with(bin: &Path, dir: &Path, klio: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new(bin.join("cluster"));
        command.arg("-dir").arg(dir).arg("-bin").arg(bin).arg("-stdin");
        command.arg("-audit-policy").arg(klio.join("audit-policy.yaml"));
        command.arg("-audit-webhook-config").arg(klio.join("klio-webhook.yaml"));
        command.args(["-audit-log-maxsize", "10", "-audit-log-maxbackup", "100", "--"]);
        // As `klio connect` advises: `    - --flag=value`.
        let advised = std::fs::read_to_string(klio.join("guide.txt")).unwrap();
        let advised = advised.lines().filter_map(|line| line.trim().strip_prefix("- "));
        let webhook: Vec<&str> = advised
            .filter(|flag| flag.starts_with("--audit-webhook-") && !flag.contains("-config-file="))
            .collect();
        assert!(webhook.len() >= 8, "{webhook:?}");
        command.args(webhook);
        command.args(flags);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("the API server does not start: {e} {line}"));
        Self { child, ready }
    }

    /// What `clusters.NAME.apiservers` says of it.
    fn apiserver(&self, token: &Path) -> String {
        let config: Value = serde_json::from_slice(&std::fs::read(self.kubeconfig()).unwrap()).unwrap();
        std::fs::write(token, admin_token(&config)).unwrap();
        let at = &config["clusters"][0]["cluster"];
        let (url, ca) = (at["server"].as_str().unwrap(), at["certificate-authority"].as_str().unwrap());
        format!("{{url: '{url}', ca: '{ca}', token: 'file:{}'}}", token.display())
    }

    fn kubeconfig(&self) -> &str {
        self.ready["kubeconfig"].as_str().unwrap()
    }

    fn log_dir(&self) -> PathBuf {
        Path::new(self.ready["audit_log"].as_str().unwrap()).parent().unwrap().to_owned()
    }

    fn stop(&mut self) {
        // It ends when nobody holds its input any more, and flushes its audit backends before.
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn traffic(bin: &Path, cluster: &Cluster, arguments: &[&str]) -> Child {
    let mut command = Command::new(bin.join("traffic"));
    command
        .args(["-kubeconfig", cluster.kubeconfig()])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn told(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What stands in the API server's own log files: audit id and stage, and how often.
fn written(dir: &Path) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for path in made::files(dir) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if !(name.starts_with("audit") && is_log) {
            continue;
        }
        for line in BufReader::new(std::fs::File::open(&path).unwrap()).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let key = format!("{} {}", event["auditID"].as_str().unwrap(), event["stage"].as_str().unwrap());
            *all.entry(key).or_default() += 1;
        }
    }
    all
}

fn kept(data: &Path) -> BTreeMap<String, u64> {
    let rows =
        ok(data, &["sql", "SELECT audit_id, stage, count(*) AS n FROM events GROUP BY 1, 2", "-o", "jsonl"]);
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let key =
        |row: &Value| format!("{} {}", row["audit_id"].as_str().unwrap(), row["stage"].as_str().unwrap());
    rows.map(|row| (key(&row), row["n"].as_u64().unwrap())).collect()
}

fn settings(data: &Path, listen: u16, more: &str) {
    std::fs::create_dir_all(data).unwrap();
    let text =
        format!("server:\n  listen: 127.0.0.1:{listen}\n  ops: 127.0.0.1:0\n  flush_seconds: 2\n{more}");
    std::fs::write(data.join("klio.yaml"), text).unwrap();
}

fn connect(data: &Path, out: &Path, port: u16) {
    let url = format!("https://127.0.0.1:{port}");
    let guide = ok(
        data,
        &["connect", "cluster", "e2e", "--no-wait", "--url", &url, "--out", &out.display().to_string()],
    );
    std::fs::write(out.join("guide.txt"), guide).unwrap();
}

#[test]
#[ignore = "needs a real API server: cargo xtask e2e"]
fn nothing_is_lost_or_doubled_while_the_server_is_killed_ten_times() {
    let Some(bin) = bin() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (data, klio, k8s) = (dir.path().join("lake"), dir.path().join("klio"), dir.path().join("k8s"));
    let port = free_port();
    let log = k8s.join("audit.log");
    settings(&data, port, &format!("clusters:\n  e2e:\n    files: [{}]\n", log.display()));
    connect(&data, &klio, port);
    let mut server = Server::start(&data);
    let mut cluster = Cluster::start(&bin, &k8s, &klio);
    let total = std::env::var("KLIO_E2E_TOTAL").unwrap_or("60000".into());
    let mut running = traffic(&bin, &cluster, &["-total", &total, "-workers", "8"]);
    let mut kills = 0;
    while kills < 10 || running.try_wait().unwrap().is_none() {
        std::thread::park_timeout(Duration::from_millis(2500 + 700 * (kills % 4)));
        if kills < 10 {
            server.kill();
            kills += 1;
            // As long as a restart takes.
            std::thread::park_timeout(Duration::from_millis(500));
            server = Server::start(&data);
        }
    }
    let sent = told(running);
    let attack = told(traffic(&bin, &cluster, &["-attack"]));
    cluster.stop();
    let wanted = written(&cluster.log_dir());
    let all: u64 = wanted.values().sum();
    println!("{all} events in the API server's log, {} requests sent, {kills} kills", sent["requests"]);
    assert!(all >= total.parse::<u64>().unwrap() * 5 / 6, "{all}");
    let until = Instant::now() + Duration::from_mins(1);
    let mut last = BTreeMap::new();
    while Instant::now() < until {
        last = kept(&data);
        if last == wanted {
            break;
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let lost: Vec<_> = wanted.iter().filter(|(key, n)| last.get(*key).copied().unwrap_or(0) < **n).collect();
    let doubled: Vec<_> =
        last.iter().filter(|(key, n)| wanted.get(*key).copied().unwrap_or(0) < **n).collect();
    println!("lost {}, doubled {}", lost.len(), doubled.len());
    assert!(
        lost.is_empty() && doubled.is_empty(),
        "lost {:?} doubled {:?}",
        &lost.iter().take(5).collect::<Vec<_>>(),
        &doubled.iter().take(5).collect::<Vec<_>>()
    );
    server.settled();
    server.stop();
    assert_eq!(number(&data, "SELECT count(*) FROM events"), all);
    ok(&data, &["verify"]);
    found(&data, &attack);
}

#[test]
#[ignore = "needs a real API server: cargo xtask e2e"]
fn the_webhook_alone_is_enough() {
    let Some(bin) = bin() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (data, klio, k8s) = (dir.path().join("lake"), dir.path().join("klio"), dir.path().join("k8s"));
    let port = free_port();
    settings(&data, port, "");
    connect(&data, &klio, port);
    let mut server = Server::start(&data);
    let mut cluster = Cluster::start(&bin, &k8s, &klio);
    let mut running = traffic(&bin, &cluster, &["-total", "6000", "-workers", "4"]);
    for _ in 0..3 {
        std::thread::park_timeout(Duration::from_secs(2));
        server.kill();
        std::thread::park_timeout(Duration::from_secs(1));
        server = Server::start(&data);
    }
    let _ = running.wait();
    let attack = told(traffic(&bin, &cluster, &["-attack"]));
    // What the API server writes while it ends no longer reaches its webhook.
    let wanted = written(&cluster.log_dir());
    server.until("all has come", |_| {
        let kept = kept(&data);
        wanted.iter().all(|(key, n)| kept.get(key) == Some(n))
    });
    cluster.stop();
    let written = written(&cluster.log_dir());
    let more: Vec<_> = kept(&data).into_iter().filter(|(key, n)| written.get(key) != Some(n)).collect();
    assert!(more.is_empty(), "{more:?}");
    server.settled();
    server.stop();
    found(&data, &attack);
}

/// Waits until the server has compared the counters up to so many seconds from now, and says what came of it.
fn balance(server: &Server, token: &str, seconds: i64) -> Value {
    let upto = jiff::Timestamp::now().as_second() + seconds;
    let until = Instant::now() + Duration::from_mins(6);
    loop {
        let client = server.client().build().unwrap();
        let request = client.get(format!("{}/api/v1/sources", server.https)).bearer_auth(token);
        let page = server::runtime().block_on(server::send(request));
        let page = page.unwrap_or_else(|e| panic!("{e} {:?}", server.log.lock().unwrap())).json();
        let items = page["items"].as_array().unwrap();
        let source = items.iter().find(|item| item["cluster"] == "e2e").cloned().unwrap_or_default();
        let balance = &source["completeness"];
        let to = balance["to"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        if to.is_some_and(|to| to.as_second() >= upto) {
            println!("{balance}");
            return balance.clone();
        }
        assert!(Instant::now() < until, "{page}");
        std::thread::park_timeout(Duration::from_secs(2));
    }
}

#[test]
#[ignore = "needs a real API server: cargo xtask e2e"]
fn what_the_api_server_lost_is_seen_in_its_counters() {
    let Some(bin) = bin() else { return };
    if std::env::var_os("KLIO_E2E_TOTAL").is_some() {
        println!(
            "skipped: it takes eight minutes, since what is missing may be late for two; `cargo xtask e2e` runs it"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, klio, k8s) = (dir.path().join("lake"), dir.path().join("klio"), dir.path().join("k8s"));
    let port = free_port();
    settings(&data, port, "");
    connect(&data, &klio, port);
    ok(&data, &["user", "add", "ana", "--role", "admin"]);
    let token = ok(&data, &["user", "token", "ana", "--name", "e2e"]).trim().to_owned();
    let mut server = Server::start(&data);
    // Two tries, and then a batch is lost.
    let flags = ["--audit-webhook-initial-backoff=1s"];
    let mut cluster = Cluster::start_with(&bin, &k8s, &klio, &flags);
    let apiserver = cluster.apiserver(&dir.path().join("token"));
    settings(&data, port, &format!("clusters:\n  e2e:\n    apiservers:\n      - {apiserver}\n"));
    let more = ["-total", "70000", "-rate", "150", "-workers", "4"];
    let mut running = traffic(&bin, &cluster, &more);
    // A restart loses nothing.
    std::thread::park_timeout(Duration::from_secs(50));
    server.kill();
    server = Server::start(&data);
    let whole = balance(&server, &token, 35);
    let of = |balance: &Value, name: &str| balance[name].as_u64().unwrap();
    let missing = |balance: &Value| of(balance, "counted").abs_diff(of(balance, "kept"));
    assert!(of(&whole, "counted") > 5000 && of(&whole, "lost") == 0, "{whole}");
    assert!(missing(&whole) <= of(&whole, "unsure"), "{whole}");
    // What comes while nobody listens for longer than the API server tries is gone.
    server.kill();
    std::thread::park_timeout(Duration::from_secs(30));
    let server = Server::start(&data);
    let less = balance(&server, &token, 20);
    assert!(of(&less, "lost") > 500, "{less}");
    assert!(missing(&less) > of(&less, "unsure") && less["ratio"].as_f64().unwrap() < 0.99, "{less}");
    // Just as many as the API server says.
    assert!(missing(&less).abs_diff(of(&less, "lost")) <= of(&less, "unsure"), "{less}");
    let _ = running.kill();
    let _ = running.wait();
    cluster.stop();
    server.stop();
}

/// The API server is asked as its admin.
fn admin(cluster: &Cluster, path: &str, body: &Value) -> Value {
    let config: Value = serde_json::from_slice(&std::fs::read(cluster.kubeconfig()).unwrap()).unwrap();
    let of = &config["clusters"][0]["cluster"];
    let ca = std::fs::read(of["certificate-authority"].as_str().unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
    let request = client.build().unwrap().post(format!("{}{path}", of["server"].as_str().unwrap()));
    let request = request.bearer_auth(admin_token(&config)).json(body);
    let answer = server::runtime().block_on(server::send(request)).unwrap();
    assert!([200, 201].contains(&answer.status), "{path}: {answer:?}");
    answer.json()
}

fn admin_token(kubeconfig: &Value) -> &str {
    let users = kubeconfig["users"].as_array().unwrap();
    users.iter().find(|user| user["name"] == "admin").unwrap()["user"]["token"].as_str().unwrap()
}

#[test]
#[ignore = "needs a real API server: cargo xtask e2e"]
fn a_service_account_asks_klio_with_a_token_that_is_for_klio() {
    let Some(bin) = bin() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (data, klio, k8s) = (dir.path().join("lake"), dir.path().join("klio"), dir.path().join("k8s"));
    let port = free_port();
    settings(&data, port, "");
    connect(&data, &klio, port);
    let mut cluster = Cluster::start(&bin, &k8s, &klio);
    let config: Value = serde_json::from_slice(&std::fs::read(cluster.kubeconfig()).unwrap()).unwrap();
    let at = &config["clusters"][0]["cluster"];
    // Klio's own account may do nothing but ask for reviews, once it is bound.
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "audit" } });
    admin(&cluster, "/api/v1/namespaces", &namespace);
    let accounts = "/api/v1/namespaces/audit/serviceaccounts";
    for name in ["klio", "bot", "other"] {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } });
        admin(&cluster, accounts, &account);
    }
    let token = |name: &str, audiences: &[&str]| {
        let spec = json!({ "audiences": audiences, "expirationSeconds": 600 });
        let request =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
        let answer = admin(&cluster, &format!("{accounts}/{name}/token"), &request);
        answer["status"]["token"].as_str().unwrap().to_owned()
    };
    let shown = dir.path().join("token");
    std::fs::write(&shown, token("klio", &[])).unwrap();
    let more = format!(
        "sign_in:\n  kubernetes:\n    - {{name: e2e, url: '{}', ca: '{}', token: 'file:{}'}}\n  mapping:\n    \
         - {{kind: kubernetes, by: e2e, user: 'system:serviceaccount:audit:bot', role: viewer, scope: e2e}}\n",
        at["server"].as_str().unwrap(),
        at["certificate-authority"].as_str().unwrap(),
        shown.display()
    );
    settings(&data, port, &more);
    let server = Server::start(&data);
    let who = |token: &str| {
        let request = server.client().build().unwrap().get(format!("{}/api/v1/whoami", server.https));
        server::runtime().block_on(server::send(request.bearer_auth(token))).unwrap()
    };
    let bot = token("bot", &["klio"]);
    let answer = who(&bot);
    assert!(answer.status == 503 && answer.again.is_some(), "Klio may not ask yet: {answer:?}");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "klio" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator" },
        "subjects": [{ "kind": "ServiceAccount", "name": "klio", "namespace": "audit" }],
    });
    admin(&cluster, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding);
    server.until("the cluster vouches", |_| who(&bot).status == 200);
    let view = who(&bot).json();
    assert_eq!(
        [&view["name"], &view["kind"], &view["role"]],
        ["system:serviceaccount:audit:bot", "kubernetes", "viewer"]
    );
    // For somebody else; for the API server; nobody's; somebody for whom there is no rule.
    assert_eq!(who(&token("bot", &["vault"])).status, 401);
    assert_eq!(who(&token("bot", &[])).status, 401);
    let (signed, signature) = bot.rsplit_once('.').unwrap();
    let middle = signature.len() / 2;
    let other = if &signature[middle..=middle] == "A" { "B" } else { "A" };
    let forged = format!("{signed}.{}{other}{}", &signature[..middle], &signature[middle + 1..]);
    assert_eq!(who(&forged).status, 401);
    assert_eq!(who(&token("other", &["klio"])).status, 401);
    // What is no JWT the cluster reads: admin's own token is for the API server alone.
    assert_eq!(who(admin_token(&config)).status, 401);
    cluster.stop();
    server.stop();
}

/// The intruder is found, and his deeds are one incident with his name.
fn found(data: &Path, attack: &Value) {
    let rules = ok(data, &["sql", "SELECT DISTINCT rule FROM findings WHERE actor = 'eve'", "-o", "jsonl"]);
    let rules: BTreeSet<&str> = rules.lines().collect();
    println!(
        "{} steps, {} rules found eve: {rules:?}",
        attack["steps"].as_array().map_or(0, Vec::len),
        rules.len()
    );
    assert!(rules.len() >= 3, "{rules:?}");
    let incidents = "SELECT count(DISTINCT id) FROM incidents WHERE severity IN ('high', 'critical')";
    assert!(number(data, incidents) >= 1);
}
