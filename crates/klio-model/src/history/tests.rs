use serde_json::{Value, json};

use super::*;

/// Events of a deployment, a second apart.
struct Log {
    events: Vec<String>,
}

impl Log {
    fn new() -> Self {
        Self { events: Vec::new() }
    }

    #[must_use]
    fn with(mut self, verb: &str, sub: &str, code: i64, bodies: (Value, Value)) -> Self {
        let n = self.events.len();
        let (sent, answered) = bodies;
        let level = if sent.is_null() && answered.is_null() { "Metadata" } else { "RequestResponse" };
        let mut event = json!({
            "level": level, "stage": "ResponseComplete", "auditID": format!("id-{n}"), "verb": verb,
            "requestURI": "/apis/apps/v1/namespaces/a/deployments/b", "user": {"username": "alice"},
            "objectRef": {"resource": "deployments", "namespace": "a", "name": "b", "apiGroup": "apps", "subresource": sub},
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": format!("2026-11-21T01:00:{n:02}.000000Z"),
            "stageTimestamp": format!("2026-11-21T01:00:{n:02}.500000Z"),
        });
        for (key, body) in [("requestObject", sent), ("responseObject", answered)] {
            if !body.is_null() {
                event[key] = body;
            }
        }
        self.events.push(event.to_string());
        self
    }

    /// The last event, changed.
    #[must_use]
    fn but(mut self, change: impl Fn(&mut Value)) -> Self {
        let mut event: Value = serde_json::from_str(&self.events.pop().unwrap()).unwrap();
        change(&mut event);
        self.events.push(event.to_string());
        self
    }

    fn told_until(&self, all: bool, until: Until) -> History {
        let mut gathered = Gathered::new(Target::parse("deploy/a/b").unwrap());
        // The order of delivery means nothing.
        for event in self.events.iter().rev().chain(&self.events) {
            gathered.take(&Event::parse(event).unwrap()).unwrap();
        }
        History::of(gathered, &Terms { all, most: 20, until, show: &|_| true })
    }

    fn told(&self) -> History {
        self.told_until(false, Until::End)
    }
}

fn object(uid: &str, version: u32, spec: Value) -> Value {
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "spec": spec, "status": {"observed": version},
        "metadata": {"name": "b", "namespace": "a", "uid": uid, "resourceVersion": version.to_string(), "generation": version},
    })
}

fn changes(step: &Step) -> Vec<String> {
    let side = |v: &Option<Value>| v.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
    step.changes.iter().map(|c| format!("{} {} {}", c.path, side(&c.before), side(&c.after))).collect()
}

const NONE: Value = Value::Null;

#[test]
fn an_object_lives_twice() {
    let told = Log::new()
        .with(
            "create",
            "",
            201,
            (
                object("u1", 1, json!({"replicas": 1})),
                object("u1", 1, json!({"replicas": 1, "paused": false})),
            ),
        )
        .with(
            "patch",
            "",
            200,
            (json!({"spec": {"replicas": 2}}), object("u1", 2, json!({"replicas": 2, "paused": false}))),
        )
        .with("update", "status", 200, (NONE, object("u1", 3, json!({"replicas": 2, "paused": false}))))
        .but(|event| event["user"]["username"] = "system:node:n".into())
        .with("delete", "", 200, (NONE, json!({"kind": "Status", "status": "Success"})))
        .with("create", "", 201, (NONE, object("u2", 9, json!({"replicas": 7}))))
        .told();
    let steps: Vec<_> = told.steps.iter().map(|s| (s.what, s.version)).collect();
    let want = [
        (What::Created, Some(1)),
        (What::Changed, Some(2)),
        (What::Quiet, None),
        (What::Deleted, None),
        (What::Created, Some(3)),
    ];
    assert_eq!(steps, want);
    assert_eq!(changes(&told.steps[0]), ["spec.replicas - 1"]);
    assert_eq!(changes(&told.steps[1]), ["spec.replicas 1 2"]);
    assert!(
        told.steps[4].notes[0].starts_with("another object than the one that was deleted at 2026"),
        "{:?}",
        told.steps[4]
    );
    assert_eq!(
        (told.lives, told.uid.as_deref(), told.kind.as_deref()),
        (2, Some("u2"), Some("apps/v1 Deployment"))
    );
}

#[test]
fn patches_are_applied_where_answers_are_missing() {
    let log = Log::new()
        .with("get", "", 200, (NONE, object("u1", 1, json!({"replicas": 1, "list": [1, 2]}))))
        .with("patch", "", 200, (json!({"spec": {"replicas": 5}}), NONE))
        .with("patch", "", 200, (json!([{"op": "remove", "path": "/spec/list/0"}]), NONE))
        .with("patch", "scale", 200, (json!({"spec": {"replicas": 6}}), NONE));
    let told = log.told();
    let got: Vec<_> = told.steps.iter().map(|s| (s.basis, changes(s))).collect();
    let want = [
        (Some(Basis::Rebuilt), vec!["spec.replicas 1 5".to_owned()]),
        (Some(Basis::Rebuilt), vec!["spec.list [1,2] [2]".to_owned()]),
        (Some(Basis::Request), vec!["spec.replicas 5 6".to_owned()]),
    ];
    assert_eq!(got, want);
    let manifest = told.manifest(false).unwrap();
    assert_eq!(manifest.value["spec"], json!({"replicas": 6, "list": [2]}));
    assert!(manifest.value.get("status").is_none() && manifest.value["metadata"].get("uid").is_none());
    let second = log.told_until(false, Until::Version(2)).manifest(true).unwrap();
    assert_eq!(second.value["spec"], json!({"replicas": 5, "list": [2]}));
    assert_eq!(second.value["metadata"]["uid"], "u1");
    let early = Timestamp::parse("2026-11-21T01:00:01.700000Z").unwrap();
    assert_eq!(log.told_until(false, Until::Time(early)).versions, 1);
}

