//! The pod specs, containers and grants that a request writes, whatever object carries them.

use super::{Event, Recorded, text};
use crate::json::Json;

/// No role of a real cluster grants more; it bounds the cross product of one crafted rule.
const MAX_GRANTS: usize = 20_000;

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
        let mut recorded = self.request_recorded();
        if let Some(body) = self.patched() {
            recorded = Recorded::Yes;
            if at(body, f) {
                return recorded;
            }
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
    /// rule of the role only, for a verb of one rule does not reach the resources of another.
    pub(crate) fn grants(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        if !matches!(text(&self.object.resource), Some("roles" | "clusterroles")) {
            return Recorded::Yes;
        }
        let Some(rules) = self.patched().and_then(|b| b.get("rules")) else { return self.request_recorded() };
        let mut left = MAX_GRANTS;
        let mut grant = String::new();
        for rule in rules.items() {
            let list = |key: &str| rule.get(key).map(Json::items).unwrap_or_default();
            for verb in list("verbs").iter().filter_map(Json::as_str) {
                for target in list("resources").iter().chain(list("nonResourceURLs")).filter_map(Json::as_str)
                {
                    grant.clear();
                    grant.push_str(verb);
                    grant.push(' ');
                    grant.push_str(target);
                    left = left.saturating_sub(1);
                    if left == 0 || f(&grant) {
                        return Recorded::Yes;
                    }
                }
            }
        }
        Recorded::Yes
    }

    /// Calls `f` with `User:…`, `Group:…` or `ServiceAccount:<namespace>:<name>` for each subject of a
    /// binding that is written.
    pub(crate) fn subjects(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        if !matches!(text(&self.object.resource), Some("rolebindings" | "clusterrolebindings")) {
            return Recorded::Yes;
        }
        let Some(body) = self.patched() else { return self.request_recorded() };
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
        Recorded::Yes
    }
}
