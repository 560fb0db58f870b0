//! The rules of an audit policy that would let a rule see what it cannot.
//!
//! They stand above the others and are as small as what lacks allows: its verbs, its resources, its requesters where they
//! have a group of their own, its namespaces where the rule names them. What must not get into a log is never asked for.

mod cost;
mod together;
mod whom;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use klio_model::Level;

use super::cases::Case;
use super::catalog;
use super::named::{Named, Value};
use super::policy::{GroupResources, PolicyRule};
use super::sight::{Lack, Recording};
use super::stages::Stages;
use super::target::{SOME_GROUP, Subject};
use cost::cost;
use whom::Whom;

/// More subjects that the rule does not name are all there are.
const MANY: usize = 12;
/// A rule that names more namespaces, users or names is not narrowed by them.
const FEW: usize = 6;

pub use together::together;

/// What a policy needs for a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mend {
    /// To be put above the others, in this order.
    pub rules: Vec<PolicyRule>,
    /// What rules cannot say: what must not be recorded, what it costs, what to take out.
    pub notes: Vec<String>,
}

impl Mend {
    /// The rules as YAML, ready to be put below `rules:`; empty if there are none.
    pub fn yaml(&self) -> String {
        self.rules.iter().map(PolicyRule::yaml).collect()
    }
}

/// Of which subjects which verbs.
type Verbs = BTreeMap<Subject, Vec<&'static str>>;

/// What lacks of one subject and verb.
#[derive(Debug)]
struct Gap {
    /// The level that is needed for all.
    want: Level,
    /// The least that helps.
    least: Level,
    /// The most that is there.
    has: Option<Level>,
    any: bool,
    noise: bool,
    names: BTreeSet<String>,
    namespaced: bool,
}

/// All that lacks for one rule.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    gaps: BTreeMap<(Subject, &'static str), Gap>,
    stages: Stages,
    whom: Whom,
    namespaces: BTreeSet<String>,
    /// Namespaces and names that the rule says exactly.
    said: Vec<String>,
    said_names: Vec<String>,
}

fn exactly(values: &[Value]) -> Vec<String> {
    let all: Vec<String> = values.iter().filter(|v| v.exact).map(|v| v.text.clone()).collect();
    if all.len() == values.len() && all.len() <= FEW { all } else { Vec::new() }
}

impl Gaps {
    pub fn of(named: &Named) -> Self {
        Self { said: exactly(&named.namespaces), said_names: exactly(&named.names), ..Self::default() }
    }

    pub fn add(&mut self, case: &Case<'_>, lack: Lack) {
        let has = match lack {
            Lack::Stage(stages) => {
                self.stages = self.stages.union(stages);
                return;
            }
            Lack::Level { has } => has,
        };
        let gap = self.gaps.entry((case.subject.clone(), case.verb)).or_insert_with(|| Gap {
            want: case.need.full,
            least: case.need.least,
            has,
            any: case.any,
            noise: case.noise,
            names: BTreeSet::new(),
            namespaced: false,
        });
        gap.want = gap.want.max(case.need.full);
        gap.least = gap.least.min(case.need.least);
        gap.has = gap.has.min(has);
        gap.namespaced |= !case.namespace.is_empty();
        gap.names.insert(case.name.to_owned());
        if !case.noise {
            self.whom.add(case.who);
            self.namespaces.insert(case.namespace.to_owned());
        }
    }

    /// What to do about it.
    pub fn mend(mut self, recording: Recording<'_>) -> Mend {
        let mut notes: BTreeSet<String> = BTreeSet::new();
        if !self.stages.is_empty() {
            notes.insert(format!("take one of the stages {} out of `omitStages`", self.stages));
        }
        if self.gaps.values().any(|g| !g.noise) {
            self.gaps.retain(|_, gap| !gap.noise);
        }
        // Subjects by what is wanted of them: level, names, then verbs.
        let mut wanted: BTreeMap<(Level, Vec<String>), Verbs> = BTreeMap::new();
        let mut open: BTreeMap<(Level, Vec<String>), usize> = BTreeMap::new();
        let gaps = std::mem::take(&mut self.gaps);
        for ((subject, verb), gap) in gaps {
            let Some((level, names)) = self.allowed(&subject, verb, &gap, &mut notes) else { continue };
            // Who has more keeps it.
            let level = recording.ceiling(&subject, verb).map_or(level, |has| has.max(level));
            *open.entry((level, names.clone())).or_default() += usize::from(gap.any);
            wanted.entry((level, names)).or_default().entry(subject).or_default().push(verb);
        }
        let mut rules = Vec::new();
        // Higher levels first: a request that two rules fit must get what the more demanding one says.
        for (key, subjects) in wanted.into_iter().rev() {
            let many = open.get(&key).is_some_and(|n| *n > MANY);
            let (level, names) = key;
            let mut same: BTreeMap<Vec<&'static str>, Vec<Subject>> = BTreeMap::new();
            for (subject, mut verbs) in subjects {
                verbs.sort_unstable();
                same.entry(verbs).or_default().push(subject);
            }
            if many && self.whole(level, &same, recording, &mut rules) {
                continue;
            }
            for (verbs, subjects) in same {
                self.of_group(level, &names, &verbs, subjects, &mut notes, &mut rules);
            }
        }
        for rule in &rules {
            notes.extend(cost(rule).map(str::to_owned));
        }
        Mend { rules, notes: notes.into_iter().collect() }
    }

