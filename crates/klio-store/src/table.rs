//! A Delta Lake table: which files there are. The files themselves are read and written elsewhere.
//!
//! A commit holds the new files, how far the spool is in the lake (an application transaction, so that a commit
//! that is repeated after a crash is known), and in `commitInfo` the manifests that the seal is to take next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{
    Action, Add, Metadata, MetadataExt as _, Remove, StructField, StructType, Transaction,
};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableBuilder};
use futures::TryStreamExt;
use object_store::prefix::PrefixStore;
use parquet::encryption::decrypt::FileDecryptionProperties;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::error::StoreError;
use crate::place::Place;
use crate::shape;

/// The application of Delta's transactions: its version is the number of the last spooled batch.
const APPLICATION: &str = "klio.spool";
/// Commits between two checkpoints of a table's log.
const CHECKPOINT: u64 = 64;
/// Most bytes of a file of a table's log: that of a million data files has fewer.
pub(crate) const LOG_FILE: u64 = 256 << 20;

/// A data file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DataFile {
    /// Path below the table.
    pub path: String,
    pub class: String,
    pub day: String,
    pub size: u64,
    pub rows: u64,
    /// Least and greatest time of an event, microseconds; not known in an encrypted table.
    pub times: Option<(i64, i64)>,
}

/// What a commit changes.
pub(crate) struct Change {
    pub add: Vec<DataFile>,
    pub remove: Vec<DataFile>,
    pub kind: ChangeKind,
    /// Manifests for the seal, and from which leaf on.
    pub manifests: Vec<Value>,
    pub leaf: u64,
    /// When it is made, in microseconds since 1970.
    pub time: i64,
    /// What else is to be kept with the commit.
    pub info: Vec<(String, Value)>,
}

pub(crate) enum ChangeKind {
    /// New rows, up to this batch of the spool.
    Append { upto: u64 },
    /// The same rows in fewer files.
    Compact,
    /// Rows whose time is over.
    Expire { rule: String },
    /// Columns that an older version did not know.
    Grow { columns: SchemaRef },
}

/// An open table.
pub(crate) struct Table {
    pub name: &'static str,
    pub place: Place,
    delta: DeltaTable,
    runtime: Arc<Runtime>,
    /// How encrypted files are read. Then the log does not tell the times of the events.
    pub keys: Option<Arc<FileDecryptionProperties>>,
    /// What was read from a version: parsing the log's actions anew takes longer than most questions.
    upto: Mutex<Option<(u64, u64)>>,
    files: Mutex<Option<(u64, Vec<DataFile>)>>,
}

impl Table {
    /// Opens the table, or makes it.
    pub(crate) fn open(
        name: &'static str,
        place: Place,
        schema: &SchemaRef,
        runtime: &Arc<Runtime>,
        make: bool,
        keys: Option<Arc<FileDecryptionProperties>>,
    ) -> Result<Self, StoreError> {
        let failed = failed(name);
        if let (Place::Local(dir), true) = (&place, make) {
            std::fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        }
        let nowhere = || StoreError::Setting {
            place: format!("table `{name}`"),
            said: "it is not where `lake.url` of klio.yaml, or the data directory, says".into(),
        };
        if matches!(&place, Place::Local(dir) if !dir.is_dir()) {
            return Err(nowhere());
        }
        let log = log_store(&place).map_err(&failed)?;
        let mut delta = DeltaTable::new(log.clone());
        let there = runtime.block_on(delta.verify_deltatable_existence()).map_err(&failed)?;
        if there {
            runtime.block_on(delta.load()).map_err(&failed)?;
        } else if make {
            delta = runtime.block_on(create(name, log, schema)).map_err(&failed)?;
            place.sync("_delta_log/00000000000000000000.json")?;
        } else {
            return Err(nowhere());
        }
        let found = delta.snapshot().map_err(&failed)?.schema();
        shape::lacking(name, schema, found.fields())?;
        Ok(Self {
            name,
            place,
            delta,
            runtime: runtime.clone(),
            keys,
            upto: Mutex::default(),
            files: Mutex::default(),
        })
    }

    /// Reads what others committed meanwhile.
    pub(crate) fn refresh(&mut self) -> Result<(), StoreError> {
        // Versions have no gaps: where the next is not there, nothing is.
        if let (Place::Local(dir), Some(version)) = (&self.place, self.delta.version()) {
            if !dir.join(format!("_delta_log/{:020}.json", version + 1)).exists() {
                return Ok(());
            }
        }
        self.runtime.block_on(self.delta.update_state()).map_err(failed(self.name))
    }

