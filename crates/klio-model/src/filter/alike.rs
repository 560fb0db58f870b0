//! What findings have in common, and the filter that it makes: by such marks entries of an allow-list know them.

use super::{Case, Filter, Matcher, Piece, TextMatch};
use crate::field::{Field, FieldRef};

/// Fields by which findings of a rule are alike: who, with what, on what.
pub const MARKS: [Field; 5] =
    [Field::User, Field::UserAgent, Field::Resource, Field::Subresource, Field::Namespace];

/// A field and its value.
pub type Mark = (Field, String);

/// The mark that a value makes; `None` if there is no value. Of a client it is the product without its version, which stays the same
/// over updates: `kubectl/*`.
pub fn mark(field: Field, value: Option<&str>) -> Option<Mark> {
    let value = value.filter(|value| !value.is_empty())?;
    if field == Field::UserAgent {
        return value.split_once('/').map(|(product, _)| (field, format!("{product}/*")));
    }
    Some((field, value.to_owned()))
}

/// The filter of all events that have these marks.
pub fn alike(marks: &[Mark]) -> Filter {
    Filter::and(marks.iter().map(|(field, value)| {
        let matcher = match value.strip_suffix("/*") {
            Some(product) if *field == Field::UserAgent => {
                TextMatch::new([Piece::Literal(format!("{product}/")), Piece::Many], Case::Insensitive)
            }
            _ => TextMatch::exactly(value),
        };
        Filter::test(FieldRef::of(*field), Matcher::Text(matcher))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn marks_make_a_filter_that_finds_what_is_alike() {
        let marks: Vec<Mark> = [
            (Field::User, Some("system:serviceaccount:ci:deployer")),
            (Field::UserAgent, Some("Helm/3.19.0 (linux)")),
            (Field::Namespace, None),
            (Field::Resource, Some("secrets")),
        ]
        .into_iter()
        .filter_map(|(field, value)| mark(field, value))
        .collect();
        let filter = alike(&marks);
        assert_eq!(
            filter.to_string(),
            "user:cased(system:serviceaccount:ci:deployer) and agent:Helm/* and resource:cased(secrets)"
        );
        assert_eq!(Filter::parse(&filter.to_string()), Ok(filter.clone()));
        let event = |agent: &str| {
            let event = Event::blank().with(Field::User, "system:serviceaccount:ci:deployer");
            filter.matches(&event.with(Field::UserAgent, agent).with(Field::Resource, "secrets"))
        };
        assert!(event("Helm/4.0.0") && !event("kubectl/v1.36.0"));
        assert_eq!(mark(Field::UserAgent, Some("curl")), None);
    }
}