#[test]
fn what_cannot_be_seen_is_said_and_found_later() {
    let told = Log::new()
        .with("update", "", 200, (NONE, NONE))
        .with("patch", "", 200, (json!({"spec": {"image": "x", "old": null}}), NONE))
        .with("get", "", 200, (NONE, object("u1", 4, json!({"replicas": 1}))))
        .with("update", "", 200, (NONE, NONE))
        .with("get", "", 200, (NONE, object("u1", 6, json!({"replicas": 2}))))
        .with("get", "", 200, (NONE, object("u1", 5, json!({"replicas": 9}))))
        .with("get", "", 200, (NONE, object("u1", 8, json!({"replicas": 3}))))
        .told();
    let got: Vec<_> = told.steps.iter().map(|s| (s.what, s.basis, s.why)).collect();
    let want = [
        (What::Changed, Some(Basis::Unseen), Some(Why::Level)),
        (What::Changed, Some(Basis::AsAsked), None),
        (What::Changed, Some(Basis::Unseen), Some(Why::Level)),
        (What::FoundChanged, Some(Basis::Answer), None),
        (What::FoundChanged, Some(Basis::Answer), None),
    ];
    assert_eq!(got, want);
    assert_eq!(changes(&told.steps[1]), ["spec.image - \"x\"", "spec.old - -"]);
    assert_eq!(changes(&told.steps[3]), ["spec.replicas 1 2"]);
    assert!(told.steps[4].said.contains("no event here tells by whom"));
    let advice = told.advice();
    assert!(
        advice.len() == 1 && advice[0].contains("group: \"apps\"\n    resources: [\"deployments\"]"),
        "{advice:?}"
    );
}

#[test]
fn what_was_not_done_changes_nothing() {
    let told = Log::new()
        .with("get", "", 200, (NONE, object("u1", 1, json!({"replicas": 1}))))
        .with("patch", "", 403, (NONE, json!({"kind": "Status"})))
        .with("patch", "", 403, (NONE, json!({"kind": "Status"})))
        .with("patch", "", 422, (json!({"spec": {"replicas": -1}}), json!({"kind": "Status"})))
        .with("patch", "", 200, (json!({"spec": {"replicas": 3}}), object("u1", 2, json!({"replicas": 3}))))
        .but(|event| event["requestURI"] = "/apis/apps/v1/namespaces/a/deployments/b?dryRun=All".into())
        .with("delete", "", 500, (NONE, NONE))
        .told();
    let got: Vec<_> = told.steps.iter().map(|s| (s.what, s.requests, changes(s))).collect();
    let want = [
        (What::Refused, 2, vec![]),
        (What::Failed, 1, vec!["spec.replicas - -1".to_owned()]),
        (What::DryRun, 1, vec!["spec.replicas 1 3".to_owned()]),
        (What::Failed, 1, vec![]),
    ];
    assert_eq!(got, want);
    assert_eq!((told.versions, told.gone()), (0, None));
    assert_eq!(told.manifest(false).unwrap().value["spec"]["replicas"], 1);
}

#[test]
fn one_among_many_is_deleted_if_it_matches() {
    let delete = |selector: &str| {
        let labelled = |mut object: Value| {
            object["metadata"]["labels"] = json!({"app": "x"});
            object
        };
        Log::new()
            .with("create", "", 201, (NONE, labelled(object("u1", 1, json!({})))))
            .with("deletecollection", "", 200, (NONE, NONE))
            .but(|event| {
                event["objectRef"].as_object_mut().unwrap().remove("name");
                event["requestURI"] =
                    format!("/apis/apps/v1/namespaces/a/deployments?labelSelector={selector}").into();
            })
            .told()
            .steps
            .last()
            .unwrap()
            .what
    };
    assert_eq!(delete(""), What::Deleted);
    assert_eq!(delete("app%3Dx"), What::Deleted);
    assert_eq!(delete("app%3Dy"), What::Created);
    assert_eq!(delete("app+in+(x)"), What::MaybeDeleted);
}

#[test]
fn everything_is_told_if_all_is_wanted() {
    let log = Log::new().with("get", "", 200, (NONE, object("u1", 1, json!({})))).with(
        "patch",
        "",
        200,
        (json!({}), object("u1", 2, json!({}))),
    );
    assert_eq!(log.told().steps[0].what, What::Quiet);
    let all = log.told_until(true, Until::End);
    assert_eq!(all.steps[0].what, What::Changed);
    assert!(changes(&all.steps[0]).iter().any(|change| change.starts_with("metadata.resourceVersion")));
}
