//! Fuzzing on the stable toolchain: recorded events, rules and filters are broken by a seeded generator and
//! handed to everything that reads what others wrote. Nothing may panic, hang or eat memory.
//!
//! The coverage-guided targets under `fuzz/` go deeper but need a nightly compiler; these run in CI.

mod lake;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use klio_detect::{Dialect, RuleFile, falco, sigma};
use klio_model::{Event, Filter};

use crate::error::Error;
use crate::klio;
use crate::rng::Rng;

/// One input must not take longer: a parser that is slower on a few kilobytes runs away.
const SLOWEST: Duration = Duration::from_secs(2);
/// Longest input.
const LONGEST: usize = 16 << 10;

/// Something that reads untrusted bytes.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    read: fn(&[u8]),
}

/// Pieces that break parsers more often than chance does.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\u0000",
    "\\ud800",
    "null",
    "-1e999",
    "18446744073709551616",
    "\n",
    "\r\n",
    "- ",
    "*",
    "?",
    "|",
    "(",
    ")",
    " and ",
    " not ",
    "&a",
    "\u{feff}",
];

/// Runs every target for `seconds` with inputs that depend on `seed` alone; `false` when one failed.
pub fn run(seconds: f64, seed: u64, out: &mut dyn Write) -> Result<bool, Error> {
    let mut passed = true;
    for target in targets()? {
        let mut rng = Rng::new(seed);
        let begun = Instant::now();
        let mut inputs = 0u64;
        let mut wrong = None;
        // Untouched seeds first: they take the longest ways.
        while begun.elapsed().as_secs_f64() < seconds || inputs < target.seeds.len() as u64 {
            let mut input = match target.seeds.get(inputs as usize) {
                Some(seed) => seed.clone(),
                None => mutated(&target.seeds, &mut rng),
            };
            input.truncate(LONGEST);
            inputs += 1;
            let one = Instant::now();
            let survived = catch_unwind(AssertUnwindSafe(|| (target.read)(&input))).is_ok();
            let took = one.elapsed();
            if !survived || took > SLOWEST {
                let what = if survived {
                    format!("took {:.1} s", took.as_secs_f64())
                } else {
                    "panicked".to_owned()
                };
                wrong = Some((what, input));
                break;
            }
        }
        match wrong {
            None => writeln!(out, "ok   {}: {inputs} inputs", target.name)?,
            Some((what, input)) => {
                passed = false;
                let kept = std::env::temp_dir().join(format!("klio-fuzz-{}", target.name));
                std::fs::write(&kept, input)?;
                writeln!(out, "FAIL {}: {what} on input {inputs}, kept in {}", target.name, kept.display())?;
            }
        }
    }
    lake::end();
    Ok(passed)
}

fn targets() -> Result<Vec<Target>, Error> {
    let recorded = klio::recorded();
    let mut events = Vec::new();
    for log in ["killchain/recommended.jsonl.zst", "attacks/02-bruteforce-401/metadata.jsonl.zst"] {
        let bytes = zstd::decode_all(std::fs::File::open(recorded.join(log))?)?;
        let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty() && line.len() < LONGEST / 2);
        events.extend(lines.step_by(40).map(<[u8]>::to_vec));
    }
    let body = zstd::decode_all(std::fs::File::open(recorded.join("webhook/0027-503.json.zst"))?)?;
    let several: Vec<Vec<u8>> = events.chunks(3).map(|some| some.join(&b'\n')).chain([body]).collect();
    let rules = pack()?;
    let filters: Vec<Vec<u8>> = FILTERS.map(|text| text.as_bytes().to_vec()).into();
    let falco: Vec<Vec<u8>> = FALCO.map(|text| text.as_bytes().to_vec()).into();
    let clone = |some: &Vec<Vec<u8>>| some.clone();
    let mut targets = lake::targets(&events)?;
    targets.extend([
        Target { name: "event", seeds: clone(&events), read: event },
        Target {
            name: "stream",
            seeds: clone(&several),
            read: |bytes| seen(klio_source::fuzz::stream(bytes)),
        },
        Target { name: "body", seeds: clone(&several), read: |bytes| seen(klio_source::fuzz::body(bytes)) },
        Target { name: "eks", seeds: clone(&events), read: |bytes| seen(klio_source::fuzz::eks(bytes)) },
        Target { name: "aks", seeds: clone(&events), read: |bytes| seen(klio_source::fuzz::aks(bytes)) },
        Target { name: "gke", seeds: clone(&events), read: |bytes| seen(klio_source::fuzz::gke(bytes)) },
        Target {
            name: "salvage",
            seeds: clone(&events),
            read: |bytes| seen(klio_source::fuzz::salvage(bytes)),
        },
        Target { name: "identity", seeds: events, read: |bytes| seen(klio_source::fuzz::identity(bytes)) },
        Target { name: "filter", seeds: filters, read: filter },
        Target {
            name: "sigma",
            seeds: rules,
            read: |bytes| seen(sigma::compile(&file(bytes), Dialect::Sigma)),
        },
        Target { name: "falco", seeds: falco, read: |bytes| seen(falco::compile(&file(bytes))) },
    ]);
    Ok(targets)
}

