//! Hands out chunks of all inputs, numbered in reading order.

use std::path::PathBuf;

use klio_source::{Chunk, Chunks, Discovery, Input, Options, Pool, Rejected, Skipped, discover};

use crate::failure::Failure;

/// All inputs, one being read.
pub(super) struct Feed {
    inputs: std::collections::VecDeque<Input>,
    open: Option<Chunks>,
    pool: Pool,
    options: Options,
    next: u64,
    total: Option<u64>,
    troubles: Troubles,
}

/// What is known to be unreadable before any byte was read.
#[derive(Default)]
pub(super) struct Troubles {
    pub rejected: Vec<Rejected>,
    pub skipped: Vec<Skipped>,
    pub files: u64,
}

impl Feed {
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, Failure> {
        let Discovery { inputs, rejected, skipped, .. } = discover(paths);
        if inputs.is_empty() {
            let why = rejected.iter().map(ToString::to_string).chain(skipped.iter().map(ToString::to_string));
            let why: Vec<String> = why.take(5).collect();
            let mut failure = Failure::world(if why.is_empty() {
                "nothing to read".to_owned()
            } else {
                why.join("\n      ")
            });
            failure = failure.hint(
                "give audit log files, directories, patterns such as 'audit*.log', or - for standard input",
            );
            return Err(failure);
        }
        let total = inputs.iter().map(|i| i.size).sum::<Option<u64>>();
        let troubles = Troubles { rejected, skipped, files: inputs.len() as u64 };
        Ok(Self {
            inputs: inputs.into(),
            open: None,
            pool: Pool::default(),
            options: Options::default(),
            next: 0,
            total,
            troubles,
        })
    }

    /// Bytes on disk, if all inputs tell.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn next_chunk(&mut self) -> Option<(u64, Chunk)> {
        loop {
            if let Some(chunks) = &mut self.open {
                if let Some(chunk) = chunks.next() {
                    self.next += 1;
                    return Some((self.next - 1, chunk));
                }
                self.open = None;
            }
            let input = self.inputs.pop_front()?;
            self.open = Some(Chunks::new(&input, &self.options, &self.pool));
        }
    }

    pub(super) fn into_troubles(self) -> Troubles {
        self.troubles
    }
}
