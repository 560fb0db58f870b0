//! The one table of what may be asked for, and what it takes. A request for which there is no entry does not get past the gate,
//! whatever the router knows.

use klio_desk::{Principal, Right};

use crate::Problem;
use crate::visitor::Visitor;

/// What an entry takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Nothing: strangers too.
    Open,
    /// To be somebody.
    Anybody,
    /// These rights.
    May(&'static [Right]),
    /// These rights, and a scope that is everything.
    Whole(&'static [Right]),
}

/// One thing that may be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// HTTP method.
    pub method: &'static str,
    /// The path, with names in braces.
    pub path: &'static str,
    /// What it takes.
    pub need: Need,
    /// Kubernetes' word for it, for the audit.
    pub verb: &'static str,
    /// What is asked for, for the audit.
    pub resource: &'static str,
}

impl Entry {
    /// Whether it changes something: it is told to the audit beforehand too.
    pub fn changes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch") && self.resource != "sql"
    }

    /// Whether somebody may.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Problem> {
        let (rights, whole) = match self.need {
            Open | Anybody => return Ok(()),
            May(rights) => (rights, false),
            Whole(rights) => (rights, true),
        };
        if let Some(right) = rights.iter().find(|right| !principal.may(**right)) {
            let role = principal.role();
            return Err(Problem::forbidden(format!("a {role} may not do this ({right:?})")));
        }
        if whole && !principal.scope().is_all() {
            return Err(Problem::forbidden("this shows everything, and so takes a scope that is everything"));
        }
        Ok(())
    }
}

const fn entry(
    method: &'static str,
    path: &'static str,
    need: Need,
    verb: &'static str,
    resource: &'static str,
) -> Entry {
    Entry { method, path, need, verb, resource }
}

use Need::{Anybody, May, Open, Whole};
use Right::{
    Export, ManageOwnAccount, ManageOwnTokens, ManageRules, ManageUsers, ReadBodies, ReadEvents,
    ReadFindings, ReadOwnAudit, ReplayDeadLetters, RunSql, SaveHunts, VerifyIntegrity,
};

/// Where providers send browsers back. What stands behind the question mark lets in, and is told to nobody.
pub(crate) const CALLBACK: &str = "/api/v1/sign-in/oidc/{name}/callback";

