use super::*;

fn policy(rules: &str) -> Policy {
    Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}")).unwrap()
}

fn level(policy: &Policy, user: &str, groups: &[&str], verb: &str, on: On<'_>) -> Option<Level> {
    let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
    let user = (!user.is_empty()).then_some(user);
    policy.decide(&Attributes { user, groups: &groups, verb, on }).level
}

fn on<'r>(group: &'r str, whole: &'r str, namespace: &'r str, name: &'r str) -> On<'r> {
    let (resource, subresource) = whole.split_once('/').unwrap_or((whole, ""));
    On::Resource { group, resource, subresource, namespace, name }
}

/// As the cases of `staging/src/k8s.io/apiserver/pkg/audit/policy/checker_test.go` have it.
#[test]
fn resources_match_as_the_api_server_matches_them() {
    let check = |entries: &str, group: &str, whole: &str, want: bool| {
        let policy =
            policy(&format!("- level: Request\n  resources:\n  - {{group: \"apps\", resources: {entries}}}"));
        let got =
            level(&policy, "jane", &[], "get", on(group, whole, "shop", "cart")) == Some(Level::Request);
        assert_eq!(got, want, "{entries} {group} {whole}");
    };
    check("[deployments]", "apps", "deployments", true);
    check("[deployments]", "", "deployments", false);
    check("[deployments]", "apps", "deployments/scale", false);
    check("[deployments/scale]", "apps", "deployments/scale", true);
    check("[deployments/scale]", "apps", "deployments", false);
    check("[\"*\"]", "apps", "deployments/scale", true);
    check("[\"*/scale\"]", "apps", "deployments/scale", true);
    check("[\"*/scale\"]", "apps", "deployments", false);
    check("[\"deployments/*\"]", "apps", "deployments/scale", true);
    // As in the API server, this one fits the resource itself too.
    check("[\"deployments/*\"]", "apps", "deployments", true);
    check("[\"deployments*\"]", "apps", "deployments", false);
    check("[]", "apps", "statefulsets/status", true);
}

#[test]
fn every_selector_is_literal_and_all_must_fit() {
    let of = |rule: &str| policy(&format!("- level: Metadata\n{rule}"));
    let check = |rule: &str, user: &str, groups: &[&str], on: On<'_>, want: bool| {
        assert_eq!(level(&of(rule), user, groups, "list", on).is_some(), want, "{rule} {user}");
    };
    let secrets = || on("", "secrets", "shop", "");
    check("  users: [jane]", "jane", &[], secrets(), true);
    check("  users: [\"*\"]", "jane", &[], secrets(), false);
    check("  users: [\"\"]", "", &[], secrets(), false);
    check("  userGroups: [a, b]", "jane", &["b"], secrets(), true);
    check("  userGroups: [a]\n  users: [bob]", "jane", &["a"], secrets(), false);
    check("  userGroups: [\"system:unauthenticated\"]", "", &[], secrets(), false);
    check("  verbs: [\"*\"]", "jane", &[], secrets(), false);
    check("  namespaces: [shop]", "jane", &[], secrets(), true);
    check("  namespaces: [\"\"]", "jane", &[], on("", "nodes", "", ""), true);
    check("  namespaces: [\"\"]", "jane", &[], On::Path("/x"), false);
    check("  nonResourceURLs: [\"/heal*\"]", "jane", &[], On::Path("/healthz/etcd"), true);
    check("  nonResourceURLs: [\"/healthz\"]", "jane", &[], On::Path("/healthz/etcd"), false);
    check("  nonResourceURLs: [\"*\"]", "jane", &[], secrets(), false);
    let names = "  resources:\n  - resources: [configmaps]\n    resourceNames: [aws-auth]";
    check(names, "jane", &[], on("", "configmaps", "kube-system", "aws-auth"), true);
    check(names, "jane", &[], on("", "configmaps", "kube-system", ""), false);
    check("  resources:\n  - group: \"*\"", "jane", &[], on("apps", "deployments/scale", "shop", ""), true);
}