/// Keeps the compiler from leaving out work whose result nobody reads.
fn seen<T>(result: T) {
    std::hint::black_box(result);
}

/// The rules of Klio's pack.
fn pack() -> Result<Vec<Vec<u8>>, Error> {
    let mut rules = Vec::new();
    let root = klio::recorded().join("../../rules");
    for tactic in std::fs::read_dir(&root).map_err(|source| Error::Open { path: root.clone(), source })? {
        let folder = tactic?.path();
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yml") {
                rules.push(std::fs::read(path)?);
            }
        }
    }
    rules.sort();
    Ok(rules)
}

fn file(bytes: &[u8]) -> Vec<RuleFile> {
    vec![RuleFile { name: "fuzz.yml".to_owned(), text: String::from_utf8_lossy(bytes).into() }]
}

/// Parses an event and reads every kind of field from it.
fn event(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(event) = Event::parse(text) else { return };
    for text in FILTERS {
        if let Ok(filter) = Filter::parse(text) {
            std::hint::black_box(filter.matches(&event));
        }
    }
}

/// Parses a filter; what parses must print as something that parses to the same.
fn filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(first) = Filter::parse(&text) {
        let printed = first.to_string();
        let again = Filter::parse(&printed).map(|second| second.to_string());
        assert_eq!(again.ok().as_ref(), Some(&printed), "printing is not the inverse of parsing");
    }
}

/// One to five changes to a seed, sometimes grafted with another.
fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = seeds[rng.index(seeds.len())].clone();
    for _ in 0..=rng.below(5) {
        let at = rng.index(input.len() + 1);
        let end = (at + rng.index(64)).min(input.len());
        match rng.below(8) {
            0 if at < input.len() => input[at] = (rng.next() & 0xFF) as u8,
            1 => drop(input.drain(at..end)),
            2 => input.truncate(at),
            3 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy.repeat(1 + rng.index(40)));
            }
            4 => {
                let other = &seeds[rng.index(seeds.len())];
                let from = rng.index(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => {
                let piece = rng.pick(&PIECES).repeat(if rng.below(20) == 0 { 2_000 } else { 1 });
                input.splice(at..at, piece.into_bytes());
            }
            6 if at < input.len() => input[at] ^= 1 << rng.below(8),
            _ => {
                input.splice(at..end, rng.pick(&PIECES).bytes());
            }
        }
    }
    input
}

const FILTERS: [&str; 12] = [
    "verb:create and objectRef.resource:(secrets or configmaps) and not user.username:system\\:*",
    "requestObject.spec.containers.image:*:latest",
    "responseStatus.code >= 400 and user.kind:human",
    "container.securityContext.privileged:true or pod.hostPID:true",
    "rbac.grant:\"* *\" and rbac.subject:\"Group:system:masters\"",
    "exec.command:/(bash|sh) -i/i",
    "source.ip:cidr(10.0.0.0/8) or source.scope:public",
    "all(container.image:*)",
    "annotations.authorization.k8s.io/decision:allow",
    "uri.param.limit:* and uri.path:/api/*",
    "patch.metadata.labels:* and dryRun:false",
    "nothing and \"a keyword\" or user.extra:*",
];

const FALCO: [&str; 3] = [
    "- list: allowed\n  items: [alice, \"bob\"]\n- macro: kevt\n  condition: (jevt.value[/stage] in (ResponseComplete))\n\
     - rule: Secret touched\n  desc: x\n  condition: kevt and ka.target.resource=secrets and not ka.user.name in (allowed)\n\
     \x20 output: secret (user=%ka.user.name ns=%ka.target.namespace)\n  priority: WARNING\n  source: k8s_audit\n  tags: [k8s]\n",
    "- rule: Privileged\n  desc: x\n  condition: ka.req.pod.containers.privileged intersects (true) and ka.verb=create\n\
     \x20 output: pod %ka.resp.name %jevt.value[/user/username]\n  priority: CRITICAL\n  source: k8s_audit\n\
     \x20 exceptions:\n    - name: images\n      fields: [ka.req.pod.containers.image, ka.user.name]\n      comps: [in, startswith]\n\
     \x20     values:\n        - [[nginx], \"system:\"]\n",
    "- rule: A\n  desc: a\n  condition: ka.verb exists and ka.uri.param[command] pmatch (/a, /b)\n  output: a\n  priority: INFO\n\
     \x20 source: k8s_audit\n- rule: A\n  append: true\n  condition: and ka.auth.decision=allow\n- rule: A\n  enabled: false\n\
     \x20 override:\n    enabled: replace\n",
];
