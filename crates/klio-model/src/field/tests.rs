use super::*;
use crate::event::Event;

fn values(event: &str, field: &str) -> Vec<String> {
    let event = Event::parse(event).unwrap();
    let mut out = Vec::new();
    event.visit(&FieldRef::parse(field).unwrap(), &mut |v| {
        out.push(v.to_text().into_owned());
        false
    });
    out
}

fn seen(event: &str, field: &str) -> Seen {
    Event::parse(event).unwrap().visit(&FieldRef::parse(field).unwrap(), &mut |_| false)
}

#[test]
fn the_registry_is_in_the_order_of_the_enum_and_has_no_name_twice() {
    for (i, info) in FIELDS.iter().enumerate() {
        assert_eq!(info.field as usize, i);
        for other in &FIELDS[..i] {
            assert_ne!(other.name, info.name);
        }
    }
}

#[test]
fn every_name_and_path_parses_and_prints_back() {
    for info in FIELDS {
        assert_eq!(FieldRef::parse(info.name).unwrap().name(), info.name);
        if !info.path.is_empty() {
            assert_eq!(FieldRef::parse(info.path).unwrap().field(), info.field, "{}", info.path);
        }
    }
    let deep = FieldRef::parse("requestObject.spec.containers.image").unwrap();
    assert_eq!(FieldRef::parse(deep.name()).unwrap(), deep);
}

#[test]
fn a_misspelt_field_gets_the_nearest_name() {
    let error = FieldRef::parse("objectRef.resuorce").unwrap_err();
    assert_eq!(error.suggestion.as_deref(), Some("objectRef.resource"));
    assert!(FieldRef::parse("zzzzzzzz").unwrap_err().suggestion.is_none());
}

#[test]
fn keys_with_dots_and_lists_are_followed() {
    let e = r#"{"level":"Request","verb":"create","objectRef":{"resource":"deployments"},
      "annotations":{"authorization.k8s.io/decision":"allow","a.b":"x"},
      "requestObject":{"spec":{"template":{"metadata":{"labels":{"app.kubernetes.io/name":"cart"}},
        "spec":{"hostPID":true,"containers":[{"image":"a"}],"initContainers":[{"image":"b","securityContext":{"privileged":true}}]}}}}}"#;
    assert_eq!(values(e, "annotations.authorization.k8s.io/decision"), ["allow"]);
    assert_eq!(values(e, "annotations.a.b"), ["x"]);
    assert_eq!(values(e, "container.image"), ["a", "b"]);
    assert_eq!(values(e, "container.securityContext.privileged"), ["true"]);
    assert_eq!(values(e, "pod.hostPID"), ["true"]);
    assert_eq!(values(e, "pod.metadata.labels.app.kubernetes.io/name"), ["cart"]);
    assert_eq!(values(e, "requestObject.spec.template.spec.initContainers.0.image"), ["b"]);
}

#[test]
fn a_body_that_the_level_does_not_record_is_unknown_not_absent() {
    let pod =
        |level: &str| format!(r#"{{"level":"{level}","verb":"create","objectRef":{{"resource":"pods"}}}}"#);
    assert_eq!(seen(&pod("Metadata"), "requestObject.spec.hostPID"), Seen::Unknown);
    assert_eq!(seen(&pod("Metadata"), "pod.hostPID"), Seen::Unknown);
    assert_eq!(seen(&pod("Request"), "pod.hostPID"), Seen::Absent);
    let get = r#"{"level":"Metadata","verb":"get","objectRef":{"resource":"pods"}}"#;
    assert_eq!(seen(get, "pod.hostPID"), Seen::Absent);
    assert_eq!(seen(get, "responseObject.kind"), Seen::Unknown);
}

#[test]
fn grants_pair_only_within_one_rule() {
    let e = r#"{"level":"Request","verb":"create","objectRef":{"resource":"clusterroles"},"requestObject":{"rules":[
        {"verbs":["get"],"resources":["pods"]},{"verbs":["list"],"resources":["secrets"]}]}}"#;
    assert_eq!(values(e, "rbac.grant"), ["get pods", "list secrets"]);
}

