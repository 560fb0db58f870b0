//! The bytes of a spool file.
//!
//! ```text
//! file    head head record record …            the head stands twice: one bad byte must not cost the file
//! head    "klioSPL1" | flags u32 | 0 u32 | first u64 | after u64 | salt u64 | link u128 | sum u64      64 bytes
//! record  "Kbat" | header len u32 | payload len u32 | 0 u32 | seq u64 | durable u64 | prev u128
//!         | body sum u64 | head sum u64 (64 bytes), then header, then payload
//! ```
//!
//! All numbers are little-endian. *prev* is the hash of the head of the record before, which in turn holds the
//! checksum of that record's body: the chain. *durable* is the last number that was known to be on disk when the
//! record was written: it tells a torn tail (nobody was told that it was kept) from a damaged record. *after*
//! is the last number of the file before: numbers between it and *first* were given back after a failed sync.
//! Sums are seeded with the file's random *salt*, so that a payload cannot contain what looks like a record.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128};

/// Size of one head of a file.
const HEAD: usize = 64;
/// Where records begin.
pub(super) const FILE_HEAD: u64 = 2 * HEAD as u64;
/// Size of a record without its header and payload.
pub(super) const RECORD_HEAD: usize = 64;
/// First bytes of a record.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"Kbat";
const FILE_MAGIC: [u8; 8] = *b"klioSPL1";
const SEALED: u32 = 1;

/// Largest header of a batch.
pub const MAX_HEADER: usize = 64 << 10;
/// Largest payload of a batch: the largest record, also when what stands for its secrets is longer than they were, and those
/// before it.
pub const MAX_PAYLOAD: usize = 512 << 20;
/// What sealing may add to a part.
const SEAL_ROOM: usize = 256;

/// The head of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHead {
    pub sealed: bool,
    pub first: u64,
    pub after: u64,
    pub salt: u64,
    pub link: u128,
}

impl FileHead {
    /// Both copies.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * HEAD);
        out.extend_from_slice(&FILE_MAGIC);
        out.extend_from_slice(&u32::from(self.sealed).to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        for number in [self.first, self.after, self.salt] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.link.to_le_bytes());
        out.extend_from_slice(&xxh3_64_with_seed(&out, 0).to_le_bytes());
        out.extend_from_within(..);
        out
    }

    /// The first copy that is whole, and whether both were.
    pub fn decode(bytes: &[u8]) -> Option<(Self, bool)> {
        let mut copies = bytes.as_chunks::<HEAD>().0.iter().take(2).map(Self::decode_one);
        let (a, b) = (copies.next().flatten(), copies.next().flatten());
        let head = a.or(b)?;
        Some((head, a == b))
    }

    fn decode_one(bytes: &[u8; HEAD]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let magic = cursor.take::<8>()?;
        let (flags, zero) = (cursor.u32()?, cursor.u32()?);
        let (first, after, salt, link) = (cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u128()?);
        let whole = magic == FILE_MAGIC && xxh3_64_with_seed(&bytes[..HEAD - 8], 0) == cursor.u64()?;
        (whole && flags <= SEALED && zero == 0 && after < first).then_some(Self {
            sealed: flags == SEALED,
            first,
            after,
            salt,
            link,
        })
    }
}

/// The head of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub header: u32,
    pub payload: u32,
    pub seq: u64,
    pub durable: u64,
    pub prev: u128,
    pub body: u64,
}

impl RecordHead {
    pub fn encode(&self, salt: u64) -> [u8; RECORD_HEAD] {
        let mut out = [0; RECORD_HEAD];
        out[..4].copy_from_slice(&RECORD_MAGIC);
        out[4..8].copy_from_slice(&self.header.to_le_bytes());
        out[8..12].copy_from_slice(&self.payload.to_le_bytes());
        out[16..24].copy_from_slice(&self.seq.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable.to_le_bytes());
        out[32..48].copy_from_slice(&self.prev.to_le_bytes());
        out[48..56].copy_from_slice(&self.body.to_le_bytes());
        let sum = xxh3_64_with_seed(&out[..56], salt);
        out[56..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// `None` unless every byte is as it was written and the lengths are allowed.
    pub fn decode(bytes: &[u8; RECORD_HEAD], salt: u64) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let magic = cursor.take::<4>()?;
        let (header, payload, zero) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let (seq, durable, prev) = (cursor.u64()?, cursor.u64()?, cursor.u128()?);
        let (body, sum) = (cursor.u64()?, cursor.u64()?);
        let whole = magic == RECORD_MAGIC && zero == 0 && sum == xxh3_64_with_seed(&bytes[..56], salt);
        let fits = header as usize <= MAX_HEADER + SEAL_ROOM && payload as usize <= MAX_PAYLOAD + SEAL_ROOM;
        (whole && fits).then_some(Self { header, payload, seq, durable, prev, body })
    }

    /// Bytes that the whole record takes.
    pub fn size(&self) -> u64 {
        RECORD_HEAD as u64 + u64::from(self.header) + u64::from(self.payload)
    }

    /// What the next record names as *prev*.
    pub fn link(&self, salt: u64) -> u128 {
        xxh3_128(&self.encode(salt))
    }

    /// What sealing binds a part to: its file, its place, and everything before it.
    pub fn context(salt: u64, seq: u64, prev: u128, part: Part) -> [u8; 33] {
        let mut out = [part as u8; 33];
        out[..8].copy_from_slice(&salt.to_le_bytes());
        out[8..16].copy_from_slice(&seq.to_le_bytes());
        out[16..32].copy_from_slice(&prev.to_le_bytes());
        out
    }
}

/// One of the two parts of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Header = 1,
    Payload = 2,
}

/// The checksum of a record's header and payload as stored.
pub(super) fn body_sum(salt: u64, header: &[u8], payload: &[u8]) -> u64 {
    let mut hash = Xxh3::with_seed(salt);
    hash.update(header);
    hash.update(payload);
    hash.digest()
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }
}
