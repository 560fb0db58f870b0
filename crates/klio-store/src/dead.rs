//! Dead letters: bytes that were delivered as events and are none. They are durable before they are acknowledged, and wait
//! for somebody to look at them.
//!
//! Secrets could not be found in what cannot be read, so dead letters are always encrypted: with the spool's key, or
//! with the secret of redaction where the lake itself is not encrypted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::keys::{Cipher, Secret};
use crate::place::sync;
use crate::settings::Settings;
use crate::spool::{MAX_PAYLOAD, Options, Spool, SpoolError, SpoolReader};

/// Bytes that dead letters may take; the oldest make room.
const MOST: u64 = 256 << 20;
/// Bytes of one file of them: what is given up at once.
const FILE: u64 = 32 << 20;

/// Bytes that are no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The cluster.
    pub cluster: String,
    /// The source that delivered them.
    pub source: String,
    /// When, in microseconds since 1970.
    pub received: i64,
    /// Why they are no event, and what helps.
    pub reason: String,
    /// As they came.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

/// The dead letters of a lake, open for writing.
#[derive(Debug)]
pub struct DeadLetters {
    spool: Spool,
    dir: PathBuf,
    /// Those that were removed out of order.
    forgotten: Mutex<BTreeSet<u64>>,
}

/// The numbers of those that were removed out of order.
const FORGOTTEN: &str = "dead/forgotten.json";

fn forgotten(dir: &Path) -> Result<BTreeSet<u64>, StoreError> {
    let path = dir.join(FORGOTTEN);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|e| StoreError::Damaged { file: FORGOTTEN.into(), said: e.to_string() }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(StoreError::io(&path)(e)),
    }
}

impl DeadLetters {
    /// Opens those of the lake in `dir`; `secret` encrypts them if the lake has no key of its own.
    pub fn open(dir: &Path, settings: &Settings, secret: [u8; 32]) -> Result<Self, StoreError> {
        let key = Some(cipher(dir, settings, secret)?);
        let options = Options { max_bytes: MOST, file_bytes: FILE, key };
        let (spool, recovered) = Spool::open(&dir.join("dead"), options)?;
        if let Some(damage) = recovered.damage.into_iter().next() {
            return Err(damage.into());
        }
        Ok(Self { spool, dir: dir.to_owned(), forgotten: Mutex::new(forgotten(dir)?) })
    }

    /// Keeps one and returns its number. Those that are too large are cut, those that are too many make the oldest go.
    pub fn keep(&self, letter: &DeadLetter) -> Result<u64, StoreError> {
        let header = serde_json::to_vec(letter).map_err(|e| StoreError::Query(e.to_string()))?;
        let bytes = letter.bytes.get(..MAX_PAYLOAD.min(FILE as usize / 2)).unwrap_or(&letter.bytes);
        loop {
            match self.spool.append(&header, bytes) {
                Err(SpoolError::Full { .. }) => self.spool.cut(self.spool.oldest()?)?,
                done => return Ok(done?),
            }
        }
    }

    /// The first that is still there and the last; nothing if `first` is above it.
    pub fn numbers(&self) -> (u64, u64) {
        (self.spool.position() + 1, self.spool.last())
    }

    /// Removes those up to a number, which somebody has seen to.
    pub fn remove(&self, upto: u64) -> Result<(), StoreError> {
        Ok(self.spool.cut(upto)?)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        let (first, last) = self.numbers();
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        (last + 1).saturating_sub(first).saturating_sub(forgotten.range(first..).count() as u64)
    }

    /// Removes one, which is not read again.
    pub fn forget(&self, number: u64) -> Result<(), StoreError> {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = self.numbers();
        if number < first || number > last {
            return Ok(());
        }
        let mut all = forgotten.split_off(&first);
        all.insert(number);
        let mut upto = first;
        while all.remove(&upto) {
            upto += 1;
        }
        if upto > first {
            self.spool.cut(upto - 1)?;
        }
        let path = self.dir.join(FORGOTTEN);
        let new = path.with_extension("new");
        let text = serde_json::to_vec(&all).map_err(|e| StoreError::Query(e.to_string()))?;
        fs::write(&new, text).map_err(StoreError::io(&new))?;
        sync(&new)?;
        fs::rename(&new, &path).map_err(StoreError::io(&path))?;
        *forgotten = all;
        Ok(())
    }

    /// Reads those of the lake in `dir` above a number, also while another process writes.
    pub fn read(
        dir: &Path,
        settings: &Settings,
        secret: [u8; 32],
        after: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, DeadLetter), StoreError>> + use<>, StoreError> {
        let key = Some(cipher(dir, settings, secret)?);
        let forgotten = forgotten(dir)?;
        let dir = dir.join("dead");
        let after = SpoolReader::position(&dir)?.max(after);
        let reader = dir.is_dir().then(|| SpoolReader::after(&dir, key, after));
        let is_there = move |read: &Result<(u64, DeadLetter), StoreError>| {
            read.as_ref().map_or(true, |(number, _)| !forgotten.contains(number))
        };
        let read = reader.into_iter().flatten().map(|batch| {
            let batch = batch?;
            let letter: DeadLetter = serde_json::from_slice(&batch.header).map_err(|e| {
                StoreError::Damaged { file: format!("dead letter {}", batch.seq), said: e.to_string() }
            })?;
            Ok((batch.seq, DeadLetter { bytes: batch.payload, ..letter }))
        });
        Ok(read.filter(is_there))
    }
}

fn cipher(dir: &Path, settings: &Settings, secret: [u8; 32]) -> Result<Arc<Cipher>, StoreError> {
    if let Some(vault) = settings.vault(dir)? {
        return vault.spool();
    }
    let secret = Secret::from_slice(&secret).ok_or_else(|| StoreError::Query("no secret".into()))?;
    Ok(Arc::new(Cipher::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(text: &str) -> DeadLetter {
        DeadLetter {
            cluster: "prod".into(),
            source: "webhook".into(),
            received: 1,
            reason: "no event".into(),
            bytes: text.into(),
        }
    }

    #[test]
    fn letters_are_kept_encrypted_and_go_when_they_were_seen_to() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let dead = DeadLetters::open(dir.path(), &settings, [7; 32]).unwrap();
        dead.keep(&letter("password=hunter2 {")).unwrap();
        dead.keep(&letter("second")).unwrap();
        let read = |after| {
            let all = DeadLetters::read(dir.path(), &settings, [7; 32], after).unwrap();
            all.map(Result::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(read(0), [(1, letter("password=hunter2 {")), (2, letter("second"))]);
        for file in fs::read_dir(dir.path().join("dead")).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(7).any(|w| w == b"hunter2"));
        }
        dead.keep(&letter("third")).unwrap();
        dead.forget(2).unwrap();
        assert_eq!((read(0).len(), dead.count()), (2, 2));
        dead.forget(1).unwrap();
        assert_eq!((read(0), dead.numbers()), (vec![(3, letter("third"))], (3, 3)));
        dead.keep(&letter("second")).unwrap();
        dead.remove(3).unwrap();
        assert_eq!(read(0), [(4, letter("second"))]);
        assert_eq!(dead.numbers(), (4, 4));
    }

    #[test]
    fn the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let dead = DeadLetters::open(dir.path(), &Settings::default(), [7; 32]).unwrap();
        let large = letter(&"x".repeat(12 << 20));
        for _ in 0..30 {
            dead.keep(&large).unwrap();
        }
        let (first, last) = dead.numbers();
        assert_eq!(last, 30);
        assert!((3..15).contains(&first), "{first}");
    }
}
