//! What redaction does to recorded events, and how fast.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;

fn logs(under: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded").join(under);
    let mut logs: Vec<_> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.zst"))
        .filter(|path| !path.ends_with("requests.jsonl.zst"))
        .collect();
    logs.sort();
    logs
}

fn text(path: &Path) -> String {
    String::from_utf8(zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap()
}

/// Every value that was removed from a log, by rule.
fn removed(path: &Path) -> (usize, BTreeMap<String, u32>, Vec<String>) {
    let (redactor, mut out, mut rules, mut shown) =
        (redactor(), String::new(), BTreeMap::<String, u32>::new(), Vec::new());
    let text = text(path);
    for line in text.lines() {
        let event = Event::parse(line).unwrap();
        let Some(removed) = redactor.redact(line, &event, &mut out) else {
            assert_eq!(out, "");
            continue;
        };
        Event::parse(&out).unwrap();
        for (rule, count) in removed.by_rule() {
            *rules.entry(rule.to_owned()).or_default() += count;
        }
        for (at, _) in out.match_indices("[redacted:") {
            let from = out.char_indices().map(|(i, _)| i).rfind(|i| *i + 120 <= at).unwrap_or(0);
            let object = &event.object;
            let resource = object.resource.as_ref().map_or("", |s| s.0.as_ref());
            shown.push(format!("{resource}: {}", out[from..].chars().take(190).collect::<String>()));
        }
    }
    (text.lines().count(), rules, shown)
}

#[test]
fn benign_metadata_events_stay_as_they_are() {
    for path in logs("benign").iter().filter(|p| p.to_string_lossy().contains("metadata")) {
        let (_, rules, shown) = removed(path);
        assert!(rules.is_empty(), "{}: {rules:?} {:#?}", path.display(), shown.get(..5));
    }
}

#[test]
fn recorded_secrets_go() {
    let mut all = BTreeMap::<String, u32>::new();
    let mut kinds = BTreeMap::<String, (u32, String)>::new();
    for path in logs("") {
        let (_, rules, shown) = removed(&path);
        for (rule, count) in rules {
            *all.entry(rule).or_default() += count;
        }
        for one in shown {
            let rule =
                one.split("[redacted:").nth(1).unwrap_or_default().split(' ').next().unwrap_or_default();
            let key = format!("{} {rule}", one.split(':').next().unwrap_or_default());
            kinds.entry(key).or_insert((0, one)).0 += 1;
        }
    }
    println!("{all:?}");
    // Nothing else is in these logs, so that whatever comes here is one value too many.
    assert_eq!(all.keys().collect::<Vec<_>>(), ["csr", "secret.data", "token", "url.token"]);
    for (kind, (count, one)) in kinds {
        println!("{count:6} {kind}\n       {one}");
    }
}

/// Nanoseconds that this thread computed, where the system says so: other work on the machine does not count.
fn computed() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// How fast, over all recorded events repeated to 200 MB: `cargo test --release -p klio-source -- --ignored speed --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let measure = |name: &str, texts: &[String]| {
        let redactor = redactor();
        let events: Vec<_> =
            texts.iter().flat_map(|t| t.lines()).map(|line| (line, Event::parse(line).unwrap())).collect();
        let bytes: usize = events.iter().map(|(line, _)| line.len()).sum();
        let rounds = (200_000_000 / bytes).max(1);
        let mut out = String::new();
        let mut best = f64::MAX;
        let mut hits = 0;
        for _ in 0..3 {
            let (start, before) = (Instant::now(), computed());
            hits = 0;
            for _ in 0..rounds {
                for (line, event) in &events {
                    hits += usize::from(redactor.redact(line, event, &mut out).is_some());
                }
            }
            let spent = computed() - before;
            let spent = if spent > 0 { spent as f64 / 1e9 } else { start.elapsed().as_secs_f64() };
            best = best.min(spent);
        }
        let walked = events.iter().filter(|(line, event)| redactor.is_suspicious(line, event)).count();
        println!(
            "{name:16} {:6.1} MB, {:5.0} B/event: {:7.0} ns/event, {:6.0} MB/s; {:.2}% walked, {:.2}% redacted",
            (rounds * bytes) as f64 / 1e6,
            bytes as f64 / events.len() as f64,
            best * 1e9 / (events.len() * rounds) as f64,
            (rounds * bytes) as f64 / best / 1e6,
            walked as f64 * 100.0 / events.len() as f64,
            hits as f64 * 100.0 / (events.len() * rounds) as f64,
        );
    };
    let (mut all, mut metadata, mut recommended, mut full) = (vec![], vec![], vec![], vec![]);
    for path in logs("") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = text(&path);
        match name.split('.').next() {
            Some("recommended") => recommended.push(text.clone()),
            Some("requestresponse") => full.push(text.clone()),
            _ => metadata.push(text.clone()),
        }
        all.push(text);
    }
    measure("metadata", &metadata);
    measure("recommended", &recommended);
    measure("requestresponse", &full);
    measure("all", &all);
}
