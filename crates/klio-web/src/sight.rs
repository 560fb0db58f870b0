//! What of the archive somebody sees: his scope, and of Klio's own audit what his role lets him.

use klio_desk::{Principal, Right, Scope};
use klio_model::{Field, FieldRef, Filter, Matcher, TextMatch};

/// The cluster under which Klio's own audit is kept.
pub const OWN_CLUSTER: &str = "klio";

/// How much of Klio's own audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Audit {
    All,
    Own,
    Nothing,
}

/// What somebody sees. Only a [`Principal`] makes one, so no answer is given without knowing to whom.
///
/// It is his [`Scope`], but for the cluster [`OWN_CLUSTER`], in which stands what everybody did and asked: all of it is
/// visible to whom has [`Right::ReadAudit`] and a scope that holds that cluster, to others what they did themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sight {
    scope: Scope,
    who: String,
    audit: Audit,
}

impl Sight {
    /// What a principal sees.
    pub fn of(principal: &Principal) -> Self {
        let scope = principal.scope().clone();
        let audit = if principal.may(Right::ReadAudit) && scope.filter_for(OWN_CLUSTER) == Some(Filter::All) {
            Audit::All
        } else if principal.may(Right::ReadOwnAudit) {
            Audit::Own
        } else {
            Audit::Nothing
        };
        Self { scope, who: principal.to_string(), audit }
    }

    /// The scope it is made of. [`Sight::filter_for`] says more.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What of a cluster's events is visible; `None` if nothing is. Events are visible of which the filter is certainly true.
    pub fn filter_for(&self, cluster: &str) -> Option<Filter> {
        if cluster != OWN_CLUSTER {
            return self.scope.filter_for(cluster);
        }
        let own = || {
            let user = TextMatch::exactly(&self.who);
            Filter::test(FieldRef::of(Field::User), Matcher::Text(user))
        };
        match self.audit {
            Audit::All => Some(Filter::All),
            Audit::Own => Some(own()),
            Audit::Nothing => None,
        }
    }

    /// Whether all of a cluster is visible, also what concerns no namespace: only then may be told what a cluster as a whole does, such
    /// as the rate at which its events come.
    pub fn sees_whole(&self, cluster: &str) -> bool {
        self.filter_for(cluster) == Some(Filter::All)
    }

    /// Whether all of Klio's own audit is visible.
    pub fn sees_audit(&self) -> bool {
        self.audit == Audit::All
    }

    /// Whether the scope is everything. Klio's own audit is another matter: see [`Sight::sees_audit`].
    pub fn is_all(&self) -> bool {
        self.scope.is_all()
    }
}
