//! Every concrete request that stands for those that a filter can be true of.
//!
//! Resources that the filter does not tell apart are asked about as one, which keeps the number of questions small; verbs,
//! subresources, requesters, namespaces and names are asked about one by one, as far as the filter or a policy could
//! make a difference between them.

mod class;

use std::borrow::Cow;
use std::collections::HashMap;

use klio_model::event::UserKind;
use klio_model::{Filter, Level, Stage};

use super::catalog::{self, PATHS};
use super::named::{Named, Value};
use super::outcome::Outcomes;
use super::probe::Probe;
use super::requester::{self, Requester};
use super::stages::Stages;
use super::target::{Need, Subject};
use class::{Class, Member, classes};

/// Namespaces and names that a rule says are asked about up to this number.
const PLACES: usize = 6;
/// Verbs of requests that are about no resource, as the API server records them.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// One request.
pub(super) struct Case<'c> {
    pub subject: &'c Subject,
    pub verb: &'static str,
    pub who: &'c Requester,
    pub namespace: &'c str,
    /// As the policy sees it: empty where the path of the request names no object.
    pub name: &'c str,
    pub need: Need,
    /// The rule does not tell the resource from others.
    pub any: bool,
    /// The cluster asks it of itself all the time, and the rule does not name it.
    pub noise: bool,
}

/// A filter, ready to be asked about all.
pub(super) struct Cases<'f> {
    filter: &'f Filter,
    named: Named,
    requesters: Vec<Requester>,
    /// The first is none.
    namespaces: Vec<String>,
    /// The first is none.
    names: Vec<String>,
    classes: Vec<Class>,
}

/// Places that a filter names, with one that it does not.
fn places(values: &[Value], usual: &[&str], reads: bool, other: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut add = |text: &str| {
        if !all.iter().any(|known| known == text) {
            all.push(text.to_owned());
        }
    };
    for place in usual {
        add(place);
    }
    if reads {
        add(other);
        let (exact, rest): (Vec<_>, Vec<_>) = values.iter().partition(|v| v.exact);
        for value in exact.into_iter().chain(rest).take(PLACES) {
            add(&value.text);
        }
    }
    all
}

impl<'f> Cases<'f> {
    pub fn of(filter: &'f Filter) -> Self {
        let named = Named::of(filter);
        let requesters = requester::all(&named);
        let namespaces =
            places(&named.namespaces, &["default", "kube-system"], named.reads_namespace, "some-team");
        let names = places(&named.names, &["some-name"], named.reads_name, "some-name");
        let classes = classes(&named);
        Self { filter, named, requesters, namespaces, names, classes }
    }

