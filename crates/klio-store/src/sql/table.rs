//! One table of the lake as DataFusion reads it: open Parquet files and fresh rows.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::union::UnionExec;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::curtain::{Curtain, is_harmless};
use super::session::PARTS;
use crate::batch::Spooled;
use crate::columns::schema_of;
use crate::day::{DAY, day_begin};
use crate::error::StoreError;
use crate::file::OpenFile;
use crate::lake::Lake;
use crate::rows::{Custody, Rows};
use crate::segment::as_pushed;
use crate::settings::DEFAULT_CLASS;
use crate::table::DataFile;
use crate::view::HELD;

/// Files of one version of a table, and rows that are in none of them.
#[derive(Debug)]
pub(super) struct LakeTable {
    pub name: &'static str,
    table: TableSchema,
    files: Arc<Files>,
    listed: Vec<DataFile>,
    fresh: Vec<RecordBatch>,
    pub passed: Passed,
    /// The condition on rows that may be seen.
    pub seen: Option<Expr>,
}

/// Fresh events that are made into rows at most, in bytes: usually there are a few seconds of them, but where the lake cannot be
/// written they become gigabytes.
const FRESH: u64 = 192 << 20;

/// Files that a question passes over, since their key was destroyed.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed {
    files: u64,
    /// Whether the table is asked at all.
    asked: Arc<AtomicBool>,
}

impl Passed {
    /// How many, if the table was asked.
    pub(super) fn files(&self) -> u64 {
        if self.asked.load(Ordering::Relaxed) { self.files } else { 0 }
    }
}

impl Lake {
    /// The three tables as of now.
    pub(super) fn sql_tables(&mut self) -> Result<Vec<LakeTable>, StoreError> {
        self.steady(|lake| {
            let fresh = lake.fresh()?;
            if fresh.bytes() > FRESH {
                return Err(StoreError::Behind(format!(
                    "{} MB of events wait to be written to the lake; SQL is answered when they are in it",
                    fresh.bytes() >> 20
                )));
            }
            let fresh = fresh.batches().collect::<Result<Vec<_>, _>>()?;
            lake.findings.refresh()?;
            lake.incidents.refresh()?;
            let tables = ["events", "findings", "incidents"].map(|name| {
                let rows = if name == "events" { fresh.as_slice() } else { &[] };
                lake.sql_table(name, rows)
            });
            tables.into_iter().collect()
        })
    }

    fn sql_table(&self, name: &'static str, fresh: &[Spooled]) -> Result<LakeTable, StoreError> {
        let text = |f: &Arc<Field>| match f.data_type() {
            DataType::Utf8 | DataType::Dictionary(..) => Field::new(f.name(), DataType::Utf8View, true),
            _ => f.as_ref().clone(),
        };
        let schema = Arc::new(Schema::new(schema_of(name).fields().iter().map(text).collect::<Vec<_>>()));
        let partition = [("class", DataType::Utf8View), ("day", DataType::Date32)];
        let partition = partition.map(|(name, data)| Arc::new(Field::new(name, data, true)));
        let table = TableSchema::builder(schema).with_table_partition_cols(partition.to_vec()).build();
        let source = self.table(name);
        let (listed, shredded) = self.readable(source)?;
        let mut files = HashMap::new();
        for (number, file) in listed.iter().enumerate() {
            let open = OpenFile::open(&source.place, file, &self.footers)?;
            let open = if number < HELD { open } else { open.released(&source.place) };
            files.insert(key(&file.path), open);
        }
        let batch = as_batch(fresh, table.table_schema()).map_err(|e| StoreError::Query(e.to_string()))?;
        let fresh = batch.into_iter().collect();
        let passed = Passed { files: shredded, ..Passed::default() };
        Ok(LakeTable { name, table, files: Arc::new(Files(files)), listed, fresh, passed, seen: None })
    }
}

/// As the library writes paths.
fn key(path: &str) -> String {
    object_store::path::Path::from(path).to_string()
}