#[test]
fn the_first_rule_decides_and_the_rest_is_not_recorded() {
    let policy = policy(
        "- level: None\n  verbs: [get]\n  omitStages: [ResponseStarted]\n- level: RequestResponse\n  verbs: [get, list]",
    );
    let decide =
        |verb| policy.decide(&Attributes { user: None, groups: &[], verb, on: on("", "pods", "", "") });
    assert_eq!((decide("get").level, decide("get").rule), (None, Some(0)));
    assert_eq!(decide("list").level, Some(Level::RequestResponse));
    assert_eq!((decide("watch").level, decide("watch").rule), (None, None));
    let path = policy.decide(&Attributes { user: None, groups: &[], verb: "list", on: On::Path("/x") });
    assert_eq!(path.level, Some(Level::Metadata));
}

#[test]
fn stages_and_managed_fields_of_policy_and_rule_are_joined() {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n\
        - level: Metadata\n  verbs: [get]\n  omitStages: [Panic]\n  omitManagedFields: false\n- level: Request\n";
    let policy = Policy::parse(text).unwrap();
    let decide =
        |verb| policy.decide(&Attributes { user: None, groups: &[], verb, on: on("", "pods", "", "") });
    assert_eq!(decide("get").omitted.to_string(), "RequestReceived, Panic");
    assert!(!decide("get").omit_managed_fields && decide("list").omit_managed_fields);
    assert_eq!(policy.rules[1].line, 10);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_advice() {
    let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
    let check = |text: &str, want: &str| {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert!(error.contains(want), "{text}\n{error}\nwanted {want}");
    };
    let rules = |rule: &str| format!("{head}rules:\n{rule}");
    check(&rules("- level: Metadat"), "line 4: `Metadat` is no level; did you mean `Metadata`?");
    check(&rules("- level: Metadata\n  verb: [get]"), "line 5: a rule has no key `verb`");
    check(&rules("- level: Metadata\n  verb: [get]"), "did you mean `verbs`?");
    check(&rules("- level: Metadata\n  verbs: get"), "line 5: `verbs` is no list");
    check(&rules("- level: Metadata\n  verbs: [get]\n  verbs: [list]"), "line 6: `verbs` stands twice");
    check(&rules("- verbs: [get]"), "line 4: a rule has no `level`");
    check(&rules("- level: Metadata\n  omitStages: [Received]"), "`Received` is no stage");
    check(&rules("- level: Metadata\n  nonResourceURLs: [/a*b]"), "has a `*` within");
    check(&rules("- level: Metadata\n  nonResourceURLs: [x]"), "is no path");
    check(&rules("- level: Metadata\n  nonResourceURLs: [/x]\n  namespaces: [a]"), "make two rules of it");
    check(&rules("- level: Metadata\n  resources:\n  - group: apps/v1"), "line 6: `apps/v1` is no API group");
    check(
        &rules("- level: Metadata\n  resources:\n  - group: \"\"\n    resourceNames: [a]"),
        "without `resources`",
    );
    check(&rules("- level: Metadata\n  omitManagedFields: 1"), "true or false");
    check(&format!("{head}rules: []"), "there are no rules");
    check(head, "there are no rules");
    check("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: []", "write `apiVersion: audit.k8s.io/v1`");
    check("", "the file is empty");
    check("- a", "a policy is a map");
    check(&format!("{}\n---\na: b", rules("- level: None")), "a second document");
    check(&rules("- level: None\n  users: [[a]]"), "is no text");
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in "[a-c\\[\\]{}:,&*!|>'\"%@`#?\\- \\n\\t]{0,120}") {
        let _ = Policy::parse(&text);
        let _ = Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{text}"));
        let _ = Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  nonResourceURLs: [\"{text}é*\"]"));
    }
}
