//! Asks each event only the rules that could match it.

/// Compiled rules with their dispatch.
#[derive(Debug)]
pub struct Engine;
