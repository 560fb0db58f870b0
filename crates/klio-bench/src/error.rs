//! What can go wrong while measuring.

use std::path::PathBuf;

/// A measurement that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that must be there is not.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The recorded logs hold no usable event.
    #[error("no usable events under {}", .0.display())]
    Empty(PathBuf),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A program that was started did not do its work.
    #[error("{program} failed ({status}): {stderr}")]
    Child {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// Something was not the JSON it should be.
    #[error("unexpected JSON in {0}: {1}")]
    Json(String, serde_json::Error),
}
