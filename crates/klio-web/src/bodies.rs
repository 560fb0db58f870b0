//! Request and response bodies are for those who may read bodies: neither shown to others nor searched by them, since a search
//! that finds or does not find tells the value letter by letter.

use klio_model::{Field, FieldRef, Filter};
use serde_json::value::RawValue;

use crate::Problem;

/// The members of audit.k8s.io/v1 Event that are no bodies. What is not in the list is left out.
const OPEN: [&str; 17] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
    "authenticationMetadata",
];

/// The event without bodies, what is left character by character; `None` if it is no object.
pub(crate) fn without(raw: &str) -> Option<String> {
    let members: Members = serde_json::from_str(raw).ok()?;
    let mut out = String::with_capacity(raw.len().min(4096));
    for (name, value) in members.0.iter().filter(|(name, _)| OPEN.contains(&name.as_str())) {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&serde_json::to_string(name).ok()?);
        out.push(':');
        out.push_str(value.get());
    }
    if out.is_empty() {
        out.push('{');
    }
    out.push('}');
    Some(out)
}

/// An object's members in order, also those that stand twice.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> serde::de::Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// Whether a field's values may be shown to those who may not read bodies.
pub(crate) fn is_open(name: &str) -> bool {
    FieldRef::parse(name).is_ok_and(|field| !reads_bodies(&field))
}

fn reads_bodies(field: &FieldRef) -> bool {
    field.needs_body() || matches!(field.field(), Field::Document | Field::Falco)
}

/// Whether somebody who may not read bodies may ask for a field.
pub(crate) fn check_field(field: &FieldRef) -> Result<(), Problem> {
    if reads_bodies(field) {
        Err(Problem::forbidden(format!("`{}` reads bodies, which your role may not see", field.name())))
    } else {
        Ok(())
    }
}

/// Whether somebody who may not read bodies may ask with a filter.
pub(crate) fn check(filter: &Filter) -> Result<(), Problem> {
    if has_keyword(filter) {
        return Err(Problem::forbidden(
            "a word without a field is looked for in bodies too, which your role may not see; name a field",
        ));
    }
    let mut problem = Ok(());
    filter.each_field(&mut |field| {
        if problem.is_ok() {
            problem = check_field(field);
        }
    });
    problem
}

fn has_keyword(filter: &Filter) -> bool {
    match filter {
        Filter::Keyword(_) => true,
        Filter::All | Filter::Nothing | Filter::Test(_) => false,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(has_keyword),
        Filter::Not(part) => has_keyword(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_no_body_is_left() {
        let raw = r#"{"verb":"get","requestObject":{"a":"SECRET"},"RequestObject":"SECRET","code":1.50,
            "annotations":{"n":1.50},"responseObject":"SECRET","verb":"list"}"#;
        let open = without(raw).unwrap();
        assert_eq!(open, r#"{"verb":"get","annotations":{"n":1.50},"verb":"list"}"#);
        assert_eq!(without("{}").unwrap(), "{}");
        assert!(without("[]").is_none());
    }

    #[test]
    fn bodies_are_not_searched() {
        let check = |text: &str| check(&Filter::parse(text).unwrap()).is_ok();
        assert!(check("verb:get and not user:ana"));
        for odd in
            ["secret", "request.data.password:a*", "not pod:*", "event.requestObject.x:1", "rbac.role:admin"]
        {
            assert!(!check(odd), "{odd}");
        }
    }
}
