//! What a memory says about recorded attacks, how fast it is and how much it holds.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)] // helpers of tests

#[path = "made/stream.rs"]
mod stream;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use klio_detect::{Memory, Trace};
use klio_model::{Event, Facts, Field, Json};
use stream::{Made, at};

const BUDGET: usize = 256 << 20;

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded").join(name)
}

/// The events of recordings, in the order of time.
fn events(names: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        let bytes = zstd::decode_all(std::fs::File::open(recorded(name)).unwrap()).unwrap();
        all.extend(String::from_utf8(bytes).unwrap().lines().map(str::to_owned));
    }
    all.sort_by_cached_key(|json| Event::parse(json).unwrap().time());
    all
}

/// What the analyst says of each malicious request, by audit id.
fn malicious(scenario: &str, run: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(recorded(&format!("attacks/{scenario}/labels.json"))).unwrap();
    let labels = Json::parse(&text).unwrap();
    let steps = labels.pointer(&format!("/runs/{run}/malicious")).unwrap().members();
    steps.iter().map(|(id, step)| (id.to_string(), step.as_str().unwrap_or_default().to_owned())).collect()
}

/// Calls `f` with each request that has facts, once.
fn facts_of(events: &[String], memory: &mut Memory, mut f: impl FnMut(&Event<'_>, &str, Facts)) {
    for json in events {
        let event = Event::parse(json).unwrap();
        if let Some(trace) = Trace::of(&event) {
            let facts = memory.observe(&trace);
            f(&event, event.text_of(Field::AuditId).unwrap_or_default(), facts);
        }
    }
}

#[test]
fn a_minted_token_leads_to_who_minted_it() {
    for run in ["metadata", "recommended", "requestresponse"] {
        let malicious = malicious("15-tokenrequest-minting", run);
        let events = events(&[&format!("attacks/15-tokenrequest-minting/{run}.jsonl.zst")]);
        let thief = "system:serviceaccount:orders:legacy-importer";
        let (mut uses, mut others) = (0, 0);
        facts_of(&events, &mut Memory::new(BUDGET), |event, id, facts| {
            let (root, depth) = (facts.credential_root.as_deref(), facts.credential_depth);
            match malicious.get(id) {
                Some(step) if step.starts_with("use ") || step.starts_with("escalate") => {
                    uses += 1;
                    assert_eq!((root, depth), (Some(thief), Some(1)), "{run} {step}");
                    assert_eq!(facts.credential_issuer.as_deref(), Some(thief), "{run} {step}");
                }
                // Kubelets and the control plane are behind nobody else's.
                None => {
                    others += usize::from(facts.credential_issuer.is_some());
                    assert!(depth.is_none_or(|d| d == 0), "{run} {} {depth:?}", event.json());
                }
                _ => {}
            }
        });
        assert_eq!(uses, 4, "{run}");
        println!("{run}: {uses} uses of minted tokens, {others} uses of tokens that kubelets fetched");
    }
}

#[test]
fn a_slow_thief_is_told_by_his_own_history() {
    let name = "25-secrets-slow-exfil";
    let malicious = malicious(name, "recommended");
    // The recording itself is the thief's days; the benign week comes before it.
    let mut memory = Memory::new(BUDGET);
    let benign = events(&["benign/recommended.jsonl.zst"]);
    facts_of(&benign, &mut memory, |_, _, _| {});
    let mut stolen = Vec::new();
    let mut others: BTreeMap<String, (usize, i64)> = BTreeMap::new();
    facts_of(
        &events(&[&format!("attacks/{name}/recommended.jsonl.zst")]),
        &mut memory,
        |event, id, facts| {
            if malicious.contains_key(id) && event.text_of(Field::Resource) == Some("secrets") {
                stolen.push(facts);
            } else if facts.new_secret.is_some() {
                let user = event.text_of(Field::User).unwrap().to_owned();
                let (new, most) = others.entry(user).or_default();
                *new += usize::from(facts.new_secret == Some(true));
                *most = facts.secrets_week.unwrap_or_default().max(*most);
            }
        },
    );
    let new = stolen.iter().filter(|f| f.new_secret == Some(true)).count();
    let most = stolen.iter().filter_map(|f| f.secrets_week).max().unwrap();
    println!("thief: {} reads, {new} new, {most} different secrets; others: {others:?}", stolen.len());
    // He has the right and others do the same; what tells is that he never did, and that secret after secret is new.
    let yes = Some(true);
    assert_eq!((stolen[0].new_action, stolen[0].peers_action, stolen[0].secrets_week), (yes, yes, Some(1)));
    assert_eq!((stolen[0].new_actor, stolen[0].new_address), (Some(false), Some(false)));
    assert!(stolen.len() == 12 && new == 11 && most == 11);
    assert!(others.len() > 4 && others.values().all(|(new, _)| *new < 6), "{others:?}");
}

#[test]
fn the_same_recording_gives_the_same_memory() {
    let events = events(&["killchain/recommended.jsonl.zst"]);
    let run = || {
        let mut memory = Memory::new(BUDGET);
        let mut all = Vec::new();
        facts_of(&events, &mut memory, |_, _, facts| all.push(facts));
        (memory.snapshot(), all)
    };
    let (one, two) = (run(), run());
    assert!(one == two);
    let restored = Memory::restore(&one.0).unwrap();
    assert!(restored.snapshot() == one.0);
    assert!(restored.stats().bytes < 4 << 20, "{:?}", restored.stats());
}

#[test]
fn authors_of_recorded_pods_are_people_and_pipelines() {
    for (run, sure) in [("recommended", true), ("metadata", false)] {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut unknown = 0;
        let name = format!("benign/{run}.jsonl.zst");
        facts_of(&events(&[&name]), &mut Memory::new(BUDGET), |event, _, facts| {
            let user = event.text_of(Field::User).unwrap_or_default();
            let pods =
                ["pods", "replicasets", "jobs"].contains(&event.text_of(Field::Resource).unwrap_or_default());
            if !pods || event.text_of(Field::Verb) != Some("create") || !user.contains("-controller") {
                return;
            }
            match &facts.author {
                Some(author) => {
                    assert!(!author.contains("kube-system:"), "{author}");
                    assert_eq!(facts.author_sure, Some(sure), "{}", event.json());
                    *known.entry(author.to_string()).or_default() += 1;
                }
                None => unknown += 1,
            }
        });
        println!("{run}: {known:?}, {unknown} unknown");
        assert!(known.len() > 3, "{known:?}");
    }
}

/// 500 people, 900 service accounts and 5,000 pods over 30 days. A pod gets a new token every 48 minutes
/// (`pkg/kubelet/token/token_manager.go`: at 80 % of an hour); four a day are enough to fill the table's share.
#[test]
fn a_month_of_a_large_cluster_fits_its_budget() {
    let mut m = Memory::new(BUDGET);
    let node = Made::new("system:node:node-1").from("10.0.1.11").certificate("n1");
    let (days, pods, people) = (30, 5_000, 500);
    let mut wrong = 0;
    for day in 0..days {
        for (round, pod) in (0..4).flat_map(|round| (0..pods).map(move |pod| (round, pod))) {
            let time = at(day, round * 20_000 + i64::from(pod) * 2);
            let account = format!("system:serviceaccount:ns-{}:app-{}", pod % 100, pod % 450);
            let (token, uid) = (format!("{day}-{round}-{pod}"), format!("u{pod}"));
            let name = format!("app-{}-7c9f6d5b8c-{:05}", pod % 450, pod).replace(['0', '1', '3'], "x");
            node.clone().issues(&token).at(time).observe(&mut m);
            let ip = format!("10.244.{}.{}", pod / 250, pod % 250);
            let made = Made::new(&account).token(&token).pod(&name, &uid, "node-1").from(&ip);
            let made = made.of("list", &format!("r{}", pod % 9), &format!("ns-{}", pod % 100));
            made.at(time + 1).observe(&mut m);
        }
        for person in 0..people {
            for action in 0..12 {
                let made = Made::new(&format!("user-{person}@example.com")).from(&format!(
                    "10.8.{}.{}",
                    person / 250,
                    person % 250
                ));
                let made = made.of(
                    "get",
                    &format!("r{}", (person + action) % 40),
                    &format!("ns-{}", (person + action) % 60),
                );
                let facts =
                    made.certificate(&person.to_string()).at(at(day, 50_100 + action * 60)).observe(&mut m);
                wrong += usize::from(day > 0 && facts.new_action != Some(false));
            }
        }
    }
    let stats = m.stats();
    let (bytes, snapshot) = (stats.bytes >> 20, m.snapshot().len() >> 20);
    println!(
        "measured: {bytes} MiB, a snapshot of {snapshot} MiB, the process with its test: {:?}",
        resident()
    );
    assert!(stats.bytes <= BUDGET && stats.evicted == 0 && wrong == 0, "{stats:?} {wrong}");
}

/// What the kernel says that this process takes, now and at most.
fn resident() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|l| l.starts_with("VmRSS:") || l.starts_with("VmHWM:"));
    lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `cargo test --release -p klio-detect --test memory_recorded -- --ignored --nocapture speed`
