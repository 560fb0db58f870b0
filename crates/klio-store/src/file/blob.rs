//! The bytes of a data file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::StoreError;
use crate::place::Place;

/// Bytes of a file, wherever it lies.
#[derive(Clone)]
pub(super) struct Blob {
    pub(super) source: Source,
    pub(super) length: u64,
}

#[derive(Clone)]
pub(super) enum Source {
    File(Arc<File>),
    Named(Place, Arc<str>),
}

impl Blob {
    pub(super) fn open(place: &Place, name: &str, size: u64) -> Result<Self, StoreError> {
        match place {
            Place::Local(root) => {
                let path = root.join(name);
                let file = File::open(&path).map_err(StoreError::io(&path))?;
                let length = file.metadata().map_err(StoreError::io(&path))?.len();
                Ok(Self { source: Source::File(Arc::new(file)), length })
            }
            Place::Remote { .. } => {
                Ok(Self { source: Source::Named(place.clone(), name.into()), length: size })
            }
        }
    }
}

impl Length for Blob {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Blob {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        // Asked for page headers only when there is no page index.
        let length = self.length.saturating_sub(start).min(64 << 10);
        Ok(self.get_bytes(start, length as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} lie beyond the end")));
        }
        match &self.source {
            Source::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
            Source::Named(place, name) => place
                .read(name, start..start + length as u64)
                .map_err(|e| ParquetError::External(Box::new(io::Error::other(e.to_string())))),
        }
    }
}
