//! `klio doctor`: each fault is made for real, and is named with what helps.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use made::{events, file, ok, with_settings};
use serde_json::Value;
use server::{Server, body, certificate, connect};

/// What a machine of tests may be, and a server's must not: disks of containers, clocks that nobody keeps.
const OF_THE_MACHINE: [&str; 4] = ["file system", "open files", "clock", "inodes"];

fn doctor(data: &Path) -> (i32, Value) {
    let mut command = made::command(data, &["doctor", "-o", "json"]);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env("KLIO_TEST_POSTGRES_URL", "postgres://klio:hunter2hunter2@127.0.0.1:1/klio");
    let output = command.output().unwrap();
    let page = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), page.unwrap_or_else(|e| panic!("{e}: {output:?}")))
}

/// What was found of that state, by check.
fn of_state<'p>(page: &'p Value, state: &str) -> Vec<&'p str> {
    let checks = page["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["state"] == state).map(|check| check["check"].as_str().unwrap()).collect()
}

/// Settings with ports that nobody has.
fn settings(more: &str) -> String {
    format!("server:\n{}{more}", server::PORTS)
}

fn a_lake(data: &Path, text: &str) {
    let log = file(data.parent().unwrap(), "audit.log", text);
    ok(data, &["ingest", "--cluster", "prod", &log]);
}

#[test]
fn a_new_directory_and_a_healthy_lake_have_nothing_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let (code, page) = doctor(&data);
    assert_eq!((code, of_state(&page, "fail")), (0, vec![]), "{page:#}");
    assert!(!data.exists(), "nothing is made by looking");
    let advised = of_state(&page, "warn");
    assert!(advised.contains(&"users") && advised.contains(&"clusters"), "{page:#}");

    with_settings(&data, &settings("lake:\n  spool_bytes: 268435456\n"));
    connect(&data, "prod");
    ok(&data, &["user", "add", "ana", "--role", "admin"]);
    a_lake(&data, &events(0..5));
    let (code, page) = doctor(&data);
    let warned = of_state(&page, "warn").into_iter().filter(|check| !OF_THE_MACHINE.contains(check));
    assert_eq!((code, of_state(&page, "fail"), warned.count()), (0, vec![], 0), "{page:#}");
    for check in [
        "settings",
        "data directory",
        "disk",
        "certificate",
        "lake",
        "seal",
        "spool",
        "cluster prod",
        "users",
    ] {
        assert!(of_state(&page, "ok").contains(&check), "{check}: {page:#}");
    }
    let table = ok(&data, &["doctor"]);
    assert!(table.contains("WHAT TO DO") && !table.contains("FAIL"), "{table}");
}

/// A directory with a data directory in it, as one fault has it.
struct Case {
    dir: tempfile::TempDir,
    /// What must live as long as the case.
    taken: Option<TcpListener>,
}

