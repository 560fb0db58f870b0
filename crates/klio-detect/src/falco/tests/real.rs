//! Falco's own `k8s_audit_rules.yaml`, unmodified, where `KLIO_TEST_FALCO_RULES` names it (a file or a folder):
//! what each rule must say of our events, by its written meaning.

use std::path::{Path, PathBuf};

use super::request::{Request, request};
use super::*;

fn rule_files() -> Option<Vec<RuleFile>> {
    let at = PathBuf::from(std::env::var_os("KLIO_TEST_FALCO_RULES")?);
    let mut paths = Vec::new();
    if at.is_dir() {
        walk(&at, &mut paths);
    } else {
        paths.push(at);
    }
    // The main file goes before those that add to it.
    paths.sort_by_key(|p| (p.file_name() != Some("k8s_audit_rules.yaml".as_ref()), p.clone()));
    paths.dedup_by_key(|p| std::fs::canonicalize(p).unwrap_or_default());
    Some(paths.iter().map(|p| file(&p.display().to_string(), &std::fs::read_to_string(p).unwrap())).collect())
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, out);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            out.push(path);
        }
    }
}

fn pod_with(spec: &str) -> Request {
    request("create", "pods").code(201).body(&format!(r#"{{"spec":{{{spec}}}}}"#))
}

fn role_with(resource: &str, rules: &str) -> Request {
    request("create", resource).code(201).body(&format!(r#"{{"rules":[{rules}]}}"#))
}

#[test]
fn the_whole_file_loads_unmodified_and_each_rule_means_what_it_says() {
    let Some(files) = rule_files() else { return };
    let (set, problems) = compile(&files);
    assert!(
        problems.is_empty(),
        "{:?}",
        problems.iter().map(|p| format!("{}:{}: {}", p.file, p.line, p.message)).collect::<Vec<_>>()
    );
    assert_eq!(set.rules.len(), 48);
    assert!(set.rules.iter().all(|r| r.output.is_some() && r.line > 1));

    let privileged =
        r#""containers":[{"name":"a","image":"shop/cart:1","securityContext":{"privileged":true}}]"#;
    let plain = r#""containers":[{"name":"a","image":"shop/cart:1"}]"#;
    let trusted =
        r#""containers":[{"name":"a","image":"sysdig/sysdig:1","securityContext":{"privileged":true}}]"#;
    let init = r#""containers":[{"name":"a","image":"shop/cart:1"}],"initContainers":[{"name":"i","image":"x","securityContext":{"privileged":true}}]"#;
    let mount = |path: &str| {
        pod_with(&format!(r#"{plain},"volumes":[{{"name":"v","hostPath":{{"path":"{path}"}}}}]"#))
    };
    let in_kube = |r: Request| r.object(r#""resource":"pods","namespace":"kube-system""#);
    let cluster = |resource: &str, name: &str| format!(r#""resource":"{resource}","name":"{name}""#);

    let cases: Vec<(&str, Request, Verdict)> = vec![
        ("Disallowed K8s User", request("get", "pods"), Proven),
        ("Disallowed K8s User", request("get", "pods").by("admin"), Quiet),
        ("Disallowed K8s User", request("get", "pods").by("eks:nodewatcher"), Quiet),
        ("Disallowed K8s User", request("get", "pods").by("vpa-updater"), Quiet),
        ("Disallowed K8s User", request("get", "pods").by("system:node:n1"), Quiet),
        ("Disallowed K8s User", request("get", "pods").stage("ResponseStarted"), Quiet),
        ("Create Disallowed Pod", pod_with(plain), Quiet),
        ("Create Privileged Pod", pod_with(privileged), Proven),
        ("Create Privileged Pod", pod_with(plain), Quiet),
        ("Create Privileged Pod", pod_with(init), Proven),
        ("Create Privileged Pod", pod_with(trusted), Quiet),
        ("Create Privileged Pod", pod_with(privileged).sub("binding"), Quiet),
        ("Create Privileged Pod", pod_with(privileged).stage("RequestReceived"), Quiet),
        ("Create Privileged Pod", pod_with(privileged).bare(), Quiet),
        ("Create Sensitive Mount Pod", mount("/etc"), Proven),
        ("Create Sensitive Mount Pod", mount("/"), Proven),
        ("Create Sensitive Mount Pod", mount("/etc/ssl"), Quiet),
        ("Create Sensitive Mount Pod", mount("/data"), Quiet),
        ("Create HostNetwork Pod", pod_with(&format!(r#"{plain},"hostNetwork":true"#)), Proven),
        ("Create HostNetwork Pod", pod_with(&format!(r#"{plain},"hostNetwork":false"#)), Quiet),
        (
            "Create HostNetwork Pod",
            pod_with(
                r#""containers":[{"name":"a","image":"gke.gcr.io/kube-proxy@sha256:1"}],"hostNetwork":true"#,
            ),
            Quiet,
        ),
        ("Create HostPid Pod", pod_with(&format!(r#"{plain},"hostPID":true"#)), Proven),
        ("Create HostPid Pod", pod_with(plain), Quiet),
        ("Create HostIPC Pod", pod_with(&format!(r#"{plain},"hostIPC":true"#)), Proven),
        ("Create HostIPC Pod", pod_with(plain).bare(), Quiet),
        (
            "Create NodePort Service",
            request("create", "services").body(r#"{"spec":{"type":"NodePort"}}"#),
            Proven,
        ),
        (
            "Create NodePort Service",
            request("create", "services").body(r#"{"spec":{"type":"ClusterIP"}}"#),
            Quiet,
        ),
        (
            "Create NodePort Service",
            request("update", "services").body(r#"{"spec":{"type":"NodePort"}}"#),
            Quiet,
        ),
        (
            "Create/Modify Configmap With Private Credentials",
            request("patch", "configmaps").body(r#"{"data":{"a":"my password"}}"#),
            Proven,
        ),
        (
            "Create/Modify Configmap With Private Credentials",
            request("create", "configmaps").body(r#"{"data":{"aws_access_key_id":"x"}}"#),
            Proven,
        ),
        (
            "Create/Modify Configmap With Private Credentials",
            request("create", "configmaps").body(r#"{"data":{"a":"b"}}"#),
            Quiet,
        ),
        ("Create/Modify Configmap With Private Credentials", request("create", "configmaps").bare(), Quiet),
        ("Anonymous Request Allowed", request("get", "pods").by("system:anonymous"), Proven),
        ("Anonymous Request Allowed", request("get", "pods").by("system:anonymous").code(403), Quiet),
        (
            "Anonymous Request Allowed",
            request("get", "x").by("system:anonymous").object("").uri("/healthz?verbose"),
            Quiet,
        ),
        (
            "Anonymous Request Allowed",
            request("get", "x").by("system:anonymous").object("").uri("/livez"),
            Quiet,
        ),
        (
            "Anonymous Request Allowed",
            request("get", "x").by("system:anonymous").object("").uri("/healthzz"),
            Proven,
        ),
        ("Attach/Exec Pod", request("get", "pods").sub("exec").code(101).stage("ResponseStarted"), Proven),
        (
            "Attach/Exec Pod",
            request("create", "pods").sub("attach").code(101).stage("ResponseStarted"),
            Proven,
        ),
        ("Attach/Exec Pod", request("get", "pods").sub("exec").code(101), Quiet),
        ("Attach/Exec Pod", request("get", "pods").sub("log").stage("ResponseStarted"), Quiet),
        ("port-forward", request("get", "pods").sub("portforward").stage("ResponseStarted"), Proven),
        ("port-forward", request("create", "pods").sub("portforward"), Proven),
        ("port-forward", request("create", "pods"), Quiet),
        ("EphemeralContainers Created", request("patch", "pods").sub("ephemeralcontainers"), Proven),
        ("EphemeralContainers Created", request("patch", "pods").sub("status"), Quiet),
        ("Create Disallowed Namespace", request("create", "namespaces"), Proven),
        (
            "Create Disallowed Namespace",
            request("create", "namespaces").object(&cluster("namespaces", "default")),
            Quiet,
        ),
        ("Pod Created in Kube Namespace", in_kube(pod_with(plain)), Proven),
        ("Pod Created in Kube Namespace", in_kube(pod_with(plain)).bare(), Unproven),
        ("Pod Created in Kube Namespace", pod_with(plain), Quiet),
        (
            "Pod Created in Kube Namespace",
            in_kube(pod_with(r#""containers":[{"name":"a","image":"gke.gcr.io/heapster:1"}]"#)),
            Quiet,
        ),
        (
            "Service Account Created in Kube Namespace",
            request("create", "serviceaccounts")
                .object(r#""resource":"serviceaccounts","namespace":"kube-system","name":"x""#),
            Proven,
        ),
        (
            "Service Account Created in Kube Namespace",
            request("create", "serviceaccounts")
                .object(r#""resource":"serviceaccounts","namespace":"kube-system","name":"coredns""#),
            Quiet,
        ),
        ("Service Account Created in Kube Namespace", request("create", "serviceaccounts"), Quiet),
        (
            "System ClusterRole Modified/Deleted",
            request("delete", "clusterroles").object(&cluster("clusterroles", "system:node")),
            Proven,
        ),
        (
            "System ClusterRole Modified/Deleted",
            request("patch", "roles").object(&cluster("roles", "system:coredns")),
            Quiet,
        ),
        (
            "System ClusterRole Modified/Deleted",
            request("get", "clusterroles").object(&cluster("clusterroles", "system:node")),
            Quiet,
        ),
        (
            "Attach to cluster-admin Role",
            request("create", "clusterrolebindings").body(r#"{"roleRef":{"name":"cluster-admin"}}"#),
            Proven,
        ),
        (
            "Attach to cluster-admin Role",
            request("create", "clusterrolebindings").body(r#"{"roleRef":{"name":"view"}}"#),
            Quiet,
        ),
        (
            "Attach to cluster-admin Role",
            request("create", "rolebindings").body(r#"{"roleRef":{"name":"cluster-admin"}}"#),
            Quiet,
        ),
        (
            "ClusterRole With Wildcard Created",
            role_with(
                "roles",
                r#"{"verbs":["get"],"resources":["pods"]},{"verbs":["get"],"resources":["*"]}"#,
            ),
            Proven,
        ),
        (
            "ClusterRole With Wildcard Created",
            role_with("clusterroles", r#"{"verbs":["*"],"nonResourceURLs":["/"]}"#),
            Proven,
        ),
        (
            "ClusterRole With Wildcard Created",
            role_with("clusterroles", r#"{"verbs":["get"],"resources":["pods"]}"#),
            Quiet,
        ),
        ("ClusterRole With Wildcard Created", request("create", "clusterroles").bare(), Quiet),
        (
            "ClusterRole With Write Privileges Created",
            role_with("roles", r#"{"verbs":["get","patch"],"resources":["pods"]}"#),
            Proven,
        ),
        (
            "ClusterRole With Write Privileges Created",
            role_with("roles", r#"{"verbs":["get"],"resources":["pods"]}"#),
            Quiet,
        ),
        (
            "ClusterRole With Pod Exec Created",
            role_with("roles", r#"{"verbs":["create"],"resources":["pods/exec"]}"#),
            Proven,
        ),
        (
            "ClusterRole With Pod Exec Created",
            role_with("roles", r#"{"verbs":["create"],"resources":["pods"]}"#),
            Quiet,
        ),
        ("K8s Deployment Created", request("create", "deployments").code(201), Proven),
        ("K8s Deployment Created", request("create", "deployments").code(409), Quiet),
        ("K8s Deployment Deleted", request("delete", "deployments"), Proven),
        ("K8s Service Created", request("create", "services"), Proven),
        ("K8s Service Deleted", request("delete", "services"), Proven),
        ("K8s ConfigMap Created", request("create", "configmaps"), Proven),
        ("K8s ConfigMap Deleted", request("delete", "configmaps"), Proven),
        ("K8s Namespace Created", request("create", "namespaces"), Proven),
        ("K8s Namespace Deleted", request("delete", "namespaces"), Proven),
        ("K8s Namespace Deleted", request("delete", "namespaces").by("system:admin"), Quiet),
        ("K8s Serviceaccount Created", request("create", "serviceaccounts"), Proven),
        ("K8s Serviceaccount Deleted", request("delete", "serviceaccounts"), Proven),
        ("K8s Role Created", request("create", "roles"), Proven),
        ("K8s Role Deleted", request("delete", "roles"), Proven),
        ("K8s ClusterRole Created", request("create", "clusterroles"), Proven),
        ("K8s ClusterRole Deleted", request("delete", "clusterroles"), Proven),
        ("K8s RoleBinding Created", request("create", "rolebindings"), Proven),
        ("K8s RoleBinding Deleted", request("delete", "rolebindings"), Proven),
        ("K8s ClusterRoleBinding Created", request("create", "clusterrolebindings"), Proven),
        ("K8s ClusterRoleBinding Deleted", request("delete", "clusterrolebindings"), Proven),
        ("K8s Secret Created", request("create", "secrets"), Proven),
        (
            "K8s Secret Created",
            request("create", "secrets").object(r#""resource":"secrets","namespace":"kube-system""#),
            Quiet,
        ),
        // Without a namespace `!=` is false.
        ("K8s Secret Created", request("create", "secrets").object(r#""resource":"secrets""#), Quiet),
        ("K8s Secret Created", request("create", "secrets").by("system:serviceaccount:a:b"), Quiet),
        ("K8s Secret Deleted", request("delete", "secrets"), Proven),
        ("K8s Secret Get Successfully", request("get", "secrets"), Proven),
        ("K8s Secret Get Successfully", request("get", "secrets").code(404), Quiet),
        ("K8s Secret Get Successfully", request("list", "secrets"), Quiet),
        ("K8s Secret Get Unsuccessfully Tried", request("get", "secrets").code(403), Proven),
        ("K8s Secret Get Unsuccessfully Tried", request("get", "secrets"), Quiet),
        ("All K8s Audit Events", request("get", "secrets"), Quiet),
        ("Full K8s Administrative Access", request("get", "pods").by("admin"), Quiet),
        (
            "Ingress Object without TLS Certificate Created",
            request("create", "ingresses").body(r#"{"spec":{"rules":[]}}"#),
            Proven,
        ),
        (
            "Ingress Object without TLS Certificate Created",
            request("create", "ingresses").body(r#"{"spec":{"tls":[{}]}}"#),
            Quiet,
        ),
        ("Ingress Object without TLS Certificate Created", request("create", "ingresses").bare(), Unproven),
        ("Untrusted Node Successfully Joined the Cluster", request("create", "nodes"), Quiet),
        (
            "Untrusted Node Unsuccessfully Tried to Join the Cluster",
            request("create", "nodes").code(403),
            Quiet,
        ),
    ];
    for rule in &set.rules {
        assert!(cases.iter().any(|(name, ..)| *name == rule.title), "no case for {}", rule.title);
    }
    for (name, request, want) in &cases {
        let rule = set.rules.iter().find(|r| r.title == *name).unwrap_or_else(|| panic!("no rule {name}"));
        let json = request.json();
        assert_eq!(verdict(rule, &json), *want, "{name}: {json}");
    }
}

#[test]
fn macros_that_users_redefine_switch_its_rules_on_and_off() {
    let Some(mut files) = rule_files() else { return };
    files.push(file(
        "local.yaml",
        "- macro: allowed_k8s_containers\n  condition: (ka.req.pod.containers.image.repository in (shop/cart))\n\
         - macro: allowed_full_admin_users\n  condition: (k8s_audit_never_true)\n\
         - macro: consider_activity_events\n  condition: (k8s_audit_never_true)\n\
         - macro: allow_all_k8s_nodes\n  condition: (k8s_audit_never_true)\n\
         - list: allowed_k8s_nodes\n  items: [n1]\n\
         - macro: user_known_exec_pod_activities\n  condition: ka.user.name=carla\n\
         - macro: consider_all_events\n  condition: (k8s_audit_always_true)\n\
         - rule: port-forward\n  enabled: false\n  override: {enabled: replace}\n",
    ));
    let (set, problems) = compile(&files);
    assert!(problems.is_empty() && set.rules.len() == 47);
    let other = r#""containers":[{"name":"a","image":"other:1"}]"#;
    for (name, request, want) in [
        ("Create Disallowed Pod", pod_with(other), Proven),
        ("Create Disallowed Pod", pod_with(other).bare(), Unproven),
        ("Create Disallowed Pod", pod_with(r#""containers":[{"name":"a","image":"shop/cart:2"}]"#), Quiet),
        ("Full K8s Administrative Access", request("get", "pods").by("admin"), Proven),
        ("K8s Deployment Created", request("create", "deployments"), Quiet),
        ("Untrusted Node Successfully Joined the Cluster", request("create", "nodes"), Proven),
        (
            "Untrusted Node Successfully Joined the Cluster",
            request("create", "nodes").object(r#""resource":"nodes","name":"n1""#),
            Quiet,
        ),
        (
            "Untrusted Node Unsuccessfully Tried to Join the Cluster",
            request("create", "nodes").code(409),
            Proven,
        ),
        ("Attach/Exec Pod", request("get", "pods").sub("exec").stage("ResponseStarted"), Quiet),
        ("All K8s Audit Events", request("get", "pods"), Proven),
    ] {
        let rule = set.rules.iter().find(|r| r.title == name).unwrap();
        assert_eq!(verdict(rule, &request.json()), want, "{name}");
    }
}
