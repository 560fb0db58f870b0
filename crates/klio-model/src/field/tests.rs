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