    /// What the filter names.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Calls `f` with each case, those of one subject and verb in a row.
    pub fn each(&self, f: &mut dyn FnMut(&Case<'_>)) {
        for class in &self.classes {
            for &verb in catalog::ALL {
                let mut answers = HashMap::new();
                if self.anybody(class, verb) {
                    for member in class.members.iter().filter(|m| m.verbs.contains(&verb)) {
                        self.each_of(class, member, verb, &mut answers, f);
                    }
                }
            }
        }
        self.each_path(f);
    }

    fn probe<'p>(class: &'p Class, verb: &'p str) -> Probe<'p> {
        Probe {
            group: class.group.or(Some("")),
            resource: &class.resource,
            subresource: &class.subresource,
            verb,
            path: "",
            stage: Stage::ResponseComplete,
            who: None,
            namespace: None,
            name: None,
        }
    }

    /// Whether the filter can be true of anybody's request, which spares most of the questions about somebody's.
    fn anybody(&self, class: &Class, verb: &str) -> bool {
        self.named.reads_stage || self.ask(Self::probe(class, verb)).is_some()
    }

    fn each_of(
        &self,
        class: &Class,
        member: &Member,
        verb: &'static str,
        answers: &mut HashMap<[usize; 3], Option<Need>>,
        f: &mut dyn FnMut(&Case<'_>),
    ) {
        let subject = &member.subject;
        let (group, part) = (subject.group().unwrap_or_default(), subject.subresource());
        let collection = matches!(verb, "create" | "list" | "watch" | "deletecollection");
        // Whether the path of the request names an object.
        let one = !collection || !part.is_empty();
        let makes = verb == "create" && !one;
        let noise = class.any && catalog::is_noise(group, subject.resource(), part, verb);
        let own = subject.resource() == "namespaces" && group.is_empty();
        for (n, namespace) in self.namespaces.iter().enumerate() {
            let fits = match (own, member.namespaced) {
                // The request for a namespace is recorded as one in it.
                (true, _) => namespace.is_empty() != one,
                (_, true) => !namespace.is_empty() || matches!(verb, "list" | "watch"),
                (_, false) => namespace.is_empty(),
            };
            for (m, name) in self.names.iter().enumerate() {
                let named = if one { m > 0 } else { m == 0 || (makes && self.named.reads_name) };
                if !fits || !named || (own && one && m > 1) {
                    continue;
                }
                let name = if own && one { namespace } else { name };
                // A watch may be of one object.
                let known = Some(name.as_str()).filter(|_| verb != "watch");
                for (r, who) in self.requesters.iter().enumerate() {
                    let tells = self.named.reads_user || self.named.reads_stage;
                    let key = [
                        if tells { r } else { usize::from(who.name.is_empty()) },
                        if self.named.reads_namespace || own { n } else { 0 },
                        if self.named.reads_name { m } else { 0 },
                    ];
                    let ask = || {
                        let namespace = Some(namespace.as_str());
                        self.ask(Probe { who: Some(who), namespace, name: known, ..Self::probe(class, verb) })
                    };
                    let need = if own { ask() } else { *answers.entry(key).or_insert_with(ask) };
                    let Some(need) = need else { continue };
                    let name = if one { name.as_str() } else { "" };
                    f(&Case { subject, verb, who, namespace, name, need, any: class.any, noise });
                }
            }
        }
    }

    fn each_path(&self, f: &mut dyn FnMut(&Case<'_>)) {
        let known = PATHS.iter().map(|(path, noise)| (Cow::Borrowed(*path), *noise, true));
        let own = self.named.paths.iter().filter(|v| v.text.starts_with('/') && !v.text.starts_with("/api"));
        let own = own.take(PLACES).map(|v| (Cow::Owned(v.text.clone()), false, false));
        for (path, noise, any) in known.chain(own) {
            if !any && PATHS.iter().any(|(known, _)| *known == path) {
                continue;
            }
            let subject = Subject::Path(path);
            let Subject::Path(path) = &subject else { continue };
            for verb in METHODS {
                let mut found = false;
                for who in &self.requesters {
                    let need = self.ask(Probe {
                        group: None,
                        resource: "",
                        subresource: "",
                        verb,
                        path,
                        stage: Stage::ResponseComplete,
                        who: Some(who),
                        namespace: Some(""),
                        name: Some(""),
                    });
                    let Some(need) = need else { continue };
                    found = true;
                    f(&Case {
                        subject: &subject,
                        verb,
                        who,
                        namespace: "",
                        name: "",
                        need,
                        any,
                        noise: noise && any,
                    });
                }
                if found {
                    break;
                }
            }
        }
    }

    /// What must be recorded of a request, if the filter can be true of it.
    fn ask(&self, probe: Probe<'_>) -> Option<Need> {
        let stranger = probe.who.is_some_and(|w| w.kind == UserKind::Unauthenticated);
        let long = catalog::is_long(probe.verb, probe.subresource);
        if !self.named.reads_stage {
            let stage = if stranger { Stage::ResponseStarted } else { Stage::ResponseComplete };
            let mut need = self.at(&Probe { stage, ..probe })?;
            if long && need.full < Level::RequestResponse {
                need.stages.insert(Stage::ResponseStarted);
            }
            return Some(need);
        }
        // A 401 is written at one stage only (`pkg/endpoints/filters/audit.go`, `WithFailedAuthenticationAudit`).
        let stages: &[Stage] = match (stranger, long) {
            (true, _) => &[Stage::ResponseStarted],
            (_, true) => {
                &[Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic]
            }
            (_, false) => &[Stage::RequestReceived, Stage::ResponseComplete, Stage::Panic],
        };
        let needs = stages.iter().filter_map(|&stage| self.at(&Probe { stage, ..probe }));
        let need = needs.reduce(Need::join)?;
        Some(Need { by_stage: true, ..need })
    }

    fn at(&self, probe: &Probe<'_>) -> Option<Need> {
        let asked = probe.ask();
        let honest = asked.outcomes(self.filter, false);
        let least = honest.least()?;
        let guess = match least {
            Level::Metadata => least,
            _ => Outcomes::guess(asked.outcomes(self.filter, true)).map_or(least, |g| g.min(least)),
        };
        Some(Need { least, full: honest.full(), guess, stages: Stages::of(probe.stage), by_stage: false })
    }
}
