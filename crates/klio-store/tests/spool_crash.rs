//! A writer that is killed at any moment keeps what it acknowledged; a disk that is full refuses and heals.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use klio_store::spool::{Options, Spool, SpoolError};

const DIR: &str = "KLIO_TEST_SPOOL";

fn options() -> Options {
    Options { max_bytes: 8 << 20, file_bytes: 200_000, key: None }
}

/// What a batch holds follows from what it was appended as.
fn payload(id: u64) -> Vec<u8> {
    let len = (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as usize;
    (0..len).map(|at| (id as usize).wrapping_add(at) as u8).collect()
}

fn child(test: &str, dir: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(DIR, dir);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The writer: four threads append and say "ack seq id"; every hundredth acknowledgement cuts what is old.
#[test]
#[ignore = "run by killed_at_any_moment"]
fn writer() {
    let Some(dir) = env::var_os(DIR) else { return };
    let (spool, _) = Spool::open(Path::new(&dir), options()).unwrap();
    let out = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (spool, out) = (&spool, &out);
            scope.spawn(move || {
                for n in 0.. {
                    let id = (u64::from(std::process::id()) << 32) | (thread << 24) | n;
                    let seq = spool.append(&id.to_le_bytes(), &payload(id)).unwrap();
                    writeln!(out.lock().unwrap(), "ack {seq} {id}").unwrap();
                    if seq % 100 == 0 {
                        writeln!(out.lock().unwrap(), "cut {}", seq - 60).unwrap();
                        spool.cut(seq - 60).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let (mut cut, mut seed) = (0, 20_261_121_u64);
    for round in 0..30 {
        let mut writer = child("writer", dir.path());
        let mut lines = BufReader::new(writer.stdout.take().unwrap());
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let after = 1 + (seed >> 33) % 150;
        let (mut line, mut heard) = (String::new(), 0);
        while lines.read_line(&mut line).unwrap() > 0 {
            heard += 1;
            if heard == after {
                writer.kill().unwrap();
            }
            if line.ends_with('\n') {
                let mut words = line.split_whitespace();
                match (words.next(), words.next(), words.next()) {
                    (Some("ack"), Some(seq), Some(id)) => {
                        let old =
                            acknowledged.insert(seq.parse::<u64>().unwrap(), id.parse::<u64>().unwrap());
                        assert!(old.is_none(), "number {seq} was given twice");
                    }
                    (Some("cut"), Some(upto), _) => cut = cut.max(upto.parse::<u64>().unwrap()),
                    _ => {}
                }
            }
            line.clear();
        }
        writer.wait().unwrap();
        let (spool, recovered) = Spool::open(dir.path(), options()).unwrap();
        assert!(recovered.damage.is_empty(), "round {round}: {:?}", recovered.damage);
        let mut found = BTreeMap::new();
        for batch in spool.read_from(1) {
            let batch = batch.unwrap();
            let id = u64::from_le_bytes(batch.header[..].try_into().unwrap());
            assert_eq!(batch.payload, payload(id), "round {round}, batch {}", batch.seq);
            assert!(found.insert(batch.seq, id).is_none());
        }
        for (seq, id) in acknowledged.range(cut + 1..) {
            assert_eq!(found.get(seq), Some(id), "round {round}: batch {seq} was acknowledged");
        }
    }
    assert!(acknowledged.len() > 300, "{} acknowledged", acknowledged.len());
}

/// Fills a spool whose files the system keeps below a size.
#[test]
#[ignore = "run by a_refused_write_is_rolled_back"]
fn limited() {
    let Some(dir) = env::var_os(DIR) else { return };
    let (spool, _) = Spool::open(Path::new(&dir), options()).unwrap();
    let mut kept = 0;
    let error = loop {
        match spool.append(b"header", &[7; 9000]) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Io { .. }), "{error}");
    let read = spool.read_from(1).map(Result::unwrap).count();
    // A smaller one still fits behind what was rolled back.
    let small = spool.append(b"header", b"small").unwrap();
    println!("kept {kept} read {read} small {small}");
}

#[test]
fn a_refused_write_is_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let exe = env::current_exe().unwrap();
    // 64 KiB for each file; the signal that would end the process is ignored, so that the write fails.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact limited --ignored --nocapture";
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(exe).env(DIR, dir.path()).stdout(Stdio::piped());
    let mut limited = command.spawn().unwrap();
    let mut said = String::new();
    limited.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(limited.wait().unwrap().success(), "{said}");
    assert!(said.contains("kept 7 read 7 small 8"), "{said}");
    let (spool, recovered) = Spool::open(dir.path(), options()).unwrap();
    assert_eq!((recovered.last, recovered.torn), (8, None));
    assert_eq!(spool.append(b"header", &vec![7; 90_000]).unwrap(), 9);
    assert_eq!(spool.read_from(1).map(Result::unwrap).count(), 9);
}

/// On a real file system that is full. Needs the right to mount; without it, it says so and passes.
#[test]
fn a_full_disk_heals() {
    let dir = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "klio-test"]).arg(dir.path()).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        println!("not permitted to mount: not tested");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let (spool, _) = Spool::open(dir.path(), options()).unwrap();
        let mut kept = 0;
        for _ in 0..300 {
            kept += u64::from(spool.append(b"header", &[7; 9000]).is_ok());
        }
        assert!(kept > 80 && kept < 120, "{kept}");
        assert_eq!(spool.read_from(1).map(Result::unwrap).count() as u64, kept);
        spool.cut(kept / 2).unwrap();
        assert_eq!(spool.append(b"header", &[7; 9000]).unwrap(), kept + 1);
        drop(spool);
        let (_, recovered) = Spool::open(dir.path(), options()).unwrap();
        assert!(recovered.damage.is_empty() && recovered.torn.is_none() && recovered.last == kept + 1);
    });
    let ended = Command::new("umount").arg(dir.path()).status().unwrap();
    assert!(ended.success());
    assert!(result.is_ok());
}
