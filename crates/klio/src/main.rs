//! The `klio` program.
fn main() {}