    /// Columns that this version writes and the table lacks.
    pub(crate) fn lacks(&self, columns: &SchemaRef) -> Result<Vec<StructField>, StoreError> {
        let found = self.delta.snapshot().map_err(failed(self.name))?.schema();
        shape::lacking(self.name, columns, found.fields())
    }

    /// What the table's log says of the table, with these columns.
    fn grown(&self, columns: &SchemaRef) -> Result<Metadata, StoreError> {
        let all = StructType::try_new(shape::fields(columns)).map_err(failed(self.name))?;
        let old = self.delta.snapshot().map_err(failed(self.name))?.metadata().clone();
        old.with_schema(&all).map_err(failed(self.name))
    }

    /// The version of the table.
    pub(crate) fn version(&self) -> u64 {
        self.delta.version().unwrap_or(0)
    }

    /// The last batch of the spool that is in the table.
    pub(crate) fn upto(&self) -> Result<u64, StoreError> {
        let mut known = self.upto.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((version, upto)) if version == self.version() => Ok(upto),
            _ => {
                let upto = self.read_upto()?;
                *known = Some((self.version(), upto));
                Ok(upto)
            }
        }
    }

    fn read_upto(&self) -> Result<u64, StoreError> {
        let state = self.delta.snapshot().map_err(failed(self.name))?;
        let log = self.delta.log_store();
        let version = self.runtime.block_on(state.transaction_version(log.as_ref(), APPLICATION));
        Ok(version.map_err(failed(self.name))?.unwrap_or(0) as u64)
    }

    /// All active files.
    pub(crate) fn files(&self) -> Result<Vec<DataFile>, StoreError> {
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((version, files)) if *version == self.version() => Ok(files.clone()),
            _ => {
                let files = self.read_files()?;
                *known = Some((self.version(), files.clone()));
                Ok(files)
            }
        }
    }

    fn read_files(&self) -> Result<Vec<DataFile>, StoreError> {
        let state = self.delta.snapshot().map_err(failed(self.name))?;
        let mut files: Vec<DataFile> = state
            .log_data()
            .iter()
            .map(|view| {
                let values = view.partition_values_map();
                let value = |key: &str| values.get(key).cloned().flatten().unwrap_or_default();
                let stats: Value =
                    view.stats().and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default();
                let micros =
                    |v: &Value| v.as_str().and_then(klio_model::Timestamp::parse).map(|t| t.micros());
                // Delta keeps milliseconds: the greatest may lie up to one later.
                let least = micros(&stats["minValues"]["time"]);
                let greatest = micros(&stats["maxValues"]["time"]).map(|t| t + 999);
                DataFile {
                    path: view.path().into_owned(),
                    class: value("class"),
                    day: value("day"),
                    size: view.size() as u64,
                    rows: stats["numRecords"].as_u64().unwrap_or(0),
                    times: least.zip(greatest),
                }
            })
            .collect();
        files.sort_by(|a, b| (&a.day, &a.path).cmp(&(&b.day, &b.path)));
        Ok(files)
    }

    /// The notes of the newest commits, the newest first.
    pub(crate) fn notes(&self, commits: usize) -> Result<Vec<HashMap<String, Value>>, StoreError> {
        let history = self.delta.history(Some(commits)).try_collect::<Vec<_>>();
        let history = self.runtime.block_on(history).map_err(failed(self.name))?;
        Ok(history.into_iter().map(|commit| commit.info).collect())
    }

    /// Changes the table; durable when it returns.
    pub(crate) fn commit(&mut self, change: Change) -> Result<u64, StoreError> {
        let failed = failed(self.name);
        let now = change.time.div_euclid(1000);
        let same_rows = matches!(change.kind, ChangeKind::Compact);
        let mut grown = Vec::new();
        let mut properties = CommitProperties::default()
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false))
            .with_metadata(change.info.into_iter().chain([
                ("klio.leaf".into(), change.leaf.into()),
                ("klio.time".into(), change.time.into()),
                ("klio.manifests".into(), change.manifests.into()),
            ]));
        let operation = match change.kind {
            ChangeKind::Append { upto } => {
                properties =
                    properties.with_application_transaction(Transaction::new(APPLICATION, upto as i64));
                let partition_by = Some(vec!["class".into(), "day".into()]);
                DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None }
            }
            ChangeKind::Compact => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            ChangeKind::Expire { rule } => DeltaOperation::Delete { predicate: Some(rule) },
            ChangeKind::Grow { columns } => {
                grown.push(Action::Metadata(self.grown(&columns)?));
                DeltaOperation::AddColumn { fields: self.lacks(&columns)? }
            }
        };
        let statistics = self.keys.is_none();
        let adds = change.add.iter().map(|file| {
            Action::Add(Add {
                path: file.path.clone(),
                partition_values: partition(file),
                size: file.size as i64,
                modification_time: now,
                data_change: !same_rows,
                stats: Some(stats(file, statistics)),
                ..Add::default()
            })
        });
        let removes = change.remove.iter().map(|file| {
            Action::Remove(Remove {
                path: file.path.clone(),
                data_change: !same_rows,
                deletion_timestamp: Some(now),
                extended_file_metadata: Some(true),
                partition_values: Some(partition(file)),
                size: Some(file.size as i64),
                ..Remove::default()
            })
        });
        let actions = adds.chain(removes).chain(grown).collect();
        let state = self.delta.snapshot().map_err(&failed)?;
        let commit = CommitBuilder::from(properties).with_actions(actions);
        let commit = commit.build(Some(state), self.delta.log_store(), operation);
        let before = self.version();
        let done = self.runtime.block_on(commit.into_future()).map_err(&failed)?;
        let version = done.version();
        if version != before + 1 {
            let said = format!("somebody else made commit {}: verify the lake", before + 1);
            return Err(StoreError::Table { table: self.name, said });
        }
        self.delta.state = Some(done.snapshot);
        self.place.sync(&format!("_delta_log/{version:020}.json"))?;
        self.checkpoint_if_due()?;
        Ok(version)
    }

    /// The files of the table's log that a commit writes.
    pub(crate) fn written(version: u64) -> Vec<String> {
        let mut names = vec![format!("_delta_log/{version:020}.json")];
        if is_due(version) {
            names.push(format!("_delta_log/{version:020}.checkpoint.parquet"));
            names.push("_delta_log/_last_checkpoint".into());
        }
        names
    }

    /// Writes a checkpoint if the present version should have one.
    pub(crate) fn checkpoint_if_due(&self) -> Result<(), StoreError> {
        if is_due(self.version()) { self.checkpoint() } else { Ok(()) }
    }

    /// Writes the state of the table's log in one file, so that opening it need not read each commit.
    fn checkpoint(&self) -> Result<(), StoreError> {
        let done = deltalake_core::checkpoints::create_checkpoint(&self.delta, None);
        self.runtime.block_on(done).map_err(failed(self.name))?;
        let version = self.version();
        self.place.sync(&format!("_delta_log/{version:020}.checkpoint.parquet"))?;
        self.place.sync("_delta_log/_last_checkpoint")
    }
}

