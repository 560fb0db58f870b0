//! The checkpoints that a log has ever signed.

use std::{
    fs, io,
    path::{Path as FsPath, PathBuf},
};

use super::LogError;
use crate::{disk, note::MAX_NOTE};

/// How many leaves the notes of one history file speak of.
pub(crate) const HISTORY_SPAN: u64 = 4096;

/// The file below the log's directory that keeps the checkpoints of these sizes.
pub(crate) fn history_file(size: u64) -> String {
    format!("checkpoints/{:012}", size / HISTORY_SPAN)
}

/// The checkpoints of a log from the oldest: the notes, one after another, with an empty line between.
#[derive(Debug)]
pub struct History {
    root: PathBuf,
    /// Numbers of the files still to be read, the last first.
    files: Vec<String>,
    file: String,
    lines: Option<io::BufReader<io::Take<fs::File>>>,
    line: u64,
    /// A line that was read too far.
    pushed: Vec<u8>,
}

/// One note of the history.
#[derive(Debug)]
pub struct Kept {
    /// The file, relative to the log.
    pub file: String,
    /// The line on which it begins.
    pub line: u64,
    /// The note; or the words on why it is none, and the text as far as it was read.
    pub note: Result<String, String>,
}

/// Most bytes of one history file: some 16 kB for each of its notes.
const MAX_HISTORY: u64 = HISTORY_SPAN << 14;

impl History {
    pub(crate) fn open(root: &FsPath) -> Result<Self, LogError> {
        let directory = root.join("checkpoints");
        let failed = |source| LogError::File { path: directory.display().to_string(), source };
        let mut files = Vec::new();
        match fs::read_dir(&directory) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(failed)?.file_name();
                    let name = name.to_string_lossy();
                    if name.len() == 12 && name.bytes().all(|b| b.is_ascii_digit()) {
                        files.push(format!("checkpoints/{name}"));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self {
            root: root.to_owned(),
            files,
            file: String::new(),
            lines: None,
            line: 0,
            pushed: Vec::new(),
        })
    }

    /// The path of the newest file, if there is one.
    pub(crate) fn newest(&self) -> Option<&str> {
        self.files.first().map(String::as_str)
    }

    fn next_file(&mut self) -> Result<bool, LogError> {
        let Some(file) = self.files.pop() else { return Ok(false) };
        let path = self.root.join(&file);
        let failed = |source| LogError::File { path: path.display().to_string(), source };
        let opened = disk::open(&path).map_err(failed)?;
        if opened.metadata().map_err(failed)?.len() > MAX_HISTORY {
            let why = format!("longer than the {MAX_HISTORY} bytes it may have");
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        self.lines = Some(io::BufReader::new(io::Read::take(opened, MAX_HISTORY)));
        (self.file, self.line) = (file, 0);
        Ok(true)
    }

    /// Reads one note: lines up to the empty one after a signature, or the end of the file. A damaged note
    /// takes at most its neighbour with it.
    fn read(&mut self) -> io::Result<Option<Kept>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let mut note = std::mem::take(&mut self.pushed);
        let (mut signed, mut whole, begin) = (false, false, self.line + 1);
        self.line += u64::from(!note.is_empty());
        loop {
            let before = note.len();
            let left = (MAX_NOTE + 1).saturating_sub(before) as u64;
            let read = io::BufRead::read_until(&mut io::Read::take(&mut *lines, left), b'\n', &mut note)?;
            if note.last() != Some(&b'\n') || read == 0 {
                // The first end that is met is the end: what a writer adds after it is not half of another note.
                if note.len() <= MAX_NOTE {
                    self.lines = None;
                }
                if note.is_empty() {
                    return Ok(None);
                }
                self.line += u64::from(read > 0);
                break;
            }
            let line = &note[before..];
            if signed && line == b"\n" {
                self.line += 1;
                whole = true;
                note.pop();
                break;
            }
            let signature = line.starts_with("\u{2014} ".as_bytes());
            if signed && !signature {
                self.pushed = note.split_off(before);
                break;
            }
            signed = signature;
            self.line += 1;
        }
        let note = match String::from_utf8(note) {
            Ok(text) if whole => Ok(text),
            Ok(text) => Err(text),
            Err(error) => {
                // A character that was cut in two is no other fault than the cut.
                let cut = error.utf8_error().error_len().is_none();
                let whole = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(whole);
                Err(String::from_utf8(bytes).ok().filter(|_| cut).unwrap_or_else(|| "not UTF-8".to_owned()))
            }
        };
        Ok(Some(Kept { file: self.file.clone(), line: begin, note }))
    }
}

impl Iterator for History {
    type Item = Result<Kept, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(Some(kept)) => return Some(Ok(kept)),
                Ok(None) => match self.next_file() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                },
                Err(source) => {
                    self.lines = None;
                    let path = self.root.join(&self.file).display().to_string();
                    return Some(Err(LogError::File { path, source }));
                }
            }
        }
    }
}
