//! The public rules for Kubernetes, read unmodified from the folder that `KLIO_TEST_SIGMA_RULES` names.
//!
//! Each rule is known by its id; the cases are written from what the rule is about, the events are invented.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn yaml_files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yaml_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            out.push(path);
        }
    }
}

/// An event from `verb group/resource/subresource namespace code` (`-` for none) and further members.
fn event(what: &str, more: &str) -> String {
    let parts: Vec<_> = what.split(' ').collect();
    let target: Vec<_> = parts[1].split('/').collect();
    let member = |name: &str, value: &str| {
        if value == "-" { String::new() } else { format!(r#","{name}":"{value}""#) }
    };
    let sub = target.get(2).copied().unwrap_or("-");
    let decision = if parts[3] == "403" { "forbid" } else { "allow" };
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","stage":"ResponseComplete","verb":"{}",
        "user":{{"username":"alice"}},"objectRef":{{"resource":"{}"{}{}{}}},"responseStatus":{{"code":{}}},
        "annotations":{{"authorization.k8s.io/decision":"{decision}"}}{more}}}"#,
        parts[0],
        target[1],
        member("apiGroup", target[0]),
        member("subresource", sub),
        member("namespace", parts[2]),
        parts[3],
    )
}

/// Rule id, an event that it is about (`what | more members`), and one that it is not.
const CASES: &[(&str, &[&str], &[&str])] = &[
    // Events deleted.
    (
        "3132570d-cab2-4561-9ea6-1743644b2290",
        &["delete -/events shop 200"],
        &["create -/events shop 201", "delete -/pods shop 200"],
    ),
    // CronJob or Job changed.
    (
        "0c9b3bda-41a6-4442-9345-356ae86343dc",
        &[
            "create batch/cronjobs shop 201",
            "patch batch/jobs shop 200",
            "update batch/cronjobs/status shop 200",
        ],
        &[
            "get batch/jobs shop 200",
            "create apps/deployments shop 201",
            "deletecollection batch/jobs shop 200",
        ],
    ),
    // Pod in the system namespace.
    (
        "a80d927d-ac6e-443f-a867-e8d6e3897318",
        &["create -/pods kube-system 201"],
        &["create -/pods shop 201", "list -/pods kube-system 200"],
    ),
    // Unauthorized or unauthenticated.
    (
        "0d933542-1f1f-420d-97d4-21b2c3c492d9",
        &["get -/pods shop 401", "list -/secrets - 403"],
        &["get -/pods shop 200", "get -/pods shop 404"],
    ),
    // hostPath.
    (
        "402b955c-8fe0-4a8c-b635-622b4ac5f902",
        &[
            r#"create -/pods shop 201|,"requestObject":{"spec":{"volumes":[{"name":"a"},{"name":"h","hostPath":{"path":"/"}}]}}"#,
        ],
        &[
            r#"create -/pods shop 201|,"requestObject":{"spec":{"volumes":[{"name":"a","emptyDir":{}}]}}"#,
            r#"update -/pods shop 200|,"requestObject":{"spec":{"volumes":[{"hostPath":{"path":"/"}}]}}"#,
        ],
    ),
    // Added capabilities.
    (
        "c5cd1b20-36bb-488d-8c05-486be3d0cb97",
        &[
            r#"create -/pods shop 201|,"requestObject":{"spec":{"containers":[{"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}"#,
        ],
        &[
            r#"create -/pods shop 201|,"requestObject":{"spec":{"containers":[{"securityContext":{"capabilities":{"drop":["ALL"]}}}]}}"#,
        ],
    ),
    // Service account created.
    (
        "e31bae15-83ed-473e-bf31-faf4f8a17d36",
        &["create -/serviceaccounts shop 201"],
        &["delete -/serviceaccounts shop 200"],
    ),
    // Secrets changed.
    (
        "58d31a75-a4f8-4c40-985b-373d58162ca2",
        &["update -/secrets shop 200", "delete -/secrets shop 200", "patch -/secrets shop 200"],
        &["get -/secrets shop 200", "update -/configmaps shop 200"],
    ),
    // Shells and tools in allowed requests.
    (
        "597a7e84-187d-458b-9e4f-2f5a0e676711",
        &[
            r#"create -/pods/exec shop 101|,"requestURI":"/api/v1/namespaces/shop/pods/a/exec?command=%2Fbin%2Fbash""#,
            r#"get -/pods shop 200|,"userAgent":"TruffleHog/3""#,
        ],
        &[
            r#"create -/pods/exec shop 403|,"requestURI":"/api/v1/namespaces/shop/pods/a/exec?command=%2Fbin%2Fbash""#,
            r#"create -/pods/exec shop 101|,"requestURI":"/api/v1/namespaces/shop/pods/a/exec?command=date","userAgent":"kubectl""#,
        ],
    ),
    // Deployment deleted.
    (
        "40967487-139b-4811-81d9-c9767a92aa5a",
        &["delete apps/deployments shop 200"],
        &["delete apps/replicasets shop 200"],
    ),
    // Exec into a container, over SPDY and over a WebSocket.
    (
        "a1b0ca4e-7835-413e-8471-3ff2b8a66be6",
        &["create -/pods/exec shop 101", "get -/pods/exec shop 101"],
        &["create -/pods shop 201", "get -/pods shop 200", "get -/pods/exec shop 403"],
    ),
    // Admission webhooks changed.
    (
        "eed82177-38f5-4299-8a76-098d50d225ab",
        &["create admissionregistration.k8s.io/mutatingwebhookconfigurations - 201"],
        &[
            "get admissionregistration.k8s.io/mutatingwebhookconfigurations - 200",
            "create admissionregistration.k8s.io/validatingadmissionpolicies - 201",
        ],
    ),
    // Own permissions listed.
    (
        "84b777bd-c946-4d17-aa2e-c39f5a454325",
        &["create authorization.k8s.io/selfsubjectrulesreviews - 201"],
        &["create authorization.k8s.io/selfsubjectaccessreviews - 201"],
    ),
    // Secrets listed.
    (
        "eeb3e9e1-b685-44e4-9232-6bb701f925b5",
        &["list -/secrets - 200"],
        &["get -/secrets shop 200", "watch -/secrets - 200"],
    ),
    // Deployment patched.
    (
        "ad9012a6-e518-4432-9890-f3b82b8fc71f",
        &["patch apps/deployments shop 200"],
        &["patch extensions/deployments shop 200", "update apps/deployments shop 200"],
    ),
    // Role bindings changed.
    (
        "10b97915-ec8d-455f-a815-9a78926585f6",
        &[
            "create rbac.authorization.k8s.io/clusterrolebindings - 201",
            "delete rbac.authorization.k8s.io/rolebindings shop 200",
        ],
        &[
            "create rbac.authorization.k8s.io/roles shop 201",
            "list rbac.authorization.k8s.io/rolebindings shop 200",
        ],
    ),
];