#[test]
#[ignore = "a measurement"]
fn speed() {
    for run in ["metadata", "recommended", "requestresponse"] {
        let events = events(&[&format!("benign/{run}.jsonl.zst")]);
        // Few events at a time, as they are still at hand for a worker; the best of several rounds: other programs run too.
        let parts: Vec<_> = events.chunks(32).collect();
        let mut best = vec![(u128::MAX, u128::MAX); parts.len()];
        let (mut n, mut traced) = (0, 0);
        for round in 0..7 {
            let mut memory = Memory::new(BUDGET);
            for (part, best) in parts.iter().zip(&mut best) {
                let parsed: Vec<_> = part.iter().map(|json| Event::parse(json).unwrap()).collect();
                let start = Instant::now();
                let traces: Vec<_> = parsed.iter().map(Trace::of).collect();
                best.0 = best.0.min(start.elapsed().as_nanos());
                let traces: Vec<_> = traces.into_iter().flatten().collect();
                let start = Instant::now();
                for trace in &traces {
                    std::hint::black_box(memory.observe(trace));
                }
                best.1 = best.1.min(start.elapsed().as_nanos());
                if round == 0 {
                    n += parsed.len() as u128;
                    traced += traces.len() as u128;
                }
            }
        }
        let sum = |of: fn(&(u128, u128)) -> u128| best.iter().map(of).sum::<u128>();
        let (trace, observe) = (sum(|b| b.0) / n, sum(|b| b.1) / traced);
        println!(
            "{run}: Trace::of {trace} ns for each event, observe {observe} ns for each of {traced} of {n}"
        );
        println!("a trace takes {} bytes", size_of::<Trace>());
    }
}
