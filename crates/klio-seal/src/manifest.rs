//! What a leaf of the log says: one statement about the lake and when it was made, as canonical JSON (fixed
//! order of keys, whole numbers only).

mod statement;

pub use statement::*;

use serde::{Deserialize, Serialize};

use crate::key::Verifier;

/// Largest entry of a log (C2SP tlog-tiles: entries are prefixed with 16 bits of length).
pub const MAX_ENTRY: usize = 65_535;

/// One leaf of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// When the statement was made: microseconds since 1970, UTC, by the writer's clock.
    pub time: i64,
    /// What is stated.
    #[serde(flatten)]
    pub statement: Statement,
}

/// An entry as this version of Klio can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A statement that this version knows in full.
    Known(Manifest),
    /// A statement that this version knows, in bytes that it would have written otherwise: a newer version
    /// added something to it.
    Extended(Manifest),
    /// A kind of statement from a newer version.
    Newer {
        /// Its name.
        kind: String,
        /// When it was made, if it says so as all do.
        time: Option<i64>,
    },
}

/// A manifest cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The statement does not fit into an entry.
    #[error("the manifest is {0} bytes long, an entry holds at most 65535")]
    TooLong(usize),
    /// The bytes are not JSON with a `kind`, or a known kind lacks what it must have.
    #[error("not a manifest: {0}")]
    Malformed(String),
}

impl Manifest {
    /// Writes the entry's bytes.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        let bytes = serde_json::to_vec(self).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        if bytes.len() > MAX_ENTRY { Err(ManifestError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads an entry's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Entry, ManifestError> {
        #[derive(Deserialize)]
        struct Envelope {
            kind: String,
            time: Option<i64>,
        }
        if bytes.len() > MAX_ENTRY {
            return Err(ManifestError::TooLong(bytes.len()));
        }
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(malformed)?;
        if !KINDS.contains(&envelope.kind.as_str()) {
            return Ok(Entry::Newer { kind: envelope.kind, time: envelope.time });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if manifest.encode()? == bytes { Ok(Entry::Known(manifest)) } else { Ok(Entry::Extended(manifest)) }
    }
}

impl Entry {
    /// When the statement was made, in microseconds since 1970.
    pub fn time(&self) -> Option<i64> {
        match self {
            Self::Known(manifest) | Self::Extended(manifest) => Some(manifest.time),
            Self::Newer { time, .. } => *time,
        }
    }

    /// The statement, if this version knows it.
    pub fn statement(&self) -> Option<&Statement> {
        match self {
            Self::Known(manifest) | Self::Extended(manifest) => Some(&manifest.statement),
            Self::Newer { .. } => None,
        }
    }

    /// The key that signs the log from here on, if this hands it over.
    pub fn next_key(&self) -> Option<Verifier> {
        match self.statement()? {
            Statement::Key(Key { event: KeyEvent::Rotated, verifier: Some(text), .. }) => text.parse().ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    fn manifests() -> Vec<Manifest> {
        let file = StoredFile {
            table: "audit".into(),
            partition: "cluster=a/day=2026-11-21".into(),
            file: "audit/0001.parquet".into(),
            file_hash: Hash::of(b"file"),
            bytes: 10,
            rows: 2,
            root: Hash::of(b"root"),
            key: None,
        };
        let statements = vec![
            Statement::Opened(Opened { lake: "l".into(), origin: "o".into(), tool: "klio 0.1".into() }),
            Statement::Segment(Segment {
                stored: file.clone(),
                flush: u64::MAX,
                first_event: Some(-1),
                last_event: None,
                first_received: 1,
                last_received: 2,
                spool: Span { from: 0, to: 9 },
                redaction: "default-1".into(),
                sources: vec!["webhook".into()],
            }),
            Statement::Compaction(Compaction { stored: file, replaces: vec![1, 2] }),
            Statement::Expiry(Expiry {
                table: "audit".into(),
                partition: "p".into(),
                rule: "400d".into(),
                reason: "retention".into(),
                at: 3,
                removed: vec![1],
                files: vec!["f".into()],
            }),
            Statement::Hold(Hold { filter: "verb = delete".into(), owner: "o".into(), reason: "r".into() }),
            Statement::Release(Hold {
                filter: "verb = delete".into(),
                owner: "o".into(),
                reason: "r".into(),
            }),
            Statement::Key(Key { event: KeyEvent::Destroyed, id: "k1".into(), verifier: None }),
            Statement::Tick,
            Statement::Note(Remark { topic: "export".into(), text: "…".into(), hash: Some(Hash::empty()) }),
        ];
        statements.into_iter().map(|statement| Manifest { time: 1_795_000_000_000_000, statement }).collect()
    }

    #[test]
    fn round_trips() {
        let mut kinds = Vec::new();
        for manifest in manifests() {
            let bytes = manifest.encode().unwrap();
            assert_eq!(Manifest::decode(&bytes).unwrap(), Entry::Known(manifest));
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            kinds.push(json["kind"].as_str().unwrap().to_owned());
        }
        assert_eq!(kinds, KINDS);
    }

    #[test]
    fn canonical_bytes() {
        let tick = Manifest { time: 5, statement: Statement::Tick };
        assert_eq!(tick.encode().unwrap(), br#"{"time":5,"kind":"tick"}"#);
    }

    #[test]
    fn newer_versions_stay_readable() {
        let tick = Manifest { time: 5, statement: Statement::Tick };
        let more = br#"{"time":5,"kind":"tick","mood":"fine"}"#;
        assert_eq!(Manifest::decode(more).unwrap(), Entry::Extended(tick));
        let newer = br#"{"time":5,"kind":"oath","by":{"x":1.5}}"#;
        assert_eq!(Manifest::decode(newer).unwrap(), Entry::Newer { kind: "oath".into(), time: Some(5) });
        for bad in
            [&b"{}"[..], b"[]", b"", b"{\"kind\":\"segment\",\"time\":1}", " ".repeat(70_000).as_bytes()]
        {
            assert!(Manifest::decode(bad).is_err());
        }
    }

    #[test]
    fn too_long() {
        let text = "x".repeat(MAX_ENTRY);
        let remark = Statement::Note(Remark { topic: "t".into(), text, hash: None });
        assert!(matches!(Manifest { time: 0, statement: remark }.encode(), Err(ManifestError::TooLong(_))));
    }
}
