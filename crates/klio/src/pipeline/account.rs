//! Whether everything that API servers audited has come: their own counters against what was made durable.
//!
//! An API server counts each event that it hands to its backends, also those that it loses later
//! (`apiserver_audit_event_total`, kubernetes `staging/src/k8s.io/apiserver/pkg/audit/metrics.go`). Between two readings of the
//! counter it wrote so many; as many must be durable whose stage was reached between the two, by the API server's own clock.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use klio_store::Origin;
use serde::{Deserialize, Serialize};

/// Seconds that an event may take to come: five tries of the webhook.
const PATIENCE: i64 = 120;
/// Seconds that are compared at most.
const WINDOW: i64 = 3600;

/// The file that keeps the accounts over a restart: what was lost while Klio was not there is what has to be seen.
const FILE: &str = "accounts.json";

/// Sources of a cluster that are remembered.
const SOURCES: usize = 64;

/// A reading of the counters of all API servers of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When, in seconds since 1970 by the API servers' clock.
    pub at: i64,
    /// Events that they handed to their backends.
    pub events: u64,
    /// Events that they say to have lost.
    pub errors: u64,
}

/// How complete a cluster's stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// From when to when was compared, in seconds since 1970.
    pub from: i64,
    /// To when.
    pub to: i64,
    /// Events that the API servers counted in that time.
    pub counted: u64,
    /// Events of that time that are durable here.
    pub durable: u64,
    /// So many more or fewer they may be: those of the first and the last second, since API servers tell their time in seconds.
    pub unsure: u64,
    /// Events that the API servers say to have lost in that time.
    pub lost: u64,
}

impl Balance {
    /// The part that has come, 0 to 1.
    pub fn ratio(&self) -> f64 {
        if self.counted == 0 { 1.0 } else { (self.durable as f64 / self.counted as f64).min(1.0) }
    }
}

/// The accounts of all clusters. Batches are counted in the order of the spool, each once.
#[derive(Default, Debug)]
pub struct Accounts {
    path: PathBuf,
    books: Mutex<Books>,
}

#[derive(Default, Debug, Serialize, Deserialize)]
struct Books {
    /// The last batch that was counted.
    upto: u64,
    /// When it was received, in seconds since 1970.
    received: i64,
    clusters: BTreeMap<String, Account>,
    /// The sources of each cluster.
    sources: BTreeMap<String, BTreeMap<String, Heard>>,
}

/// When a source was heard, in microseconds since 1970.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Heard {
    /// The last time.
    seen: i64,
    /// The last time before the silence that was told.
    told: i64,
}

impl Accounts {
    /// The accounts as they were when the lake was written last.
    pub fn open(dir: &Path) -> Self {
        let path = dir.join(FILE);
        let read = std::fs::read(&path).map(|bytes| serde_json::from_slice(&bytes));
        let books = match read {
            Ok(Ok(books)) => books,
            Ok(Err(e)) => {
                tracing::warn!(file = FILE, error = %e, "what was counted before is lost; completeness is unproven for a while");
                Books::default()
            }
            Err(_) => Books::default(),
        };
        Self { path, books: Mutex::new(books) }
    }

    /// A batch is durable, and all before it are.
    pub fn durable(&self, seq: u64, origin: &Origin) {
        let mut books = self.books();
        // Judged again.
        if seq <= books.upto {
            return;
        }
        (books.upto, books.received) = (seq, origin.received.div_euclid(1_000_000));
        // The files of a cluster are one source.
        let source = origin.source.split(':').next().unwrap_or_default();
        let sources = books.sources.entry(origin.cluster.clone()).or_default();
        if sources.len() < SOURCES || sources.contains_key(source) {
            sources.entry(source.to_owned()).or_default().seen = origin.received;
        }
        if !origin.stages.is_empty() {
            let account = books.clusters.entry(origin.cluster.clone()).or_default();
            // What claims to come from the future must not push out what has come.
            let latest = origin.received.div_euclid(1_000_000) + PATIENCE;
            let stages = origin.stages.iter().filter(|(second, _)| **second <= latest);
            stages.for_each(|(second, count)| account.durable(*second, *count));
        }
    }

    /// A cluster's counters were read.
    pub fn read(&self, cluster: &str, reading: Reading) {
        self.books().clusters.entry(cluster.to_owned()).or_default().read(reading);
    }

    /// What is known of a cluster now, if all batches up to `last` are durable: what is not counted yet is not missing.
    pub fn balance(&self, cluster: &str, now: i64, last: u64) -> Option<Balance> {
        let books = self.books();
        let now = if books.upto < last { now.min(books.received) } else { now };
        books.clusters.get(cluster)?.balance(now)
    }

    /// When each source of each cluster was heard last, in microseconds since 1970.
    pub fn heard(&self) -> Vec<(String, String, i64)> {
        let books = self.books();
        let each = books
            .sources
            .iter()
            .flat_map(|(cluster, sources)| sources.iter().map(move |each| (cluster, each)));
        each.map(|(cluster, (source, heard))| (cluster.clone(), source.clone(), heard.seen)).collect()
    }

    /// Whether it is news that a source has been silent since then.
    pub fn is_news(&self, cluster: &str, source: &str, seen: i64) -> bool {
        let mut books = self.books();
        let heard =
            books.sources.entry(cluster.to_owned()).or_default().entry(source.to_owned()).or_default();
        std::mem::replace(&mut heard.told, seen) != seen
    }

