//! What the judge remembers of each cluster's past over restarts: a file for each cluster, written after a flush, so that nothing
//! in it is judged again. What came between the last file and a crash is learnt from the lake.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashSet;
use klio_detect::{Memory, Trace};
use klio_model::{Field, Filter, Stage};
use klio_store::{Kept, Lake};

use super::sequence::MEMORY_BYTES;

/// How often they are written.
const EVERY: Duration = Duration::from_mins(1);
/// Bytes of a file that is read.
const MOST: u64 = 1 << 30;

/// The files of all clusters.
pub struct Memories {
    dir: PathBuf,
    saved: Option<Instant>,
}

impl Memories {
    /// Those of a data directory.
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.join("memory"), saved: None }
    }

    /// The memory of a cluster: as it was written and what the lake was given since, or a new one.
    pub fn take(&self, cluster: &str, lake: &mut Lake) -> Memory {
        let Some((upto, mut memory)) = self.read(cluster) else { return Memory::new(MEMORY_BYTES) };
        let (mut learnt, mut started) = (0_u64, HashSet::new());
        let read = lake.since(upto, &Filter::All, &mut |mut events| {
            events.retain(|kept| kept.cluster == cluster);
            events.sort_by_key(|kept| kept.time);
            for event in events.iter().filter_map(Kept::event) {
                // Of the stages of one request the first that tells an outcome.
                let id = event.text_of(Field::AuditId).unwrap_or_default();
                let is_second = match event.stage {
                    Stage::RequestReceived => true,
                    Stage::ResponseStarted => !started.insert(id.to_owned()),
                    _ => started.contains(id),
                };
                if let Some(trace) = Trace::of(&event).filter(|_| !is_second) {
                    memory.observe(&trace);
                    learnt += 1;
                }
            }
        });
        match read {
            Ok(()) if learnt > 0 => tracing::info!(
                cluster,
                events = learnt,
                "what came after the last file of the memory was learnt from the lake"
            ),
            Ok(()) => {}
            Err(e) => {
                tracing::warn!(cluster, error = %e, "what came after the last file of the memory is not learnt")
            }
        }
        memory
    }

    /// Whether it is time to write them.
    pub fn is_due(&self) -> bool {
        self.saved.is_none_or(|saved| saved.elapsed() >= EVERY)
    }

    /// Writes those that are given; they know all batches up to `upto`, which are in the lake.
    pub fn save<'m>(&mut self, upto: u64, memories: impl Iterator<Item = (&'m str, &'m Memory)>) {
        self.saved = Some(Instant::now());
        for (cluster, memory) in memories {
            let mut bytes = upto.to_le_bytes().to_vec();
            bytes.append(&mut memory.snapshot());
            if let Err(e) = self.write(cluster, &bytes) {
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

    /// The last batch that it knows, and the memory.
    fn read(&self, cluster: &str) -> Option<(u64, Memory)> {
        let path = self.dir.join(cluster);
        let length = std::fs::metadata(&path).ok()?.len();
        let bytes = if length <= MOST { std::fs::read(&path) } else { Ok(Vec::new()) };
        let memory = bytes.map_err(|e| e.to_string()).and_then(|bytes| {
            let (upto, rest) = bytes.split_first_chunk().ok_or("it is cut off")?;
            Ok((u64::from_le_bytes(*upto), Memory::restore(rest).map_err(|e| e.to_string())?))
        });
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
        let mut writer =
            klio_store::Writer::open(&dir.path().join("lake"), &klio_store::Settings::default()).unwrap();
        let mut memories = Memories::open(dir.path());
        let mut memory = memories.take("prod", writer.lake());
        memory.observe(&trace);
        memories.save(0, [("prod", &memory)].into_iter());
        let again = Memories::open(dir.path());
        assert_eq!(again.take("prod", writer.lake()).snapshot(), memory.snapshot());
        assert_ne!(again.take("other", writer.lake()).snapshot(), memory.snapshot());
        std::fs::write(dir.path().join("memory/prod"), b"no memory").unwrap();
        assert_eq!(again.take("prod", writer.lake()).snapshot(), Memory::new(MEMORY_BYTES).snapshot());
    }
}
