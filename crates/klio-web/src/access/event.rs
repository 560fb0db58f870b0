//! An access as Kubernetes' audit writes requests (`staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`), so that rules,
//! filters and the lake treat Klio like any other cluster.

use serde_json::{Map, Value, json};

use super::{Access, AccessOutcome, without_tokens};

pub(super) fn of(access: &Access) -> Value {
    let mut uri = without_tokens(&access.path);
    if !access.query.is_empty() {
        uri.push('?');
        uri.push_str(&without_tokens(&access.query));
    }
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": access.id,
        "stage": access.stage.name(),
        "requestURI": uri,
        "verb": access.verb,
        "user": user(access),
        "sourceIPs": access.address.map(|a| vec![a.to_string()]).unwrap_or_default(),
        "userAgent": access.agent,
        "objectRef": {
            "resource": access.resource,
            "apiGroup": "klio.dev",
            "apiVersion": "v1",
        },
        "requestReceivedTimestamp": access.received,
        "stageTimestamp": access.time,
        "annotations": annotations(access),
    });
    if let Some(name) = &access.name {
        event["objectRef"]["name"] = json!(without_tokens(name));
    }
    if access.status != 0 {
        let failed = access.status >= 400;
        event["responseStatus"] = if failed {
            json!({ "metadata": {}, "status": "Failure", "code": access.status })
        } else {
            json!({ "metadata": {}, "code": access.status })
        };
    }
    event
}

/// Of a request that showed nothing that was found good there is no user, as in a 401 of Kubernetes.
fn user(access: &Access) -> Value {
    match &access.who {
        None => json!({}),
        Some(who) => json!({
            "username": who.name,
            "groups": [format!("klio.dev:{}", who.role)],
            "extra": {
                "klio.dev/kind": [who.kind.name()],
                "klio.dev/scope": [who.scope],
                "klio.dev/via": [who.via],
            },
        }),
    }
}

fn annotations(access: &Access) -> Value {
    let mut notes = Map::new();
    let mut note = |name: &str, value: String| notes.insert(name.to_owned(), Value::String(value));
    if let Some(outcome) = access.outcome {
        let decision = if outcome == AccessOutcome::Denied { "forbid" } else { "allow" };
        note("authorization.k8s.io/decision", decision.to_owned());
        note("klio.dev/outcome", outcome.name().to_owned());
        note("klio.dev/rows", access.rows.to_string());
        note("klio.dev/bytes", access.bytes.to_string());
        note("klio.dev/duration-microseconds", access.duration().as_micros().to_string());
    }
    if let Some(route) = access.route {
        note("klio.dev/route", format!("{} {route}", access.method));
    }
    if let Some(said) = &access.said {
        note("klio.dev/change", without_tokens(said));
    }
    if let Some(proxy) = access.proxy {
        note("klio.dev/proxy", proxy.to_string());
    }
    if access.folded > 0 {
        note("klio.dev/folded", access.folded.to_string());
    }
    Value::Object(notes)
}

#[cfg(test)]
mod tests {
    use klio_desk::{Kind, Role};
    use klio_model::event::Outcome;
    use klio_model::{Event, Filter, Timestamp};

    use super::super::{AccessStage, Who};
    use super::*;

    fn access() -> Access {
        let time = |text| Timestamp::parse(text).unwrap();
        Access {
            id: super::super::new_id().unwrap(),
            stage: AccessStage::Complete,
            received: time("2026-11-21T01:01:58.390059Z"),
            time: time("2026-11-21T01:01:58.392336Z"),
            who: Some(Who {
                name: "user:ana".into(),
                kind: Kind::User,
                role: Role::Analyst,
                scope: "prod/shop".into(),
                via: "token abc".into(),
            }),
            address: Some("192.0.2.7".parse().unwrap()),
            proxy: None,
            agent: "curl/8".into(),
            method: "GET".into(),
            route: Some("/api/v1/events"),
            path: "/api/v1/events".into(),
            query: format!("filter=verb%3Aget&token=klio_{}", "x".repeat(49)),
            verb: "list",
            resource: "events",
            name: None,
            status: 200,
            rows: 7,
            bytes: 900,
            outcome: Some(AccessOutcome::Allowed),
            folded: 0,
            said: None,
        }
    }

    #[test]
    fn an_access_is_an_event_that_the_model_reads() {
        let text = access().to_event().to_string();
        let event = Event::parse(&text).unwrap();
        let filter = "user:\"user:ana\" and verb:list and resource:events and group:klio.dev and code:200 \
                      and source.ip:192.0.2.7 and annotations.klio.dev/rows:7 and decision:allow";
        let filter = Filter::parse(filter).unwrap();
        assert!(filter.matches(&event), "{text}");
        assert_eq!(event.time().unwrap().to_string(), "2026-11-21T01:01:58.390059Z");
        assert!(!text.contains("xxxx"), "{text}");
    }

    #[test]
    fn who_was_not_let_in_has_no_name() {
        let denied = Access { who: None, status: 401, outcome: Some(AccessOutcome::Denied), ..access() };
        let text = denied.to_event().to_string();
        let event = Event::parse(&text).unwrap();
        assert_eq!(event.outcome(), Outcome::Denied);
        assert!(event.user.name.is_none());
    }
}