    /// The level that may be asked for, and for objects of which names only.
    fn allowed(
        &self,
        subject: &Subject,
        verb: &str,
        gap: &Gap,
        notes: &mut BTreeSet<String>,
    ) -> Option<(Level, Vec<String>)> {
        if gap.want <= Level::Metadata || !subject.is_secret() {
            return Some((gap.want, Vec::new()));
        }
        let named = gap.names.iter().all(|n| self.said_names.contains(n));
        if subject.resource() == "configmaps"
            && matches!(verb, "update" | "patch")
            && named
            && gap.want == Level::Request
        {
            return Some((gap.want, gap.names.iter().cloned().collect()));
        }
        notes.insert(format!(
            "the bodies of {subject} hold credentials and must not get into a log: of these requests the rule can see what \
             level Metadata tells"
        ));
        (gap.least <= Level::Metadata && gap.has.is_none()).then_some((Level::Metadata, Vec::new()))
    }

    /// A rule for each kind of requesters.
    fn put(&self, rule: &PolicyRule, verbs: &[&str], rules: &mut Vec<PolicyRule>) {
        let every = catalog::ALL.iter().all(|v| verbs.contains(v));
        let verbs: Vec<String> =
            if every { Vec::new() } else { verbs.iter().map(|v| (*v).to_owned()).collect() };
        for (users, user_groups) in self.whom.selectors() {
            rules.push(PolicyRule { users, user_groups, verbs: verbs.clone(), ..rule.clone() });
        }
    }

    /// The namespaces to which the rule restricts itself.
    fn narrow(&self) -> Vec<String> {
        let said = self.namespaces.iter().all(|n| self.said.contains(n));
        if said && !self.namespaces.is_empty() {
            self.namespaces.iter().cloned().collect()
        } else {
            Vec::new()
        }
    }

    /// A rule about any resource, unless something would be recorded less than it is.
    fn whole(
        &self,
        level: Level,
        same: &BTreeMap<Vec<&'static str>, Vec<Subject>>,
        recording: Recording<'_>,
        rules: &mut Vec<PolicyRule>,
    ) -> bool {
        let verbs: BTreeSet<&str> = same.keys().flatten().copied().collect();
        let verbs: Vec<&str> = verbs.into_iter().collect();
        let most = |secret: bool| {
            let subjects = catalog::subjects().filter(|s| s.is_secret() == secret);
            let levels = subjects.flat_map(|s| {
                verbs.iter().filter_map(move |verb| recording.ceiling(&s, verb)).collect::<Vec<_>>()
            });
            levels.max().unwrap_or(Level::Metadata)
        };
        if most(false) > level {
            return false;
        }
        let whole = PolicyRule { level: Some(level), namespaces: self.narrow(), ..PolicyRule::default() };
        let secret = most(true);
        if level > secret || secret > Level::Metadata {
            let level = Some(secret);
            self.put(&PolicyRule { level, resources: credentials(), ..whole.clone() }, &verbs, rules);
        }
        self.put(&whole, &verbs, rules);
        true
    }

    fn of_group(
        &self,
        level: Level,
        names: &[String],
        verbs: &[&'static str],
        subjects: Vec<Subject>,
        notes: &mut BTreeSet<String>,
        rules: &mut Vec<PolicyRule>,
    ) {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut paths = Vec::new();
        for subject in subjects {
            match subject.group() {
                None => paths.push(subject.entry()),
                Some("example.com") => {
                    notes.insert("add the API groups of your custom resources".to_owned());
                }
                Some(group) => {
                    if group == SOME_GROUP {
                        let say = "the API group of {} is not known here: put it in place of `*`, which Kubernetes has since 1.36";
                        notes.insert(say.replace("{}", &subject.entry()));
                    }
                    let group = if group == SOME_GROUP { "*" } else { group };
                    groups.entry(group.to_owned()).or_default().push(subject.entry());
                }
            }
        }
        if !paths.is_empty() {
            let rule = PolicyRule {
                level: Some(Level::Metadata),
                non_resource_urls: paths,
                ..PolicyRule::default()
            };
            self.put(&rule, verbs, rules);
        }
        let resources: Vec<GroupResources> = groups
            .into_iter()
            .map(|(group, resources)| GroupResources { group, resources, resource_names: names.to_vec() })
            .collect();
        if !resources.is_empty() {
            let namespaces = self.narrow();
            self.put(
                &PolicyRule { level: Some(level), resources, namespaces, ..PolicyRule::default() },
                verbs,
                rules,
            );
        }
    }
}

/// What must stay at Metadata, whatever a rule below records.
fn credentials() -> Vec<GroupResources> {
    let group = |group: &str, resources: &[&str]| GroupResources {
        group: group.to_owned(),
        resources: resources.iter().map(|r| (*r).to_owned()).collect(),
        resource_names: Vec::new(),
    };
    vec![
        group("", &["secrets", "configmaps", "serviceaccounts/token"]),
        group("authentication.k8s.io", &["tokenreviews"]),
    ]
}
