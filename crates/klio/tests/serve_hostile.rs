//! The server among clients that are slow, many, or wrong, and on a machine that refuses.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use made::{count, events};
use server::{PORTS, Server, body, certificate, connect, runtime, send};

fn address(url: &str) -> String {
    url.rsplit('/').next().unwrap().to_owned()
}

/// Clients that have begun a handshake or a body and do not go on.
#[test]
fn slow_clients_wait_and_keep_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let settings =
        format!("server:\n{PORTS}  flush_seconds: 1\n  body_bytes: 1048576\n  in_flight_bytes: 2097152\n");
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let server = Server::start(&data);
    let address = address(&server.https);
    // Half a handshake each.
    let mut slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(&[0x16, 0x03, 0x01]).unwrap();
            stream
        })
        .collect();
    // Bodies that do not come, with good credentials: each holds as much memory as has come.
    let client = server.client().build().unwrap();
    let url = format!("{}/audit", server.https);
    let _announced: Vec<_> = (0..4)
        .map(|_| {
            let (sender, stalled) =
                runtime().block_on(async { tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1) });
            let stalled = futures::stream::unfold((stalled, sender), |(mut stalled, sender)| async move {
                stalled.recv().await.map(|part| (part, (stalled, sender)))
            });
            let request = client.post(&url).bearer_auth(&token).body(reqwest::Body::wrap_stream(stalled));
            runtime().spawn(send(request))
        })
        .collect();
    std::thread::park_timeout(Duration::from_millis(300));
    let started = Instant::now();
    let answer = server.post("/audit", &token, body(&events(0..100)));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Half handshakes end after ten seconds.
    let mut rest = Vec::new();
    slow[0].set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = slow[0].read_to_end(&mut rest);
    server.until("handshakes are given up", |server| {
        server.metric("klio_connections_turned_away_total") >= 200.0
    });
    server.settled();
    server.stop();
    assert_eq!(count(&data), 100);
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    let wanted = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    // Fewer places than guests: the oldest who are unknown and do nothing go first.
    let settings = format!("server:\n{PORTS}  connections: 9000\n");
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let server = Server::start(&data);
    let address = address(&server.https);
    let mut idle = Vec::new();
    for _ in 0..wanted {
        match TcpStream::connect(&address) {
            Ok(stream) => idle.push(stream),
            Err(e) => {
                println!("skipped after {}: this process may not open more connections: {e}", idle.len());
                break;
            }
        }
    }
    let started = Instant::now();
    for n in 0..20 {
        assert_eq!(server.post("/audit", &token, body(&events(n * 10..n * 10 + 10))).status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = rss.trim().split(' ').next().unwrap().parse().unwrap();
    assert!(kib < 768 << 10, "{rss}");
    server.settled();
    server.stop();
    assert_eq!(count(&data), 200);
}

#[test]
fn a_stranger_who_asks_how_to_sign_in_still_makes_room_for_who_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    std::fs::write(data.join("klio.yaml"), format!("server:\n{PORTS}  connections: 4\n")).unwrap();
    let server = Server::start(&data);
    let strangers: Vec<_> = (0..4)
        .map(|_| {
            let client = server.client().build().unwrap();
            let asked = client.get(format!("{}/api/v1/sign-in", server.https));
            assert_eq!(runtime().block_on(send(asked)).unwrap().status, 200);
            client
        })
        .collect();
    assert_eq!(server.post("/audit", &token, body(&events(0..10))).status, 200);
    drop(strangers);
    server.stop();
}

/// A file system that is small, on memory; nothing if this machine allows none.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &std::path::Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "klio-test"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("skipped: a file system cannot be mounted here");
        None
    }

    fn remount(&self, option: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_pushed_back_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("small");
    let Some(disk) = Small::mount(&data, 24 << 20) else { return };
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    let (mut kept, mut refused) = (0, 0);
    for n in 0..400 {
        let answer = server.post("/audit", &token, body(&events(n * 500..n * 500 + 500)));
        match answer.status {
            200 => kept += 500,
            503 => {
                assert!(answer.again.is_some(), "{answer:?}");
                refused += 1;
                break;
            }
            _ => panic!("{answer:?}"),
        }
        if n == 30 {
            // Somebody else fills it.
            let _ = std::fs::write(data.join("spool/.other"), vec![1; 24 << 20]);
        }
    }
    assert_eq!(refused, 1);
    server.until("it says that it is not ready", |server| server.get("/readyz").status == 503);
    assert_eq!(server.get("/livez").status, 200);
    std::fs::remove_file(data.join("spool/.other")).unwrap();
    disk.remount("size=200m");
    server.until("it recovers by itself", |server| server.get("/readyz").status == 200);
    let answer = server.post("/audit", &token, body(&events(900_000..900_100)));
    assert_eq!(answer.status, 200, "{answer:?}");
    server.settled();
    server.stop();
    assert_eq!(count(&data), kept + 100);
    made::ok(&data, &["verify"]);
}