#[test]
fn a_role_with_too_many_grants_is_read_from_its_stars_and_then_unknown() {
    let many = |prefix: &str| (0..150).map(|i| format!(r#""{prefix}{i}""#)).collect::<Vec<_>>().join(",");
    let role = |rules: &str| {
        format!(
            r#"{{"level":"Request","verb":"create","objectRef":{{"resource":"clusterroles"}},"requestObject":{{"rules":[{rules}]}}}}"#
        )
    };
    let noise = format!(r#"{{"verbs":[{}],"resources":[{}]}}"#, many("v"), many("r"));
    let star = r#"{"verbs":["*"],"resources":["*"]}"#;
    let hidden = format!(r#"{{"verbs":[{},"*"],"resources":[{},"*"]}}"#, many("v"), many("r"));
    let asked = |event: &str, grant: &str| {
        let filter = crate::Filter::parse(&format!("rbac.grant:\"{grant}\"")).unwrap();
        filter.eval(&Event::parse(event).unwrap(), crate::Missing::Unknown)
    };
    for rules in [format!("{noise},{star}"), hidden, format!("{noise},{noise},{star}")] {
        assert_eq!(asked(&role(&rules), "* *"), crate::Tri::True);
        assert_eq!(asked(&role(&rules), "get secrets"), crate::Tri::Unknown);
    }
    assert_eq!(asked(&role(star), "get secrets"), crate::Tri::False);
}

#[test]
fn a_body_that_cannot_be_read_is_unknown_wherever_it_is_asked() {
    let event = |resource: &str, body: &str| {
        format!(
            r#"{{"level":"Request","verb":"create","objectRef":{{"resource":"{resource}"}},"requestObject":{body}}}"#
        )
    };
    for (resource, field) in [
        ("pods", "request.spec.tls"),
        ("pods", "patch.spec.tls"),
        ("pods", "pod.hostPID"),
        ("pods", "container.image"),
        ("clusterroles", "rbac.grant"),
        ("rolebindings", "rbac.subject"),
        ("rolebindings", "rbac.role"),
        ("pods", "falco.ka.req.pod.host_pid"),
        ("pods", "falco.jevt.value/requestObject/spec/tls"),
    ] {
        assert_eq!(seen(&event(resource, r#"{"a":tru}"#), field), Seen::Unknown, "{field}");
        assert_eq!(seen(&event(resource, r#"{"a":true}"#), field), Seen::Absent, "{field}");
    }
    let response =
        r#"{"level":"RequestResponse","stage":"ResponseComplete","verb":"get","responseObject":{"a":tru}}"#;
    assert_eq!(seen(response, "response.kind"), Seen::Unknown);
    let notes = r#"{"stage":"ResponseComplete","verb":"get","annotations":{"a":tru}}"#;
    assert_eq!(seen(notes, "annotations.b"), Seen::Unknown);
    assert_eq!(seen(r#"{"verb":"get","user":{"groups":[tru]}}"#, "groups"), Seen::Unknown);
}

#[test]
fn nothing_that_the_server_takes_hides_the_rest_of_a_body() {
    let patch = |odd: &str| {
        format!(
            r#"{{"level":"Request","verb":"patch","objectRef":{{"resource":"deployments"}},"requestObject":{{"metadata":{{"annotations":{{"a":{odd}}}}},"spec":{{"template":{{"spec":{{"hostPID":true}}}}}}}}}}"#
        )
    };
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for odd in [r#""\ud800""#, r#""\ud800\n""#, "1e999", &deep] {
        assert_eq!(values(&patch(odd), "pod.hostPID"), ["true"], "{odd:.20}");
        assert_eq!(values(&patch(odd), "event.requestObject.spec.template.spec.hostPID"), ["true"]);
    }
    assert_eq!(values(&patch(r#""\ud800""#), "request.metadata.annotations.a"), ["\u{fffd}"]);
}

#[test]
fn a_value_that_a_patch_copies_from_elsewhere_is_unknown_or_in_the_answer() {
    let patch = |more: &str| {
        format!(
            r#"{{"level":"RequestResponse","stage":"ResponseComplete","verb":"patch","objectRef":{{"resource":"deployments"}},{more}
            "requestObject":[{{"op":"copy","from":"/spec/template/spec/containers/0/tty","path":"/spec/template/spec/hostPID"}},
            {{"op":"add","path":"/spec/template/spec/containers/-","value":{{"image":"a"}}}}]}}"#
        )
    };
    assert_eq!(seen(&patch(""), "pod.hostIPC"), Seen::Unknown);
    let image = crate::Filter::parse("container.image:a").unwrap();
    assert!(image.matches(&Event::parse(&patch("")).unwrap()));
    let answered = patch(r#""responseObject":{"spec":{"template":{"spec":{"hostPID":true,"x":1}}}},"#);
    assert_eq!(values(&answered, "pod.hostPID"), ["true"]);
    assert_eq!(seen(&answered, "pod.x"), Seen::Absent);
}

#[test]
fn host_paths_are_seen_as_the_node_reads_them() {
    let paths = |path: &str| {
        let pod = format!(
            r#"{{"level":"Request","verb":"create","objectRef":{{"resource":"pods"}},"requestObject":{{"spec":{{"volumes":[{{"emptyDir":{{}}}},{{"hostPath":{{"path":"{path}"}}}}]}}}}}}"#
        );
        assert_eq!(values(&pod, "pod.volumes.hostPath.path"), [path.replace("\\\\", "\\")]);
        let volume = format!(
            r#"{{"level":"Request","verb":"create","objectRef":{{"resource":"persistentvolumes"}},"requestObject":{{"spec":{{"local":{{"path":"{path}"}}}}}}}}"#
        );
        assert_eq!(values(&volume, "volume.host_path"), values(&pod, "pod.host_path"));
        values(&pod, "pod.host_path")
    };
    for (written, read) in [
        ("/etc", "/etc"),
        ("/etc//", "/etc"),
        ("//", "/"),
        ("/var/lib//kubelet/./x", "/var/lib/kubelet/x"),
        ("/var/../etc/..//etc", "/etc"),
        ("/../..", "/"),
        ("proc", "/proc"),
        ("C:\\\\Users", "C:\\Users"),
    ] {
        assert_eq!(paths(written), [read], "{written}");
    }
    let patch = r#"{"level":"Request","verb":"patch","objectRef":{"resource":"daemonsets"},"requestObject":[
        {"op":"replace","path":"/spec/template/spec/volumes/0/hostPath/path","value":"/etc/"}]}"#;
    assert_eq!(values(patch, "pod.host_path"), ["/etc"]);
    let unrecorded = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"pods"}}"#;
    assert_eq!(seen(unrecorded, "pod.host_path"), Seen::Unknown);
    assert_eq!(seen(&unrecorded.replace("pods", "persistentvolumes"), "volume.host_path"), Seen::Unknown);
    assert_eq!(seen(unrecorded, "volume.host_path"), Seen::Absent);
}

#[test]
fn what_a_patch_removes_is_a_value() {
    let event = |verb: &str, body: &str| {
        format!(
            r#"{{"level":"Request","verb":"{verb}","objectRef":{{"resource":"namespaces"}},"requestObject":{body}}}"#
        )
    };
    let check = |body: &str, want: &[&str]| {
        assert_eq!(values(&event("patch", body), "patch.removed"), want, "{body}")
    };
    const ENFORCE: &str = "/metadata/labels/pod-security.kubernetes.io/enforce";
    check(r#"[{"op":"remove","path":"/metadata/labels/pod-security.kubernetes.io~1enforce"}]"#, &[ENFORCE]);
    check(r#"{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null,"a":"b"}}}"#, &[ENFORCE]);
    check(r#"[{"op":"remove","path":"/metadata/labels"}]"#, &["/metadata/labels"]);
    check(r#"{"metadata":{"labels":null}}"#, &["/metadata/labels"]);
    check(r#"[{"op":"replace","path":"/metadata/labels","value":{}}]"#, &["/metadata/labels"]);
    check(
        r#"[{"op":"move","from":"/metadata/labels/a~1b","path":"/metadata/labels/c"}]"#,
        &["/metadata/labels/a/b"],
    );
    check(r#"{"metadata":{"labels":{"$patch":"replace","a":"b"}}}"#, &["/metadata/labels"]);
    check(r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"]}}"#, &["/metadata/finalizers"]);
    check(
        r#"{"spec":{"containers":[{"name":"a"},{"name":"b","$patch":"delete"}]}}"#,
        &["/spec/containers/1"],
    );
    check(r#"[{"op":"replace","path":"","value":null}]"#, &["/"]);
    check(r#"{"metadata":{"labels":{"a":"b"}},"spec":{"args":[null]}}"#, &[]);
    assert_eq!(seen(&event("patch", "{}"), "patch.removed"), Seen::Absent);
    // In an object that is written whole null means nothing.
    assert_eq!(seen(&event("update", r#"{"metadata":{"labels":null}}"#), "patch.removed"), Seen::Absent);
    assert_eq!(seen(&event("patch", "null").replace("Request", "Metadata"), "patch.removed"), Seen::Unknown);
    let filter = crate::Filter::parse(r"patch.removed:(\/metadata/labels or \/metadata/labels/*)").unwrap();
    let body = r#"{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}"#;
    assert!(filter.matches(&Event::parse(&event("patch", body)).unwrap()));
}

#[test]
fn long_names_do_not_multiply() {
    let long = "x".repeat(100_000);
    let nulls = (0..20_000).map(|i| format!(r#""k{i}":null"#)).collect::<Vec<_>>().join(",");
    let patch = format!(
        r#"{{"level":"Request","verb":"patch","objectRef":{{"resource":"pods"}},"requestObject":{{"{long}":{{{nulls}}}}}}}"#
    );
    assert_eq!(values(&patch, "patch.removed"), Vec::<String>::new());
    assert_eq!(seen(&patch, "patch.removed"), Seen::Unknown);
    let targets = (0..20_000).map(|i| format!(r#""r{i}""#)).collect::<Vec<_>>().join(",");
    let role = format!(
        r#"{{"level":"Request","verb":"create","objectRef":{{"resource":"roles"}},"requestObject":{{"rules":[{{"verbs":["{long}"],"resources":[{targets}]}}]}}}}"#
    );
    assert!(values(&role, "rbac.grant").len() < 100);
    assert_eq!(seen(&role, "rbac.grant"), Seen::Unknown);
}
