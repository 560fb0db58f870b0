//! What to do now: commands that take from an intruder what he has, each with its effect, what else it hits, and the way back.
//!
//! They are printed and never run. Names come out of audit events and may be anything: what a shell would obey is quoted.

use std::collections::BTreeSet;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::deed::Deed;
use super::{Reach, Story};

/// Steps that are told.
const MOST: usize = 60;
/// Characters of a name that the name of a file takes over.
const LONGEST: usize = 180;

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
    let mut gone: BTreeSet<(String, String, String)> = BTreeSet::new();
    for deed in story.events.iter().filter_map(Deed::of).filter(|deed| deed.is_done() && deed.is_one()) {
        let own = |text: &str| text.to_owned();
        let object = (own(deed.resource), own(deed.namespace), own(deed.name));
        // Who deleted it himself has left nothing to take away.
        if deed.deletes() {
            made.retain(|(_, resource, ns, name)| (resource, ns, name) != (&object.0, &object.1, &object.2));
            changed.remove(&object);
            gone.insert(object);
            continue;
        }
        if !deed.writes() {
            continue;
        }
        gone.remove(&object);
        if let Some(rank) = GRAVE.iter().position(|resource| *resource == deed.resource) {
            if deed.makes() {
                made.insert((rank, own(deed.resource), own(deed.namespace), own(deed.name)));
            } else {
                changed.insert((own(deed.resource), own(deed.namespace), own(deed.name)));
            }
        } else if deed.makes() && deed.resource == "serviceaccounts" {
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
        let Some((namespace, name)) = pod.split_once('/') else { continue };
        let is_gone = gone.contains(&("pods".to_owned(), namespace.to_owned(), name.to_owned()));
        let is_told =
            made.iter().any(|(_, resource, ns, n)| resource == "pods" && ns == namespace && n == name);
        if !is_gone && !is_told {
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
    let (at, object) = (scope(namespace), one(resource, name));
    let logs = if resource == "pods" {
        // A pod that never ran has none.
        format!("kubectl{at} logs {object} --all-containers --prefix > {}; ", file(resource, name, "log"))
    } else {
        String::new()
    };
    let file = file(resource, name, "yaml");
    Step {
        command: format!("{logs}kubectl{at} get {object} -o yaml > {file} && kubectl{at} delete {object}"),
        effect: format!("removes what was created in this incident: {resource} {name}"),
        collateral: "nobody, unless somebody else has come to rely on it since".into(),
        rollback: format!("kubectl apply -f {file}"),
    }
}

fn renew(namespace: &str, name: &str) -> Step {
    let (at, account) = (scope(namespace), one("serviceaccount", name));
    let file = file("serviceaccount", name, "yaml");
    Step {
        command: format!(
            "kubectl{at} get {account} -o yaml > {file} && kubectl{at} delete {account} && \
             kubectl{at} create serviceaccount -- {}",
            word(name)
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
        command: format!("kubectl auth can-i --list --as={}", word(user)),
        effect: format!(
            "shows what {user} may do. Kubernetes cannot refuse one person: end the session at the identity provider, or remove the bindings"
        ),
        collateral: "none: it only asks".into(),
        rollback: "none is needed".into(),
    }
}

fn look(resource: &str, namespace: &str, name: &str) -> Step {
    let (at, object) = (scope(namespace), one(resource, name));
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
    let (at, pod, file) = (scope(namespace), one("pod", name), file("pod", name, "log"));
    Step {
        command: format!(
            "kubectl{at} logs {pod} --all-containers --prefix > {file} && kubectl{at} delete {pod}"
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
        (ns, "*") => format!("kubectl{} get secrets", scope(ns)),
        (ns, name) => format!("kubectl{} describe {}", scope(ns), one("secret", name)),
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

/// The option that says where; nothing for what is in no namespace.
fn scope(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(" --namespace={}", word(namespace)) }
}

/// One object, as a single word that does not begin with the name: names of roles and bindings may be anything without `/` and `%`
/// (`apimachinery/pkg/api/validation/path/name.go`), so that `-lapp!=x` is one, and quotes do not keep kubectl from taking it for an
/// option.
fn one(resource: &str, name: &str) -> String {
    word(&format!("{resource}/{name}"))
}

/// A file for what is saved: of plain characters, in this directory, not longer than file systems take, and another for each name.
fn file(resource: &str, name: &str, ending: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let plain: String = name.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain == name {
        format!("{resource}-{name}.{ending}")
    } else {
        format!("{resource}-{plain}-{:08x}.{ending}", xxh3_64(name.as_bytes()) as u32)
    }
}

/// A word as a shell takes it for one (POSIX.1-2024, Shell Command Language, 2.2.2), where needed with dollar-single-quotes (2.2.4):
/// control and invisible characters are written as octal bytes, so that what is printed is what is run. It may still be an option.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '/');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let is_shown = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    if text.chars().all(is_shown) {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let mut out = String::from("$'");
    for c in text.chars() {
        // No argument holds a NUL, and the name without it may be somebody else's.
        let c = if c == '\0' { char::REPLACEMENT_CHARACTER } else { c };
        match c {
            '\\' | '\'' => out.extend(['\\', c]),
            c if is_shown(c) => out.push(c),
            c => out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\{byte:03o}"))),
        }
    }
    out.push('\'');
    out
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
            ("josé", "'josé'"),
            ("a\nb", r"$'a\012b'"),
            ("a\u{202e}'b\\", r"$'a\342\200\256\'b\\'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), want);
        }
    }

    /// What `sh` makes of a command: the arguments of each kubectl.
    fn arguments(command: &str) -> Vec<Vec<String>> {
        let directory = std::env::temp_dir().join(format!("klio-contain-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let script = format!(
            "kubectl() {{ printf '%s\\0' \"$@\" >&3; printf '\\1\\0' >&3; }}\nexec 3>&1 >/dev/null\n{command}"
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        std::fs::remove_dir_all(directory).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let calls = said.split_terminator("\u{1}\0");
        calls.map(|call| call.split_terminator('\0').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_name_is_never_an_option_nor_another_name() {
        let names = [
            "-lapp!=x",
            "-A",
            "--all",
            "-",
            "--",
            "it's",
            "a\"b",
            "a\nb",
            "a b",
            "$(id)",
            "`id`",
            "a;b&c|d>e",
            "*",
            "\u{202e}x",
            "x\\",
        ];
        for name in names {
            let (ns, role) = (format!("--namespace={name}"), format!("rolebindings/{name}"));
            let (account, pod, secret) =
                (format!("serviceaccount/{name}"), format!("pod/{name}"), format!("secret/{name}"));
            assert_eq!(
                arguments(&take_away("rolebindings", name, name).command),
                [vec![&*ns, "get", &*role, "-o", "yaml"], vec![&*ns, "delete", &*role]]
            );
            assert_eq!(
                arguments(&renew(name, name).command),
                [
                    vec![&*ns, "get", &*account, "-o", "yaml"],
                    vec![&*ns, "delete", &*account],
                    vec![&*ns, "create", "serviceaccount", "--", name]
                ]
            );
            assert_eq!(
                arguments(&review(name).command),
                [["auth", "can-i", "--list", &*format!("--as={name}")]]
            );
            assert_eq!(
                arguments(&look("roles", "", name).command),
                [["get", &*format!("roles/{name}"), "-o", "yaml"]]
            );
            assert_eq!(
                arguments(&replace_pod(name, name).command),
                [vec![&*ns, "logs", &*pod, "--all-containers", "--prefix"], vec![&*ns, "delete", &*pod]]
            );
            if name != "*" {
                assert_eq!(
                    arguments(&rotate(&format!("{name}/{name}")).command),
                    [[&*ns, "describe", &*secret]]
                );
            }
        }
    }

    #[test]
    fn files_are_in_this_directory_and_not_too_long() {
        assert_eq!(file("roles", "reader", "yaml"), "roles-reader.yaml");
        assert!(!file("roles", "../../x", "yaml").contains('/'));
        assert_ne!(file("roles", "a b", "yaml"), file("roles", "a;b", "yaml"));
        let (a, b) = ("n".repeat(252) + "a", "n".repeat(252) + "b");
        assert!(file("mutatingadmissionpolicybindings", &a, "yaml").len() < 255);
        assert_ne!(file("roles", &a, "yaml"), file("roles", &b, "yaml"));
    }
}
