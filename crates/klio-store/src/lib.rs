//! What has happened? The spool that makes a batch durable and the lake that keeps it.

pub mod keys;
pub mod spool;
