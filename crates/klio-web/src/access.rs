//! Who used Klio, and for what: each request leaves one [`Access`], which the program keeps among the events of the cluster
//! [`crate::OWN_CLUSTER`].

mod event;

use std::net::IpAddr;

use async_trait::async_trait;
use klio_desk::{Kind, Principal, Role};
use klio_model::Timestamp;

/// The audit could not be written. The request is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the audit did not take an access: {0}")]
pub struct AuditError(pub String);

/// Who keeps the accesses.
#[async_trait]
pub trait OwnAudit: Send + Sync {
    /// Keeps an access durably. What was asked for leaves only after this returned.
    ///
    /// A request that only reads is told once, when its answer is ready. One that changes something is told before it does
    /// (stage [`AccessStage::Received`]) and after; one whose answer is a stream before its first byte ([`AccessStage::Started`])
    /// and at its end. All of one request bear the same [`Access::id`], and each request has exactly one
    /// [`AccessStage::Complete`].
    async fn record(&self, access: &Access) -> Result<(), AuditError>;
}

/// The moment of a request, as Kubernetes' audit has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AccessStage {
    /// Before anything is changed.
    Received,
    /// Before the first byte of a stream.
    Started,
    /// At its end.
    Complete,
}

impl AccessStage {
    /// The name in audit.k8s.io/v1.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "RequestReceived",
            Self::Started => "ResponseStarted",
            Self::Complete => "ResponseComplete",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccessOutcome {
    /// It was answered.
    Allowed,
    /// It was refused: 401, 403 or 429.
    Denied,
    /// It was not answered for another reason.
    Failed,
    /// The reader went before the end of the answer.
    Left,
}

impl AccessOutcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }

    /// Of an HTTP status.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            401 | 403 | 429 => Self::Denied,
            400.. => Self::Failed,
            _ => Self::Allowed,
        }
    }
}

/// Who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// His name as `kind:name`.
    pub name: String,
    /// Who vouches for it.
    pub kind: Kind,
    /// What he was trusted with.
    pub role: Role,
    /// What he saw.
    pub scope: String,
    /// What he showed: `password`, `identity`, `token ID` or `session ID`.
    pub via: String,
}

impl From<&Principal> for Who {
    fn from(principal: &Principal) -> Self {
        use klio_desk::Via;
        let via = match principal.via() {
            Via::Token(id) => format!("token {id}"),
            Via::Session(id) => format!("session {id}"),
            other => crate::view::via(other).to_owned(),
        };
        Self {
            name: principal.to_string(),
            kind: principal.kind(),
            role: principal.role(),
            scope: principal.scope().to_string(),
            via,
        }
    }
}

/// One request to Klio itself. It carries no secret: neither body nor header values but the client's name for itself, and of the
/// address what looks like a token is left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Access {
    /// Random, a UUID; in the answer's header `Audit-Id`.
    pub id: String,
    /// At which moment.
    pub stage: AccessStage,
    /// When the request came.
    pub received: Timestamp,
    /// When this moment was.
    pub time: Timestamp,
    /// Who; `None` if that was not found out.
    pub who: Option<Who>,
    /// From where: the TCP peer, or whom a trusted proxy named.
    pub address: Option<IpAddr>,
    /// The trusted proxy, if there was one.
    pub proxy: Option<IpAddr>,
    /// What the client calls itself, up to 1,024 characters.
    pub agent: String,
    /// HTTP method.
    pub method: String,
    /// The route's pattern; `None` if there is no such route.
    pub route: Option<&'static str>,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without `?`.
    pub query: String,
    /// Kubernetes' word for what was done.
    pub verb: &'static str,
    /// On what.
    pub resource: &'static str,
    /// On which.
    pub name: Option<String>,
    /// HTTP status of the answer; 0 before there is one.
    pub status: u16,
    /// What exactly was changed, if the path does not say it.
    pub said: Option<String>,
    /// Events, findings, rows and the like in the answer.
    pub rows: u64,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// What became of it; `None` before that is known.
    pub outcome: Option<AccessOutcome>,
    /// Like requests of this asker that were refused before as too many and are told by this one.
    pub folded: u64,
}

impl Access {
    /// From when the request came to this moment.
    pub fn duration(&self) -> std::time::Duration {
        let micros = self.time.micros().saturating_sub(self.received.micros());
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// The access as an event of audit.k8s.io/v1, for the cluster [`crate::OWN_CLUSTER`].
    pub fn to_event(&self) -> serde_json::Value {
        event::of(self)
    }
}

/// A text without what looks like an API token, also where its underscore is percent-encoded.
pub(crate) fn without_tokens(text: &str) -> String {
    /// A token has 49 letters and digits after its underscore; what is this long may be a part of one.
    const PART: usize = 16;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("klio") {
        let (before, from) = rest.split_at(at + "klio".len());
        out.push_str(before);
        let under = ["_", "%5F", "%5f"].into_iter().find(|under| from.starts_with(under)).unwrap_or_default();
        let (under, from) = from.split_at(under.len());
        out.push_str(under);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        if end >= PART && !under.is_empty() {
            out.push('…');
            rest = &from[end..];
        } else {
            rest = from;
        }
    }
    out.push_str(rest);
    out
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn new_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        use std::fmt::Write as _;
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_left_out() {
        let secret = "a1".repeat(24);
        for under in ["_", "%5F", "%5f"] {
            let text = format!("x=klio{under}{secret}&y=klio_events&z=klioklio{under}{secret}");
            let want = format!("x=klio{under}…&y=klio_events&z=klioklio{under}…");
            assert_eq!(without_tokens(&text), want);
        }
        assert_eq!(without_tokens("klioaaaaaaaaaaaaaaaaaaaaaaaa klio"), "klioaaaaaaaaaaaaaaaaaaaaaaaa klio");
    }

    #[test]
    fn ids_are_uuids() {
        let id = new_id().unwrap();
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4' && id != new_id().unwrap(), "{id}");
    }
}
