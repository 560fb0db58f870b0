//! The server among clients that are slow, many, or wrong, and on a machine that refuses.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use made::{count, events};
use server::{PORTS, Server, body, connect, runtime, send};

fn address(url: &str) -> String {
    url.rsplit('/').next().unwrap().to_owned()
}

/// A client that has begun a request and goes on a byte at a time.
#[test]
fn slow_clients_wait_and_keep_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let settings = format!("server:\n{PORTS}  flush_seconds: 1\n  body_bytes: 1048576\n  in_flight_bytes: 2097152\n");
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
    // Bodies that are announced and do not come, with good credentials: each holds as much memory as it says.
    let client = server.client().build().unwrap();
    let url = format!("{}/audit", server.https);
    let _announced: Vec<_> = (0..4)
        .map(|_| {
            let (_sender, stalled) = runtime().block_on(async { tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1) });
            let stalled = futures::stream::unfold((stalled, _sender), |(mut stalled, sender)| async move {
                stalled.recv().await.map(|part| (part, (stalled, sender)))
            });
            let request = client.post(&url).bearer_auth(&token).body(reqwest::Body::wrap_stream(stalled));
            runtime().spawn(send(request))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    let answer = server.post("/audit", &token, body(&events(0..100)));
    // Either there is room, or the sender is told when to come again.
    if answer.status != 200 {
        assert_eq!((answer.status, answer.again.is_some()), (429, true), "{answer:?}");
        server.until("the slow ones are sent away", |server| {
            server.post("/audit", &token, body(&events(0..100))).status == 200
        });
    }
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    // Half handshakes end after ten seconds.
    let mut rest = Vec::new();
    slow[0].set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = slow[0].read_to_end(&mut rest);
    server.until("handshakes are given up", |server| server.metric("klio_connections_turned_away_total") >= 200.0);
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

#[test]
fn a_disk_that_turns_read_only_is_pushed_back_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("small");
    let Some(disk) = Small::mount(&data, 200 << 20) else { return };
    let token = connect(&data, "prod");
    let settings = format!("server:\n{PORTS}  flush_seconds: 600\n");
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let server = Server::start(&data);
    for n in 0..10 {
        assert_eq!(server.post("/audit", &token, body(&events(n * 100..n * 100 + 100))).status, 200);
    }
    // A file that is open for writing forbids it; so the mount is made read-only below the server.
    let made_so = Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&disk.0).status();
    let is_so = made_so.is_ok_and(|s| s.success()) && std::fs::write(data.join("probe"), "x").is_err();
    if !is_so {
        println!("skipped: this mount does not turn read-only");
        return;
    }
    server.kill();
    let refused = made::klio(&data, &["serve"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(made::err(&refused).contains("Read-only"), "{}", made::err(&refused));
    disk.remount("rw,bind");
    let server = Server::start(&data);
    assert_eq!(server.post("/audit", &token, body(&events(1000..1001))).status, 200);
    server.stop();
    assert_eq!(count(&data), 1001);
}
