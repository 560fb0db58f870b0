//! Attacks on a log.
