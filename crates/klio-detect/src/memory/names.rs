//! The few names that facts are made of, by their hashes.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::table::{Entry, Table};
use super::trace::hash;

/// Longer names are not remembered: the API server's own are shorter (`apimachinery/pkg/util/validation`).
const LONGEST: usize = 1_024;

/// A user name or a workload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Name {
    last: u32,
    #[serde(serialize_with = "write", deserialize_with = "read")]
    text: Arc<str>,
}

fn write<S: Serializer>(text: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(text)
}

fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Arc<str>, D::Error> {
    <&str>::deserialize(d).map(Arc::from)
}

impl Entry for Name {
    fn last(&self) -> u32 {
        self.last
    }
    fn heap(&self) -> usize {
        self.text.len() + 2 * size_of::<usize>()
    }
}

/// Names by their hashes.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) table: Table<Name>,
}

impl Names {
    /// Remembers a name and gives what stands for it; 0 if it cannot.
    pub(super) fn put(&mut self, text: &str, at: u32) -> u64 {
        if text.len() > LONGEST {
            return 0;
        }
        let key = hash(text);
        let make = || Name { last: at, text: text.into() };
        self.table.update(key, make, |name| name.last = name.last.max(at));
        key
    }

    pub(super) fn get(&self, key: u64) -> Option<Arc<str>> {
        self.table.get(key).map(|name| name.text.clone())
    }
}
