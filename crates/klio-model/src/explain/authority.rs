//! Which binding allowed a request.
//!
//! The RBAC authorizer notes its reason in the annotation `authorization.k8s.io/reason`, in the form that
//! `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac/validation/rule.go` print: `RBAC: allowed by
//! RoleBinding "name/namespace" of Role "name" to ServiceAccount "name/namespace"`, each name quoted by Go.

use super::{name, quote};
use crate::event::Event;

/// A clause that names the binding, or the reason that another authorizer gave.
pub(super) fn of(event: &Event<'_>) -> Option<String> {
    if event.annotation("authorization.k8s.io/decision").as_deref() != Some("allow") {
        return None;
    }
    let reason = event.annotation("authorization.k8s.io/reason").unwrap_or_default();
    if reason.is_empty() {
        // Membership is checked before any binding and leaves no reason (`authorizerfactory`,
        // `NewPrivilegedGroups`). An impersonated identity is the one that is authorized.
        let groups = event.impersonated.as_ref().map_or(&event.user.groups, |i| &i.groups);
        let master = groups.tree()?.items().iter().any(|g| g.as_str() == Some("system:masters"));
        return master.then(|| "allowed as a member of system:masters, whom no role limits".to_owned());
    }
    Some(binding(&reason).unwrap_or_else(|| format!("allowed, the authorizer said, by {}", quote(&reason))))
}

fn binding(reason: &str) -> Option<String> {
    let rest = reason.strip_prefix("RBAC: allowed by ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let (binding, rest) = quoted(rest)?;
    let (role_kind, rest) = rest.strip_prefix(" of ")?.split_once(' ')?;
    let (role, rest) = quoted(rest)?;
    let (subject_kind, rest) = rest.strip_prefix(" to ")?.split_once(' ')?;
    let (subject, _) = quoted(rest)?;
    let binding = if kind == "RoleBinding" { turned(&binding) } else { binding };
    let subject = if subject_kind == "ServiceAccount" { turned(&subject) } else { subject };
    Some(format!(
        "allowed by {} {}, which gives {} {} to {} {}",
        name(kind),
        name(&binding),
        name(role_kind),
        name(&role),
        name(subject_kind),
        name(&subject)
    ))
}

/// `name/namespace` the way round that people write it.
fn turned(text: &str) -> String {
    text.rsplit_once('/').map_or_else(|| text.to_owned(), |(name, namespace)| format!("{namespace}/{name}"))
}

/// The text in the quotes that come first, and what follows them.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut chars = inner.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((out, &inner[i + 1..])),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}
