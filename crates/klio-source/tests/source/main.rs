//! The crate seen from outside: bytes in, records and reasons out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::format_collect)] // helpers beside the tests

mod clouds;
#[cfg(unix)]
mod follow;
#[cfg(unix)]
mod follow_histories;
mod inputs;
mod laws;
mod parts;
mod shapes;
mod support;
