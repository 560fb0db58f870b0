//! A lake and a memory with the same events.

use klio_model::{Event, MemoryArchive};
use klio_store::{Custody, Flush, Lake, Origin, Records, Rows, Settings, Writer};

use crate::events;
use crate::random::Random;

/// A lake in a directory that goes with it, and the same events in memory.
pub struct Both {
    pub dir: tempfile::TempDir,
    pub lake: Lake,
    pub memory: MemoryArchive,
    pub events: Vec<String>,
}

/// Both, some of the events still in the spool.
pub fn both(random: &mut Random) -> Both {
    let events = events::events(random);
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::default();
    let mut writer = Writer::open(dir.path(), &settings).unwrap();
    let mut memory = MemoryArchive::new();
    let (mut pending, mut at) = (Vec::new(), 0);
    while at < events.len() {
        let batch: Vec<&String> = events.iter().skip(at).take(1 + random.below(40)).collect();
        at += batch.len();
        let source = random.pick(&["file:/var/log/audit.log", "webhook"]);
        let origin = Origin {
            cluster: random.pick(&["prod", "test"]).to_string(),
            source: source.to_string(),
            received: 1_790_000_000_000_000 + at as i64,
            ..Origin::default()
        };
        let (mut records, mut rows) = (Records::default(), Rows::new());
        for raw in batch {
            let mut event = Event::parse(raw).unwrap();
            event.salvaged = random.below(40) == 0;
            memory.keep(raw, event.salvaged).unwrap();
            records.push_as(raw, event.salvaged);
            let custody = Custody {
                cluster: &origin.cluster,
                source: &origin.source,
                received: klio_model::Timestamp(origin.received),
            };
            let class = if random.below(3) == 0 { "long" } else { "default" };
            rows.push(&event, custody, class, None);
        }
        let upto = writer.append(&origin, &records).unwrap();
        pending.push(rows);
        if random.below(14) == 0 && at + 60 < events.len() {
            let flush = Flush { rows: std::mem::take(&mut pending), upto, ..Flush::default() };
            writer.flush(&flush).unwrap();
        }
    }
    drop(writer);
    let lake = Lake::open(dir.path(), &settings).unwrap();
    Both { dir, lake, memory, events }
}
