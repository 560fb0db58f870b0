//! Checks a bundle, from the keys over the checkpoint and the manifests to the events.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    fs, io,
    path::Path as FsPath,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;

use super::{
    BUNDLE, Bundle, CHECKPOINT, CUSTODY, Custody, EVENTS, EventLine, FORMAT, GUIDE, KEYS, MANIFESTS,
    ManifestLine, ROTATIONS,
    lines::{self, Lines, MAX_LINE},
    report::{BundleProblem, BundleReport, Coverage},
};
use crate::{
    hash::{Hash, leaf_hash},
    key::Verifier,
    manifest::{MAX_ENTRY, Manifest, Statement},
    note::{Checkpoint, MAX_NOTE},
    tree::verify_inclusion,
};

/// Longest line of a manifest or rotation: entry and note in JSON, and 64 hashes.
const MAX_MANIFEST_LINE: u64 = (MAX_ENTRY * 2 + MAX_NOTE * 2 + 8192) as u64;
/// Most files that are looked at.
const MAX_FILES: usize = 10_000;

/// Checks the bundle in `directory` without anything else. `trusted` are the log's keys as the caller knows
/// them; with `None` those in the bundle are used, which proves only that the bundle agrees with itself, and
/// [`BundleReport::trusted`] stays false.
pub fn verify_bundle(directory: &FsPath, trusted: Option<&[Verifier]>) -> BundleReport {
    let mut check = Check { directory, report: BundleReport::default(), hashes: BTreeMap::new() };
    check.contents();
    let keys = check.keys();
    let known = check.rotations(trusted.unwrap_or(&keys).to_vec());
    check.checkpoint(&known, trusted.is_some());
    let manifests = check.manifests();
    check.events(&manifests);
    check.custody();
    check.files();
    check.report
}

struct Check<'a> {
    directory: &'a FsPath,
    report: BundleReport,
    /// Hashes of the files that were read.
    hashes: BTreeMap<String, Hash>,
}

/// Rows that a manifest states.
struct Rows {
    rows: u64,
    root: Hash,
}