/// All that may be asked for.
#[rustfmt::skip]
pub const ROUTES: &[Entry] = &[
    entry("GET", "/openapi.json", Open, "get", "openapi"),
    entry("POST", "/api/v1/session", Open, "create", "sessions"),
    entry("GET", "/api/v1/sign-in", Open, "list", "signins"),
    entry("GET", "/api/v1/sign-in/oidc/{name}", Open, "get", "signins"),
    entry("GET", CALLBACK, Open, "create", "sessions"),
    entry("DELETE", "/api/v1/session", Anybody, "delete", "sessions"),
    entry("GET", "/api/v1/whoami", Anybody, "get", "whoami"),
    entry("PUT", "/api/v1/password", May(&[ManageOwnAccount]), "update", "passwords"),
    entry("GET", "/api/v1/events", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/api/v1/events/count", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/api/v1/events/top", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/api/v1/events/histogram", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/api/v1/events/export", May(&[ReadEvents, ReadBodies, Export]), "list", "events"),
    entry("GET", "/api/v1/events/tail", May(&[ReadEvents]), "watch", "events"),
    entry("GET", "/api/v1/events/{auditId}", May(&[ReadEvents]), "get", "events"),
    entry("GET", "/api/v1/events/{auditId}/proof", Whole(&[ReadEvents, ReadBodies, Export]), "get", "proofs"),
    entry("GET", "/api/v1/complete", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/api/v1/findings", May(&[ReadFindings]), "list", "findings"),
    entry("GET", "/api/v1/findings/{id}", May(&[ReadFindings]), "get", "findings"),
    entry("GET", "/api/v1/stories", May(&[ReadFindings]), "list", "stories"),
    entry("GET", "/api/v1/stories/{id}", May(&[ReadFindings]), "get", "stories"),
    entry("GET", "/api/v1/actors/{name}", May(&[ReadEvents]), "get", "actors"),
    entry("GET", "/api/v1/objects/{resource}/{namespace}/{name}", May(&[ReadEvents]), "get", "objects"),
    entry("GET", "/api/v1/objects/{resource}/{namespace}/{name}/history", May(&[ReadEvents]), "get", "objects"),
    entry("GET", "/api/v1/addresses/{address}", May(&[ReadEvents]), "get", "addresses"),
    entry("GET", "/api/v1/credentials/{id}", May(&[ReadEvents]), "get", "credentials"),
    entry("GET", "/api/v1/namespaces/{name}", May(&[ReadEvents]), "get", "namespaces"),
    entry("GET", "/api/v1/pods/{namespace}/{name}", May(&[ReadEvents]), "get", "pods"),
    entry("GET", "/api/v1/nodes/{name}", May(&[ReadEvents]), "get", "nodes"),
    entry("GET", "/api/v1/rules", May(&[ReadFindings]), "list", "rules"),
    entry("GET", "/api/v1/rules/{id}", May(&[ReadFindings]), "get", "rules"),
    entry("GET", "/api/v1/allow", Whole(&[ReadFindings]), "list", "allowances"),
    entry("GET", "/api/v1/coverage", May(&[ReadFindings, ReadEvents]), "list", "rules"),
    entry("POST", "/api/v1/allow", Whole(&[ManageRules]), "create", "allowances"),
    entry("POST", "/api/v1/allow/replay", May(&[ReadFindings, ReadEvents]), "list", "findings"),
    entry("DELETE", "/api/v1/allow/{id}", Whole(&[ManageRules]), "delete", "allowances"),
    entry("GET", "/api/v1/hunts", May(&[ReadEvents]), "list", "hunts"),
    entry("POST", "/api/v1/hunts", May(&[ReadEvents, SaveHunts]), "create", "hunts"),
    entry("GET", "/api/v1/hunts/{name}", May(&[ReadEvents]), "get", "hunts"),
    entry("DELETE", "/api/v1/hunts/{name}", May(&[ReadEvents, SaveHunts]), "delete", "hunts"),
    entry("GET", "/api/v1/sources", May(&[ReadEvents]), "list", "sources"),
    entry("GET", "/api/v1/integrity", May(&[ReadEvents]), "get", "integrity"),
    entry("POST", "/api/v1/integrity/verify", May(&[VerifyIntegrity]), "create", "verifications"),
    entry("POST", "/api/v1/sql", Whole(&[ReadEvents, ReadFindings, ReadBodies, RunSql]), "create", "sql"),
    entry("GET", "/api/v1/dead-letters", May(&[ReplayDeadLetters]), "list", "deadletters"),
    entry("GET", "/api/v1/dead-letters/{number}", May(&[ReplayDeadLetters]), "get", "deadletters"),
    entry("POST", "/api/v1/dead-letters/{number}/replay", May(&[ReplayDeadLetters]), "create", "deadletters"),
    entry("DELETE", "/api/v1/dead-letters/{number}", May(&[ReplayDeadLetters]), "delete", "deadletters"),
    entry("GET", "/api/v1/users", May(&[ManageUsers]), "list", "users"),
    entry("POST", "/api/v1/users", May(&[ManageUsers]), "create", "users"),
    entry("PATCH", "/api/v1/users/{name}", May(&[ManageUsers]), "patch", "users"),
    entry("DELETE", "/api/v1/users/{name}", May(&[ManageUsers]), "delete", "users"),
    entry("POST", "/api/v1/users/{name}/unlock", May(&[ManageUsers]), "update", "users"),
    entry("GET", "/api/v1/tokens", May(&[ManageOwnTokens]), "list", "tokens"),
    entry("POST", "/api/v1/tokens", May(&[ManageOwnTokens]), "create", "tokens"),
    entry("DELETE", "/api/v1/tokens/{id}", May(&[ManageOwnTokens]), "delete", "tokens"),
    entry("GET", "/api/v1/sessions", May(&[ManageOwnAccount]), "list", "sessions"),
    entry("DELETE", "/api/v1/sessions", May(&[ManageOwnAccount]), "deletecollection", "sessions"),
    entry("DELETE", "/api/v1/sessions/{id}", May(&[ManageOwnAccount]), "delete", "sessions"),
];

/// The pages that may be asked for.
#[rustfmt::skip]
pub const PAGES: &[Entry] = &[
    entry("GET", "/", May(&[ReadEvents, ReadFindings]), "list", "stories"),
    entry("GET", "/sign-in", Open, "get", "signins"),
    entry("POST", "/sign-in", Open, "create", "sessions"),
    entry("POST", "/sign-out", Open, "delete", "sessions"),
    entry("GET", "/explore", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/events/{auditId}", May(&[ReadEvents]), "get", "events"),
    entry("GET", "/detections", May(&[ReadFindings, ReadEvents]), "list", "rules"),
    entry("GET", "/detections/{id}", May(&[ReadFindings, ReadEvents]), "get", "rules"),
    entry("GET", "/detections/{id}/excuse", May(&[ReadFindings, ReadEvents]), "list", "findings"),
    entry("GET", "/hunts", May(&[ReadEvents]), "list", "hunts"),
    entry("GET", "/hunts/{name}", May(&[ReadEvents]), "get", "hunts"),
    entry("GET", "/actors/{name}", May(&[ReadEvents]), "get", "actors"),
    entry("GET", "/objects/{resource}/{namespace}/{name}", May(&[ReadEvents]), "get", "objects"),
    entry("GET", "/addresses/{address}", May(&[ReadEvents]), "get", "addresses"),
    entry("GET", "/credentials/{id}", May(&[ReadEvents]), "get", "credentials"),
    entry("GET", "/namespaces/{name}", May(&[ReadEvents]), "get", "namespaces"),
    entry("GET", "/pods/{namespace}/{name}", May(&[ReadEvents]), "get", "pods"),
    entry("GET", "/nodes/{name}", May(&[ReadEvents]), "get", "nodes"),
    entry("GET", "/incidents", May(&[ReadFindings]), "list", "stories"),
    entry("GET", "/incidents/{id}", May(&[ReadFindings, ReadEvents]), "get", "stories"),
    entry("GET", "/tail", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/integrity", May(&[ReadEvents]), "get", "integrity"),
    entry("GET", "/events/{auditId}/proof", Whole(&[ReadEvents, ReadBodies, Export]), "get", "proofs"),
    entry("GET", "/settings", May(&[ManageOwnAccount, ManageOwnTokens]), "get", "whoami"),
    entry("GET", "/settings/users", May(&[ManageUsers]), "list", "users"),
    entry("GET", "/settings/users/{name}", May(&[ManageUsers]), "get", "users"),
    entry("GET", "/own-audit", May(&[ReadOwnAudit]), "list", "audit"),
    entry("GET", "/trends", May(&[ReadEvents]), "list", "events"),
    entry("GET", "/sources", May(&[ReadEvents]), "list", "sources"),
    entry("GET", "/sources/connect", May(&[ReadEvents]), "list", "sources"),
    entry("GET", "/sources/dead-letters", May(&[ReplayDeadLetters]), "list", "deadletters"),
    entry("GET", "/sources/dead-letters/{number}", May(&[ReplayDeadLetters]), "get", "deadletters"),
];

/// The entry of a method and a pattern; `Err` has the methods that there are.
pub(crate) fn find(method: &str, pattern: Option<&str>) -> Result<&'static Entry, Vec<&'static str>> {
    let of_path: Vec<&Entry> = ROUTES.iter().chain(PAGES).filter(|e| Some(e.path) == pattern).collect();
    let methods = || of_path.iter().map(|e| e.method).collect();
    of_path.iter().find(|e| e.method == method).copied().ok_or_else(methods)
}

/// Whether people look at what has this pattern in a browser.
pub(crate) fn is_page(pattern: &str) -> bool {
    PAGES.iter().any(|entry| entry.path == pattern)
}

/// Why somebody may not, such as `POST /api/v1/integrity/verify`; `None` if he may. What stands in no table nobody may.
pub(crate) fn why_not(visitor: &Visitor, method: &str, pattern: &str) -> Option<String> {
    let entry = find(method, Some(pattern)).ok();
    debug_assert!(entry.is_some(), "{method} {pattern} stands in no table");
    match entry {
        Some(entry) => entry.check(&visitor.principal).err().map(|problem| problem.detail),
        None => Some("there is no such thing".to_owned()),
    }
}

/// What of a path stands where the pattern has names.
pub(crate) fn name(pattern: &str, path: &str) -> Option<String> {
    let parts = pattern.split('/').zip(path.split('/'));
    let names: Vec<&str> = parts.filter(|(p, _)| p.starts_with('{')).map(|(_, part)| part).collect();
    if names.is_empty() { None } else { Some(names.join("/")) }
}
