//! Small filters and policies.

use klio_model::{Filter, Level};

use crate::coverage::{Policy, Recording, Target, Verdict, assess, is_any, targets, words};
use crate::rule::{Dialect, RuleFile, RuleSet};

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|e| panic!("{}", e.render(text)))
}

/// Verb, subject, least and full level of each target that is not of any request.
fn said(text: &str) -> String {
    let all: Vec<Target> = targets(&filter(text));
    let mut out: Vec<String> = Vec::new();
    for t in &all {
        let stages = if t.need.by_stage { format!(" {}", t.need.stages) } else { String::new() };
        out.push(format!("{} {} {:?}-{:?}{stages}", t.verb, t.subject, t.need.least, t.need.full));
    }
    out.join("; ")
}

#[test]
fn targets_follow_from_the_filter() {
    let check = |text: &str, want: &str| assert_eq!(said(text), want, "{text}");
    check("verb:create and resource:pods and not subresource:*", "create pods Metadata-Metadata");
    check(
        "resource:pods and subresource:exec and outcome:allowed",
        "get pods/exec Metadata-Metadata; \
         create pods/exec Metadata-Metadata",
    );
    check("verb:create and resource:pods and pod.hostPID:true", "create pods Request-Request");
    check(
        "verb:(get or create) and rbac.role:cluster-admin and resource:rolebindings",
        "create rolebindings.rbac.authorization.k8s.io Request-Request",
    );
    check(
        "verb:create and resource:ingresses and not request.spec.tls:*",
        "create ingresses.networking.k8s.io Request-Request",
    );
    check(
        "verb:get and resource:secrets and response.type:x and not user:x",
        "get secrets RequestResponse-RequestResponse",
    );
    check("verb:list and resource:secrets and request.x:1", "");
    check("verb:get and resource:secrets and verb:list", "");
    // A half that needs the body.
    check(
        "verb:create and resource:services and (name:kubernetes-dashboard or request.spec.type:NodePort) and not subresource:*",
        "create services Metadata-Request",
    );
    check("user.kind:unauthenticated and resource:secrets and verb:list", "list secrets Metadata-Metadata");
    check(
        "stage:RequestReceived and verb:delete and resource:nodes and not subresource:*",
        "delete nodes Metadata-Metadata RequestReceived",
    );
    check("stage:RequestReceived and verb:delete and resource:nodes and code:200", "");
    check("verb:create and resource:gadgets", "create gadgets Metadata-Metadata");
    check(
        "uri.path:\\/logs/* and not resource:*",
        "get /logs/ Metadata-Metadata; get /logs/x Metadata-Metadata",
    );
}

#[test]
fn a_filter_that_names_no_resource_is_about_any() {
    assert!(is_any(&targets(&filter("user.kind:anonymous and outcome:allowed"))));
    assert!(!is_any(&targets(&filter("container.image:*miner*"))));
    assert!(is_any(&targets(&filter("request.write:true"))));
    assert!(!is_any(&targets(&filter("uri.path:\\/metrics and not resource:*"))));
    let pods = targets(&filter("container.image:*miner* and verb:create"));
    let subjects = pods.iter().map(|t| (&t.subject, t.verb));
    let all = words(subjects).join("; ");
    assert!(all.contains("pods") && all.contains("cronjobs.batch") && !all.contains("secrets"), "{all}");
}

fn set(condition: &str) -> RuleSet {
    let text = format!(
        "title: A\nid: a\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n{condition}\nlevel: high\n"
    );
    let (set, problems) =
        crate::sigma::compile(&[RuleFile { name: "t.yml".into(), text: text.into() }], Dialect::Klio);
    assert!(problems.iter().all(|p| p.warning), "{problems:?}");
    set
}

fn policy(rules: &str) -> Policy {
    Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{rules}")).unwrap()
}

/// The verdict, the mending rules, and whether they mend.
fn judge(set: &RuleSet, policy: &Policy) -> (Verdict, String, Vec<String>) {
    let coverage = assess(set, Recording::Policy(policy)).swap_remove(0);
    let mut better = policy.clone();
    better.rules.splice(0..0, coverage.mend.rules.iter().cloned());
    if !coverage.mend.rules.is_empty() {
        let after = assess(set, Recording::Policy(&better)).swap_remove(0);
        assert!(after.verdict < coverage.verdict, "{} is not better than {coverage:?}", after.verdict.name());
        // What is proposed is what a file says.
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{}", coverage.mend.yaml());
        let mut read = Policy::parse(&text).unwrap().rules;
        for rule in &mut read {
            rule.line = 0;
        }
        assert_eq!(read, coverage.mend.rules);
    }
    (coverage.verdict, coverage.mend.yaml(), coverage.mend.notes)
}

const ROLE: &str =
    "  s: {objectRef.resource: clusterroles, verb: [create, patch], rbac.grant: '* *'}\n  condition: s";

