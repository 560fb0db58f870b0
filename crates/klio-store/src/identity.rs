//! What a lake is (`lake.json`), and the signed log that belongs to it.

use std::fs;
use std::path::Path;

use klio_model::Timestamp;
use klio_seal::{Log, Scheme, Signer, Verifier};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::place::{read_file, sync};
use crate::writer::seal;

/// The layout that this version writes (docs/lake.md).
const LAYOUT: u32 = 1;

/// Most bytes of `lake.json` and `seal.pub`.
pub(crate) const SMALL: u64 = 64 << 10;

/// `lake.json`: what a lake is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub layout: u32,
    /// The lake's id and the name of its log.
    pub origin: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// Reads `lake.json`.
pub(crate) fn read(dir: &Path) -> Result<Identity, StoreError> {
    let path = dir.join("lake.json");
    let text = read_file(&path, "lake.json", SMALL)?;
    let identity: Identity = serde_json::from_slice(&text)
        .map_err(|e| StoreError::Damaged { file: path.display().to_string(), said: e.to_string() })?;
    if identity.layout > LAYOUT {
        return Err(StoreError::Newer { found: identity.layout, known: LAYOUT });
    }
    Ok(identity)
}

/// The key that the log's signatures are verified with.
pub(crate) fn public_key(dir: &Path) -> Result<Verifier, StoreError> {
    let path = dir.join("seal.pub");
    let text = String::from_utf8(read_file(&path, "seal.pub", SMALL)?).map_err(seal)?;
    let key: Verifier = text.trim_end_matches('\n').parse().map_err(seal)?;
    // Nothing but what was written: one key has one text.
    if text == format!("{key}\n") { Ok(key) } else { Err(seal("seal.pub is not as it was written")) }
}

/// Reads `lake.json`, or writes it for a new lake.
pub(crate) fn identity(dir: &Path) -> Result<Identity, StoreError> {
    let path = dir.join("lake.json");
    if path.is_file() {
        return read(dir);
    }
    // It is written first: what has a log was a lake, and another name for it would contradict what was sealed.
    if dir.join("seal/checkpoint").exists() {
        let said = "it is gone, and the signed log is there: put it back from a backup".into();
        return Err(StoreError::Damaged { file: path.display().to_string(), said });
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(seal)?;
    let id: String = random.iter().fold(String::new(), |id, b| format!("{id}{b:02x}"));
    let created = Timestamp(jiff::Timestamp::now().as_microsecond()).to_string();
    let identity = Identity { layout: LAYOUT, origin: format!("klio/{id}"), created };
    let text = serde_json::to_string_pretty(&identity).unwrap_or_default();
    write(dir, "lake.json", &text)?;
    Ok(identity)
}

/// Refuses a directory without a lake in which something else lies.
pub fn own_place(dir: &Path) -> Result<(), StoreError> {
    if !dir.exists() || dir.join("lake.json").exists() || dir.join("klio.yaml").exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let name = entry.map_err(StoreError::io(dir))?.file_name().to_string_lossy().into_owned();
        let ours = [
            "spool",
            "seal",
            "keys",
            "tls",
            "clusters",
            "dead",
            "memory",
            "desk.db",
            "redaction.key",
            "lake.json.new",
            "lost+found",
        ]
        .contains(&name.as_str());
        if !ours && !name.starts_with('.') && !name.starts_with("desk.db-") {
            return Err(StoreError::NotEmpty { dir: dir.to_owned(), other: name });
        }
    }
    Ok(())
}

/// The key that signs the log.
pub(crate) fn signer(dir: &Path) -> Result<Signer, StoreError> {
    Signer::load(&dir.join("seal.key")).map_err(seal)
}

/// Writes a small file whole, or not at all.
fn write(dir: &Path, name: &str, text: &str) -> Result<(), StoreError> {
    let (new, path) = (dir.join(format!("{name}.new")), dir.join(name));
    fs::write(&new, text).map_err(StoreError::io(&new))?;
    sync(&new)?;
    fs::rename(&new, &path).map_err(StoreError::io(&path))?;
    sync(dir)
}

/// Opens the signed log, or begins it with a new key.
pub(crate) fn open_log(dir: &Path, identity: &Identity) -> Result<Log, StoreError> {
    let log = dir.join("seal");
    fs::create_dir_all(&log).map_err(StoreError::io(&log))?;
    let key = dir.join("seal.key");
    if !key.is_file() {
        if dir.join("seal.pub").exists() || log.join("checkpoint").exists() {
            let said = "it is gone, and without it nothing can be added to the signed log: put it back from a backup";
            return Err(StoreError::Damaged { file: key.display().to_string(), said: said.into() });
        }
        let signer = Signer::generate(&identity.origin, Scheme::Note).map_err(seal)?;
        // Beside it first: half a key would lock the lake up.
        let new = dir.join("seal.key.new");
        if new.exists() {
            fs::remove_file(&new).map_err(StoreError::io(&new))?;
        }
        signer.save(&new).map_err(seal)?;
        fs::rename(&new, &key).map_err(StoreError::io(&key))?;
        sync(dir)?;
    }
    let signer = signer(dir)?;
    let public = dir.join("seal.pub");
    if !public.is_file() {
        write(dir, "seal.pub", &format!("{}\n", signer.verifier()))?;
    }
    if log.join("checkpoint").is_file() {
        Log::open(&log, signer).map_err(seal)
    } else {
        Log::create(&log, signer).map_err(seal)
    }
}
