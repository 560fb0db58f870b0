//! A Parquet file that any tool reads.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use klio_model::{Event, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Sink;
use super::columns::{ExportColumn, ExportColumns, From};
use crate::error::StoreError;
use crate::scan::Kept;

/// Rows of a batch, and bytes of a row group, which are held until it is written.
const ROWS: usize = 2048;
const GROUP: usize = 32 << 20;

enum Cells {
    Time(TimestampMicrosecondBuilder),
    Number(Int64Builder),
    Text(StringBuilder),
}

pub(super) struct Table<'c, W: Write + Send> {
    columns: &'c ExportColumns,
    schema: SchemaRef,
    cells: Vec<Cells>,
    raw: StringBuilder,
    rows: usize,
    writer: ArrowWriter<W>,
}

impl<'c, W: Write + Send> Table<'c, W> {
    pub(super) fn new(columns: &'c ExportColumns, out: W) -> Result<Self, StoreError> {
        let cells: Vec<Cells> = columns.0.iter().map(cells).collect();
        let field = |(column, cells): (&ExportColumn, &Cells)| {
            let data = match cells {
                Cells::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                Cells::Number(_) => DataType::Int64,
                Cells::Text(_) => DataType::Utf8,
            };
            ArrowField::new(&column.name, data, true)
        };
        let mut fields: Vec<ArrowField> = columns.0.iter().zip(&cells).map(field).collect();
        fields.push(ArrowField::new("raw", DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
            .set_created_by(concat!("klio ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(wrong)?;
        Ok(Self { columns, schema, cells, raw: StringBuilder::new(), rows: 0, writer })
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.cells.len() + 1);
        for cells in &mut self.cells {
            arrays.push(match cells {
                Cells::Time(cells) => Arc::new(cells.finish().with_timezone("UTC")),
                Cells::Number(cells) => Arc::new(cells.finish()),
                Cells::Text(cells) => Arc::new(cells.finish()),
            });
        }
        arrays.push(Arc::new(self.raw.finish()));
        self.rows = 0;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)
            .map_err(|e| StoreError::Query(e.to_string()))?;
        self.writer.write(&batch).map_err(wrong)?;
        if self.writer.in_progress_size() > GROUP {
            self.writer.flush().map_err(wrong)?;
        }
        Ok(())
    }
}

fn cells(column: &ExportColumn) -> Cells {
    match &column.from {
        From::Time | From::Received => Cells::Time(TimestampMicrosecondBuilder::new()),
        From::Field(field) if field.field() == Field::Code => Cells::Number(Int64Builder::new()),
        _ => Cells::Text(StringBuilder::new()),
    }
}

impl<W: Write + Send> Sink for Table<'_, W> {
    fn take(&mut self, kept: &Kept) -> Result<(), StoreError> {
        let event = Event::parse(&kept.raw).ok();
        let event = event.as_ref();
        for (column, cells) in self.columns.0.iter().zip(&mut self.cells) {
            match cells {
                Cells::Time(cells) => cells.append_option(column.number(kept, event)),
                Cells::Number(cells) => cells.append_option(column.number(kept, event)),
                Cells::Text(cells) => cells.append_option(column.text(kept, event)),
            }
        }
        self.raw.append_value(&kept.raw);
        self.rows += 1;
        // Records may be large: a batch is not.
        if self.rows >= ROWS || self.raw.values_slice().len() > GROUP { self.write() } else { Ok(()) }
    }

    fn end(mut self: Box<Self>) -> Result<(), StoreError> {
        self.write()?;
        self.writer.close().map(drop).map_err(wrong)
    }
}

fn wrong(e: parquet::errors::ParquetError) -> StoreError {
    super::refused(std::io::Error::other(e))
}
