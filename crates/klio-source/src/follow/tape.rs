//! Reads a file from any offset of its content, which may be compressed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::inflate::Inflated;
use crate::{Options, Reason};

/// Bytes passed over at once.
const BLOCK: usize = 1 << 18;

/// An open file.
pub(crate) struct Tape {
    file: Arc<File>,
    packed: Option<Packed>,
    options: Options,
}

/// What was inflated last.
struct Packed {
    stream: Inflated,
    /// Where the window begins.
    at: u64,
    window: Vec<u8>,
    filled: usize,
    over: bool,
    flaw: Option<Reason>,
}

/// Reads a file from its begin without moving its cursor.
struct Rewound {
    file: Arc<File>,
    at: u64,
}

impl Read for Rewound {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn inflate(file: &Arc<File>, options: &Options) -> Result<Inflated, Reason> {
    Inflated::open(Box::new(Rewound { file: file.clone(), at: 0 }), options)
}

impl Packed {
    fn new(stream: Inflated) -> Self {
        Self { stream, at: 0, window: Vec::new(), filled: 0, over: false, flaw: None }
    }

    /// Has the content from `at` on in the window, as far as wanted and there.
    fn seek(&mut self, at: u64, want: usize) {
        loop {
            let pass = at.saturating_sub(self.at).min(self.filled as u64) as usize;
            self.window.copy_within(pass..self.filled, 0);
            self.filled -= pass;
            self.at += pass as u64;
            let there = if self.at == at { want.saturating_sub(self.filled) } else { BLOCK };
            if self.over || there == 0 {
                return;
            }
            match self.stream.fill(&mut self.window, &mut self.filled, there) {
                Ok(over) => self.over = over,
                Err(reason) => (self.over, self.flaw) = (true, Some(reason)),
            }
        }
    }
}

impl Tape {
    /// Opens the file.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, Reason> {
        let file = Arc::new(File::open(path).map_err(|e| unreadable(&e))?);
        let stream = inflate(&file, options)?;
        let packed = (!stream.is_plain()).then(|| Packed::new(stream));
        Ok(Self { file, packed, options: options.clone() })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the content is compressed.
    pub(crate) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Whether the content surely ends here: a compressed stream is whole and no more will come. Known once it was read
    /// up to there.
    pub(crate) fn is_end(&self, at: u64) -> bool {
        let ends = |p: &Packed| p.over && p.flaw.is_none() && p.at + p.filled as u64 == at;
        self.packed.as_ref().is_some_and(ends)
    }

    /// Bytes of the content that are there for now. Nothing if a compressed stream is cut or damaged.
    pub(crate) fn content(&mut self) -> Option<u64> {
        let Some(packed) = &mut self.packed else { return self.file.metadata().ok().map(|m| m.len()) };
        packed.seek(u64::MAX, 1);
        packed.flaw.is_none().then_some(packed.at + packed.filled as u64)
    }

    /// What is wrong with the compressed stream, as far as it was read.
    pub(crate) fn flaw(&self) -> Option<&Reason> {
        self.packed.as_ref().and_then(|packed| packed.flaw.as_ref())
    }

    /// Reads what is there from `at` on into `out`, in place of what it holds. Less than wanted: there is no more for now.
    pub(crate) fn read(&mut self, at: u64, want: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        out.clear();
        let Some(packed) = &mut self.packed else {
            out.resize(want, 0);
            let mut filled = 0;
            while filled < want {
                match self.file.read_at(&mut out[filled..], at + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(unreadable(&e)),
                }
            }
            out.truncate(filled);
            return Ok(());
        };
        if at < packed.at {
            *packed = Packed::new(inflate(&self.file, &self.options)?);
        }
        packed.seek(at, want);
        if packed.at == at {
            out.extend_from_slice(packed.window.get(..want.min(packed.filled)).unwrap_or_default());
        }
        Ok(())
    }
}

pub(crate) fn unreadable(e: &io::Error) -> Reason {
    if e.kind() == io::ErrorKind::NotFound {
        Reason::Missing
    } else {
        Reason::Unreadable { why: e.to_string() }
    }
}
