//! Who is behind a request: the workload of a service account, and the chain of requests from which it follows that the
//! request could be made: who minted the token, who wrote the workload, the account, or the owner of what a controller
//! makes.
//!
//! Whoever remembers (`klio-detect`'s `memory`) tells the chain; it ends where the records end. The first cause is its
//! last request.

use serde::Serialize;

use crate::explain::{account, moment, name};
use crate::finding::Actor;
use crate::people::{People, Person};
use crate::time::Timestamp;

/// Why one request stands behind another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Because {
    /// It issued the token that was used (TokenRequest).
    Token,
    /// It wrote the workload whose pod's token was used.
    Workload,
    /// It wrote the service account, of which nothing else is known.
    Account,
    /// It wrote the owner of what a controller wrote.
    Owner,
}

/// A request that another follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Why it stands behind what comes before it in the chain.
    pub because: Because,
    /// Who authenticated.
    pub user: String,
    /// As whom, when impersonation was allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acting_as: Option<String>,
    /// Who uses that account, as far as the site says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// What the request did: verb, resource and place, such as `create deployments/shop/cart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Its audit id; not known of what was seen long ago.
    pub audit_id: Option<String>,
    /// When it was received.
    pub time: Option<Timestamp>,
    /// Whether that follows from recorded owners and credentials, and not from names alone.
    pub sure: bool,
    /// The workload of the pod whose token it used: `deployments/shop/cart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
}

/// Who is behind a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attribution {
    /// All of it in one phrase.
    pub said: String,
    /// The workload of the pod whose token was used: `deployments/shop/cart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Whether the workload follows from recorded owners, and not from the pod's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_sure: Option<bool>,
    /// The requests behind it, the nearest first; the last is the first cause.
    pub chain: Vec<Cause>,
}

impl Attribution {
    /// Whether it tells more than the actor's name does.
    pub fn is_told(&self, actor: &Actor) -> bool {
        self.workload.is_some() || !self.chain.is_empty() || actor.impersonated.is_some()
    }

    /// The last request of the chain: where it started, as far as the records say.
    pub fn first_cause(&self) -> Option<&Cause> {
        self.chain.last()
    }

    /// Adds the persons behind the accounts, and the phrase.
    pub fn tell(&mut self, actor: &Actor, people: &People) {
        for cause in &mut self.chain {
            cause.person = people.of_name(&cause.user).cloned();
        }
        self.said = self.phrase(actor);
    }

    fn phrase(&self, actor: &Actor) -> String {
        let mut said = account(actor.user.as_deref(), actor.person.as_ref());
        if let Some(other) = &actor.impersonated {
            said.push_str(&format!(", acting as {}", account(Some(other), None)));
        }
        if let Some(workload) = &self.workload {
            said.push_str(&format!(" of {}", place(workload)));
            if self.workload_sure == Some(false) {
                said.push_str(" (by its name)");
            }
        }
        for (number, cause) in self.chain.iter().enumerate() {
            let (who, at) = (cause.who(), cause.time.and_then(moment).map(|at| format!(" {at}")));
            let at = at.unwrap_or_default();
            let object = cause.object().map_or_else(|| "its owner".to_owned(), place);
            said.push_str(&match (cause.because, number) {
                (Because::Token, 0) => format!(", with a token that {who} minted{at}"),
                (Because::Token, _) => format!("; that one used a token that {who} minted{at}"),
                (Because::Workload, 0) => format!(", which {who} last wrote{at}"),
                (Because::Workload, _) => format!("; its workload was last written by {who}{at}"),
                (Because::Account, 0) => format!(", whose account {who} wrote{at}"),
                (Because::Account, _) => format!("; its account was written by {who}{at}"),
                (Because::Owner, _) => format!(", for {object}, which {who} last wrote{at}"),
            });
            if !cause.sure {
                said.push_str(" (by names alone)");
            }
        }
        said
    }
}

impl Cause {
    /// Who made it: `mallory, acting as system:admin`, with his person and workload.
    pub fn who(&self) -> String {
        let mut who = account(Some(&self.user), self.person.as_ref());
        if let Some(other) = &self.acting_as {
            who.push_str(&format!(" acting as {}", account(Some(other), None)));
        }
        if let Some(workload) = &self.workload {
            who.push_str(&format!(" of {}", place(workload)));
        }
        who
    }

    /// What it wrote: `deployments/shop/cart`.
    pub fn object(&self) -> Option<&str> {
        self.what.as_deref()?.split_once(' ').map(|(_, object)| object)
    }
}

/// `Deployment shop/cart` of `deployments/shop/cart`.
fn place(object: &str) -> String {
    let (resource, place) = object.split_once('/').unwrap_or(("", object));
    let kind = match resource {
        "deployments" => "Deployment",
        "statefulsets" => "StatefulSet",
        "daemonsets" => "DaemonSet",
        "replicasets" => "ReplicaSet",
        "jobs" => "Job",
        "cronjobs" => "CronJob",
        "pods" => "pod",
        "serviceaccounts" => "service account",
        other => return name(&format!("{other} {place}")),
    };
    format!("{kind} {}", name(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(because: Because, user: &str, what: &str) -> Cause {
        Cause {
            because,
            user: user.into(),
            acting_as: None,
            person: None,
            what: Some(what.into()),
            audit_id: Some("a1".into()),
            time: Timestamp::parse("2026-11-21T10:02:03Z"),
            sure: true,
            workload: None,
        }
    }

    #[test]
    fn a_chain_is_one_phrase() {
        let person = Person { name: "Alice Example <alice@example.com>".into(), team: None };
        let mapped =
            crate::people::Mapping { person, accounts: vec!["oidc:7f3c".into()], filter: crate::Filter::All };
        let people = People::new(vec![mapped]).unwrap();
        let said = |user: &str, as_whom: Option<&str>, workload: Option<&str>, chain: Vec<Cause>| {
            let actor =
                Actor { user: Some(user.into()), impersonated: as_whom.map(Into::into), ..Actor::default() };
            let workload_sure = workload.map(|_| false);
            let mut told =
                Attribution { said: String::new(), workload: workload.map(Into::into), workload_sure, chain };
            told.tell(&actor, &people);
            told.said
        };
        assert_eq!(said("mallory", Some("system:admin"), None, vec![]), "mallory, acting as system:admin");
        let mut written = cause(Because::Workload, "oidc:7f3c", "patch deployments/prod/web");
        written.sure = false;
        assert_eq!(
            said("system:serviceaccount:prod:web", None, Some("deployments/prod/web"), vec![written]),
            "service account prod/web of Deployment prod/web (by its name), which oidc:7f3c (Alice Example \
             <alice@example.com>) last wrote on 2026-11-21 at 10:02:03 UTC (by names alone)"
        );
        let minted = Cause {
            workload: Some("jobs/ci/x y".into()),
            ..cause(Because::Token, "system:serviceaccount:ci:d", "")
        };
        let owner = cause(Because::Workload, "bob", "create jobs/ci/x y");
        assert_eq!(
            said("system:serviceaccount:prod:web", None, None, vec![minted, owner]),
            "service account prod/web, with a token that service account ci/d of Job \"ci/x y\" minted on 2026-11-21 at \
             10:02:03 UTC; its workload was last written by bob on 2026-11-21 at 10:02:03 UTC"
        );
        let owner = cause(Because::Owner, "bob", "create cronjobs/ci/x");
        assert_eq!(
            said("system:serviceaccount:kube-system:job-controller", None, None, vec![owner]),
            "controller job-controller, for CronJob ci/x, which bob last wrote on 2026-11-21 at 10:02:03 UTC"
        );
    }
}
