//! Intrusions that were made against a real API server, each in recorded ordinary traffic: each is one story, of the intruder alone.

#[path = "made/klio.rs"]
mod made;

use std::collections::BTreeSet;
use std::path::Path;

use made::{klio, out};
use serde_json::Value;

fn ids(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(|one| one["audit_id"].as_str()).collect()
}

#[test]
fn each_intrusion_is_one_story_that_holds_little_else() {
    let dir = tempfile::tempdir().unwrap();
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/made/attacks");
    let mut told = 0;
    for folder in std::fs::read_dir(made).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let labels = std::fs::read_to_string(folder.join("labels.json")).unwrap();
        let labels: Value = serde_json::from_str(&labels).unwrap();
        for (policy, run) in labels["runs"].as_object().unwrap() {
            let log = folder.join(format!("{policy}.jsonl.zst"));
            let scan = klio(
                dir.path(),
                &["scan", &log.to_string_lossy(), "-o", "jsonl", "--min-severity", "medium"],
            );
            let lines: Vec<Value> =
                out(&scan).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let stories: Vec<&Value> = lines.iter().filter(|line| line["type"] == "story").collect();
            assert_eq!(stories.len(), 1, "{name} {policy}: {stories:?}");
            let held = ids(&stories[0]["events"]);
            let labelled: BTreeSet<&str> =
                run["malicious"].as_object().unwrap().keys().map(String::as_str).collect();
            let both = held.intersection(&labelled).count();
            assert!(both * 10 >= labelled.len() * 9, "{name} {policy}: {both} of {}", labelled.len());
            assert!(both * 10 >= held.len() * 9, "{name} {policy}: {both} labelled of {}", held.len());
            let accused = |line: &Value| ids(&line["evidence"]).iter().any(|id| labelled.contains(id));
            assert!(lines.iter().any(|line| line["type"] == "finding" && accused(line)), "{name} {policy}");
            told += 1;
        }
    }
    assert!(told >= 4, "{told}");
}
