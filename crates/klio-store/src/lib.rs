//! What has happened? The spool that makes a batch durable and the lake that keeps it.

mod answer;
mod batch;
mod columns;
mod error;
mod export;
mod file;
mod lake;
mod leaf;
mod needle;
mod place;
mod rows;
mod scan;
mod segment;
mod settings;
mod sql;
mod stats;
mod table;
mod verdicts;
mod view;
mod writer;

pub use batch::{Origin, Records, Spooled};
pub use error::StoreError;
pub use export::{ExportColumns, Format};
pub use lake::Lake;
pub use rows::{Custody, Rows, Verdict, Verdicts};
pub use scan::{Kept, Scanned};
pub use settings::{Classes, Retention, Settings};
pub use sql::{Answered, Cancel, Limits, Page};
pub use stats::{Distinct, Histogram, Top};
pub use verdicts::{KeptVerdict, VerdictKind, Wanted};
pub use writer::{Flush, LAYOUT, Writer};

pub mod keys;
pub mod spool;