/// What a directory holds is there and cannot be written, until this ends.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    fn over(at: &std::path::Path) -> Option<Self> {
        let bound = Command::new("mount").arg("--bind").arg(at).arg(at).output();
        if !bound.is_ok_and(|output| output.status.success()) {
            println!("skipped: a directory cannot be mounted here");
            return None;
        }
        let own = Self(at.to_owned());
        let done = Command::new("mount").args(["-o", "remount,ro,bind"]).arg(at).status().unwrap();
        assert!(done.success() && std::fs::write(at.join("probe"), "x").is_err());
        Some(own)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_lake_that_turns_read_only_is_waited_for_while_the_spool_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let server = Server::start(&data);
    assert_eq!(server.post("/audit", &token, body(&events(0..100))).status, 200);
    server.settled();
    let Some(held) = ReadOnly::over(&data.join("events")) else { return };
    for n in 1..10 {
        assert_eq!(server.post("/audit", &token, body(&events(n * 100..n * 100 + 100))).status, 200);
    }
    server.until("the failure is counted", |server| server.metric("klio_lake_flush_failures_total") >= 2.0);
    assert_eq!(server.get("/readyz").status, 200, "events can be taken");
    assert!(server.metric("klio_spool_waiting_batches") > 0.0);
    assert!(server.said("Read-only file system") > 0);
    drop(held);
    server.settled();
    assert_eq!(server.post("/audit", &token, body(&events(1000..1001))).status, 200);
    server.stop();
    assert_eq!(count(&data), 1001);
    made::ok(&data, &["verify"]);
}

#[test]
fn a_server_on_a_read_only_disk_says_so_and_the_next_start_has_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let settings = format!("server:\n{PORTS}  flush_seconds: 600\n");
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let server = Server::start(&data);
    for n in 0..10 {
        assert_eq!(server.post("/audit", &token, body(&events(n * 100..n * 100 + 100))).status, 200);
    }
    server.kill();
    let Some(held) = ReadOnly::over(&data) else { return };
    made::refused(&data, &["serve"], 3, "Read-only");
    drop(held);
    Server::start(&data).stop();
    made::ok(&data, &["lake", "info"]);
    assert_eq!(count(&data), 1000);
}

/// `faketime`, with which the clock of a program can be set while it runs; nothing if it is not installed.
fn faketime() -> Option<String> {
    let found = glob("/usr/lib", "libfaketimeMT.so.1");
    if found.is_none() {
        println!("skipped: faketime is not installed (Debian: libfaketime)");
    }
    found
}

fn glob(dir: &str, name: &str) -> Option<String> {
    let output = Command::new("find").args([dir, "-name", name]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

#[test]
fn a_clock_that_jumps_an_hour_either_way_costs_nothing() {
    let Some(library) = faketime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let clock = dir.path().join("clock");
    std::fs::write(&clock, "+0").unwrap();
    let clock_text = clock.display().to_string();
    let with = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &clock_text),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let server = Server::start_in(&data, &[], &with);
    let mut from = 0;
    for jump in ["+0", "+3600", "+0", "-3600", "+0"] {
        std::fs::write(&clock, jump).unwrap();
        for _ in 0..5 {
            let answer = server.post("/audit", &token, body(&events(from..from + 50)));
            assert_eq!(answer.status, 200, "{jump}: {answer:?}");
            // What was sent before the jump is known after it.
            let again = from.saturating_sub(100);
            assert_eq!(server.post("/audit", &token, body(&events(again..from))).json()["kept"], 0, "{jump}");
            from += 50;
        }
        server.settled();
        assert_eq!(server.get("/readyz").status, 200, "{jump}");
    }
    server.stop();
    assert_eq!(count(&data), u64::from(from));
    // That a clock was set back cannot be told from a log that was dated back: it is named, and nothing else is.
    let verified = made::klio(&data, &["verify"]);
    let text = made::out(&verified) + &made::err(&verified);
    let problems: Vec<&str> = text.lines().filter(|line| line.starts_with("problem:")).collect();
    assert!(
        !problems.is_empty() && problems.iter().all(|line| line.contains("the clock was set back")),
        "{text}"
    );
}

#[test]
fn a_certificate_that_has_expired_is_told_and_one_that_is_renewed_is_taken_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let (old, old_key) = certificate(dir.path(), "old", -30, -1);
    let tls = format!("  tls:\n    certificate: {old}\n    key: {old_key}\n");
    std::fs::write(data.join("klio.yaml"), format!("server:\n{PORTS}{tls}")).unwrap();
    let server = Server::start(&data);
    assert_eq!(server.get("/readyz/certificate").status, 503);
    assert!(server.get("/readyz/certificate").body.contains("expired"));
    assert!(server.metric("klio_tls_certificate_expiry_timestamp_seconds") > 0.0);
    let client = |pem: &str| {
        let root = reqwest::Certificate::from_pem(&std::fs::read(pem).unwrap()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).build().unwrap()
    };
    let post = |client: &reqwest::Client| {
        let request = client.post(format!("{}/audit", server.https)).bearer_auth(&token);
        runtime().block_on(send(request.body(body(&events(0..1)))))
    };
    assert!(post(&client(&old)).is_err(), "an expired certificate is not trusted");
    let (new, new_key) = certificate(dir.path(), "new", -1, 30);
    std::fs::copy(&new, &old).unwrap();
    std::fs::copy(&new_key, &old_key).unwrap();
    server.until("the new certificate is served", |_| {
        post(&client(&new)).is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(server.get("/readyz").status, 200);
    server.stop();
}

#[test]
fn a_client_certificate_that_has_expired_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    connect(&data, "prod");
    let (old, old_key) = certificate(dir.path(), "apiserver", -30, -1);
    let settings = format!(
        "server:\n{PORTS}  tls:\n    client_ca: {old}\nclusters:\n  prod:\n    certificate: apiserver\n"
    );
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let server = Server::start(&data);
    let pem = [std::fs::read(&old).unwrap(), std::fs::read(&old_key).unwrap()].concat();
    let client = server.client().identity(reqwest::Identity::from_pem(&pem).unwrap()).build().unwrap();
    let request = client.post(format!("{}/audit", server.https)).body(body(&events(0..1)));
    assert!(runtime().block_on(send(request)).is_err());
    server.stop();
    assert_eq!(count(&data), 0);
}
