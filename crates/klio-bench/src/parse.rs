//! The yardstick: a bare typed sonic-rs parse of three fields, reading like the scan does.
//!
//! Anything that reads audit JSON with a typed parser pays at least this much, so the price of detection is
//! told as a multiple of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Bytes asked of the kernel at a time.
const CHUNK: usize = 4 << 20;

/// What the parse saw.
#[derive(Debug, Default, Serialize)]
pub struct Parsed {
    /// Lines that are events.
    pub events: u64,
    /// Lines that are not.
    pub failed: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Events whose verb is `create`: makes the parse's result used.
    pub creates: u64,
}

#[derive(Deserialize)]
struct Event<'a> {
    verb: &'a str,
    #[serde(rename = "objectRef", borrow, default)]
    object: Option<Object<'a>>,
    #[serde(borrow)]
    user: User<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(default)]
    resource: Option<&'a str>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(default)]
    username: Option<&'a str>,
}

/// Parses every line of `path`.
pub fn parse(path: &Path) -> Result<Parsed, Error> {
    let mut file = File::open(path).map_err(|source| Error::Open { path: path.to_path_buf(), source })?;
    let mut parsed = Parsed::default();
    let mut buffer = vec![0u8; CHUNK];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        let read = file.read(&mut buffer[filled..])?;
        parsed.bytes += read as u64;
        filled += read;
        let end =
            if read == 0 { filled } else { memchr::memrchr(b'\n', &buffer[..filled]).map_or(0, |at| at + 1) };
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', &buffer[..end]).chain((read == 0 && end > 0).then_some(end)) {
            if at > from {
                one(&buffer[from..at], &mut parsed);
            }
            from = at + 1;
        }
        if read == 0 {
            return Ok(parsed);
        }
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

fn one(line: &[u8], parsed: &mut Parsed) {
    match sonic_rs::from_slice::<Event<'_>>(line) {
        Ok(event) => {
            parsed.events += 1;
            let used = std::hint::black_box((
                event.object.and_then(|object| object.resource),
                event.user.username,
                event.verb,
            ));
            parsed.creates += u64::from(used.2 == "create");
        }
        Err(_) => parsed.failed += 1,
    }
}
