//! Which audit field a name in a Sigma rule means.

use klio_model::{Field, FieldRef, UnknownField};

/// Names that are no audit paths but that rules for Kubernetes audit logs use: those of the pipelines with
/// which such rules are deployed, and the Elastic Common Schema.
const ALIASES: &[(&str, &str)] = &[
    ("apiGroup", "objectRef.apiGroup"),
    ("username", "user.username"),
    ("capabilities", "requestObject.spec.containers.securityContext.capabilities.add"),
    ("hostPath", "requestObject.spec.volumes.hostPath"),
    ("privileged", "responseObject.spec.containers.securityContext.privileged"),
    ("user.name", "user.username"),
    ("user_agent.original", "userAgent"),
    ("event.action", "verb"),
    ("impersonated.name", "impersonatedUser.username"),
    ("kind", "event.kind"),
    ("apiVersion", "event.apiVersion"),
];

/// Audit paths below members whose parts have registry entries of their own.
const DOCUMENT_PATHS: &[&str] = &["responseStatus.details", "responseStatus.metadata"];

/// The field that a name means.
///
/// # Errors
/// [`UnknownField`] with the nearest name.
pub(super) fn resolve(name: &str) -> Result<FieldRef, UnknownField> {
    if let Some((_, path)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return FieldRef::parse(path);
    }
    if let Some(path) = name.strip_prefix("kubernetes.audit.") {
        // Elastic cannot hold a dot in the first part of a key and writes `authorization_k8s_io/decision`.
        return resolve(&path.replace("_k8s_io/", ".k8s.io/"));
    }
    if DOCUMENT_PATHS
        .iter()
        .any(|p| name.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    {
        return Ok(FieldRef::below(Field::Document, name));
    }
    FieldRef::parse(name).map_err(|error| UnknownField {
        suggestion: error.suggestion.or_else(|| {
            let near = |alias: &str| strsim::damerau_levenshtein(alias, name) <= 2;
            ALIASES.iter().find(|(alias, _)| near(alias)).map(|(alias, _)| (*alias).to_owned())
        }),
        ..error
    })
}
