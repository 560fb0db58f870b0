//! The API as clients see it, over an archive in memory and a desk in a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are not tests to the lint

mod accounts;
mod asking;
mod asks;
mod audit;
mod gate;
mod matrix;
mod memory;
mod room;
mod running;
mod sign_in;
mod streams;
mod window;
mod world;
