//! The top-level members of an object that tell which format it is of, found in one walk.

use crate::scan::{Flaw, Members};

macro_rules! keys {
    ($($name:ident $key:literal),* $(,)?) => {
        /// The members that were present, as JSON text.
        #[derive(Default)]
        pub(crate) struct Top<'a> {
            $(#[doc = $key] pub $name: Option<&'a [u8]>,)*
        }

        impl<'a> Top<'a> {
            fn slot(&mut self, key: &[u8]) -> Option<&mut Option<&'a [u8]>> {
                $(if key == $key.as_bytes() { return Some(&mut self.$name); })*
                None
            }
        }
    };
}

keys! {
    kind "kind", api_version "apiVersion", items "items",
    level "level", audit_id "auditID", stage "stage", request_uri "requestURI", verb "verb",
    message_type "messageType", log_stream "logStream", log_events "logEvents",
    events "events", results "results", records "records", records_cased "Records", awslogs "awslogs",
    timestamp "timestamp", message "message",
    category "category", category_la "Category", properties "properties", resource_id "resourceId",
    resource_id_la "_ResourceId", resource_id_table "ResourceId", log_s "log_s",
    audit_id_la "AuditId", level_la "Level", value "value",
    proto_payload "protoPayload", json_payload "jsonPayload", text_payload "textPayload", log_name "logName",
    entries "entries", data "data", body "body",
    log "log", event "event", event_original "event.original", kubernetes "kubernetes",
    kubernetes_audit "kubernetes.audit", source "_source", hits "hits", raw "_raw", result "result", line "line",
    msg "msg", record "record", event_cased "Event", log_cased "Log", message_at "@message",
}

impl<'a> Top<'a> {
    /// Walks the object `b`. The first of repeated members counts. Stops early once it is clear that it is an audit
    /// event.
    pub(crate) fn read(b: &'a [u8]) -> Result<Self, Flaw> {
        let mut top = Self::default();
        for member in Members::new(b) {
            let member = member?;
            if let Some(slot) = top.slot(member.key) {
                slot.get_or_insert(member.value);
                if top.is_native() {
                    break;
                }
            }
        }
        Ok(top)
    }

    /// Kind Event of apiVersion `audit.k8s.io/*`.
    pub(crate) fn is_native(&self) -> bool {
        self.kind == Some(b"\"Event\"") && self.api_version.is_some_and(|v| v.starts_with(b"\"audit.k8s.io/"))
    }

    /// A few words on what the object seems to be.
    pub(crate) fn outline(&self, b: &[u8]) -> String {
        let word = |v: &[u8]| crate::decode::sample(v).replace('"', "");
        match (self.kind, self.api_version) {
            (Some(kind), Some(version)) => format!("kind {} of {}", word(kind), word(version)),
            (Some(kind), None) => format!("kind {}", word(kind)),
            _ => {
                let mut members = Members::new(b);
                let keys: Vec<_> = members
                    .by_ref()
                    .map_while(Result::ok)
                    .take(3)
                    .map(|m| crate::decode::sample(m.key))
                    .collect();
                let more = if members.next().is_some() { ", …" } else { "" };
                if keys.is_empty() {
                    "empty object".into()
                } else {
                    format!("keys {}{more}", keys.join(", "))
                }
            }
        }
    }
}