    /// Keeps what was counted. To be called before the lake is written: whatever is judged again after a crash has a number that
    /// was counted.
    pub fn save(&self) -> std::io::Result<()> {
        let books = self.books();
        let bytes = serde_json::to_vec(&*books)?;
        drop(books);
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account of one cluster.
#[derive(Default, Debug, Serialize, Deserialize)]
struct Account {
    readings: VecDeque<Reading>,
    /// Durable events by the second of their stage.
    seconds: BTreeMap<i64, u64>,
}

impl Account {
    /// So many events are durable whose stage was reached in this second.
    fn durable(&mut self, second: i64, count: u64) {
        *self.seconds.entry(second).or_default() += count;
        let newest = self.seconds.keys().next_back().copied().unwrap_or(second);
        let old = newest - WINDOW - 2 * PATIENCE;
        if self.seconds.first_key_value().is_some_and(|(first, _)| *first < old) {
            self.seconds = self.seconds.split_off(&old);
        }
    }

    /// The counters were read.
    fn read(&mut self, reading: Reading) {
        // An API server that was started anew counts from nothing.
        if self.readings.back().is_some_and(|last| last.events > reading.events || last.at > reading.at) {
            self.readings.clear();
        }
        self.readings.push_back(reading);
        while self.readings.front().is_some_and(|first| first.at < reading.at - WINDOW - PATIENCE) {
            self.readings.pop_front();
        }
    }

    /// What is known now; nothing until two readings are old enough.
    fn balance(&self, now: i64) -> Option<Balance> {
        let ripe = self.readings.iter().rev().find(|reading| reading.at <= now - PATIENCE)?;
        let first = self.readings.front().filter(|first| first.at < ripe.at)?;
        let durable = self.seconds.range(first.at..ripe.at).map(|(_, count)| count).sum();
        let of = |second: i64| self.seconds.get(&second).copied().unwrap_or(0);
        Some(Balance {
            from: first.at,
            to: ripe.at,
            counted: ripe.events.saturating_sub(first.events),
            durable,
            unsure: of(first.at) + of(ripe.at),
            lost: ripe.errors.saturating_sub(first.errors),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lose: bool) -> Account {
        let mut account = Account::default();
        let mut events = 5000;
        for second in 0..600 {
            if second % 30 == 0 {
                account.read(Reading { at: second, events, errors: 0 });
            }
            events += 10;
            account.durable(second, if lose && second == 200 { 4 } else { 10 });
        }
        account
    }

    #[test]
    fn what_is_missing_is_seen_and_what_is_on_its_way_is_not_missing() {
        let whole = account(false).balance(600).unwrap();
        assert_eq!((whole.counted, whole.durable, whole.to), (4800, 4800, 480));
        assert_eq!(whole.unsure, 20);
        let less = account(true).balance(600).unwrap();
        assert_eq!(less.counted - less.durable, 6);
        assert!(less.ratio() < 1.0);
        assert_eq!(account(false).balance(100), None);
    }

    #[test]
    fn an_api_server_that_was_started_anew_begins_anew() {
        let mut account = account(false);
        account.read(Reading { at: 610, events: 3, errors: 0 });
        assert_eq!(account.balance(700), None);
        assert_eq!(account.readings.len(), 1);
    }

    #[test]
    fn a_crash_neither_loses_nor_doubles_what_was_counted() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path());
        assert!(accounts.heard().is_empty());
        let batch = |second: i64| Origin {
            cluster: "prod".into(),
            source: "file:/var/log/audit.log".into(),
            received: second * 1_000_000,
            stages: [(second, 10)].into(),
            ..Origin::default()
        };
        let reading = |at: i64| Reading { at, events: 1000 + 10 * at as u64, errors: 0 };
        for second in 0..300 {
            accounts.durable(1 + second as u64, &batch(second));
            if second % 30 == 0 {
                accounts.read("prod", reading(second));
            }
            if second == 200 {
                accounts.save().unwrap();
            }
        }
        assert!(
            accounts.is_news("prod", "file", 299_000_000) && !accounts.is_news("prod", "file", 299_000_000)
        );
        // Killed; the lake was written up to an earlier batch, and the server was away for a minute, of which nothing came.
        let again = Accounts::open(dir.path());
        assert_eq!(again.heard(), [("prod".to_owned(), "file".to_owned(), 200_000_000)]);
        for second in (150..300).chain(360..900) {
            again.durable(1 + second as u64, &batch(second));
        }
        again.read("prod", reading(390));
        let balance = again.balance("prod", 900, 900).unwrap();
        assert_eq!((balance.from, balance.to, balance.counted, balance.durable), (0, 390, 3900, 3300));
        // What waits to be judged is not missing.
        again.read("prod", reading(880));
        assert_eq!(again.balance("prod", 1200, 900).unwrap().to, 880);
        assert_eq!(again.balance("prod", 1200, 901).unwrap().to, 390);
    }

    #[test]
    fn memory_is_bounded() {
        let mut account = Account::default();
        for second in 0..100_000 {
            account.durable(second, 1);
            account.read(Reading { at: second, events: second as u64, errors: 0 });
        }
        assert!(account.seconds.len() < 5000 && account.readings.len() < 5000);
    }
}