#[test]
fn a_rule_works_where_its_requests_are_recorded() {
    let check = |rules: &str, want: Verdict, yaml: &str| {
        let (verdict, got, notes) = judge(&set(ROLE), &policy(rules));
        assert_eq!((verdict, got.as_str()), (want, yaml), "{rules} {notes:?}");
    };
    let all = "  - level: Request\n    verbs: [create, patch]\n    resources:\n      - group: rbac.authorization.k8s.io\n        resources: [clusterroles]\n";
    check("rules:\n- level: Request", Verdict::Works, "");
    check("rules:\n- level: Metadata", Verdict::Blind, all);
    check("rules:\n- level: None", Verdict::Blind, all);
    check("rules:\n- level: Request\n  resources: [{group: \"\"}]", Verdict::Blind, all);
    check(
        "rules:\n- {level: Request, verbs: [create]}\n- level: Metadata",
        Verdict::Partly,
        &all.replace("create, patch", "patch"),
    );
    check(
        "rules:\n- {level: None, userGroups: [\"system:serviceaccounts:kube-system\"]}\n- level: Request",
        Verdict::Partly,
        &all.replace("    verbs", "    userGroups: [\"system:serviceaccounts\"]\n    verbs"),
    );
}

#[test]
fn stages_count_too() {
    let denied = set("  s: {responseStatus.code: 401}\n  condition: s");
    let (verdict, yaml, notes) =
        judge(&denied, &policy("omitStages: [ResponseStarted]\nrules:\n- level: Metadata"));
    assert_eq!((verdict, yaml.as_str()), (Verdict::Blind, ""));
    assert!(notes.iter().any(|n| n.contains("ResponseStarted")), "{notes:?}");
    let early = set("  s: {stage: RequestReceived, verb: delete}\n  condition: s");
    let (verdict, ..) = judge(&early, &policy("omitStages: [RequestReceived]\nrules:\n- level: Metadata"));
    assert_eq!(verdict, Verdict::Blind);
}

#[test]
fn bodies_with_credentials_are_never_asked_for() {
    let secret =
        set("  s: {objectRef.resource: secrets, verb: create, requestObject.type: x}\n  condition: s");
    let (verdict, yaml, notes) = judge(&secret, &policy("rules:\n- level: Metadata"));
    assert_eq!((verdict, yaml.as_str()), (Verdict::Blind, ""));
    assert!(notes[0].contains("must not get into a log"), "{notes:?}");
    // One that says of which objects may have those.
    let named = "  s: {objectRef.resource: configmaps, objectRef.name: aws-auth, verb: patch, requestObject.data: '*x*'}\n  condition: s";
    let (_, yaml, _) = judge(&set(named), &policy("rules:\n- level: Metadata"));
    assert!(yaml.contains("resourceNames: [aws-auth]"), "{yaml}");
    // A rule about any write keeps them out.
    let any = set("  s: {verb: create, requestObject.x: y}\n  condition: s");
    let (verdict, yaml, _) = judge(&any, &policy("rules:\n- level: Metadata"));
    assert_eq!(verdict, Verdict::Blind);
    assert!(yaml.starts_with("  - level: Metadata\n    verbs: [create]\n    resources:\n      - group: \"\"\n        resources: [secrets,"), "{yaml}");
    assert!(yaml.ends_with("  - level: Request\n    verbs: [create]\n"), "{yaml}");
}

#[test]
fn what_lacks_is_asked_for_no_wider_than_the_rule_is() {
    let anonymous = set("  s: {user.username: 'system:anonymous', outcome: allowed}\n  condition: s");
    let quiet =
        policy("rules:\n- {level: None, userGroups: [\"system:unauthenticated\"]}\n- level: Metadata");
    let (verdict, yaml, _) = judge(&anonymous, &quiet);
    assert_eq!(verdict, Verdict::Blind);
    assert!(yaml.contains("users: [\"system:anonymous\"]"), "{yaml}");
    let placed = set(
        "  s: {objectRef.resource: pods, objectRef.subresource: exec, objectRef.namespace: kube-system}\n  condition: s",
    );
    let (_, yaml, _) = judge(&placed, &policy("rules:\n- level: None"));
    assert!(yaml.contains("namespaces: [kube-system]") && yaml.contains("resources: [pods/exec]"), "{yaml}");
}

#[test]
fn a_guess_is_told_from_a_proof() {
    let set = set(
        "  s: {objectRef.resource: ingresses, verb: create}\n  tls: {requestObject.spec.tls: '*'}\n  condition: s and not tls",
    );
    let coverage = assess(&set, Recording::Policy(&policy("rules:\n- level: Metadata"))).swap_remove(0);
    assert_eq!((coverage.verdict, coverage.guesses), (Verdict::Blind, true));
    assert_eq!(coverage.sights[0].need.guess, Level::Metadata);
}
