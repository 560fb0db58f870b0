//! What the tests share: read bytes through the whole way, collect what came out.
#![allow(dead_code)]

use std::io::{Cursor, Write};

use klio_source::{
    Chunks, Format, Input, Item, Options, Pool, Reason, Rejected, SkipReason, Skipped, decode, decode_bytes,
};

/// An owned record.
#[derive(Clone, PartialEq)]
pub struct Rec {
    pub json: String,
    pub raw: Vec<u8>,
    pub line: u64,
    pub salvaged: bool,
    pub format: Format,
}

impl std::fmt::Debug for Rec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head: String = self.json.chars().take(90).collect();
        write!(
            f,
            "{}: {head}… ({} of {} bytes, {:?})",
            self.line,
            self.json.len(),
            self.raw.len(),
            self.salvaged
        )
    }
}

/// Everything that came out of an input.
#[derive(Debug, Default, Clone)]
pub struct Got {
    pub records: Vec<Rec>,
    pub rejected: Vec<Rejected>,
    pub skipped: Vec<Skipped>,
    pub widest: usize,
}

impl Got {
    pub fn sink(&mut self) -> impl FnMut(Item<'_>) + '_ {
        |item| match item {
            Item::Record(r) => self.records.push(Rec {
                json: r.json.to_owned(),
                raw: r.raw.to_vec(),
                line: r.line,
                salvaged: r.salvaged,
                format: r.format,
            }),
            Item::Rejected(r) => self.rejected.push(r),
            Item::Skipped(s) => self.skipped.push(s),
        }
    }

    pub fn lines(&self) -> Vec<u64> {
        self.records.iter().map(|r| r.line).collect()
    }

    pub fn ids(&self) -> Vec<String> {
        self.records.iter().map(|r| field(&r.json, "auditID")).collect()
    }

    pub fn reasons(&self) -> Vec<(u64, &Reason)> {
        self.rejected.iter().map(|r| (r.line, &r.reason)).collect()
    }

    pub fn skips(&self, reason: SkipReason) -> u64 {
        self.skipped.iter().filter(|s| s.reason == reason).map(|s| s.count).sum()
    }

    /// Records, rejects and skips together.
    pub fn told(&self) -> u64 {
        self.records.len() as u64
            + self.rejected.iter().map(|r| r.count).sum::<u64>()
            + self.skipped.iter().map(|s| s.count).sum::<u64>()
    }
}

/// The value of a top-level string member, as JSON.
pub fn field(json: &str, name: &str) -> String {
    let v: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"));
    v[name].as_str().unwrap_or_default().to_string()
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

pub fn read_with(bytes: impl Into<Vec<u8>>, options: &Options) -> Got {
    read_input(bytes, &Input::file("t.log"), options)
}

pub fn read_input(bytes: impl Into<Vec<u8>>, input: &Input, options: &Options) -> Got {
    let mut got = Got::default();
    let source = Box::new(Cursor::new(bytes.into()));
    for chunk in Chunks::from_reader(source, input, options, &Pool::default()) {
        got.widest = got.widest.max(chunk.bytes().len());
        decode(&chunk, &mut got.sink());
    }
    got
}

pub fn read(bytes: impl Into<Vec<u8>>) -> Got {
    read_with(bytes, &Options::default())
}

/// Reads with many chunk sizes and checks that the seams do not show.
pub fn read_all_ways(bytes: &[u8]) -> Got {
    let whole = read(bytes);
    for chunk in [1, 7, 64, 333, 5000] {
        let got = read_with(bytes, &Options { chunk, ..Options::default() });
        assert_eq!(got.records, whole.records, "records differ with chunks of {chunk}");
        let place = |g: &Got| {
            g.rejected.iter().filter(|r| r.count == 1).map(|r| (r.line, r.reason.clone())).collect::<Vec<_>>()
        };
        if whole.rejected.iter().all(|r| r.count == 1) {
            assert_eq!(place(&got), place(&whole), "rejects differ with chunks of {chunk}");
        }
        assert_eq!(got.told(), whole.told());
    }
    whole
}

pub fn body(bytes: &[u8]) -> Got {
    let mut got = Got::default();
    decode_bytes("body", bytes, &mut got.sink());
    got
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

/// A small invented event as the apiserver writes it.
pub fn event(id: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods?limit=5\u0026watch=false","verb":"list","user":{{"username":"ana@example.org","groups":["devs","system:authenticated"]}},"sourceIPs":["203.0.113.7"],"userAgent":"kubectl/v1.31.2","objectRef":{{"resource":"pods","namespace":"shop","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-08-20T10:00:00.123456Z","stageTimestamp":"2026-08-20T10:00:00.130000Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"devs/shop\""}}}}"#
    )
}

/// The same as an item of an EventList.
pub fn item(id: &str) -> String {
    event(id).replacen(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "", 1)
}

pub fn pretty(text: &str) -> String {
    serde_json::to_string_pretty(&json(text)).unwrap()
}
