//! Entry points for fuzzing: each takes any bytes and must neither panic nor run away.

use std::io::Cursor;

use crate::{Chunks, Input, Item, Options, Pool, decode, decode_bytes};

/// The whole way from (perhaps compressed) bytes to records, in small chunks so that every seam is met.
pub fn stream(bytes: &[u8]) -> u64 {
    let options = Options { record_cap: 4 << 10, chunk: 64, ..Options::default() };
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let mut told = 0;
    for chunk in Chunks::from_reader(source, &Input::file("fuzz"), &options, &Pool::default()) {
        decode(&chunk, &mut |item| told += count(&item));
    }
    told
}

/// One complete body: native lists and every envelope.
pub fn body(bytes: &[u8]) -> u64 {
    let mut told = 0;
    decode_bytes("fuzz", bytes, &mut |item| told += count(&item));
    told
}

/// The bytes as a CloudWatch message, whole or cut.
pub fn eks(bytes: &[u8]) -> u64 {
    wrapped(br#"{"messageType":"DATA_MESSAGE","logGroup":"/aws/eks/c/cluster","logEvents":[{"timestamp":1,"message":"#, bytes, b"}]}")
}

/// The bytes as `properties.log` of an Azure record.
pub fn aks(bytes: &[u8]) -> u64 {
    wrapped(br#"{"records":[{"category":"kube-audit","properties":{"log":"#, bytes, b"}}]}")
}

/// The bytes as the payload of a Cloud Logging entry.
pub fn gke(bytes: &[u8]) -> u64 {
    let text = [br#"{"insertId":"i","protoPayload":"#, bytes, b"}"].concat();
    body(&text)
}

/// The bytes as a cut event.
pub fn salvage(bytes: &[u8]) -> usize {
    crate::salvage(bytes, Some(0)).map_or(0, |v| v.len())
}

/// The bytes as an event to be identified.
pub fn identity(bytes: &[u8]) -> u64 {
    crate::content_hash(&String::from_utf8_lossy(bytes))
}

fn wrapped(head: &[u8], bytes: &[u8], tail: &[u8]) -> u64 {
    let mut text = head.to_vec();
    crate::write::string(&mut text, &String::from_utf8_lossy(bytes));
    text.extend_from_slice(tail);
    body(&text)
}

fn count(item: &Item<'_>) -> u64 {
    match item {
        Item::Record(_) => 1,
        Item::Rejected(r) => r.count,
        Item::Skipped(s) => s.count,
    }
}
