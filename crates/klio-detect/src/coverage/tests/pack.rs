//! Klio's pack under the policies of the recordings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klio_model::{Event, Level};

use crate::coverage::policy::PolicyRule;
use crate::coverage::{
    Heat, Observed, Policy, Recording, Verdict, assess, is_any, matrices, targets, together,
};
use crate::engine::FalcoMatching;
use crate::lookup::{Atlas, Import};
use crate::rule::{Dialect, RuleFile, RuleSet};
use crate::{Engine, Lookup, sigma};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files below a directory, in their order.
fn files(dir: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, ending, out);
        } else if path.to_string_lossy().ends_with(ending) {
            out.push(path);
        }
    }
}

/// A database and a list, so that no rule is blind for lack of them.
fn lookup() -> Lookup {
    let made = root().join("fixtures/lookup");
    let (mut atlas, mut import) = (Atlas::default(), Import::default());
    atlas.add(std::fs::read(made.join("both.mmdb")).unwrap()).unwrap();
    import.file("list", &std::fs::read_to_string(made.join("addresses.txt")).unwrap()).unwrap();
    Lookup { atlas: Some(atlas), indicators: import.finish() }
}

fn pack() -> RuleSet {
    let mut paths = Vec::new();
    files(&root().join("rules"), ".yml", &mut paths);
    let read = |p: &PathBuf| RuleFile {
        name: p.display().to_string(),
        text: std::fs::read_to_string(p).unwrap().into(),
    };
    let all: Vec<RuleFile> = paths.iter().map(read).collect();
    let (mut set, problems) = sigma::compile(&all, Dialect::Klio);
    assert!(problems.iter().all(|p| p.warning), "{problems:?}");
    set.lookup = Arc::new(lookup());
    set
}

const RECORDED: [&str; 3] = ["metadata", "recommended", "requestresponse"];

