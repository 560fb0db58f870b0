//! Witnesses: others who remember the last checkpoint of a log and cosign the next only if it continues it
//! (C2SP tlog-witness and tlog-cosignature). How requests travel is not decided here; their text is that of
//! tlog-witness `add-checkpoint`.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path as FsPath, PathBuf},
    str::FromStr,
};

use crate::{
    disk::{self, Disk},
    hash::Hash,
    key::{Scheme, Signer, Verifier},
    note::{Checkpoint, MAX_NOTE, Note, NoteError},
    tree::{Path, ProofError, verify_consistency},
};

/// Remembers one log and cosigns what continues it.
#[derive(Debug)]
pub struct Witness {
    state: PathBuf,
    signer: Signer,
    log: Vec<Verifier>,
}

/// What a witness is asked to cosign: a checkpoint, and the proof that it continues the one of `old` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The size that the witness cosigned last; 0 for the first time.
    pub old: u64,
    /// The consistency proof; empty for `old` of 0 or of the checkpoint's own size.
    pub proof: Path,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// A witness does not cosign.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The request has not the form of `add-checkpoint`.
    #[error("not a request to a witness: {0}")]
    Malformed(&'static str),
    /// The checkpoint is not readable, or not signed by the log's key.
    #[error("the checkpoint is refused: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint belongs to another log.
    #[error("the checkpoint is of {0}, which this witness does not watch")]
    Origin(String),
    /// The proof starts elsewhere than at what the witness saw last.
    #[error("the last checkpoint seen here has {seen} entries, the proof starts at {old}")]
    OldSize {
        /// What the witness saw last; ask again with a proof from there.
        seen: u64,
        /// Where the proof starts.
        old: u64,
    },
    /// The checkpoint has fewer entries than one seen before.
    #[error("the checkpoint has {size} entries, an earlier one had {seen}: replayed or truncated")]
    Older {
        /// What the witness saw last.
        seen: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// The checkpoint does not continue the last one: two histories of one log.
    #[error("the checkpoint does not continue the one of {seen} entries seen before: {why}")]
    Fork {
        /// What the witness saw last.
        seen: u64,
        /// What the proof lacks.
        why: ProofError,
    },
    /// A log's key cannot cosign.
    #[error("{0} is no witness's key")]
    LogKey(String),
    /// What the witness remembers cannot be read or written.
    #[error("{path}: {source}")]
    State {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Which witnesses count, and how many of them must have cosigned.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Their keys.
    pub witnesses: Vec<Verifier>,
    /// How many must have signed the same checkpoint; 0 asks for none.
    pub quorum: usize,
}

impl Witness {
    /// A witness of the log that one of `log` signs. `state` is the file in which it remembers; it need not
    /// exist.
    pub fn new(state: &FsPath, signer: Signer, log: Vec<Verifier>) -> Result<Self, Refused> {
        if signer.verifier().scheme() != Scheme::Cosignature {
            return Err(Refused::LogKey(signer.verifier().to_string()));
        }
        Ok(Self { state: state.to_owned(), signer, log })
    }

    /// The key that others verify its cosignatures with.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// The last checkpoint it cosigned.
    pub fn seen(&self) -> Result<Option<Checkpoint>, Refused> {
        let bytes = disk::read(&self.state, MAX_NOTE as u64).map_err(|source| self.failed(source))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        let (checkpoint, note) = Checkpoint::parse(&text)?;
        // What it remembers is signed by itself, so that a changed memory does not go unnoticed.
        note.verify(std::slice::from_ref(self.signer.verifier()))?;
        Ok(Some(checkpoint))
    }

    /// Checks a request, remembers its checkpoint durably and returns the signature line. `now` is in seconds
    /// since 1970.
    pub fn cosign(&self, request: &Request, now: u64) -> Result<String, Refused> {
        let _lock = self.lock().map_err(|source| self.failed(source))?;
        let (new, mut note) = Checkpoint::parse(&request.checkpoint)?;
        if self.log.iter().all(|key| key.name() != new.origin) {
            return Err(Refused::Origin(new.origin));
        }
        note.verify(&self.log)?;
        let seen = self.seen()?;
        if let Some(seen) = seen.as_ref().filter(|seen| seen.origin != new.origin) {
            return Err(Refused::Origin(seen.origin.clone()));
        }
        let (size, root) = seen.map_or((0, Hash::empty()), |seen| (seen.size, seen.root));
        if new.size < size {
            return Err(Refused::Older { seen: size, size: new.size });
        }
        if request.old != size {
            return Err(Refused::OldSize { seen: size, old: request.old });
        }
        verify_consistency(size, &root, new.size, &new.root, &request.proof)
            .map_err(|why| Refused::Fork { seen: size, why })?;
        note.add(&self.signer, now);
        let kept = note.to_string();
        self.remember(&kept).map_err(|source| self.failed(source))?;
        let line = note.signatures().last().map(|line| format!("{line}\n"));
        line.ok_or(Refused::Note(NoteError::Unsigned))
    }

    fn remember(&self, note: &str) -> io::Result<()> {
        let name = self.state.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
        let directory = self.state.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut disk = Disk::new(directory.unwrap_or(FsPath::new(".")));
        disk.put(name, note.as_bytes())?;
        disk.settle()
    }

    /// Two requests at once must not both compare with the same memory.
    fn lock(&self) -> io::Result<fs::File> {
        let mut path = self.state.clone().into_os_string();
        path.push(".lock");
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> Refused {
        Refused::State { path: self.state.display().to_string(), source }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.0.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Request {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let malformed = Refused::Malformed;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(malformed("no empty line"))?;
        let mut lines = head.split('\n');
        let digits =
            lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(malformed("no old size"))?;
        let old: u64 = digits.parse().map_err(|_| malformed("the old size is no number"))?;
        if old.to_string() != digits || lines.clone().count() > 63 {
            return Err(malformed("the old size is not in its shortest form, or more than 63 hashes"));
        }
        let proof = lines.map(|line| Hash::from_base64(line).map_err(|_| malformed("a line is no hash")));
        Ok(Self { old, proof: Path(proof.collect::<Result<_, _>>()?), checkpoint: checkpoint.to_owned() })
    }
}

impl Policy {
    /// How many witnesses cosigned the note and the earliest time by which the quorum had done so, in seconds
    /// since 1970. A wrong signature of a known witness is an error.
    pub fn count(&self, note: &Note) -> Result<(usize, Option<u64>), NoteError> {
        match note.verify(&self.witnesses) {
            Err(NoteError::Unsigned) => Ok((0, None)),
            Err(error) => Err(error),
            Ok(signed) => {
                // One key under two names is one witness (C2SP tlog-policy, "duplicate").
                let mut keys = BTreeSet::new();
                let fresh = signed.iter().filter(|signed| keys.insert(*signed.by.public()));
                let mut times: Vec<u64> = fresh.filter_map(|signed| signed.time).collect();
                times.sort_unstable();
                Ok((times.len(), times.get(self.quorum.saturating_sub(1)).copied()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::tree::{consistency, root};

    fn request(old: u64, leaves: &[Hash], signer: &Signer) -> Request {
        let origin = signer.verifier().name().to_owned();
        let size = leaves.len() as u64;
        let text = Checkpoint { origin, size, root: root(leaves), extensions: vec![] }.to_text();
        let checkpoint = Note::sign(&text, signer, 0).unwrap().to_string();
        Request { old, proof: consistency(leaves, old).unwrap_or_default(), checkpoint }
    }

    #[test]
    fn cosigns_only_what_continues() {
        let directory = tempfile::tempdir().unwrap();
        let log = Signer::from_seed("log", Scheme::Note, &[1; 32]).unwrap();
        let stranger = Signer::from_seed("log", Scheme::Note, &[3; 32]).unwrap();
        let key = || Signer::from_seed("w", Scheme::Cosignature, &[2; 32]).unwrap();
        let state = directory.path().join("seen");
        let new = || Witness::new(&state, key(), vec![log.verifier().clone()]).unwrap();
        let honest: Vec<Hash> = (0..9u8).map(|n| leaf_hash(&[n])).collect();
        let mut forged = honest.clone();
        forged[2] = leaf_hash(b"forged");

        assert!(matches!(new().cosign(&request(0, &honest[..4], &stranger), 1), Err(Refused::Note(_))));
        let first = request(0, &honest[..4], &log);
        assert_eq!(first.to_string().parse::<Request>().unwrap(), first);
        let line = new().cosign(&first, 77).unwrap();
        let mut note = Note::parse(&first.checkpoint).unwrap();
        note.add_line(line.trim_end()).unwrap();
        let policy = Policy { witnesses: vec![key().verifier().clone()], quorum: 1 };
        assert_eq!(policy.count(&note).unwrap(), (1, Some(77)));
        // The same key under another name does not make two witnesses.
        let alias = Signer::from_seed("v", Scheme::Cosignature, &[2; 32]).unwrap();
        note.add(&alias, 70);
        let both = vec![key().verifier().clone(), alias.verifier().clone()];
        assert_eq!(Policy { witnesses: both, quorum: 2 }.count(&note).unwrap().0, 1);

        // A new instance remembers: replay, fork at the same size, fork later, wrong start.
        assert!(matches!(
            new().cosign(&request(0, &honest[..3], &log), 2),
            Err(Refused::Older { seen: 4, size: 3 })
        ));
        assert!(matches!(
            new().cosign(&request(4, &forged[..4], &log), 2),
            Err(Refused::Fork { seen: 4, .. })
        ));
        assert!(matches!(new().cosign(&request(4, &forged, &log), 2), Err(Refused::Fork { seen: 4, .. })));
        assert!(matches!(
            new().cosign(&request(0, &honest, &log), 2),
            Err(Refused::OldSize { seen: 4, old: 0 })
        ));
        new().cosign(&request(4, &honest[..4], &log), 3).unwrap();
        new().cosign(&request(4, &honest, &log), 4).unwrap();
        assert_eq!(new().seen().unwrap().unwrap().size, 9);

        let mut memory = fs::read_to_string(&state).unwrap();
        memory = memory.replace("log\n9\n", "log\n3\n");
        fs::write(&state, memory).unwrap();
        assert!(matches!(new().seen(), Err(Refused::Note(NoteError::BadSignature { .. }))));
    }
}