impl Check<'_> {
    fn small(&mut self, name: &str) -> Option<Vec<u8>> {
        match lines::small(self.directory, name) {
            Ok(Some(bytes)) => {
                self.hashes.insert(name.to_owned(), Hash::of(&bytes));
                return Some(bytes);
            }
            Ok(None) => self.report.problem(BundleProblem::Missing(name.to_owned())),
            Err(error) => self.unreadable(name, &error),
        }
        None
    }

    fn unreadable(&mut self, file: &str, error: &io::Error) {
        self.report.problem(BundleProblem::File { file: file.to_owned(), why: error.to_string() });
    }

    fn contents(&mut self) {
        let Some(bytes) = self.small(BUNDLE) else { return };
        self.report.hash = self.hashes.remove(BUNDLE);
        match serde_json::from_slice::<Bundle>(&bytes) {
            Ok(bundle) if bundle.format == FORMAT => self.report.bundle = Some(bundle),
            Ok(bundle) => self.report.problem(BundleProblem::Format(bundle.format)),
            Err(error) => {
                let (file, line) = (BUNDLE.to_owned(), error.line() as u64);
                self.report.problem(BundleProblem::Line { file, line, why: error.to_string() });
            }
        }
    }

    fn keys(&mut self) -> Vec<Verifier> {
        let bytes = self.small(KEYS).unwrap_or_default();
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(String::from_utf8_lossy(&bytes).lines()) {
            match text.parse::<Verifier>() {
                Ok(key) => keys.push(key),
                Err(error) => {
                    let why = error.to_string();
                    self.report.problem(BundleProblem::Line { file: KEYS.to_owned(), line, why });
                }
            }
        }
        keys
    }

    /// Goes through the lines of a file that are JSON. Returns how many lines there are.
    fn lines<T: DeserializeOwned>(
        &mut self,
        name: &str,
        limit: u64,
        mut each: impl FnMut(&mut BundleReport, u64, T),
    ) -> u64 {
        let file = match lines::open(self.directory, name) {
            Ok(Some(file)) => file,
            Ok(None) => {
                self.report.problem(BundleProblem::Missing(name.to_owned()));
                return 0;
            }
            Err(error) => {
                self.unreadable(name, &error);
                return 0;
            }
        };
        let mut lines = Lines::new(file, limit);
        let mut count = 0;
        loop {
            let (line, bytes) = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    self.unreadable(name, &error);
                    return count;
                }
            };
            count = line;
            let read = bytes.map_err(str::to_owned);
            let read =
                read.and_then(|bytes| serde_json::from_slice::<T>(&bytes).map_err(|error| error.to_string()));
            match read {
                Ok(read) => each(&mut self.report, line, read),
                Err(why) => {
                    self.report.problem(BundleProblem::Line { file: name.to_owned(), line, why });
                }
            }
        }
        self.hashes.insert(name.to_owned(), lines.hash());
        count
    }

    /// Follows the handing-over from key to key.
    fn rotations(&mut self, mut known: Vec<Verifier>) -> Vec<Verifier> {
        self.lines(ROTATIONS, MAX_MANIFEST_LINE, |report, line, rotation: ManifestLine| {
            match follow(&rotation, &known) {
                Ok(key) if !known.contains(&key) => known.push(key),
                Ok(_) => {}
                Err(why) => report.problem(BundleProblem::Rotation { line, why }),
            }
        });
        known
    }

    fn checkpoint(&mut self, known: &[Verifier], trusted: bool) {
        let Some(bytes) = self.small(CHECKPOINT) else { return };
        let text = String::from_utf8_lossy(&bytes);
        let read = Checkpoint::parse(&text).and_then(|(checkpoint, note)| {
            let signed = note.verify(known).map(|_| ());
            Ok((checkpoint, signed?))
        });
        match read {
            Ok((checkpoint, ())) => {
                self.report.trusted = trusted;
                self.report.checkpoint = Some(checkpoint);
            }
            Err(error) => {
                self.report.problem(BundleProblem::Checkpoint(error.to_string()));
                // Whether the rest fits together is still worth knowing.
                self.report.checkpoint = Checkpoint::parse(&text).ok().map(|(checkpoint, _)| checkpoint);
            }
        }
    }

    fn manifests(&mut self) -> HashMap<u64, Option<Rows>> {
        let mut proven = HashMap::new();
        let (size, root) = match &self.report.checkpoint {
            Some(checkpoint) => (checkpoint.size, checkpoint.root),
            None => (0, Hash::empty()),
        };
        let found = self.lines(MANIFESTS, MAX_MANIFEST_LINE, |report, line, manifest: ManifestLine| {
            let index = manifest.index;
            let bad = |why: String| BundleProblem::Line { file: MANIFESTS.to_owned(), line, why };
            let entry = match STANDARD.decode(&manifest.entry) {
                Ok(entry) => entry,
                Err(error) => return report.problem(bad(error.to_string())),
            };
            if let Err(why) = verify_inclusion(leaf_hash(&entry), index, size, &manifest.path, &root) {
                return report.problem(BundleProblem::Manifest { line, index, why });
            }
            let rows = match Manifest::decode(&entry) {
                Ok(entry) => match entry.statement() {
                    Some(Statement::Segment(segment)) => Some(&segment.stored),
                    Some(Statement::Compaction(compaction)) => Some(&compaction.stored),
                    _ => None,
                }
                .map(|stored| Rows { rows: stored.rows, root: stored.root }),
                Err(error) => return report.problem(bad(error.to_string())),
            };
            match proven.entry(index) {
                hash_map::Entry::Vacant(slot) => {
                    slot.insert(rows);
                }
                hash_map::Entry::Occupied(_) => {
                    report.problem(BundleProblem::Twice { file: MANIFESTS.to_owned(), line });
                }
            }
        });
        self.count("manifests", found, |bundle| bundle.manifests);
        proven
    }

    fn events(&mut self, manifests: &HashMap<u64, Option<Rows>>) {
        // One bit for each row seen; grows with the lines that were read, never with what they claim.
        let mut seen: HashMap<(u64, u64), u64> = HashMap::new();
        let found = self.lines(EVENTS, MAX_LINE, |report, line, event: EventLine| {
            let EventLine { leaf, row, size, .. } = event;
            let raw = match (event.event, event.event_base64) {
                (Some(text), None) => Ok(text.into_bytes()),
                (None, Some(base64)) => STANDARD.decode(base64).map_err(|error| error.to_string()),
                _ => Err("expected one of event and event_base64".to_owned()),
            };
            let raw = match raw {
                Ok(raw) => raw,
                Err(why) => {
                    return report.problem(BundleProblem::Line { file: EVENTS.to_owned(), line, why });
                }
            };
            let Some(Some(rows)) = manifests.get(&leaf) else {
                return report.problem(BundleProblem::NoManifest { line, leaf });
            };
            if rows.rows != size {
                return report.problem(BundleProblem::Size { line, leaf, size, rows: rows.rows });
            }
            if let Err(why) = verify_inclusion(leaf_hash(&raw), row, size, &event.path, &rows.root) {
                return report.problem(BundleProblem::Event { line, leaf, row, why });
            }
            let bits = seen.entry((leaf, row / 64)).or_default();
            if *bits & (1 << (row % 64)) != 0 {
                return report.problem(BundleProblem::Twice { file: EVENTS.to_owned(), line });
            }
            *bits |= 1 << (row % 64);
            report.proven += 1;
            report.coverage.entry(leaf).or_insert(Coverage { here: 0, rows: rows.rows }).here += 1;
        });
        self.count("events", found, |bundle| bundle.events);
    }

    fn custody(&mut self) {
        self.lines(CUSTODY, MAX_MANIFEST_LINE, |_, _, _: Custody| {});
    }

    fn count(&mut self, what: &'static str, found: u64, says: impl Fn(&Bundle) -> u64) {
        if let Some(says) = self.report.bundle.as_ref().map(says).filter(|says| *says != found) {
            self.report.problem(BundleProblem::Count { what, says, found });
        }
    }

    /// Every file is named with its hash, and every named file is there.
    fn files(&mut self) {
        let Some(bundle) = self.report.bundle.clone() else { return };
        for name in [CHECKPOINT, CUSTODY, EVENTS, GUIDE, KEYS, MANIFESTS, ROTATIONS] {
            if !bundle.files.contains_key(name) {
                self.report.problem(BundleProblem::Unlisted(name.to_owned()));
            }
        }
        for (name, expected) in bundle.files.iter().take(MAX_FILES) {
            let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
            if !plain {
                let why = "a name outside of the bundle".to_owned();
                self.report.problem(BundleProblem::File { file: name.clone(), why });
                continue;
            }
            let known = self.hashes.get(name).copied();
            let found = known.map_or_else(|| lines::hash(self.directory, name), |hash| Ok(Some(hash)));
            match found {
                Ok(Some(hash)) if hash == *expected => {}
                Ok(Some(_)) => self.report.problem(BundleProblem::Hash(name.clone())),
                Ok(None) => {
                    let missing = BundleProblem::Missing(name.clone());
                    if !self.report.problems.contains(&missing) {
                        self.report.problem(missing);
                    }
                }
                Err(error) => self.unreadable(name, &error),
            }
        }
        let listed = match fs::read_dir(self.directory) {
            Ok(listed) => listed,
            Err(error) => return self.unreadable(".", &error),
        };
        let mut names: Vec<String> = listed
            .flatten()
            .take(MAX_FILES)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != BUNDLE && !bundle.files.contains_key(name))
            .collect();
        names.sort_unstable();
        for name in names {
            let unlisted = BundleProblem::Unlisted(name);
            if !self.report.problems.contains(&unlisted) {
                self.report.problem(unlisted);
            }
        }
    }
}

/// The key that a rotation hands the log over to, if a known key attests it.
fn follow(rotation: &ManifestLine, known: &[Verifier]) -> Result<Verifier, String> {
    let text = rotation.checkpoint.as_deref().ok_or("there is no checkpoint")?;
    let (checkpoint, note) = Checkpoint::parse(text).map_err(|error| error.to_string())?;
    note.verify(known).map_err(|error| error.to_string())?;
    let entry = STANDARD.decode(&rotation.entry).map_err(|error| error.to_string())?;
    if rotation.index.checked_add(1) != Some(checkpoint.size) {
        return Err("the entry is not the last of the checkpoint".to_owned());
    }
    verify_inclusion(leaf_hash(&entry), rotation.index, checkpoint.size, &rotation.path, &checkpoint.root)
        .map_err(|error| error.to_string())?;
    let entry = Manifest::decode(&entry).map_err(|error| error.to_string())?;
    entry.next_key().ok_or_else(|| "the entry names no key".to_owned())
}
