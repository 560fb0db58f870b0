//! The columns of one row group, each read when it is first asked for.

mod coded;
mod pages;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int32Type;

use crate::columns::{Kind, column};
use crate::error::StoreError;
use crate::file::OpenFile;

pub(crate) use coded::{Coded, Run, push};
pub(crate) use pages::Pages;

/// A row group of an open file.
pub(crate) struct Group<'f> {
    pub file: &'f OpenFile,
    pub number: usize,
    pub rows: usize,
    read: RefCell<HashMap<&'static str, Option<Cells>>>,
}

/// A column as it was read.
#[derive(Clone)]
pub(crate) enum Cells {
    /// Few distinct texts.
    Words(Rc<Coded>),
    /// Anything else.
    Array(ArrayRef),
}

impl Cells {
    /// The rows without a value.
    pub(crate) fn missing(&self) -> BooleanBuffer {
        match self {
            Self::Words(words) => words.rows(|code| code == 0),
            Self::Array(array) => {
                array.nulls().map_or_else(|| BooleanBuffer::new_unset(array.len()), |nulls| !nulls.inner())
            }
        }
    }
}

impl<'f> Group<'f> {
    pub(crate) fn new(file: &'f OpenFile, number: usize) -> Self {
        Self { file, number, rows: file.rows(number), read: RefCell::default() }
    }

    /// A column by its name; `None` if the file has none of that name, as an older file may.
    pub(crate) fn cells(&self, name: &'static str) -> Result<Option<Cells>, StoreError> {
        if let Some(known) = self.read.borrow().get(name) {
            return Ok(known.clone());
        }
        let cells = self.read(name)?;
        self.read.borrow_mut().insert(name, cells.clone());
        Ok(cells)
    }

    /// A column that is no column of words.
    pub(crate) fn array(&self, name: &'static str) -> Result<Option<ArrayRef>, StoreError> {
        Ok(self
            .cells(name)?
            .and_then(|cells| if let Cells::Array(array) = cells { Some(array) } else { None }))
    }

    /// A column of words.
    pub(crate) fn words(&self, name: &'static str) -> Result<Option<Rc<Coded>>, StoreError> {
        Ok(self
            .cells(name)?
            .and_then(|cells| if let Cells::Words(words) = cells { Some(words) } else { None }))
    }

    /// The rows where a column of flags is set, of which statistics tell if they are all alike.
    pub(crate) fn flags(&self, name: &'static str) -> Result<Option<BooleanBuffer>, StoreError> {
        match self.file.flag(self.number, name) {
            Some(true) => Ok(Some(BooleanBuffer::new_set(self.rows))),
            Some(false) => Ok(Some(BooleanBuffer::new_unset(self.rows))),
            None => Ok(self.array(name)?.as_ref().and_then(|a| a.as_boolean_opt()).map(|flags| match flags
                .nulls()
            {
                Some(nulls) => flags.values() & nulls.inner(),
                None => flags.values().clone(),
            })),
        }
    }

    /// What it costs to read a column: its packed bytes, or nothing if it is at hand.
    pub(crate) fn cost(&self, name: &str) -> u64 {
        if self.read.borrow().contains_key(name) { 0 } else { self.file.packed_bytes(self.number, name) }
    }

    fn read(&self, name: &'static str) -> Result<Option<Cells>, StoreError> {
        let Some(kind) = column(name).map(|column| column.kind) else { return Ok(None) };
        let is_words = kind == Kind::Word;
        if (is_words || kind == Kind::Bool)
            && let Some(pages) = self.file.pages(self.number, name)?
        {
            let damaged = |e| self.file.damaged(e);
            let cells = if is_words {
                pages::coded(pages, self.rows).map_err(damaged)?.map(|words| Cells::Words(Rc::new(words)))
            } else {
                let flags = pages::flags(pages, self.rows).map_err(damaged)?;
                flags.map(|flags| Cells::Array(Arc::new(BooleanArray::new(flags, None))))
            };
            if cells.is_some() {
                return Ok(cells);
            }
        }
        let batch = self.file.columns(self.number, &[name])?;
        let Some(array) = batch.column_by_name(name) else { return Ok(None) };
        if array.len() != self.rows {
            return Err(self.file.damaged(format!("column {name}: {} rows of {}", array.len(), self.rows)));
        }
        Ok(Some(match array.as_dictionary_opt::<Int32Type>() {
            Some(words) if is_words => {
                let coded =
                    Coded::of(words).ok_or_else(|| self.file.damaged("a column of words has none"))?;
                Cells::Words(Rc::new(coded))
            }
            _ => Cells::Array(array.clone()),
        }))
    }
}
