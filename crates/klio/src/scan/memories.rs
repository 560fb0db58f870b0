//! What the judge remembers of each cluster's past, between its runs and over restarts: a file for each cluster, written after a
//! flush, so that nothing in it is judged again. What came between the last file and a crash is not learnt.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use klio_detect::Memory;

use super::sequence::MEMORY_BYTES;

/// How often they are written.
const EVERY: Duration = Duration::from_mins(1);
/// Bytes of a file that is read.
const MOST: u64 = 1 << 30;

/// The memories of all clusters.
pub struct Memories {
    dir: PathBuf,
    /// Those that nobody has taken.
    all: HashMap<String, Memory>,
    saved: Instant,
}

impl Memories {
    /// Those of a data directory.
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.join("memory"), all: HashMap::new(), saved: Instant::now() }
    }

    /// The memory of a cluster: as it was given back, or as it was written, or a new one.
    pub fn take(&mut self, cluster: &str) -> Memory {
        self.all.remove(cluster).or_else(|| self.read(cluster)).unwrap_or_else(|| Memory::new(MEMORY_BYTES))
    }

    /// Gives one back.
    pub fn put(&mut self, cluster: String, memory: Memory) {
        self.all.insert(cluster, memory);
    }

    /// Whether it is time to write them.
    pub fn is_due(&self) -> bool {
        self.saved.elapsed() >= EVERY
    }

    /// Writes those that are given.
    pub fn save<'m>(&mut self, memories: impl Iterator<Item = (&'m str, &'m Memory)>) {
        self.saved = Instant::now();
        for (cluster, memory) in memories {
            if let Err(e) = self.write(cluster, &memory.snapshot()) {
                tracing::warn!(cluster, error = %e, "what was learnt of the past cannot be kept");
            }
        }
    }

    fn write(&self, cluster: &str, bytes: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.dir.join(cluster))?;
        Ok(())
    }

    fn read(&self, cluster: &str) -> Option<Memory> {
        let path = self.dir.join(cluster);
        let length = std::fs::metadata(&path).ok()?.len();
        let bytes = if length <= MOST { std::fs::read(&path) } else { Ok(Vec::new()) };
        let memory =
            bytes.map_err(|e| e.to_string()).and_then(|b| Memory::restore(&b).map_err(|e| e.to_string()));
        memory
            .inspect_err(|e| tracing::warn!(cluster, error = %e, "what was learnt of the past is lost; it is learnt anew"))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use klio_detect::Trace;
    use klio_model::Event;

    use super::*;

    #[test]
    fn what_was_learnt_is_there_after_a_restart_and_damage_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let json = r#"{"verb":"get","level":"Metadata","stage":"ResponseComplete","user":{"username":"ana"},"userAgent":"kubectl/v1",
            "sourceIPs":["10.0.0.1"],"objectRef":{"resource":"pods","namespace":"shop","name":"a"},"responseStatus":{"code":200},
            "requestReceivedTimestamp":"2026-11-21T00:00:00Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;
        let trace = Trace::of(&Event::parse(json).unwrap()).unwrap();
        let mut memories = Memories::open(dir.path());
        let mut memory = memories.take("prod");
        memory.observe(&trace);
        memories.save([("prod", &memory)].into_iter());
        let mut again = Memories::open(dir.path());
        assert_eq!(again.take("prod").snapshot(), memory.snapshot());
        assert_ne!(again.take("other").snapshot(), memory.snapshot());
        std::fs::write(dir.path().join("memory/prod"), b"no memory").unwrap();
        assert_eq!(again.take("prod").snapshot(), Memory::new(MEMORY_BYTES).snapshot());
    }
}
