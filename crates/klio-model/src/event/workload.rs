//! The pod specs, containers and grants that a request writes, whatever object carries them.

use super::{Event, Recorded, text};
use crate::json::Json;

/// No role of a real cluster grants more; it bounds the cross product of one crafted rule.
const MAX_GRANTS: usize = 20_000;

/// No verb or resource is longer; a longer one counts as several grants.
const MAX_NAME: usize = 253;

/// Whether a walk goes on.
pub(crate) type Stop = bool;

impl<'a> Event<'a> {
    /// Calls `f` for each object that holds a pod's `metadata` and `spec`: the pod itself or the template
    /// of a workload. `f` returns true to stop.
    pub(crate) fn pods(&self, f: &mut dyn FnMut(&Json<'a>) -> Stop) -> Recorded {
        let path: &[&str] = match text(&self.object.resource) {
            Some("pods") => &[],
            Some(
                "deployments"
                | "daemonsets"
                | "statefulsets"
                | "replicasets"
                | "replicationcontrollers"
                | "jobs",
            ) => &["spec", "template"],
            Some("cronjobs") => &["spec", "jobTemplate", "spec", "template"],
            Some("podtemplates") => &["template"],
            _ => return Recorded::Yes,
        };
        if !matches!(text(&self.object.subresource), None | Some("ephemeralcontainers" | "resize")) {
            return Recorded::Yes;
        }
        if !matches!(text(&self.verb), Some("create" | "update" | "patch") | None) {
            return Recorded::Yes;
        }
        let at = |body: &'_ Json<'a>, f: &mut dyn FnMut(&Json<'a>) -> Stop| -> Stop {
            path.iter().try_fold(body, |node, key| node.get(key)).is_some_and(f)
        };
        let mut recorded = self.written();
        if self.patched().is_some_and(|body| at(body, f)) {
            return recorded;
        }
        // What mutating webhooks put in is seen only in the response; on later writes the response also
        // holds what others wrote before.
        if text(&self.verb) == Some("create") {
            if let Some(body) = self.response_object.tree() {
                if body.get("kind").and_then(Json::as_str) != Some("Status") {
                    recorded = Recorded::Yes;
                    at(body, f);
                }
            }
        }
        recorded
    }

    /// Calls `f` for each container of those pods: ordinary, init and ephemeral ones.
    pub(crate) fn containers(&self, f: &mut dyn FnMut(&Json<'a>) -> Stop) -> Recorded {
        self.pods(&mut |pod| {
            let Some(spec) = pod.get("spec") else { return false };
            ["containers", "initContainers", "ephemeralContainers"]
                .iter()
                .filter_map(|list| spec.get(list))
                .any(|list| list.items().iter().any(&mut *f))
        })
    }

    /// Calls `f` with `"<verb> <resource>"` for each grant of a role that is written; pairs come from one
    /// rule of the role only, for a verb of one rule does not reach the resources of another. What grants most
    /// comes first: rules with a `*`, and in them the `*`. Of a role with more grants than anyone could need the
    /// rest is not recorded.
    pub(crate) fn grants(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        if !matches!(text(&self.object.resource), Some("roles" | "clusterroles")) {
            return Recorded::Yes;
        }
        let Some(rules) = self.patched().and_then(|b| b.get("rules")) else { return self.written() };
        let lists = rules.items().iter().map(|rule| {
            let list = |key: &str| rule.get(key).map(Json::items).unwrap_or_default();
            let targets = list("resources").iter().chain(list("nonResourceURLs"));
            (stars_first(list("verbs").iter()), stars_first(targets))
        });
        let mut lists: Vec<_> =
            lists.filter(|(verbs, targets)| !verbs.is_empty() && !targets.is_empty()).collect();
        lists.sort_by_key(|(verbs, targets)| u8::from(verbs[0] != "*") + u8::from(targets[0] != "*"));
        let mut left = MAX_GRANTS;
        let mut grant = String::new();
        for (verbs, targets) in &lists {
            for verb in verbs {
                for target in targets {
                    if left == 0 {
                        return Recorded::No;
                    }
                    left = left.saturating_sub(1 + (verb.len() + target.len()) / MAX_NAME);
                    grant.clear();
                    grant.push_str(verb);
                    grant.push(' ');
                    grant.push_str(target);
                    if f(&grant) {
                        return Recorded::Yes;
                    }
                }
            }
        }
        self.written()
    }

    /// Calls `f` with `User:…`, `Group:…` or `ServiceAccount:<namespace>:<name>` for each subject of a
    /// binding that is written.
    pub(crate) fn subjects(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        if !matches!(text(&self.object.resource), Some("rolebindings" | "clusterrolebindings")) {
            return Recorded::Yes;
        }
        let Some(body) = self.patched() else { return self.written() };
        for subject in body.get("subjects").map(Json::items).unwrap_or_default() {
            let part = |key: &str| subject.get(key).and_then(Json::as_str).unwrap_or_default();
            let line = match part("kind") {
                "ServiceAccount" => format!("ServiceAccount:{}:{}", part("namespace"), part("name")),
                kind => format!("{kind}:{}", part("name")),
            };
            if f(&line) {
                break;
            }
        }
        self.written()
    }
}

/// The texts of a list, with each `*` before the others.
fn stars_first<'j>(list: impl Iterator<Item = &'j Json<'j>>) -> Vec<&'j str> {
    let mut texts: Vec<_> = list.filter_map(Json::as_str).collect();
    texts.sort_by_key(|text| *text != "*");
    texts
}
