//! A recorded attack, judged by rules that are read again in its midst.

use std::cell::{Cell, RefCell};
use std::path::Path;

use klio_detect::{Allow, Dialect, RuleFile, sigma};
use klio_model::Timestamp;
use klio_source::redact::Policy;
use klio_store::{KeptVerdict, Origin, Records, Settings, VerdictKind, Wanted};

use super::*;

/// Lines of a batch, and batches before the rules are read again.
const LINES: usize = 500;
const HALF: usize = 6;
/// Begins in the first half and ends in the second.
const ACROSS: &str = "Token minted by hand and used for Secrets, pods or rights";

/// Stops the judge at a batch, and writes down what was found.
struct Until {
    last: u64,
    at: Cell<u64>,
    found: RefCell<Vec<String>>,
}

impl Watch for Until {
    fn wish(&self) -> Wish {
        if self.at.get() >= self.last { Wish::Stop } else { Wish::GoOn }
    }
    fn judged(&self, batch: Spooled, _: u64, found: &[Verdict]) {
        self.at.set(batch.seq());
        self.found.borrow_mut().extend(found.iter().map(|verdict| verdict.json.clone()));
    }
    fn flushing(&self) {}
    fn flushed(&self, _: u64, _: Duration) {}
    fn excused(&self, _: &str, _: &Allowed, _: u64) {}
    fn damaged(&self, said: &str) {
        panic!("{said}");
    }
    fn chores(&self, _: &mut Keeper) -> Result<(), Failure> {
        Ok(())
    }
}

/// What came of the attack.
#[derive(PartialEq, Debug)]
struct Outcome {
    found: Vec<String>,
    incidents: Vec<KeptVerdict>,
    events: u64,
}

impl Outcome {
    fn tells(&self, title: &str) -> bool {
        self.found.iter().any(|json| json.contains(&format!("\"title\":\"{title}\"")))
    }
}

/// Judges the first half of the attack by some rules. Then these are read again, if there are others, and the rest is judged, after
/// a batch that is delivered a second time.
fn judged(before: &Arc<RuleSet>, after: Option<&Arc<RuleSet>>) -> Outcome {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded/killchain/recommended.jsonl.zst");
    let bytes = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let lines: Vec<&str> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    let mut batches: Vec<&[&str]> = lines.chunks(LINES).collect();
    batches.insert(HALF, batches[HALF - 1]);

    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::default();
    let terms = Arc::new(Terms::new("prod", &settings, [7; 32], Policy::default()).unwrap());
    let keeper = Keeper::open(dir.path(), &settings, terms.clone()).unwrap();
    let (intake, mut memories, mut carried) = (keeper.intake(), Memories::open(dir.path()), None);
    let mut keeper = Some(keeper);
    let (mut found, mut told) = (Vec::new(), Vec::new());
    let cut = if after.is_some() { HALF } else { 0 };
    for (rules, part) in [(before, &batches[..cut]), (after.unwrap_or(before), &batches[cut..])] {
        let mut last = 0;
        for batch in part {
            let (cluster, source) = ("prod".to_owned(), "webhook".to_owned());
            let mut records = Records::default();
            for line in *batch {
                records.push(line);
            }
            last = intake.append(&Origin { cluster, source, ..Origin::default() }, &records).unwrap();
        }
        let watch = Until { last, at: Cell::new(0), found: RefCell::default() };
        let every = Duration::from_hours(1);
        let stream = Stream { rules, terms: &terms, intake: &intake, every };
        let (back, ended) = follow(&stream, keeper.take().unwrap(), &mut memories, &mut carried, &watch);
        ended.unwrap();
        found.extend(watch.found.into_inner());
        let mut back = back.unwrap();
        told.push(back.writer().lake().verdicts(VerdictKind::Incident, Wanted::default()).unwrap());
        keeper = Some(back);
    }
    let incidents = told.pop().unwrap();
    // The incident is under way when the rules are read again.
    assert_eq!(told[0].is_empty(), after.is_none());
    let mut events = 0;
    keeper
        .unwrap()
        .writer()
        .lake()
        .since(0, &klio_model::Filter::All, &mut |rows| events += rows.len() as u64)
        .unwrap();
    Outcome { found, incidents, events }
}

fn own() -> RuleSet {
    crate::pack::Rules::default().load().unwrap().set
}

#[test]
fn rules_that_are_read_again_and_say_the_same_change_nothing() {
    let rules = Arc::new(own());
    let whole = judged(&rules, None);
    assert_eq!(whole.incidents.len(), 1);
    assert_eq!(whole.events, 7255);
    assert!(whole.tells(ACROSS));

    // The allow-list now has an entry that excuses nothing of it.
    let mut other = own();
    other.allow.push(Allow {
        rule: None,
        filter: klio_model::Filter::parse("user:nobody-of-these").unwrap(),
        text: "user:nobody-of-these".into(),
        owner: "team".into(),
        reason: "known".into(),
        until: Timestamp::parse("2030-01-01T00:00:00Z").unwrap(),
    });
    assert!(judged(&rules, Some(&Arc::new(other))) == whole);

    // A rule that never fires comes before all others, so that each has another number; some that did not fire are gone.
    let mut other = own();
    let never = "title: Never\nid: never\nlogsource: {product: kubernetes, service: audit}\ndetection: {s: {verb: none}, condition: s}";
    let file = RuleFile { name: "never.yml".into(), text: never.into() };
    let watched: Vec<String> =
        other.correlations.iter().flat_map(|c| &c.sources).map(|source| source.rule.clone()).collect();
    let before = other.rules.len();
    other.rules.retain(|rule| watched.contains(&rule.id) || whole.tells(&rule.title));
    assert!(other.rules.len() < before - 20);
    other.rules.insert(0, sigma::compile(&[file], Dialect::Sigma).0.rules.remove(0));
    assert!(judged(&rules, Some(&Arc::new(other))) == whole);
}

#[test]
fn a_correlation_that_changed_begins_anew_and_the_incident_goes_on() {
    let rules = Arc::new(own());
    let mut other = own();
    let changed = other.correlations.iter_mut().find(|correlation| correlation.title == ACROSS).unwrap();
    changed.timespan += 1;
    let outcome = judged(&rules, Some(&Arc::new(other)));
    assert!(!outcome.tells(ACROSS));
    let whole = judged(&rules, None);
    assert_eq!(outcome.found.len(), whole.found.len() - 1);
    assert_eq!(outcome.incidents.len(), 1);
    assert_eq!(outcome.incidents[0].id, whole.incidents[0].id);
}
