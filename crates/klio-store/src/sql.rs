//! SQL over the lake, for reading only: the tables `events`, `findings` and `incidents`.
//!
//! A question runs within a time, an amount of memory and without writing to disk. The files are those of one moment,
//! opened before it begins; events that are in no file yet are in `events` with the rest, without a `class`.

mod answer;
mod curtain;
mod json_get;
mod memory;
mod session;
mod table;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::error::StoreError;
use crate::lake::Lake;

pub use answer::Page;

/// Longer questions are refused.
const MAX_QUERY: usize = 64 << 10;
/// How often a running question looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// What a question may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// Bytes of memory for sorting, grouping and joining.
    pub memory_bytes: usize,
    /// Rows that are handed on at most.
    pub rows: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_mins(1), memory_bytes: 512 << 20, rows: None }
    }
}

/// Stops a question from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops it.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What came of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows handed on.
    pub rows: u64,
    /// Whether there were more than the limit.
    pub cut: bool,
    /// Files that were passed over, since their key was destroyed.
    pub shredded: u64,
}

enum Part {
    Columns(Vec<String>),
    Rows(RecordBatch),
}

impl Lake {
    /// Runs a question and hands on its rows page by page, at least one page; `f` breaks to stop.
    ///
    /// # Errors
    /// [`StoreError::Query`] for what is no question or cannot be answered, [`StoreError::Stopped`] when a limit is
    /// reached or it was cancelled.
    pub fn sql(
        &mut self,
        query: &str,
        limits: &Limits,
        cancel: &Cancel,
        f: &mut dyn FnMut(&Page<'_>) -> ControlFlow<()>,
    ) -> Result<Answered, StoreError> {
        if query.len() > MAX_QUERY {
            return Err(StoreError::Query(format!("the query is longer than {} kB", MAX_QUERY >> 10)));
        }
        session::check_depth(query)?;
        let deadline = Instant::now().checked_add(limits.time);
        let memory = memory::Growth::start(limits);
        let tables = self.sql_tables()?;
        memory.check()?;
        let passed: Vec<table::Passed> = tables.iter().map(|table| table.passed.clone()).collect();
        let context = session::session(tables, limits, self.sight.as_deref())?;
        let (send, mut parts) = mpsc::channel(2);
        let query = query.to_owned();
        let mut task = self.runtime.spawn(async move {
            if let Err(e) = run(&context, &query, &send).await {
                let _ = send.send(Err(e)).await;
            }
        });
        let answered = self.runtime.block_on(async {
            let mut answered = Answered::default();
            let mut told = false;
            loop {
                if cancel.is_cancelled() {
                    return Err(StoreError::Stopped("it was cancelled".into()));
                }
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    let seconds = limits.time.as_secs_f64();
                    return Err(StoreError::Stopped(format!(
                        "it took longer than {seconds} s; ask for less time or fewer rows, or raise the limit"
                    )));
                }
                memory.check()?;
                match tokio::time::timeout(LOOK, parts.recv()).await {
                    Err(_) => {}
                    Ok(Some(Err(e))) => return Err(said(&e, limits)),
                    Ok(Some(Ok(Part::Columns(columns)))) => answered.columns = columns,
                    Ok(Some(Ok(Part::Rows(batch)))) => {
                        let left = limits.rows.map_or(u64::MAX, |rows| rows - answered.rows.min(rows));
                        answered.cut = batch.num_rows() as u64 > left;
                        let batch = if answered.cut { batch.slice(0, left as usize) } else { batch };
                        answered.rows += batch.num_rows() as u64;
                        told = true;
                        if f(&Page::new(&answered.columns, &batch)).is_break() || answered.cut {
                            return Ok(answered);
                        }
                    }
                    Ok(None) => {
                        // What broke off has no answer, also not the part that was told.
                        if (&mut task).await.is_err() {
                            return Err(StoreError::Stopped(
                                "it broke off; ask for less time or fewer rows, and report it with the query"
                                    .into(),
                            ));
                        }
                        if !told {
                            let empty = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
                            let _ = f(&Page::new(&answered.columns, &empty));
                        }
                        return Ok(answered);
                    }
                }
            }
        });
        task.abort();
        let shredded = passed.iter().map(table::Passed::files).sum();
        answered.map(|answered| Answered { shredded, ..answered })
    }
}

async fn run(
    context: &datafusion::prelude::SessionContext,
    query: &str,
    send: &mpsc::Sender<Result<Part, DataFusionError>>,
) -> Result<(), DataFusionError> {
    let frame = klio_sql::plan(context, query, session::reading_only()).await?;
    let columns = frame.schema().fields().iter().map(|f| f.name().clone()).collect();
    let mut stream = klio_sql::run(frame).await?;
    if send.send(Ok(Part::Columns(columns))).await.is_err() {
        return Ok(());
    }
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() > 0 && send.send(Ok(Part::Rows(batch))).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The library's words, shortened to what helps.
fn said(e: &DataFusionError, limits: &Limits) -> StoreError {
    let root = e.find_root();
    let text = root.strip_backtrace();
    if matches!(root, DataFusionError::ResourcesExhausted(_)) {
        let megabytes = limits.memory_bytes >> 20;
        return StoreError::Stopped(format!(
            "it needs more than {megabytes} MB of memory; ask for less time or fewer columns, or raise the limit"
        ));
    }
    let refused =
        ["DDL not supported", "DML not supported", "Statement not supported", "Unsupported SQL statement"];
    if refused.iter().any(|r| text.contains(r)) {
        return StoreError::Query(
            "the lake is for reading: SELECT, WITH, EXPLAIN, SHOW and DESCRIBE are allowed".into(),
        );
    }
    let prefixes =
        ["Error during planning: ", "SQL error: ", "Schema error: ", "Execution error: ", "External error: "];
    let short = prefixes.iter().find_map(|p| text.strip_prefix(p)).unwrap_or(&text);
    let short = short.strip_prefix("ParserError(\"").and_then(|s| s.strip_suffix("\")")).unwrap_or(short);
    StoreError::Query(short.trim().to_owned())
}
