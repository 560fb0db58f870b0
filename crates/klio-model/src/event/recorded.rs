//! Which parts the audit policy could have recorded: the difference between *absent* and *unknown*.

use super::{Event, Level, Stage, text};

/// Whether a missing part is known to be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// If it had been there, it would be in the event.
    Yes,
    /// The level, the stage or a cut may have kept it out.
    No,
}

impl Event<'_> {
    /// For a missing `requestObject`, or one that cannot be read.
    ///
    /// Bodies are recorded from level Request on, when the request has been decoded: not at
    /// RequestReceived, not for a request that was refused before (401, 403), not when the backend
    /// truncated the event (`audit.k8s.io/truncated`). Reads and connects carry no object.
    pub fn request_recorded(&self) -> Recorded {
        if self.salvaged || self.request_object.unreadable() {
            return Recorded::No;
        }
        if matches!(text(&self.verb), Some("get" | "list" | "watch")) {
            return Recorded::Yes;
        }
        let level = matches!(self.level, Level::Request | Level::RequestResponse);
        let decoded = self.stage != Stage::RequestReceived && !matches!(self.code, Some(401 | 403));
        let connect =
            matches!(text(&self.object.subresource), Some("exec" | "attach" | "portforward" | "proxy"));
        if level && (decoded || connect) && !self.truncated() { Recorded::Yes } else { Recorded::No }
    }

    /// For a missing or unreadable `responseObject`: recorded at level RequestResponse when the response is complete.
    pub fn response_recorded(&self) -> Recorded {
        let complete = matches!(self.stage, Stage::ResponseComplete | Stage::Panic | Stage::Unstated);
        let lost = self.salvaged || self.truncated() || self.response_object.unreadable();
        if self.level == Level::RequestResponse && complete && !lost { Recorded::Yes } else { Recorded::No }
    }

    /// For a missing status or annotation: both come with the outcome.
    pub fn outcome_recorded(&self) -> Recorded {
        if self.stage == Stage::RequestReceived || self.salvaged { Recorded::No } else { Recorded::Yes }
    }

    /// Whether the audit backend removed the bodies because the event was too large
    /// (`apiserver/plugin/pkg/audit/truncate/truncate.go`).
    pub fn truncated(&self) -> bool {
        self.annotations.text().is_some_and(|t| t.contains("audit.k8s.io/truncated"))
    }
}
