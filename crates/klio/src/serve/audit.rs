//! Klio's own audit: who used it, and what was changed at the desk, in the same lake as everything else, as the cluster
//! `klio`. There is no switch.

use std::sync::Arc;

use async_trait::async_trait;
use klio_desk::{Action, Ledger, LedgerError, Outcome};
use klio_web::{Access, AuditError, OWN_CLUSTER, OwnAudit};
use serde_json::{Value, json};

use crate::pipeline::{Pipeline, Sender};

/// Keeps accesses and actions in the spool.
pub struct Own(pub Arc<Pipeline>);

impl Own {
    async fn keep(&self, source: &'static str, event: Value) -> Result<(), String> {
        let pipeline = self.0.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let received = jiff::Timestamp::now().as_microsecond();
            let from = Sender { cluster: OWN_CLUSTER, source, received };
            pipeline.intake.take(from, event.to_string().as_bytes())
        });
        match kept.await {
            Ok(Ok(receipt)) if receipt.dead == 0 => {
                self.0.live.taken(OWN_CLUSTER, source, receipt);
                Ok(())
            }
            Ok(Ok(_)) => Err("it is no audit event: a bug".into()),
            Ok(Err(e)) => Err(e.to_string()),
            Err(e) => Err(e.to_string()),
        }
    }
}

#[async_trait]
impl OwnAudit for Own {
    async fn record(&self, access: &Access) -> Result<(), AuditError> {
        self.keep("api", access.to_event()).await.map_err(AuditError)
    }
}

#[async_trait]
impl Ledger for Own {
    async fn keep(&self, action: &Action) -> Result<(), LedgerError> {
        self.keep("desk", event(action)).await.map_err(LedgerError)
    }
}

/// An action at the desk as Kubernetes' audit would write it.
fn event(action: &Action) -> Value {
    let deed = serde_json::to_value(action.deed).unwrap_or_default();
    let deed = deed.as_str().unwrap_or("change");
    let resource = if deed.contains("token") {
        "tokens"
    } else if deed.contains("session") {
        "sessions"
    } else {
        "users"
    };
    let verb = match deed.split('-').next() {
        Some("create" | "bootstrap" | "begin") => "create",
        Some("remove" | "revoke" | "end") => "delete",
        Some("sign" | "use") => "get",
        _ => "update",
    };
    let done = action.outcome == Outcome::Done;
    let status = if done {
        json!({ "metadata": {}, "code": 200 })
    } else {
        json!({ "metadata": {}, "status": "Failure", "code": 403 })
    };
    let mut annotations = serde_json::Map::new();
    annotations.insert("klio.dev/deed".into(), deed.into());
    for (name, value) in &action.detail {
        annotations.insert(format!("klio.dev/{name}"), value.as_str().into());
    }
    annotations.insert("authorization.k8s.io/decision".into(), if done { "allow" } else { "forbid" }.into());
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": action.id, "stage": "ResponseComplete",
        "requestURI": format!("/desk/{resource}"), "verb": verb, "user": { "username": action.who },
        "sourceIPs": action.from.map(|ip| vec![ip.to_string()]).unwrap_or_default(),
        "objectRef": { "resource": resource, "name": action.on, "apiGroup": "klio.dev", "apiVersion": "v1" },
        "responseStatus": status, "annotations": annotations,
        "requestReceivedTimestamp": action.time, "stageTimestamp": action.time,
    })
}
