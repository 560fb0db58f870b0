//! Paths, directories, patterns and compressed files, good and bad, as a person meets them.

use std::fs;
use std::path::Path;

use crate::support::*;
use klio_source::{Chunks, Discovery, Input, Options, Pool, Reason, SkipReason, decode, discover};

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn names(found: &Discovery, dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy().to_string() + "/";
    found.inputs.iter().map(|i| i.name.replace(&dir, "")).collect()
}

fn scan(found: &Discovery) -> Got {
    let mut got = Got::default();
    got.rejected.extend(found.rejected.clone());
    got.skipped.extend(found.skipped.clone());
    for input in &found.inputs {
        for chunk in Chunks::new(input, &Options::default(), &Pool::default()) {
            decode(&chunk, &mut got.sink());
        }
    }
    got
}

#[test]
fn a_directory_is_read_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    write(d, "audit.log", event("3") + "\n");
    write(
        d,
        "audit-2026-08-20T10-00-00.000.log.zst",
        zstd::encode_all((event("2") + "\n").as_bytes(), 1).unwrap(),
    );
    write(d, "audit-2026-08-19T10-00-00.000.log.gz", gz((event("1") + "\n").as_bytes()));
    write(d, "README.md", "# Logs\n\nThese are the logs.\n");
    write(d, "labels.json", pretty(r#"{"technique":"T1","malicious":{"a":"b"}}"#));
    write(d, "picture", [0u8, 159, 146, 150, 10, 255, 10, 13]);
    write(d, ".hidden/x.log", event("h"));
    write(d, "sub/empty.log", "");
    let found = discover(&[d]);
    let got = scan(&found);
    assert_eq!(got.ids(), ["1", "2", "3"]);
    assert!(got.rejected.is_empty(), "{:?}", got.rejected);
    assert_eq!(
        (got.skips(SkipReason::NoAuditEvent), got.skips(SkipReason::Hidden), got.skips(SkipReason::Empty)),
        (3, 1, 1)
    );
}

#[test]
fn a_file_named_itself_is_judged_by_line() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "README.md", "# Logs\n\nThese are the logs.\n");
    let got = scan(&discover(&[dir.path().join("README.md")]));
    assert_eq!(got.rejected.len(), 1);
    assert_eq!((got.rejected[0].line, got.rejected[0].count), (1, 2));
    assert!(got.rejected[0].to_string().ends_with("README.md:1 (and 1 more): not JSON: \"# Logs\""));
}

#[test]
fn an_event_after_much_else_is_still_found() {
    let dir = tempfile::tempdir().unwrap();
    let text = "some text\n".repeat(300_000) + &event("late") + "\n";
    write(dir.path(), "x.log", text);
    let got = scan(&discover(&[dir.path()]));
    assert_eq!(got.ids(), ["late"]);
    assert_eq!(got.lines(), [300_001]);
    assert_eq!(got.rejected.iter().map(|r| r.count).sum::<u64>(), 300_000);
}

#[cfg(unix)]
#[test]
fn a_file_is_read_once_and_loops_are_named() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    write(d, "a/audit.log", event("a") + "\n");
    symlink(d.join("a/audit.log"), d.join("a/link.log")).unwrap();
    fs::hard_link(d.join("a/audit.log"), d.join("a/hard.log")).unwrap();
    symlink(d, d.join("a/loop")).unwrap();
    symlink(d.join("gone"), d.join("a/broken")).unwrap();
    let pattern = d.join("a/*.log");
    let found =
        discover(&[d, &d.join("a"), &d.join("a/audit.log"), &pattern, Path::new("-"), Path::new("-")]);
    assert_eq!(names(&found, d), ["a/audit.log", "-"]);
    let reasons: Vec<_> = found.rejected.iter().map(|r| &r.reason).collect();
    assert!(reasons.iter().any(|r| matches!(r, Reason::Loop { .. })), "{reasons:?}");
    assert!(reasons.iter().any(|r| matches!(r, Reason::Missing)), "{reasons:?}");
}

#[cfg(unix)]
#[test]
fn special_files_do_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let _socket = std::os::unix::net::UnixListener::bind(d.join("s.log")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(d.join("p.log")).status().unwrap().success());
    write(d, "x.log", event("a"));
    let found = discover(&[d]);
    assert_eq!(names(&found, d), ["x.log"]);
    assert_eq!(found.rejected.iter().filter(|r| matches!(r.reason, Reason::NotRegular { .. })).count(), 2);
    assert!(matches!(discover(&["/dev/zero"]).rejected[0].reason, Reason::NotRegular { .. }));
}

#[test]
fn missing_paths_and_patterns_are_named() {
    let found = discover(&["/no/such/file", "/no/such/*.log", "/no/[", "/no/such/**/x"]);
    let reasons: Vec<_> = found.rejected.iter().map(|r| r.reason.clone()).collect();
    assert!(matches!(
        reasons[..],
        [
            Reason::Missing,
            Reason::NoMatch { why: None },
            Reason::NoMatch { why: Some(_) },
            Reason::NoMatch { why: None }
        ]
    ));
    assert_eq!(found.rejected[0].to_string(), "/no/such/file: no such file or directory (check the path)");
    assert!(found.rejected[1].to_string().contains("(quote it"));
}

#[test]
fn an_unreadable_file_is_named() {
    let got = scan(&Discovery { inputs: vec![Input::file("/no/such/file")], ..Discovery::default() });
    assert!(matches!(got.reasons()[..], [(0, Reason::Unreadable { .. })]));
}

#[test]
fn damaged_streams_keep_what_came_before() {
    let lines: String = (0..5000).map(|i| event(&format!("{:x}", i * 2_654_435_761u64)) + "\n").collect();
    for packed in [gz(lines.as_bytes()), zstd::encode_all(lines.as_bytes(), 1).unwrap()] {
        let got = read(&packed[..packed.len() * 2 / 3]);
        assert!(!got.records.is_empty() && got.records.len() < 5000);
        let last = got.rejected.last().unwrap();
        assert!(
            matches!(last.reason, Reason::Damaged { .. })
                && last.line >= got.lines().last().copied().unwrap()
        );
    }
    let mut flipped = gz(lines.as_bytes());
    let at = flipped.len() / 2;
    flipped[at] ^= 0x55;
    assert!(read(flipped).rejected.iter().any(|r| matches!(r.reason, Reason::Damaged { .. })));
    let mut padded = gz(lines.as_bytes());
    padded.extend([0; 512]);
    assert_eq!(read(padded).records.len(), 5000);
}

#[test]
fn bombs_do_not_fill_memory() {
    let bomb = gz(&vec![b'['; 200 << 20]);
    let got = read(bomb);
    assert!(got.rejected.iter().any(|r| matches!(r.reason, Reason::TooLong { .. } | Reason::Bomb { .. })));
    assert!(got.widest < 70 << 20);
    let mut lines = event("a") + "\n";
    lines.push_str(&"\n".repeat(100 << 20));
    let got = read(gz(lines.as_bytes()));
    assert_eq!(got.ids(), ["a"]);
    let got = read(zstd::encode_all(lines.as_bytes(), 3).unwrap());
    assert!(got.rejected.iter().any(|r| matches!(r.reason, Reason::Bomb { .. })), "{:?}", got.rejected);
}
