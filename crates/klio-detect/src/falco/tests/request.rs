//! Requests as events, for rules that look at many kinds of them.

/// One request as an event.
#[derive(Clone)]
pub(super) struct Request {
    level: &'static str,
    stage: &'static str,
    verb: &'static str,
    user: &'static str,
    uri: &'static str,
    object: String,
    code: u16,
    body: Option<String>,
}

pub(super) fn request(verb: &'static str, resource: &str) -> Request {
    Request {
        level: "RequestResponse",
        stage: "ResponseComplete",
        verb,
        user: "carla",
        uri: "/x",
        object: format!(r#""resource":"{resource}","name":"thing","namespace":"shop""#),
        code: 200,
        body: None,
    }
}

impl Request {
    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }
    pub(super) fn by(mut self, user: &'static str) -> Self {
        self.user = user;
        self
    }
    pub(super) fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }
    pub(super) fn uri(mut self, uri: &'static str) -> Self {
        self.uri = uri;
        self
    }
    pub(super) fn stage(mut self, stage: &'static str) -> Self {
        self.stage = stage;
        self
    }
    pub(super) fn object(mut self, object: &str) -> Self {
        self.object = object.to_owned();
        self
    }
    pub(super) fn sub(self, subresource: &str) -> Self {
        let object = format!(r#"{},"subresource":"{subresource}""#, self.object);
        self.object(&object)
    }
    /// As a policy of level Metadata records it.
    pub(super) fn bare(mut self) -> Self {
        self.level = "Metadata";
        self.body = None;
        self
    }
    pub(super) fn json(&self) -> String {
        let body = self.body.as_ref().map(|b| format!(r#""requestObject":{b},"#)).unwrap_or_default();
        format!(
            r#"{{"kind":"Event","auditID":"i","level":"{}","stage":"{}","verb":"{}","requestURI":"{}","user":{{"username":"{}"}},
            "objectRef":{{{}}},"responseStatus":{{"code":{}}},{body}"stageTimestamp":"2026-03-01T10:20:30.123456Z",
            "annotations":{{"authorization.k8s.io/decision":"{}"}}}}"#,
            self.level,
            self.stage,
            self.verb,
            self.uri,
            self.user,
            self.object,
            self.code,
            if self.code == 403 { "forbid" } else { "allow" },
        )
    }
}
