//! How do bytes become events? Finds the inputs, inflates them, cuts the stream into records and strips
//! whatever envelope a cloud or a shipper put around them, until one `audit.k8s.io` event object is left.
//!
//! The way of the bytes: [`discover`] → [`Chunks`] (one reader per input, sequential) → [`decode`] (pure, as many
//! threads as wanted) → [`Item`]s. Format is decided by the shape of the content, never by a file's name.

mod discover;
mod input;
mod order;

mod inflate;
mod meter;

#[cfg(unix)]
pub mod follow;
mod head;

mod chunk;
mod docscan;
mod parts;
mod reader;
mod split;

mod body;
mod decode;
mod scan;
mod text;
mod top;

mod aks;
mod eks;
mod gke;
mod gke_object;
mod native;
mod salvage;
mod wrap;
mod write;

pub mod redact;

pub mod fuzz;
mod identity;
mod record;
mod reject;

pub use body::items;
pub use chunk::{Chunk, Pool};
pub use decode::{decode, decode_bytes};
pub use discover::{Discovery, discover};
pub use head::head;
pub use identity::{content_hash, keyed_content_hash};
pub use input::{Input, InputId, Options, Source};
pub use native::{diagnose, recover};
pub use reader::Chunks;
pub use record::{Format, Item, Record};
pub use reject::{Reason, Rejected, SkipReason, Skipped};
pub use salvage::salvage;
