//! The text form of a filter (written by the filter slice).

use thiserror::Error;

/// Why a text is not a filter.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{message} at character {position}")]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// Byte offset in the text.
    pub position: usize,
    /// Length in bytes of the offending part.
    pub length: usize,
    /// What to write instead.
    pub help: Option<String>,
}
