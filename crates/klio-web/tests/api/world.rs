//! What there is: in each place events, a finding, a story, each with a mark that stands nowhere else.

use std::sync::Arc;

use klio_model::Timestamp;
use klio_web::archive::{Record, Verdict, VerdictKind};
use klio_web::view::DeadLetterView;
use serde_json::json;

use crate::memory::{Kept, Memory, source};

/// Where something is: cluster, namespace (`-` for none), and of Klio's own audit whose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub cluster: &'static str,
    pub namespace: &'static str,
}

pub const PLACES: [Place; 5] = [
    Place { cluster: "prod", namespace: "shop" },
    Place { cluster: "prod", namespace: "vault" },
    Place { cluster: "prod", namespace: "-" },
    Place { cluster: "test", namespace: "shop" },
    // What somebody else did with Klio.
    Place { cluster: "klio", namespace: "-" },
];

impl Place {
    pub fn mark(&self) -> String {
        format!("MARK.{}.{}.", self.cluster, self.namespace).replace('-', "none")
    }

    /// The scope that is this place and no other.
    pub fn scope(&self) -> String {
        if self.namespace == "-" {
            self.cluster.into()
        } else {
            format!("{}/{}", self.cluster, self.namespace)
        }
    }

    fn number(&self) -> i64 {
        PLACES.iter().position(|place| place == self).unwrap() as i64
    }
}

/// The `n`th event of a place.
pub fn record(place: Place, n: i64) -> Record {
    let mark = place.mark();
    let time = Timestamp(1_795_000_000_000_000 + n * 60_000_000 + place.number() * 1_000_000);
    let (resource, name) = if n == 3 { ("pods", "pod") } else { ("secrets", "object") };
    let mut object = json!({ "resource": resource, "name": format!("{mark}{name}"), "apiVersion": "v1" });
    if place.namespace != "-" {
        object["namespace"] = json!(place.namespace);
    }
    let raw = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": format!("{mark}id{n}"),
        "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/x/{mark}"),
        "verb": if n % 2 == 0 { "get" } else { "create" },
        "user": { "username": format!("{mark}user"), "groups": ["ops"], "extra": {
            "authentication.kubernetes.io/credential-id": [format!("{mark}credential")],
            "authentication.kubernetes.io/node-name": [format!("{mark}node")],
        } },
        "sourceIPs": [format!("192.0.2.{}", 1 + place.number())],
        "userAgent": format!("{mark}agent"),
        "objectRef": object,
        "responseStatus": { "metadata": {}, "code": 200 },
        "requestObject": { "kind": "Secret", "metadata": {}, "data": { "password": format!("BODY{mark}") } },
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
        "annotations": { "authorization.k8s.io/decision": "allow" },
    });
    Record {
        raw: raw.to_string(),
        cluster: place.cluster.into(),
        source: format!("file:{mark}"),
        received: time,
        salvaged: false,
    }
}

fn verdict(place: Place, kind: VerdictKind, proof: Vec<Place>) -> Kept {
    let mark = place.mark();
    let id = format!("{mark}{kind:?}");
    let actor = json!({ "user": format!("{mark}user"), "impersonated": null, "groups": [], "source_ip": null,
        "user_agent": null, "credential": null });
    let proof: Vec<String> = proof.iter().map(|p| format!("{}id1", p.mark())).collect();
    let time = "2026-11-18T10:00:00.000000Z";
    let json = match kind {
        VerdictKind::Finding => json!({
            "id": id, "time": time, "rule": { "id": "rule-1", "title": "A rule", "dialect": "klio" },
            "severity": "high", "proof": "proven", "tactics": ["credential-access"], "techniques": ["T1552.007"],
            "actor": actor, "object": { "resource": "secrets" }, "message": format!("{mark} did it"),
            "evidence": proof.iter().map(|id| json!({ "audit_id": id, "stage": "ResponseComplete", "time": time,
                "file": "/path", "line": 1,
                "fields": { "verb": "get", "request.data.password": format!("BODY{mark}") } })).collect::<Vec<_>>(),
        }),
        VerdictKind::Story => json!({
            "type": "story", "id": id, "severity": "high", "score": 70, "actor": actor, "actors": [actor],
            "first": time, "last": time, "findings": [format!("{mark}Finding")], "finding_count": 1,
            "events": proof.iter().map(|id| json!({ "audit_id": id, "stage": "ResponseComplete", "time": time,
                "role": "evidence", "what": format!("{mark} read a secret") })).collect::<Vec<_>>(),
            "unlisted_events": 0, "summary": format!("{mark} did it"),
        }),
    };
    let verdict = Verdict { cluster: place.cluster.into(), json: json.to_string() };
    Kept { kind, id, rule: "rule-1".into(), verdict, proof }
}

pub fn letter(place: Place) -> DeadLetterView {
    DeadLetterView {
        number: 100 + place.number() as u64,
        cluster: place.cluster.into(),
        source: format!("file:{}", place.mark()),
        received: Timestamp(0),
        reason: "no JSON".into(),
        size: 4,
        bytes: Some(place.mark().into_bytes()),
    }
}

/// An archive of what is in these places. A story of two places is there if both are.
pub fn archive(places: &[Place], whole: impl Fn(Place) -> bool) -> Arc<Memory> {
    let memory = Memory::default();
    for place in places {
        for n in 0..5 {
            memory.push(record(*place, n));
        }
        let mut verdicts = memory.verdicts.lock().unwrap();
        verdicts.push(verdict(*place, VerdictKind::Finding, vec![*place]));
        verdicts.push(verdict(*place, VerdictKind::Story, vec![*place]));
        if whole(*place) {
            memory.sources.lock().unwrap().push(source(place.cluster, &place.mark()));
            memory.letters.lock().unwrap().push(letter(*place));
        }
    }
    if places.contains(&PLACES[0]) && places.contains(&PLACES[3]) {
        // Begun in the test cluster, finished in production: whoever does not see both sees neither.
        let both = verdict(PLACES[3], VerdictKind::Story, vec![PLACES[0], PLACES[3]]);
        memory.verdicts.lock().unwrap().push(Kept { id: "both".into(), ..both });
    }
    Arc::new(memory)
}
