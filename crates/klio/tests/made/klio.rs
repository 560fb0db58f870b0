//! The program, run on a lake of its own.

#![allow(dead_code)] // each test uses a part
#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klio"));
    command.args(arguments).env("KLIO_DATA", data).stdin(Stdio::null());
    command
}

pub fn klio(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).output().unwrap()
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn ok(data: &Path, arguments: &[&str]) -> String {
    let output = klio(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}{}", out(&output), err(&output));
    out(&output)
}

/// Refused with this exit code and these words.
pub fn refused(data: &Path, arguments: &[&str], code: i32, said: &str) {
    let output = klio(data, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", out(&output), err(&output));
    assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
}

pub fn recorded(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
    root.join(name).display().to_string()
}

/// A number that SQL tells.
pub fn number(data: &Path, query: &str) -> u64 {
    let rows = ok(data, &["sql", query, "-o", "jsonl"]);
    let row: Value = serde_json::from_str(rows.trim()).unwrap();
    row.as_object().unwrap().values().next().unwrap().as_u64().unwrap()
}

/// Events in a lake.
pub fn count(data: &Path) -> u64 {
    number(data, "SELECT count(*) FROM events")
}

/// A lake's directory with settings.
pub fn with_settings(data: &Path, settings: &str) {
    std::fs::create_dir_all(data).unwrap();
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
}

/// Small events with these numbers, one a second on one day, a line each.
pub fn events(numbers: std::ops::Range<u32>) -> String {
    let event = |n: u32| {
        let time = format!("2026-07-01T10:{:02}:{:02}.000000Z", n / 60 % 60, n % 60);
        format!(
            "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"id-{n}\",\
             \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/nodes\",\"verb\":\"list\",\
             \"user\":{{\"username\":\"u{n}\"}},\"responseStatus\":{{\"code\":200}},\
             \"requestReceivedTimestamp\":\"{time}\",\"stageTimestamp\":\"{time}\"}}\n"
        )
    };
    numbers.map(event).collect()
}

/// A file in a directory, by its path as an argument.
pub fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// All files below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![dir.to_owned()], Vec::new());
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}
