//! The training lab, used as a learner and as a teacher would.
#![allow(clippy::unwrap_used)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use made::{err, ok, out, refused};
use serde_json::Value;

/// The names of the lessons, in order.
fn lessons() -> Vec<String> {
    let list = ok(Path::new("none"), &["demo", "--lab"]);
    let names = list.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap().to_owned());
    names.collect()
}

/// A lesson with its answers.
fn page(lesson: &str) -> String {
    ok(Path::new("none"), &["demo", "--lab", lesson, "--answers"])
}

/// What follows these words at the beginning of lines.
fn after<'p>(page: &'p str, words: &str) -> Vec<&'p str> {
    page.lines().filter_map(|line| line.strip_prefix(words)).collect()
}

/// Goes through a lesson with these replies, and its log in this directory.
fn learn(lesson: &str, dir: &Path, replies: &[&str]) -> Output {
    let mut command = made::command(dir, &["demo", "--lab", lesson, "--to", &dir.display().to_string()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n", replies.join("\n")).as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn lessons_are_listed_and_found_by_number_and_name() {
    let dir = tempfile::tempdir().unwrap();
    let names = lessons();
    assert!(names.len() >= 14, "{names:?}");
    assert_eq!(page("1"), page(&names[0]));
    let whole = ok(dir.path(), &["demo", "--lab", "--answers"]);
    assert!(names.iter().all(|name| whole.contains(&page(name))));
    refused(dir.path(), &["demo", "--lab", "exce"], 2, "did you mean `exec`?");
    refused(dir.path(), &["demo", "--lab", "99"], 2, "lists them");
    refused(dir.path(), &["demo", "--lab", "--to", "x"], 2, "which lesson");
    refused(dir.path(), &["demo", "--answers"], 2, "--lab");
    refused(dir.path(), &["demo", "--lab", "1", "--timeline"], 2, "cannot be used with");
}

#[test]
fn the_answers_of_the_page_are_right() {
    for name in lessons() {
        let dir = tempfile::tempdir().unwrap();
        let page = page(&name);
        let answers = after(&page, "Answer: ");
        let told = learn(&name, dir.path(), &answers);
        let all = format!("You found {0} of {0} answers.", answers.len());
        assert!(told.status.success() && out(&told).contains(&all), "{name}: {}{}", out(&told), err(&told));
        assert!(out(&told).contains("klio ingest") && !out(&told).contains('\u{1b}'), "{name}");
        assert!(dir.path().join("audit.jsonl.zst").is_file());
    }
}

/// Each command of a lesson works in the directory of its log, and says what the page says of it.
#[test]
fn every_command_can_be_typed() {
    let mut path = vec![Path::new(env!("CARGO_BIN_EXE_klio")).parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(path).unwrap();
    let mut wrong = Vec::new();
    let mut run = 0;
    for name in lessons() {
        let dir = tempfile::tempdir().unwrap();
        assert!(out(&learn(&name, dir.path(), &["quit"])).contains("before you left"));
        let page = page(&name);
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            let Some(typed) = line.strip_prefix("    $ ") else { continue };
            let mut shell = Command::new("sh");
            shell.args(["-c", typed]).current_dir(dir.path()).env("PATH", &path).env("KLIO_DATA", dir.path());
            let told = shell.stdin(Stdio::null()).output().unwrap();
            let says = lines.clone().nth(1).and_then(|line| line.strip_prefix("says `")?.strip_suffix('`'));
            if !told.status.success() || says.is_some_and(|says| !out(&told).contains(says)) {
                wrong.push(format!("{name}: {typed}: {}", err(&told)));
            }
            run += 1;
        }
    }
    assert!(run > 100 && wrong.is_empty(), "{run}\n{}", wrong.join("\n"));
}

/// The rules that a lesson names find something in its log.
#[test]
fn named_rules_find_something() {
    let rules = ok(Path::new("none"), &["rule", "list", "-o", "jsonl"]);
    let mut files = BTreeMap::new();
    for line in rules.lines() {
        let rule: Value = serde_json::from_str(line).unwrap();
        let slug =
            rule["file"].as_str().unwrap().rsplit('/').next().unwrap().trim_end_matches(".yml").to_owned();
        files.insert(rule["title"].as_str().unwrap().to_owned(), slug);
    }
    let mut named = 0;
    for name in lessons() {
        let page = page(&name);
        let Some(line) = after(&page, "Rules that find something of it: ").pop() else { continue };
        let dir = tempfile::tempdir().unwrap();
        learn(&name, dir.path(), &["quit"]);
        let log = dir.path().join("audit.jsonl.zst").display().to_string();
        let scan = ok(dir.path(), &["scan", &log, "-o", "jsonl"]);
        let findings = scan.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let findings = findings.filter(|line| line["type"] == "finding");
        let found: BTreeSet<String> =
            findings.filter_map(|f| files.get(f["rule"]["title"].as_str()?).cloned()).collect();
        for rule in line.trim_end_matches('.').split(", ") {
            assert!(found.contains(rule), "{name}: {rule} is not among {found:?}");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn help_comes_when_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let told = out(&learn("token-guessing", dir.path(), &["10.0.0.1"]));
    assert!(told.contains("Not that one") && !told.contains("Here is the hint"), "{told}");
    let told = out(&learn("token-guessing", dir.path(), &["10.0.0.1", "10.0.0.2"]));
    assert!(told.contains("Here is the hint") && told.contains("  $ klio hunt 'code:401'"), "{told}");
    let replies = ["hint", "203.0.113.66", "", "SHOW", "many", "61", "skip", "none"];
    let told = out(&learn("token-guessing", dir.path(), &replies));
    assert!(told.contains("It is none.") && told.contains("A number is asked for"), "{told}");
    assert!(told.contains("You found 3 of 5 answers, 1 of them with the hint."), "{told}");
    let told = out(&learn("persistence", dir.path().join("other").as_path(), &["kube-node-tuner"]));
    assert!(told.contains("Good so far: 1 of 2"), "{told}");
}

#[test]
fn nothing_of_others_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.jsonl.zst");
    std::fs::write(&log, "somebody's own").unwrap();
    let told = learn("1", dir.path(), &["quit"]);
    assert_eq!(told.status.code(), Some(2), "{}", err(&told));
    assert!(err(&told).contains("another file") && std::fs::read(&log).unwrap() == b"somebody's own");
    // Without --to: a directory of its own below this one, which may be there from the last time.
    for _ in 0..2 {
        let mut command = made::command(dir.path(), &["demo", "--lab", "exec"]);
        assert!(command.current_dir(dir.path()).output().unwrap().status.success());
        assert!(dir.path().join("klio-lab/exec/audit.jsonl.zst").is_file());
    }
}
