//! Events that tests make up, and recorded ones.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::single_char_pattern)] // helpers beside the tests

use std::sync::Arc;

use klio_detect::{Memory, Trace};
use klio_model::{Event, Facts, Outside, Place, Timestamp};

/// 2026-11-02 00:00 UTC, a Monday.
const BEGIN: i64 = 1_793_577_600;

/// Seconds of a day of the stream.
pub fn at(day: i64, seconds: i64) -> i64 {
    BEGIN + day * 86_400 + seconds
}

/// An event in the making.
#[derive(Clone)]
pub struct Made {
    user: String,
    acting: String,
    address: String,
    agent: String,
    verb: String,
    resource: String,
    sub: String,
    namespace: String,
    name: String,
    extra: Vec<(&'static str, String)>,
    annotations: Vec<(&'static str, String)>,
    uri: String,
    code: i64,
    body: String,
    /// The uid that the answer gives the object.
    uid: String,
    place: Option<Place>,
    time: i64,
    audit_id: String,
}

impl Made {
    pub fn new(user: &str) -> Self {
        let text = |t: &str| t.to_owned();
        Self {
            user: text(user),
            acting: text(""),
            address: text("10.0.0.10"),
            agent: text("client/1"),
            verb: text("get"),
            resource: text("pods"),
            sub: text(""),
            namespace: text("shop"),
            name: text(""),
            extra: vec![],
            annotations: vec![],
            uri: text("/x"),
            code: 200,
            body: text(""),
            uid: text(""),
            place: None,
            time: at(0, 0),
            audit_id: text(""),
        }
    }
    /// Its audit id.
    pub fn id(mut self, id: &str) -> Self {
        self.audit_id = id.into();
        self
    }
    pub fn acting_as(mut self, user: &str) -> Self {
        self.acting = user.into();
        self
    }
    pub fn from(mut self, address: &str) -> Self {
        self.address = address.into();
        self
    }
    pub fn agent(mut self, agent: &str) -> Self {
        self.agent = agent.into();
        self
    }
    pub fn of(mut self, verb: &str, resource: &str, namespace: &str) -> Self {
        (self.verb, self.resource, self.namespace) = (verb.into(), resource.into(), namespace.into());
        self
    }
    pub fn sub(mut self, sub: &str) -> Self {
        self.sub = sub.into();
        self
    }
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
    fn extra(mut self, key: &'static str, value: &str) -> Self {
        self.extra.push((key, value.into()));
        self
    }
    pub fn token(self, id: &str) -> Self {
        self.extra("credential-id", &format!("JTI={id}"))
    }
    pub fn certificate(self, id: &str) -> Self {
        self.extra("credential-id", &format!("X509SHA256={id}"))
    }
    pub fn pod(self, name: &str, uid: &str, node: &str) -> Self {
        self.extra("pod-name", name).extra("pod-uid", uid).extra("node-name", node)
    }
    /// A TokenRequest.
    pub fn issues(mut self, id: &str) -> Self {
        self.annotations.push(("authentication.kubernetes.io/issued-credential-id", format!("JTI={id}")));
        self.of("create", "serviceaccounts", "shop").sub("token").name("x").code(201)
    }
    pub fn allowed(mut self) -> Self {
        self.annotations.push(("authorization.k8s.io/decision", "allow".into()));
        self
    }
    pub fn uri(mut self, uri: &str) -> Self {
        self.uri = uri.into();
        self
    }
    pub fn code(mut self, code: i64) -> Self {
        self.code = code;
        self
    }
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }
    pub fn uid(mut self, uid: &str) -> Self {
        self.uid = uid.into();
        self
    }
    pub fn lies_in(mut self, country: &str, asn: i64) -> Self {
        self.place = Some(Place { country: Some(country.into()), asn: Some(asn), ..Place::default() });
        self
    }
    pub fn at(&self, time: i64) -> Self {
        Self { time, ..self.clone() }
    }

    fn json(&self) -> String {
        let list = |pairs: &[(&str, String)], open: &str, close: &str| {
            let all: Vec<_> =
                pairs.iter().map(|(k, v)| format!(r#""{open}{k}":{close}"#).replace('%', v)).collect();
            all.join(",")
        };
        let extra = list(&self.extra, "authentication.kubernetes.io/", r#"["%"]"#);
        let annotations = list(&self.annotations, "", r#""%""#);
        let acting = match self.acting.as_str() {
            "" => String::new(),
            other => format!(r#""impersonatedUser":{{"username":"{other}"}},"#),
        };
        let part = |key: &str, value: &str| match value {
            "" => String::new(),
            _ => format!(r#","{key}":"{value}""#),
        };
        let object = format!(
            r#"{{"resource":"{}"{}{}{}}}"#,
            self.resource,
            part("namespace", &self.namespace),
            part("name", &self.name),
            part("subresource", &self.sub)
        );
        let (mut level, mut body) = match self.body.as_str() {
            "" => ("Metadata", String::new()),
            body => ("Request", format!(r#","requestObject":{body}"#)),
        };
        if !self.uid.is_empty() {
            level = "RequestResponse";
            body += &format!(r#","responseObject":{{"metadata":{{"uid":"{}"}}}}"#, self.uid);
        }
        format!(
            r#"{{"level":"{level}","auditID":"{}","stage":"ResponseComplete","requestURI":"{}","verb":"{}","user":{{"username":"{}","extra":{{{extra}}}}},{acting}"sourceIPs":["{}"],"userAgent":"{}","objectRef":{object},"responseStatus":{{"code":{}}}{body},"requestReceivedTimestamp":"{}","annotations":{{{annotations}}}}}"#,
            self.audit_id,
            self.uri,
            self.verb,
            self.user,
            self.address,
            self.agent,
            self.code,
            Timestamp(self.time * 1_000_000)
        )
    }

    pub fn trace(&self) -> Option<Trace> {
        let json = self.json();
        let mut event = Event::parse(&json).unwrap();
        event.outside = Some(Outside { place: self.place.clone().map(Arc::new), met: None });
        Trace::of(&event)
    }

    /// Observes it, and says who is behind it: `because user audit-id`, with a `?` where names alone say it.
    pub fn behind(&self, memory: &mut Memory) -> Vec<String> {
        let trace = self.trace().expect("a trace");
        memory.observe(&trace);
        let told = memory.attribution(&trace, Some(&self.user));
        let cause = |cause: &klio_model::attribution::Cause| {
            let (id, sure) = (cause.audit_id.as_deref().unwrap_or("-"), if cause.sure { "" } else { " ?" });
            format!("{:?} {} {id}{sure}", cause.because, cause.user).to_lowercase()
        };
        told.chain.iter().map(cause).collect()
    }

    pub fn observe(&self, memory: &mut Memory) -> Facts {
        memory.observe(&self.trace().expect("a trace"))
    }
}
