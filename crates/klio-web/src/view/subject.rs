//! An actor, an object or an address, from what happened to or by it.

use klio_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::TopView;

/// What is known of an actor, an object or an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectView {
    /// actor, object or address.
    pub kind: &'static str,
    /// Its name; of an object `resource/namespace/name`.
    pub name: String,
    /// The filter that means it, for a search.
    pub filter: String,
    /// How many events.
    pub count: u64,
    /// The first of them.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first: Option<Timestamp>,
    /// The last of them.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
    /// Its usual verbs, outcomes, counterparts and places, each the most frequent values of one field.
    pub usual: Vec<TopView>,
}