fn is_due(version: u64) -> bool {
    version > 0 && version.is_multiple_of(CHECKPOINT)
}

fn failed<E: std::fmt::Display>(table: &'static str) -> impl Fn(E) -> StoreError {
    move |e| StoreError::Table { table, said: e.to_string() }
}

fn log_store(place: &Place) -> Result<LogStoreRef, deltalake_core::DeltaTableError> {
    let url = place.url().map_err(|e| deltalake_core::DeltaTableError::Generic(e.to_string()))?;
    match place {
        Place::Local(_) => DeltaTableBuilder::from_url(url)?.build_storage(),
        // The library knows no other scheme by itself; a commit is a put that fails if the name is taken.
        Place::Remote { store, prefix, .. } => {
            let below = Arc::new(PrefixStore::new(store.clone(), prefix.clone()));
            Ok(default_logstore(below, store.clone(), &url, &StorageConfig::default()))
        }
    }
}

async fn create(
    name: &str,
    log: LogStoreRef,
    schema: &SchemaRef,
) -> Result<DeltaTable, deltalake_core::DeltaTableError> {
    CreateBuilder::new()
        .with_log_store(log)
        .with_table_name(name)
        .with_columns(shape::fields(schema))
        .with_partition_columns(shape::PARTITION)
        .with_save_mode(SaveMode::ErrorIfExists)
        .await
}

fn partition(file: &DataFile) -> HashMap<String, Option<String>> {
    HashMap::from([("class".into(), Some(file.class.clone())), ("day".into(), Some(file.day.clone()))])
}

/// Statistics as Delta writes them (PROTOCOL.md, "Per-file Statistics"): times in milliseconds, cut off.
fn stats(file: &DataFile, full: bool) -> String {
    // What other readers could not read is not stated: a file without times is never left out.
    let at = |micros: i64| {
        let time = jiff::Timestamp::from_millisecond(micros.div_euclid(1000)).ok()?;
        Some(format!("{time:.3}")).filter(|text| !text.starts_with('-'))
    };
    let times = file.times.filter(|_| full).and_then(|(least, greatest)| at(least).zip(at(greatest)));
    match times {
        Some((least, greatest)) => json!({
            "numRecords": file.rows,
            "minValues": {"time": least},
            "maxValues": {"time": greatest},
        }),
        None => json!({"numRecords": file.rows}),
    }
    .to_string()
}