#[test]
fn the_public_rules_load_unmodified_and_mean_what_they_say() {
    let Some(dir) = std::env::var_os("KLIO_TEST_SIGMA_RULES") else {
        eprintln!("skipped: set KLIO_TEST_SIGMA_RULES to a folder of Sigma's Kubernetes rules");
        return;
    };
    let mut paths = Vec::new();
    yaml_files(Path::new(&dir), &mut paths);
    let files: Vec<_> = paths
        .iter()
        .map(|p| RuleFile { name: p.display().to_string(), text: fs::read_to_string(p).unwrap().into() })
        .collect();
    let (set, problems) = compile(&files, Dialect::Sigma);
    let errors: Vec<_> = problems.iter().filter(|p| !p.warning).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(set.rules.len(), files.len(), "{problems:?}");
    let rules: BTreeMap<_, _> = set.rules.iter().map(|r| (r.id.as_str(), r)).collect();
    let mut missing: Vec<_> = CASES.iter().map(|(id, ..)| *id).filter(|id| !rules.contains_key(id)).collect();
    missing.sort_unstable();
    assert!(missing.len() < CASES.len(), "none of the known rules is there");
    if !missing.is_empty() {
        eprintln!("not in the folder: {missing:?}");
    }
    for (id, fires, quiet) in CASES {
        let Some(rule) = rules.get(id) else { continue };
        for (cases, want) in [(fires, true), (quiet, false)] {
            for case in *cases {
                let (what, more) = case.split_once('|').unwrap_or((case, ""));
                let json = event(what, more);
                let event = Event::parse(&json).unwrap();
                let answer = rule.filter.eval(&event, Missing::Unknown);
                assert_eq!(answer == Tri::True, want, "{}: {case}", rule.title);
            }
        }
    }
}
