//! What has happened? The spool that makes a batch durable and the lake that keeps it.

mod answer;
mod batch;
mod check;
mod columns;
mod compact;
mod day;
mod error;
mod evidence;
mod expire;
mod export;
mod file;
mod follow;
mod grams;
mod group;
mod hold;
mod identity;
mod lake;
mod leaf;
mod ledger;
mod merge;
mod needle;
mod place;
mod proof;
mod rows;
mod scan;
mod segment;
mod settings;
mod shape;
mod shred;
mod sql;
mod stats;
mod sweep;
mod table;
mod vault;
mod verdicts;
mod verify;
mod view;
mod whole;
mod witness;
mod writer;

pub use batch::{Origin, Records, Spooled};
pub use check::{Check, Info, TableInfo};
pub use compact::{CompactOptions, Compacted};
pub use error::StoreError;
pub use evidence::{Exported, Request};
pub use expire::{Expired, ExpiredPartition};
pub use export::{ExportColumns, Format};
pub use follow::Cursor;
pub use hold::Hold;
pub use lake::Lake;
pub use proof::Proof;
pub use rows::{Custody, Rows, Verdict, Verdicts};
pub use scan::{Kept, Scanned};
pub use settings::{Classes, Retention, Settings};
pub use sql::{Answered, Cancel, Limits, Page};
pub use stats::{Distinct, Histogram, Top};
pub use vault::Encryption;
pub use verdicts::{KeptVerdict, VerdictKind, Wanted};
pub use verify::{Depth, Kind, Problem, Report, Trusted, verify};
pub use writer::{Flush, Writer};

/// The signed log and its proofs.
pub use klio_seal as seal;

pub mod keys;
pub mod spool;
