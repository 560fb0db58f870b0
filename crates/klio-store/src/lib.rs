//! What has happened? The spool that makes a batch durable and the lake that keeps it.

mod columns;
mod error;
mod leaf;
mod rows;
mod segment;

pub use error::StoreError;
pub use rows::{Custody, Rows};

#[doc(hidden)]
pub fn lab(rows: &Rows) -> Result<Vec<(u64, usize, Vec<u8>)>, StoreError> {
    Ok(segment::pack(rows)?.into_iter().map(|s| (s.rows, s.bytes as usize, s.file)).collect())
}
mod place;
mod table;
