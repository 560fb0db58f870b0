//! How a filter that is being written may go on.

use serde::Serialize;
use utoipa::ToSchema;

/// What may stand in place of the word at the cursor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct CompletionView {
    /// First byte of the word.
    pub start: u32,
    /// The byte after it.
    pub end: u32,
    /// The best first.
    pub items: Vec<CompletionItem>,
}

/// One way to go on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct CompletionItem {
    /// As it is shown.
    pub label: String,
    /// What replaces the word.
    pub insert: String,
    /// What it is; of a value, how many events have it.
    pub about: String,
}