impl Case {
    fn new() -> Self {
        let case = Self { dir: tempfile::tempdir().unwrap(), taken: None };
        std::fs::create_dir(case.data()).unwrap();
        case
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("lake")
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> String {
        let path = file(self.path(), name, text);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn tls(&self, from: i64, to: i64) -> String {
        let (certificate, key) = certificate(self.path(), "own", from, to);
        settings(&format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"))
    }
}

/// What is wrong, how it is made (the settings are returned), and which check says so in which state, words and advice.
type Row = (&'static str, fn(&mut Case) -> String, &'static str, &'static str, &'static str, &'static str);

const TOKEN: &str = "a token of more than twenty characters";

const FAULTS: &[Row] = &[
    (
        "a key is misspelt",
        |_| "server:\n  lisen: 127.0.0.1:1\n".into(),
        "settings",
        "fail",
        "lisen",
        "config explain",
    ),
    (
        "a filter means nothing",
        |_| "lake:\n  retention:\n    - {class: a, where: 'verb:', keep_days: 1}\n".into(),
        "settings",
        "fail",
        "`where`",
        "config explain",
    ),
    (
        "a variable is not set",
        |_| settings("clusters:\n  prod:\n    token: env:KLIO_NO_SUCH_VARIABLE\n"),
        "clusters.prod.token",
        "fail",
        "not found",
        "does not start",
    ),
    (
        "a secret cannot be read",
        |case| settings(&format!("clusters:\n  prod:\n    token: file:{}\n", case.path().display())),
        "clusters.prod.token",
        "fail",
        "directory",
        "env:NAME must be set",
    ),
    (
        "everybody can read a secret",
        |case| {
            let token = case.file("token", TOKEN, 0o644);
            settings(&format!("clusters:\n  prod:\n    token: file:{token}\n"))
        },
        "clusters.prod.token",
        "warn",
        "everybody (mode 644)",
        "chmod",
    ),
    (
        "everybody can read a key",
        |case| {
            a_lake(&case.data(), &events(0..1));
            std::fs::set_permissions(case.data().join("seal.key"), PermissionsExt::from_mode(0o644)).unwrap();
            settings("")
        },
        "keys",
        "warn",
        "seal.key",
        "chmod 600",
    ),
    (
        "something else lies in the data directory",
        |case| {
            file(&case.data(), "photo.jpg", "");
            settings("")
        },
        "data directory",
        "fail",
        "photo.jpg",
        "",
    ),
    (
        "the disk is full",
        |_| settings("lake:\n  flush_bytes: 1000000000000000000\n"),
        "disk",
        "fail",
        "flush_bytes",
        "make room",
    ),
    (
        "the disk will be full",
        |_| settings("lake:\n  spool_bytes: 1000000000000000000\n"),
        "disk",
        "warn",
        "the spool may take",
        "spool_bytes",
    ),
    (
        "few files may be open",
        |_| settings("  connections: 4000000000\n"),
        "open files",
        "warn",
        "connections",
        "LimitNOFILE",
    ),
    ("the certificate has expired", |case| case.tls(-30, -1), "certificate", "fail", "expired", "renew it"),
    ("the certificate ends soon", |case| case.tls(-30, 10), "certificate", "warn", "ends at", "renew it"),
    (
        "the certificate is of tomorrow",
        |case| case.tls(1, 90),
        "certificate",
        "fail",
        "not good before",
        "clock",
    ),
    (
        "the key is another's",
        |case| {
            let settings = case.tls(-1, 90);
            let (_, other) = certificate(case.path(), "other", -1, 90);
            std::fs::rename(other, case.path().join("own.key")).unwrap();
            settings
        },
        "certificate",
        "fail",
        "own.key",
        "belongs to it",
    ),
    (
        "the certificate is for another name",
        |case| case.tls(-1, 90) + "  url: https://klio.example.org:8443\n",
        "certificate's names",
        "fail",
        "klio.example.org",
        "server.url",
    ),
    (
        "the authority of clients has expired",
        |case| {
            let (authority, _) = certificate(case.path(), "clients", -30, -1);
            settings(&format!("  tls:\n    client_ca: {authority}\n"))
        },
        "client authority",
        "fail",
        "expired",
        "client certificates",
    ),
    (
        "a port is taken",
        |case| {
            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = taken.local_addr().unwrap();
            case.taken = Some(taken);
            format!("server:\n  listen: {address}\n  ops: 127.0.0.1:0\n")
        },
        "server.listen",
        "fail",
        "cannot listen",
        "ss -ltnp",
    ),
    (
        "the object store does not answer",
        |_| {
            settings(
                "lake:\n  url: s3://bucket/klio\n  options:\n    aws_endpoint: http://127.0.0.1:1\n    aws_allow_http: 'true'\n    \
                 aws_region: eu\n    aws_access_key_id: a\n    aws_secret_access_key: b\n",
            )
        },
        "object store",
        "fail",
        "",
        "lake.options",
    ),
    (
        "PostgreSQL does not answer",
        |_| settings("desk:\n  postgres: env:KLIO_TEST_POSTGRES_URL\n"),
        "PostgreSQL",
        "fail",
        "",
        "desk.postgres",
    ),
    (
        "a file of the lake is gone",
        |case| {
            a_lake(&case.data(), &events(0..3));
            let files = made::files(&case.data().join("events"));
            let parquet = files.iter().find(|path| path.extension().is_some_and(|own| own == "parquet"));
            std::fs::remove_file(parquet.unwrap()).unwrap();
            settings("")
        },
        "lake",
        "fail",
        "it is missing",
        "klio verify",
    ),
    (
        "the log is gone",
        |case| {
            a_lake(&case.data(), &events(0..3));
            std::fs::remove_dir_all(case.data().join("seal")).unwrap();
            settings("")
        },
        "lake",
        "fail",
        "",
        "klio verify",
    ),
    (
        "an event comes from the future",
        |case| {
            a_lake(&case.data(), &events(0..1).replace("2026-07-01", "2199-07-01"));
            settings("")
        },
        "clock",
        "warn",
        "2199-07-01",
        "timedatectl",
    ),
    (
        "the spool is full",
        |case| {
            a_lake(&case.data(), &events(0..3));
            settings("lake:\n  spool_bytes: 1\n")
        },
        "spool",
        "fail",
        "of 1 bytes",
        "server's log",
    ),
    (
        "a cluster cannot deliver",
        |_| settings("clusters:\n  prod: {}\n"),
        "cluster prod",
        "fail",
        "no token",
        "connect cluster prod",
    ),
    (
        "two clusters have one token",
        |case| {
            let token = case.file("token", TOKEN, 0o600);
            settings(&format!("clusters:\n  a:\n    token: file:{token}\n  b:\n    token: file:{token}\n"))
        },
        "credentials",
        "fail",
        "the same token",
        "no cluster can deliver",
    ),
    (
        "nothing has come",
        |case| {
            connect(&case.data(), "prod");
            settings("")
        },
        "cluster prod",
        "warn",
        "nothing has ever come",
        "klio connect test",
    ),
    (
        "there is no such log",
        |_| settings("clusters:\n  prod:\n    files: [/no/such/audit.log]\n"),
        "cluster prod: files",
        "fail",
        "/no/such/audit.log",
        "log-files",
    ),
    (
        "an API server does not answer",
        |_| {
            settings(
                "clusters:\n  prod:\n    certificate: apiserver\n    apiservers:\n      - url: https://127.0.0.1:1\n",
            )
        },
        "cluster prod: https://127.0.0.1:1",
        "fail",
        "",
        "completeness",
    ),
    (
        "nobody is an admin",
        |case| {
            ok(&case.data(), &["user", "add", "ana"]);
            settings("")
        },
        "users",
        "warn",
        "none of 1",
        "--role admin",
    ),
];

fn check((what, make, check, state, found, advice): &Row) {
    let mut case = Case::new();
    let settings = make(&mut case);
    std::fs::write(case.data().join("klio.yaml"), settings).unwrap();
    if *what == "something else lies in the data directory" {
        std::fs::rename(case.data().join("klio.yaml"), case.path().join("klio.yaml")).unwrap();
    }
    let (code, page) = doctor(&case.data());
    let all = page["checks"].as_array().unwrap();
    let says = |one: &Value, key: &str, text: &str| one[key].as_str().unwrap_or_default().contains(text);
    let is_named = all.iter().any(|one| {
        one["check"] == *check
            && one["state"] == *state
            && says(one, "found", found)
            && says(one, "advice", advice)
    });
    assert!(is_named, "{what}: {page:#}");
    assert_eq!(code, i32::from(page["state"] == "fail"), "{what}");
    assert_eq!(page["state"] == "fail", !of_state(&page, "fail").is_empty(), "{what}");
    assert!(!page.to_string().contains("hunter2"), "{what}: a secret is told");
}

#[test]
fn each_fault_is_named_with_what_helps() {
    // Some wait for an answer that does not come.
    std::thread::scope(|scope| FAULTS.iter().for_each(|row| drop(scope.spawn(move || check(row)))));
}

#[test]
fn memory_is_no_disk() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    let (_, page) = doctor(dir.path());
    assert!(of_state(&page, "warn").contains(&"file system"), "{page:#}");
    assert!(page.to_string().contains("is on tmpfs"), "{page:#}");
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_running_server_is_asked_and_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let (listen, ops) = (free(), free());
    with_settings(&data, &format!("server:\n  listen: {listen}\n  ops: {ops}\n  flush_seconds: 1\n"));
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    let said = |page: &Value, check: &str| {
        let all = page["checks"].as_array().unwrap();
        let one = all.iter().find(|one| one["check"] == check).unwrap_or_else(|| panic!("{check}: {page:#}"));
        format!("{} {}", one["state"].as_str().unwrap(), one["found"].as_str().unwrap())
    };
    let (code, page) = doctor(&data);
    assert_eq!(code, 0, "{page:#}");
    assert!(said(&page, "server").ends_with("takes events"), "{page:#}");
    assert_eq!(said(&page, "cluster prod"), "warn nothing has ever come");
    let mixed = body(&events(0..2)).replace("\"items\":[", "\"items\":[17,");
    assert_eq!(server.post("/audit", &token, mixed).status, 200);
    let (_, page) = doctor(&data);
    assert!(said(&page, "cluster prod").starts_with("ok heard last at"), "{page:#}");
    assert_eq!(said(&page, "dead letters"), "warn 1 wait for somebody");
    assert_eq!(server.post("/audit", &token, body(&events(2..4))).status, 200);
    server.settled();
    server.stop();
    assert_eq!(made::count(&data), 4);

    let (old, key) = certificate(dir.path(), "old", -30, -1);
    with_settings(
        &data,
        &format!("server:\n  listen: {listen}\n  ops: {ops}\n  tls: {{certificate: {old}, key: {key}}}\n"),
    );
    let server = Server::start(&data);
    let (code, page) = doctor(&data);
    assert_eq!(code, 1);
    assert_eq!(said(&page, "server: certificate"), "fail the server's certificate has expired");
    server.stop();
}
