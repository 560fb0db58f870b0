//! What to do now: commands that take from an intruder what he has, each with its effect, what else it hits, and the way back.
//!
//! They are printed and never run. Names come out of audit events and may be anything: what a shell would obey is quoted.

use std::collections::BTreeSet;

use serde::Serialize;

use super::deed::Deed;
use super::{Reach, Story};

/// Steps that are told.
const MOST: usize = 60;

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// The command.
    pub command: String,
    /// What it does.
    pub effect: String,
    /// Whom else it hits.
    pub collateral: String,
    /// How it is undone.
    pub rollback: String,
}

/// Resources that give rights, run code or change requests: what was written of these is taken away first.
const GRAVE: [&str; 16] = [
    "clusterrolebindings",
    "rolebindings",
    "clusterroles",
    "roles",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "apiservices",
    "daemonsets",
    "deployments",
    "statefulsets",
    "cronjobs",
    "jobs",
    "pods",
    "certificatesigningrequests",
];

/// The steps for a story, the most urgent first.
pub fn steps(story: &Story, reach: &Reach) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut made: BTreeSet<(usize, String, String, String)> = BTreeSet::new();
    let mut changed: BTreeSet<(String, String, String)> = BTreeSet::new();
    for deed in
        story.events.iter().filter_map(Deed::of).filter(|deed| deed.is_done && deed.writes() && deed.is_one())
    {
        let own = |text: &str| text.to_owned();
        if let Some(rank) = GRAVE.iter().position(|resource| *resource == deed.resource) {
            if deed.verb == "create" {
                made.insert((rank, own(deed.resource), own(deed.namespace), own(deed.name)));
            } else {
                changed.insert((own(deed.resource), own(deed.namespace), own(deed.name)));
            }
        } else if deed.verb == "create" && deed.resource == "serviceaccounts" {
            made.insert((GRAVE.len(), own(deed.resource), own(deed.namespace), own(deed.name)));
        }
    }
    steps.extend(made.iter().map(|(_, resource, namespace, name)| take_away(resource, namespace, name)));
    let is_made = |namespace: &str, name: &str| {
        made.iter().any(|(_, resource, ns, n)| resource == "serviceaccounts" && ns == namespace && n == name)
    };
    for account in accounts(story, reach) {
        if let Some((namespace, name)) = account.split_once('/').filter(|(ns, name)| !is_made(ns, name)) {
            steps.push(renew(namespace, name));
        }
    }
    for user in people(story) {
        steps.push(review(&user));
    }
    for (resource, namespace, name) in &changed {
        steps.push(look(resource, namespace, name));
    }
    for pod in &reach.entered {
        if let Some((namespace, name)) = pod.split_once('/') {
            steps.push(replace_pod(namespace, name));
        }
    }
    for secret in &reach.secrets {
        steps.push(rotate(secret));
    }
    steps.truncate(MOST);
    steps
}

/// Service accounts that acted or for which tokens were minted, as `namespace/name`. The control plane's own live on in every cluster.
fn accounts(story: &Story, reach: &Reach) -> BTreeSet<String> {
    let users =
        story.actors.iter().filter_map(|actor| actor.user.as_deref()?.strip_prefix("system:serviceaccount:"));
    let acted = users.filter_map(|account| account.split_once(':')).map(|(ns, name)| format!("{ns}/{name}"));
    acted.chain(reach.tokens.iter().cloned()).filter(|account| !account.ends_with("/*")).collect()
}

/// Everybody else who acted.
fn people(story: &Story) -> BTreeSet<String> {
    let users = story.actors.iter().filter_map(|actor| actor.user.as_deref());
    users.filter(|user| !user.starts_with("system:")).map(str::to_owned).collect()
}

fn take_away(resource: &str, namespace: &str, name: &str) -> Step {
    let (at, object) = (scope(namespace), format!("{} {}", word(resource), word(name)));
    let file = word(&format!("{resource}-{name}.yaml"));
    Step {
        command: format!("kubectl{at} get {object} -o yaml > {file} && kubectl{at} delete {object}"),
        effect: format!("removes what was created in this incident: {resource} {name}"),
        collateral: "nobody, unless somebody else has come to rely on it since".into(),
        rollback: format!("kubectl apply -f {file}"),
    }
}

fn renew(namespace: &str, name: &str) -> Step {
    let (ns, account) = (word(namespace), word(name));
    let file = word(&format!("serviceaccount-{name}.yaml"));
    Step {
        command: format!(
            "kubectl -n {ns} get serviceaccount {account} -o yaml > {file} && kubectl -n {ns} delete serviceaccount {account} && \
             kubectl -n {ns} create serviceaccount {account}"
        ),
        effect: format!("every token of {namespace}/{name} is refused: they name the account's uid, and the new one has another"),
        collateral: "its pods cannot reach the API server until they are started anew; annotations and pull secrets are to be put back \
                     from the saved file"
            .into(),
        rollback: "none is needed: bindings name the account and hold for the new one. Tokens do not come back".into(),
    }
}

fn review(user: &str) -> Step {
    Step {
        command: format!("kubectl auth can-i --list --as {}", word(user)),
        effect: format!(
            "shows what {user} may do. Kubernetes cannot refuse one person: end the session at the identity provider, or remove the bindings"
        ),
        collateral: "none: it only asks".into(),
        rollback: "none is needed".into(),
    }
}

fn look(resource: &str, namespace: &str, name: &str) -> Step {
    let (at, object) = (scope(namespace), format!("{} {}", word(resource), word(name)));
    Step {
        command: format!("kubectl{at} get {object} -o yaml"),
        effect: format!(
            "shows {resource} {name} as it is now: it was changed in this incident, and goes back to what is in version control"
        ),
        collateral: "none: it only asks".into(),
        rollback: "none is needed".into(),
    }
}

fn replace_pod(namespace: &str, name: &str) -> Step {
    let (ns, pod) = (word(namespace), word(name));
    Step {
        command: format!(
            "kubectl -n {ns} logs {pod} --all-containers --prefix > {} && kubectl -n {ns} delete pod {pod}",
            word(&format!("{name}.log"))
        ),
        effect: format!(
            "ends what runs in {namespace}/{name} and replaces it, if a controller stands behind it; its logs are saved"
        ),
        collateral: "connections to that pod break; what is only in its memory is lost for forensics".into(),
        rollback: "none: a pod without a controller is to be created again".into(),
    }
}

fn rotate(secret: &str) -> Step {
    let (namespace, name) = secret.split_once('/').unwrap_or(("", secret));
    let which = match (namespace, name) {
        ("", _) => "kubectl get secrets -A".to_owned(),
        (ns, "*") => format!("kubectl -n {} get secrets", word(ns)),
        (ns, name) => format!("kubectl -n {} describe secret {}", word(ns), word(name)),
    };
    Step {
        command: which,
        effect: format!(
            "{secret} was read: what is in it is to be replaced where it is issued, and then here"
        ),
        collateral: "whoever uses the old value".into(),
        rollback: "none: what was read stays read".into(),
    }
}

fn scope(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(" -n {}", word(namespace)) }
}

/// A word as a shell takes it for one (POSIX.1-2024, Shell Command Language, 2.2.2), and never for an option.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '/');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", clean.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_whatever_is_in_it() {
        for (text, want) in [
            ("cart-7c9", "cart-7c9"),
            ("a b", "'a b'"),
            ("x; rm -rf ~", "'x; rm -rf ~'"),
            ("it's", "'it'\\''s'"),
            ("$(id)", "'$(id)'"),
            ("-o", "'-o'"),
        ] {
            assert_eq!(word(text), want);
        }
    }
}
