//! The API as clients see it, over an archive in memory and a desk in a file.

mod accounts;
mod asking;
mod audit;
mod gate;
mod matrix;
mod memory;
mod room;
mod streams;
mod world;