fn policy(name: &str) -> Policy {
    let path = match name {
        "deploy" => root().join("deploy/audit-policy.yaml"),
        name => root().join(format!("fixtures/recorded/policies/{name}.yaml")),
    };
    Policy::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Calls `f` with each event that was recorded under a policy.
fn each_event(policy: &str, f: &mut dyn FnMut(&Event<'_>)) {
    let mut logs = Vec::new();
    for dir in ["attacks", "killchain", "benign"] {
        files(&root().join("fixtures/recorded").join(dir), &format!("{policy}.jsonl.zst"), &mut logs);
    }
    assert!(logs.len() > 10, "{logs:?}");
    for log in logs {
        let text = zstd::decode_all(std::fs::File::open(log).unwrap()).unwrap();
        for line in String::from_utf8(text).unwrap().lines() {
            f(&Event::parse(line).unwrap());
        }
    }
}

#[test]
fn each_rule_of_the_pack_is_about_some_request() {
    let set = pack();
    assert!(set.rules.len() >= 175, "{}", set.rules.len());
    for rule in &set.rules {
        let all = targets(&rule.filter);
        assert!(!all.is_empty(), "{} is about nothing", rule.title);
        let unknown = all.iter().find(|t| t.subject.group() == Some("?"));
        assert!(unknown.is_none(), "{} names a resource that the catalog lacks: {unknown:?}", rule.title);
        // A rule that reads no body works at Metadata, and one that works there wants more for other requests only.
        let mut body = false;
        rule.filter.each_field(&mut |f| body |= f.level() > Level::Metadata);
        assert!(body || all.iter().all(|t| t.need.full == Level::Metadata), "{}", rule.title);
        let names = {
            let mut names = false;
            rule.filter.each_field(&mut |f| names |= f.field() == klio_model::Field::Resource);
            names
        };
        assert!(
            names || is_any(&all) || body || all.iter().any(|t| !t.subject.subresource().is_empty()),
            "{}",
            rule.title
        );
    }
}

#[test]
fn the_more_is_recorded_the_more_works() {
    let set = pack();
    let counts = |name: &str| {
        let policy = policy(name);
        let all = assess(&set, Recording::Policy(&policy));
        let counts = Verdict::ALL.map(|v| all.iter().filter(|c| c.verdict == v).count());
        println!("{name}: {counts:?}");
        counts
    };
    let [metadata, recommended, everything] = RECORDED.map(counts);
    assert!(metadata[0] < recommended[0] && recommended[0] < everything[0]);
    assert!(metadata[2] > recommended[2]);
    assert_eq!(everything[0], set.rules.len() + set.correlations.len());
    // Blind under what Klio recommends is only what reads credentials, or the answer to a change.
    let ours = policy("deploy");
    for c in assess(&set, Recording::Policy(&ours)).iter().filter(|c| c.verdict == Verdict::Blind) {
        let answer = c.sights.iter().all(|s| s.need.least == Level::RequestResponse);
        assert!(answer || c.sights.iter().all(|s| s.subject.is_secret()), "{}", c.about.title);
    }
}

/// What lacks is mended by what is proposed, unless it must not be recorded.
#[test]
fn what_is_proposed_mends() {
    let set = pack();
    for name in ["metadata", "recommended", "deploy"] {
        let policy = policy(name);
        for before in assess(&set, Recording::Policy(&policy)) {
            if before.mend.rules.is_empty() {
                let told = !before.mend.notes.is_empty() || !before.sources.is_empty();
                assert!(
                    before.verdict == Verdict::Works || told,
                    "{name}: {} {:?}",
                    before.about.title,
                    before.verdict
                );
                continue;
            }
            let mut better = policy.clone();
            better.rules.splice(0..0, before.mend.rules.iter().cloned());
            let one = RuleSet {
                rules: set.rules.iter().filter(|r| r.id == before.about.id).cloned().collect(),
                lookup: set.lookup.clone(),
                ..RuleSet::default()
            };
            let after = assess(&one, Recording::Policy(&better)).swap_remove(0);
            let refused = before.mend.notes.iter().any(|n| n.contains("must not get into a log"));
            assert!(
                after.verdict == Verdict::Works || refused,
                "{name}: {} {:?}\n{}",
                before.about.title,
                after.verdict,
                before.mend.yaml()
            );
        }
    }
}

/// Policies with holes of several shapes.
const HOLES: [&str; 4] = [
    "- level: None\n  resources: [{group: apps}, {group: batch}, {group: policy}, {group: networking.k8s.io}, {group: storage.k8s.io}]\n- level: RequestResponse",
    "- {level: None, userGroups: [\"system:nodes\"], verbs: [get, list, watch]}\n- {level: None, verbs: [delete]}\n- level: RequestResponse",
    "- {level: Metadata, namespaces: [kube-system]}\n- level: Request",
    "- {level: Metadata, userGroups: [\"system:serviceaccounts\"]}\n- {level: RequestResponse, verbs: [create]}",
];

/// All proposals together do what each does alone, and harm nobody.
#[test]
fn all_proposals_go_together() {
    let set = pack();
    let made = HOLES.map(|rules| format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}\n"));
    let made = made.iter().map(|text| Policy::parse(text).unwrap());
    for (n, policy) in ["metadata", "recommended", "deploy"].map(policy).into_iter().chain(made).enumerate() {
        let before = assess(&set, Recording::Policy(&policy));
        let mut better = policy.clone();
        better.rules.splice(0..0, together(&before).into_iter().map(|(rule, _)| rule.clone()));
        let text: String = better.rules.iter().map(PolicyRule::yaml).collect();
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{text}");
        assert_eq!(Policy::parse(&text).unwrap().rules.len(), better.rules.len());
        for (before, after) in before.iter().zip(assess(&set, Recording::Policy(&better))) {
            let refused = before.mend.notes.iter().any(|n| n.contains("must not get into a log"));
            let watches = !before.sources.is_empty();
            let well =
                after.verdict == Verdict::Works || ((refused || watches) && after.verdict <= before.verdict);
            assert!(
                well,
                "{n}: {} {:?} {:?}\n{}",
                before.about.title,
                before.verdict,
                after.verdict,
                before.mend.yaml()
            );
        }
    }
}

/// A rule that found something for certain in what a policy recorded cannot be blind under it, and what the logs show of
/// the policy must not contradict it.
#[test]
fn what_fired_was_not_blind() {
    let set = pack();
    for name in RECORDED {
        let (policy, engine) = (policy(name), Engine::new(set.rules.clone(), FalcoMatching::All));
        let mut bench = engine.bench();
        let (mut fired, mut seen) = (BTreeSet::new(), Observed::default());
        each_event(name, &mut |event| {
            seen.note(event);
            engine.judge(event, &mut bench, &mut |v| {
                if v.proven {
                    fired.insert(v.rule as usize);
                }
            });
        });
        assert!(fired.len() > 30, "{}", fired.len());
        let (by_policy, by_logs) =
            (assess(&set, Recording::Policy(&policy)), assess(&set, Recording::Logs(&seen)));
        for &rule in &fired {
            for coverage in [&by_policy[rule], &by_logs[rule]] {
                let seen = matches!(coverage.verdict, Verdict::Works | Verdict::Partly);
                assert!(seen, "{name}: {} fired and is {}", coverage.about.title, coverage.verdict.name());
            }
        }
        let count = |v| by_logs.iter().filter(|c| c.verdict == v).count();
        println!("{name}: {} fired; by logs {:?}", fired.len(), Verdict::ALL.map(count));
        for (by_policy, by_logs) in by_policy.iter().zip(&by_logs) {
            let contradicts = by_policy.verdict == Verdict::Works && by_logs.verdict == Verdict::Blind
                || by_policy.verdict == Verdict::Blind && by_logs.verdict == Verdict::Works;
            assert!(!contradicts, "{name}: {}", by_policy.about.title);
        }
    }
}

#[test]
fn matrices_tell_gaps_from_what_cannot_be_seen() {
    let set = pack();
    let policy = policy("deploy");
    let matrices =
        matrices(assess(&set, Recording::Policy(&policy)).iter().map(|one| (one.about, one.verdict)));
    let find = |id: &str| {
        let rows = matrices.attack.iter().chain(&matrices.microsoft);
        rows.flat_map(|r| &r.cells).find(|c| c.id == id).unwrap_or_else(|| panic!("{id}")).clone()
    };
    assert_eq!(find("T1611").heat(), Heat::Seen);
    assert_eq!(find("T1612").heat(), Heat::Hidden);
    assert_eq!(find("MS-TA9036").heat(), Heat::Hidden);
    assert_eq!(find("MS-TA9018").heat(), Heat::Seen);
    let cells = matrices.microsoft.iter().flat_map(|r| &r.cells);
    assert_eq!(cells.count(), 40);
    let unnamed: Vec<_> =
        matrices.attack.iter().flat_map(|r| &r.cells).filter(|c| c.name.is_empty()).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}
