//! The library of hunts, asked as a user would.
#![cfg(feature = "lake")]

#[path = "made/klio.rs"]
mod made;

use std::path::Path;

use made::{err, klio, ok, out, refused};

#[test]
fn the_library_is_listed_shown_and_asked() {
    let dir = tempfile::tempdir().unwrap();
    let list = ok(dir.path(), &["hunts"]);
    assert!(list.contains("secrets-listed-by-hand") && list.lines().count() > 40, "{list}");
    assert!(ok(dir.path(), &["hunts", "webhook"]).lines().count() < list.lines().count());
    assert!(ok(dir.path(), &["hunts", "secrets-listed-by-hand"]).starts_with("# "));
    refused(dir.path(), &["hunts", "no such words"], 2, "no hunt says");
    refused(dir.path(), &["hunt", "@secrets-listed-by-hnad"], 2, "did you mean @secrets-listed-by-hand?");
    let log = made::recorded("killchain/metadata.jsonl.zst");
    let told = klio(dir.path(), &["hunt", "@secrets-listed-by-hand", &log]);
    assert!(out(&told).lines().count() > 0 && err(&told).contains('?'), "{told:?}");
    refused(dir.path(), &["hunt", "@who-reads-secrets", &log], 2, "asks the lake");
}

/// Each question in SQL has, on a lake of all recorded logs, as many rows as its page says.
#[test]
fn each_question_in_sql_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
    let mut ingest = made::command(dir.path(), &["ingest"]);
    ingest.current_dir(&recorded);
    for kind in ["attacks/*/*.jsonl.zst", "benign/*.jsonl.zst", "killchain/*.jsonl.zst"] {
        ingest.arg(kind);
    }
    let kept = ingest.output().unwrap();
    assert!(kept.status.success(), "{}", err(&kept));
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hunts");
    let mut asked = 0;
    for path in made::files(&library) {
        let page = std::fs::read_to_string(&path).unwrap();
        if !page.contains("```sql") {
            continue;
        }
        let slug = path.file_stem().unwrap().to_string_lossy().into_owned();
        let rows: usize = match page.rsplit_once("\nall: ") {
            Some((_, rows)) => rows.trim().parse().unwrap(),
            None => 0,
        };
        let answer = ok(dir.path(), &["hunt", &format!("@{slug}"), "-o", "jsonl"]);
        assert_eq!(answer.lines().count(), rows, "{slug}");
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
}
