//! What has happened? The spool that makes a batch durable and the lake that keeps it.

mod answer;
mod columns;
mod error;
mod file;
mod leaf;
mod place;
mod rows;
mod scan;
mod segment;
mod table;

pub use error::StoreError;
pub use rows::{Custody, Rows};
pub use scan::{Kept, Scanned};

pub mod keys;
pub mod spool;
