//! A scope as the filter that every scan of a cluster gets.

use klio_model::filter::{Case, Piece};
use klio_model::{Field, FieldRef, Filter, Matcher, TextMatch};

use super::{Pattern, Reach, Scope};

impl Scope {
    /// What of a cluster is visible; `None` if nothing is, so that it need not be opened.
    ///
    /// The filter is to be joined with the question by [`Filter::and`], and events are visible of which the whole is
    /// certainly true ([`Filter::matches`]): where the namespace is unknown the answer is unknown, and the event is not shown. Neither is
    /// it counted, exported or followed.
    pub fn filter_for(&self, cluster: &str) -> Option<Filter> {
        let mut names = Vec::new();
        for grant in self.grants.iter().filter(|g| g.cluster.matches(cluster)) {
            match &grant.reach {
                Reach::Cluster => return Some(Filter::All),
                Reach::Namespaces(pattern) => names.push(pattern.to_match()),
            }
        }
        if names.is_empty() {
            return None;
        }
        let present = |field| Filter::test(FieldRef::of(field), Matcher::Present);
        let named = |field| Filter::test(FieldRef::of(field), Matcher::OneOf(names.clone().into()));
        let itself = Filter::and([
            Filter::test(FieldRef::of(Field::Resource), Matcher::Text(TextMatch::exactly("namespaces"))),
            named(Field::Name),
            // `namespaces` of the core group, and not one that lies in some other namespace.
            Filter::not(present(Field::ApiGroup)),
            Filter::not(present(Field::Namespace)),
        ]);
        Some(Filter::or([named(Field::Namespace), itself]))
    }
}

impl Pattern {
    fn to_match(&self) -> TextMatch {
        match self {
            Self::Name(name) => TextMatch::exactly(name),
            Self::Begins(start) => {
                TextMatch::new([Piece::Literal(start.clone()), Piece::Many], Case::Sensitive)
            }
        }
    }
}
