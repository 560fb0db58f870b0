//! In place of [`crate::keep`] in a Klio that is built without the lake: there is nobody who keeps anything.

use std::sync::Arc;

use klio_model::{Event, Severity};

use crate::failure::Failure;

/// There is none.
pub enum Keeper {}

/// There are none.
pub enum Terms {}

/// There is none.
#[derive(Clone)]
pub enum Origin {}

/// There is none.
pub enum Spooled {}

/// There is none.
pub enum Verdict {}

/// Empty.
#[derive(Default)]
pub struct Shelf;

/// Empty.
#[derive(Default)]
pub struct Taken {
    pub shelf: Shelf,
    pub keep: Vec<bool>,
    pub findings: Vec<Verdict>,
}

#[expect(clippy::unused_self, reason = "as the real one")]
impl Shelf {
    pub fn clear(&mut self) {}
}

impl Terms {
    pub fn redact(&self, _: &str, _: &Event<'_>, _: &mut String) -> bool {
        match *self {}
    }

    pub fn put(&self, _: &mut Shelf, _: &Event<'_>, _: &str, _: Option<&Origin>, _: Option<Severity>) {
        match *self {}
    }
}

impl Spooled {
    pub fn seq(&self) -> u64 {
        match *self {}
    }

    pub fn origin(&self) -> &Origin {
        match *self {}
    }

    pub fn source(&self) -> &str {
        match *self {}
    }

    pub fn entries(&self) -> std::iter::Empty<(&str, bool)> {
        match *self {}
    }
}

impl Keeper {
    pub fn begin(&mut self, _: &Arc<str>, _: u64) {
        match *self {}
    }

    pub fn hand_in(&mut self, _: &Arc<str>, _: usize) -> u64 {
        match *self {}
    }

    pub fn is_known(&mut self, _: &Arc<str>, _: u64) -> bool {
        match *self {}
    }

    pub fn take(&mut self, _: &Arc<str>, _: u64, _: Taken) -> Result<Shelf, Failure> {
        match *self {}
    }

    pub fn judging(&mut self, _: &Origin) {
        match *self {}
    }

    pub fn is_due(&self) -> bool {
        match *self {}
    }

    pub fn finish(&mut self, _: Vec<Verdict>) -> Result<(), Failure> {
        match *self {}
    }

    pub fn again(&mut self, _: u64, _: &Origin, _: &mut Taken) {
        match *self {}
    }

    pub fn is_full(&self) -> bool {
        match *self {}
    }

    pub fn finding(&mut self, _: &[u8]) {
        match *self {}
    }

    pub fn found(&mut self) -> Vec<Verdict> {
        match *self {}
    }

    pub fn pending(&self) -> Result<std::iter::Empty<Result<Spooled, Failure>>, Failure> {
        match *self {}
    }
}

/// Which cluster's records these are.
pub fn cluster_of(_: Option<&Origin>, _: Option<&Terms>) -> Option<String> {
    None
}

/// How a file is called as a source.
pub fn source(_: &str) -> String {
    String::new()
}

/// Stands for the begin of a file.
pub fn head(_: &[u8]) -> u64 {
    0
}