/// Fresh events as rows of the table.
fn as_batch(fresh: &[Spooled], schema: &SchemaRef) -> Result<Option<RecordBatch>> {
    let mut rows = Rows::new();
    for batch in fresh {
        let origin = batch.origin();
        let custody =
            Custody { cluster: &origin.cluster, source: &origin.source, received: batch.received() };
        for event in batch.events() {
            rows.push(&event, custody, DEFAULT_CLASS, None);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let pushed = as_pushed(&rows.sheet)?;
    let partitions = &rows.sheet.partitions;
    let day_of = |code: &u32| {
        let (day, _) = partitions.word(code.checked_sub(1)?).split_once('/')?;
        Some((day_begin(day)? / DAY) as i32)
    };
    let days: Date32Array = partitions.codes.iter().map(day_of).collect();
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef> {
        match pushed.column_by_name(field.name()) {
            Some(array) => Ok(arrow::compute::cast(array, field.data_type())?),
            None if field.name() == "day" => Ok(Arc::new(days.clone())),
            None => Ok(Arc::new(StringViewArray::new_null(pushed.num_rows()))),
        }
    });
    Ok(Some(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?))
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.table.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        conditions: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.passed.asked.store(true, Ordering::Relaxed);
        let Some(seen) = &self.seen else { return self.rows(projection, limit, None) };
        let schema = DFSchema::try_from(self.schema())?;
        let ask = |condition: Expr| session.create_physical_expr(condition, &schema);
        let harmless = conditions.iter().filter(|condition| is_harmless(condition)).cloned();
        let narrow = harmless.fold(seen.clone(), Expr::and);
        let rows = self.rows(None, None, Some(ask(narrow)?))?;
        let rows = FilterExecBuilder::new(ask(seen.clone())?, rows).apply_projection(projection.cloned())?;
        Ok(Arc::new(Curtain(Arc::new(rows.build()?))))
    }
}

impl LakeTable {
    /// All rows, or at least those for which a condition on them is true.
    fn rows(
        &self,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
        condition: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let fresh = || {
            let partition = std::slice::from_ref(&self.fresh);
            MemorySourceConfig::try_new_exec(partition, self.schema(), projection.cloned())
        };
        if self.listed.is_empty() {
            return Ok(fresh()?);
        }
        let source = ParquetSource::new(self.table.clone())
            .with_parquet_file_reader_factory(self.files.clone())
            .with_pushdown_filters(true)
            .with_bloom_filter_on_read(true)
            .with_enable_page_index(true);
        let source = match condition {
            Some(condition) => source.with_predicate(condition),
            None => source,
        };
        let mut groups = vec![Vec::new(); PARTS];
        let mut total = 0;
        for (number, file) in self.listed.iter().enumerate() {
            let day = day_begin(&file.day).map(|day| (day / DAY) as i32);
            let class = ScalarValue::Utf8View(Some(file.class.clone()));
            let rows = Statistics::new_unknown(self.table.table_schema())
                .with_num_rows(Precision::Exact(file.rows as usize));
            total += file.rows as usize;
            let listed = PartitionedFile::new(file.path.clone(), file.size)
                .with_partition_values(vec![class, ScalarValue::Date32(day)])
                .with_statistics(Arc::new(rows));
            if let Some(group) = groups.get_mut(number % PARTS) {
                group.push(listed);
            }
        }
        let statistics =
            Statistics::new_unknown(self.table.table_schema()).with_num_rows(Precision::Exact(total));
        let groups = groups.into_iter().filter(|g| !g.is_empty()).map(FileGroup::new).collect();
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let files: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        if self.fresh.is_empty() {
            return Ok(files);
        }
        UnionExec::try_new(vec![files, fresh()?])
    }
}

/// The open files by path.
struct Files(HashMap<String, OpenFile>);

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files", self.0.len())
    }
}

impl ParquetFileReaderFactory for Files {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let path = file.object_meta.location.as_ref();
        let open =
            self.0.get(path).ok_or_else(|| DataFusionError::Execution(format!("{path} is not open")))?;
        Ok(Box::new(Reader(open.clone())))
    }
}

struct Reader(OpenFile);

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let file = self.0.clone();
        if file.is_near() {
            return async move { file.bytes(range) }.boxed();
        }
        async move {
            let read = tokio::task::spawn_blocking(move || file.bytes(range));
            read.await.map_err(|e| ParquetError::External(Box::new(e)))?
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let metadata = self.0.shared_metadata();
        async move { Ok(metadata) }.boxed()
    }
}
