//! Identities that others vouch for, and what they become here.
//!
//! An OpenID Connect provider, a client certificate or a cluster's TokenReview says who somebody is; rules in `klio.yaml` say what he
//! may do. The first rule that fits counts, as in a firewall: joining several would give the role of one on the scope of another. Whom
//! no rule fits is not let in.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::principal::Account;
use crate::{Deed, Desk, DeskError, Kind, Pattern, Principal, Role, Scope, Via};

/// Who somebody is, as others say. The server has verified it: signature, audience, expiry, chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Who says so: [`Kind::Oidc`], [`Kind::Certificate`] or [`Kind::Kubernetes`].
    pub kind: Kind,
    /// Which of those: the provider or the cluster, as `klio.yaml` names it; empty for a certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// What never changes about him: issuer and `sub`, the fingerprint of the certificate's key, cluster and UID. No two that
    /// vouch say the same of two people.
    pub subject: String,
    /// How he is called: a claim, the common name, the user name.
    pub name: String,
    /// His groups: a claim, the organizations, the groups.
    pub groups: Vec<String>,
}

impl Identity {
    /// Whether both are the same person, however he is called today.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.subject == other.subject
    }
}

/// Whom a rule fits, and what he becomes. All that is given must fit; one of `subject`, `user` and `group` must be given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingRule {
    /// Who vouches.
    #[schemars(with = "String", extend("enum" = ["oidc", "certificate", "kubernetes"]))]
    pub kind: Kind,
    /// This provider or cluster, as `klio.yaml` names it; any of that kind without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// This subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// This name, or with a star at the end names that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// One of his groups is this one, or with a star at the end begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What he is trusted with.
    #[schemars(with = "String", extend("enum" = ["viewer", "analyst", "responder", "admin"]))]
    pub role: Role,
    /// What he sees.
    #[schemars(with = "String")]
    pub scope: Scope,
}

/// A rule that cannot be meant so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadMapping {
    /// Nothing says whom it fits.
    #[error("rule {0} fits everybody: give it a subject, user or group; user: \"*\" if everybody is meant")]
    Everybody(usize),
    /// Not an outside kind.
    #[error("rule {0} is about {1}: only oidc, certificate and kubernetes are mapped")]
    Kind(usize, &'static str),
    /// Certificates have nobody by name.
    #[error("rule {0} has `by`, but certificates are all verified by server.tls.client_ca: leave it out")]
    By(usize),
    /// A star before the end.
    #[error("in rule {0} a star stands before the end of {1:?}; only team-* is possible")]
    Star(usize, String),
}

/// The rules, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(into = "Vec<MappingRule>", try_from = "Vec<MappingRule>")]
pub struct Mapping {
    rules: Vec<MappingRule>,
}

impl From<Mapping> for Vec<MappingRule> {
    fn from(mapping: Mapping) -> Self {
        mapping.rules
    }
}

impl TryFrom<Vec<MappingRule>> for Mapping {
    type Error = BadMapping;

    fn try_from(rules: Vec<MappingRule>) -> Result<Self, BadMapping> {
        for (i, rule) in rules.iter().enumerate() {
            let number = i + 1;
            if matches!(rule.kind, Kind::User | Kind::Console) {
                return Err(BadMapping::Kind(number, rule.kind.name()));
            }
            if rule.subject.is_none() && rule.user.is_none() && rule.group.is_none() {
                return Err(BadMapping::Everybody(number));
            }
            if rule.kind == Kind::Certificate && rule.by.is_some() {
                return Err(BadMapping::By(number));
            }
            for text in [&rule.user, &rule.group].into_iter().flatten() {
                if text.strip_suffix('*').unwrap_or(text).contains('*') {
                    return Err(BadMapping::Star(number, text.clone()));
                }
            }
        }
        Ok(Self { rules })
    }
}

impl Mapping {
    /// The rules.
    pub fn rules(&self) -> &[MappingRule] {
        &self.rules
    }

    /// Ties rules of a kind that name neither a subject nor who vouches to this one.
    pub fn tie(&mut self, kind: Kind, by: &str) {
        let open = |rule: &&mut MappingRule| rule.kind == kind && rule.by.is_none() && rule.subject.is_none();
        self.rules.iter_mut().filter(open).for_each(|rule| rule.by = Some(by.to_owned()));
    }

    /// What somebody becomes; `None` if no rule fits him.
    pub fn of(&self, identity: &Identity) -> Option<(Role, &Scope)> {
        self.rules.iter().find(|rule| rule.fits(identity)).map(|rule| (rule.role, &rule.scope))
    }

    pub(crate) fn principal(&self, identity: &Identity, via: Via) -> Option<Principal> {
        let (role, scope) = self.of(identity)?;
        Some(Principal {
            name: identity.name.clone(),
            kind: identity.kind,
            role,
            scope: scope.clone(),
            via,
            account: Account::Outside(identity.clone()),
        })
    }
}

impl MappingRule {
    fn fits(&self, identity: &Identity) -> bool {
        let fits = |wanted: &String, name: &str| pattern(wanted).matches(name);
        self.kind == identity.kind
            && self.by.as_ref().is_none_or(|by| *by == identity.by)
            && self.subject.as_ref().is_none_or(|subject| *subject == identity.subject)
            && self.user.as_ref().is_none_or(|user| fits(user, &identity.name))
            && self.group.as_ref().is_none_or(|group| identity.groups.iter().any(|name| fits(group, name)))
    }
}

fn pattern(text: &str) -> Pattern {
    match text.strip_suffix('*') {
        Some(start) => Pattern::Begins(start.to_owned()),
        None => Pattern::Name(text.to_owned()),
    }
}

impl Desk {
    /// Puts other rules in force. They hold at once, also for sessions that have begun.
    pub fn set_mapping(&self, mapping: Mapping) {
        *self.inner.mapping.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mapping);
    }

    pub(crate) fn mapping(&self) -> Arc<Mapping> {
        self.inner.mapping.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets somebody in for whom others vouch, and tells the ledger. A server that gets the identity anew with each request (a client
    /// certificate) asks once for a connection, not once for a request.
    ///
    /// # Errors
    /// [`DeskError::Denied`] if no rule fits.
    pub async fn identity(&self, identity: &Identity, from: Option<IpAddr>) -> Result<Principal, DeskError> {
        let clean: String = identity.name.chars().filter(|c| !c.is_control()).take(256).collect();
        let action = self.arrival(Deed::UseIdentity, format!("{}:{clean}", identity.kind.name()), from)?;
        let subject: String = identity.subject.chars().filter(|c| !c.is_control()).take(512).collect();
        let action = action.with("subject", subject);
        let principal = self.mapping().principal(identity, Via::Identity);
        let Some(principal) = principal.filter(|p| !p.name.is_empty() && p.name == clean) else {
            self.record(action.refused("no rule fits")).await?;
            return Err(DeskError::Denied);
        };
        self.record(action.with("role", principal.role).with("scope", &principal.scope)).await?;
        Ok(principal)
    }
}
