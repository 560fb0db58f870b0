//! What happened to an object, as steps.

use serde::Serialize;

use super::diff::Change;
use crate::event::{Event, text};
use crate::explain::brief;
use crate::time::Timestamp;

/// So many names of those who keep an object's status are listed.
const MAX_NAMES: usize = 4;

/// What kind of step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It came into being.
    Created,
    /// It was changed.
    Changed,
    /// A read shows that it changed, and no event tells by whom.
    FoundChanged,
    /// Its deletion began: something must happen first.
    Deleting,
    /// It was deleted.
    Deleted,
    /// A request deleted many objects, perhaps this one.
    MaybeDeleted,
    /// Something was done with it: a command run in it, a token minted.
    Used,
    /// The request was refused.
    Refused,
    /// The request failed.
    Failed,
    /// A dry run: nothing was stored.
    DryRun,
    /// What became of the request is not recorded.
    Unanswered,
    /// Requests that wrote nothing but the status, renewed a lease, changed nothing, or came too late to.
    Quiet,
}

/// From what it is known what changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// From the object in the answer.
    Answer,
    /// From the object that was sent: defaults and what admission changed are not in it.
    Request,
    /// From a patch, applied to what the object was.
    Rebuilt,
    /// The patch is told as it was asked; what the object was is not known.
    AsAsked,
    /// It is not known: no body was recorded.
    Unseen,
}

/// Why a body is missing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The audit policy's level records none.
    Level,
    /// The API server's audit backend cut the event.
    Truncated,
    /// The record was cut on its way to Klio.
    Salvaged,
    /// It is too large, nested too deeply, or no JSON.
    Unreadable,
    /// The record says a level that has bodies, and has none.
    Absent,
}

/// Who made a request.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Who {
    /// The user, as the event names him.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// As whom he acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated: Option<String>,
    /// The pod that a service account's token is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The TCP peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The field manager that the request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_manager: Option<String>,
}

/// One step, or several of a kind that follow each other.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Step {
    /// The version that it made; versions count up over all objects of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// When.
    pub time: Option<Timestamp>,
    /// When the last of several was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// How many requests.
    pub requests: u32,
    /// What.
    pub what: What,
    /// In words: who did what, and what became of it.
    pub said: String,
    /// Who; of several requests who made the first.
    pub who: Who,
    /// The verb of the request.
    pub verb: String,
    /// The subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// allowed, denied, failed or unknown.
    pub outcome: &'static str,
    /// HTTP status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The client may choose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    /// From what the changes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// Why they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// What changed.
    pub changes: Vec<Change>,
    /// How many more changes there are.
    pub more_changes: u64,
    /// What is uncertain, and what else is to be said.
    pub notes: Vec<String>,
    #[serde(skip)]
    quiet: Tally,
}

/// Of what quiet requests are made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    status: u32,
    renewals: u32,
    unchanged: u32,
    conflicts: u32,
    names: Vec<String>,
    more: bool,
}

impl Step {
    pub(super) fn of(event: &Event<'_>, time: Option<Timestamp>, what: What) -> Self {
        let own = |s| text(s).filter(|t: &&str| !t.is_empty()).map(str::to_owned);
        let mut pod = None;
        event.each_extra(&mut |key, value| {
            if key == "authentication.kubernetes.io/pod-name" {
                pod = Some(value.to_owned());
            }
        });
        Self {
            version: None,
            time,
            last: None,
            requests: 1,
            what,
            said: brief(event),
            who: Who {
                user: own(&event.user.name),
                impersonated: event.impersonated.as_ref().and_then(|other| own(&other.name)),
                pod,
                source_ip: event.source_ip().map(str::to_owned),
                user_agent: own(&event.user_agent),
                field_manager: manager(event),
            },
            verb: own(&event.verb).unwrap_or_default(),
            subresource: own(&event.object.subresource),
            outcome: event.outcome().name(),
            code: event.code,
            audit_id: own(&event.audit_id),
            basis: None,
            why: None,
            changes: Vec::new(),
            more_changes: 0,
            notes: Vec::new(),
            quiet: Tally::default(),
        }
    }

    /// Takes up a step that follows and says no more than this one; false if it says more.
    pub(super) fn absorb(&mut self, next: &Self) -> bool {
        let both_quiet = self.what == What::Quiet && next.what == What::Quiet;
        let key = |step: &Self| {
            (step.what, step.who.user.clone(), step.verb.clone(), step.subresource.clone(), step.code)
        };
        let in_vain = matches!(self.what, What::Refused | What::Failed) && key(self) == key(next);
        // The same as before, as when metrics are fetched.
        let again = self.what == What::Used && key(self) == key(next) && self.said == next.said;
        let in_vain = in_vain && (next.changes == self.changes || next.changes.is_empty());
        if !both_quiet && !in_vain && !again {
            return false;
        }
        self.requests += next.requests;
        self.last = next.last.or(next.time);
        if both_quiet {
            self.quiet.status += next.quiet.status;
            self.quiet.renewals += next.quiet.renewals;
            self.quiet.unchanged += next.quiet.unchanged;
            self.quiet.conflicts += next.quiet.conflicts;
            self.quiet.more |= next.quiet.more;
            for name in &next.quiet.names {
                self.quiet.name(name);
            }
            self.said = self.quiet.told();
        }
        true
    }

    /// Makes a quiet step of it.
    pub(super) fn hush(mut self, tally: Tally) -> Self {
        self.what = What::Quiet;
        self.quiet = tally;
        let name = self.who.user.clone().unwrap_or_else(|| "(nobody)".to_owned());
        self.quiet.name(&name);
        self.said = self.quiet.told();
        self
    }
}

impl Tally {
    pub(super) fn of_status() -> Self {
        Self { status: 1, ..Self::default() }
    }

    pub(super) fn of_renewal() -> Self {
        Self { renewals: 1, ..Self::default() }
    }

    pub(super) fn of_unchanged() -> Self {
        Self { unchanged: 1, ..Self::default() }
    }

    pub(super) fn of_conflict() -> Self {
        Self { conflicts: 1, ..Self::default() }
    }

    fn name(&mut self, name: &str) {
        if self.names.iter().any(|known| known == name) {
            return;
        }
        if self.names.len() < MAX_NAMES { self.names.push(name.to_owned()) } else { self.more = true }
    }

    /// `12 status updates, 3 requests that changed nothing (argocd, node-1)`
    fn told(&self) -> String {
        let part = |count: u32, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let parts: Vec<String> = [
            part(self.status, "status update", "status updates"),
            part(self.renewals, "renewal", "renewals"),
            part(self.unchanged, "request that changed nothing", "requests that changed nothing"),
            part(self.conflicts, "write that came too late (409)", "writes that came too late (409)"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let more = if self.more { " and others" } else { "" };
        format!("{} ({}{more})", parts.join(", "), self.names.join(", "))
    }
}

pub(super) fn manager(event: &Event<'_>) -> Option<String> {
    param(event, "fieldManager")
}

pub(super) fn param(event: &Event<'_>, key: &str) -> Option<String> {
    let uri = text(&event.request_uri)?;
    crate::event::query_pairs(uri)
        .find(|(k, _)| k == key)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}
