//! A memory as bytes, and back.
//!
//! A snapshot begins with a mark and a version; then come the days, and each table as its number of entries and the
//! entries in the order of their keys, as postcard writes them. Reading trusts nothing: entries are taken one by one
//! into tables of bounded size, and nothing is asked for by a number that the bytes say.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::table::{Entry, Table};
use super::{Days, Memory};

/// What a snapshot begins with; the last byte is the version of the layout.
const MARK: &[u8; 8] = b"klio-me\x03";
/// No snapshot asks for more.
const MOST: u64 = 64 << 30;

/// Why bytes are no memory.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// They are something else, or of another version.
    #[error("these bytes are no memory of this version of Klio")]
    Foreign,
    /// They are cut or altered.
    #[error("the memory is damaged")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Head {
    budget: u64,
    days: Days,
}

fn put<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    // Writing to memory fails only for types that postcard cannot hold.
    if let Ok(longer) = postcard::to_extend(value, std::mem::take(out)) {
        *out = longer;
    }
}

fn put_table<E: Entry>(table: &Table<E>, out: &mut Vec<u8>) {
    let all = table.sorted();
    put(&(all.len() as u64), out);
    for entry in all {
        put(&entry, out);
    }
}

fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Forgotten> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| Forgotten::Damaged)?;
    *bytes = rest;
    Ok(value)
}

fn take_table<E: Entry>(table: &mut Table<E>, bytes: &mut &[u8]) -> Result<(), Forgotten> {
    let count: u64 = take(bytes)?;
    for _ in 0..count {
        let (key, mut entry): (u64, E) = take(bytes)?;
        entry.tidy();
        table.insert(key, entry);
    }
    Ok(())
}

impl Memory {
    /// All that is remembered, as bytes. The same memory gives the same bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = MARK.to_vec();
        put(&Head { budget: self.budget as u64, days: self.days.clone() }, &mut out);
        put_table(&self.baselines.actors, &mut out);
        put_table(&self.baselines.tuples, &mut out);
        put_table(&self.baselines.doings, &mut out);
        put_table(&self.baselines.peers, &mut out);
        put_table(&self.credentials.table, &mut out);
        put_table(&self.inventory.pods, &mut out);
        put_table(&self.inventory.nodes, &mut out);
        put_table(&self.inventory.objects, &mut out);
        put_table(&self.causes.table, &mut out);
        put_table(&self.names.table, &mut out);
        out
    }

    /// A memory from the bytes of a snapshot.
    ///
    /// # Errors
    /// [`Forgotten`] if they are not a whole snapshot of this version.
    pub fn restore(bytes: &[u8]) -> Result<Self, Forgotten> {
        let mut bytes = bytes.strip_prefix(MARK).ok_or(Forgotten::Foreign)?;
        let bytes = &mut bytes;
        let head: Head = take(bytes)?;
        let mut memory = Self::new(usize::try_from(head.budget.min(MOST)).unwrap_or(usize::MAX));
        memory.days = head.days;
        memory.days.tidy();
        take_table(&mut memory.baselines.actors, bytes)?;
        take_table(&mut memory.baselines.tuples, bytes)?;
        take_table(&mut memory.baselines.doings, bytes)?;
        take_table(&mut memory.baselines.peers, bytes)?;
        take_table(&mut memory.credentials.table, bytes)?;
        take_table(&mut memory.inventory.pods, bytes)?;
        take_table(&mut memory.inventory.nodes, bytes)?;
        take_table(&mut memory.inventory.objects, bytes)?;
        take_table(&mut memory.causes.table, bytes)?;
        take_table(&mut memory.names.table, bytes)?;
        if bytes.is_empty() { Ok(memory) } else { Err(Forgotten::Damaged) }
    }
}
