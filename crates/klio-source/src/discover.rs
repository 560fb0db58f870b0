//! Turns what the person named — files, directories, patterns, `-` — into inputs in reading order, each file once.

use std::collections::{HashMap, HashSet};
use std::fs::{FileType, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::order::rank;
use crate::{Input, InputId, Reason, Rejected, SkipReason, Skipped, Source};

/// What was found.
#[derive(Debug, Default)]
pub struct Discovery {
    /// What to read, in this order.
    pub inputs: Vec<Input>,
    /// Paths that cannot be read.
    pub rejected: Vec<Rejected>,
    /// Paths left alone on purpose.
    pub skipped: Vec<Skipped>,
}

/// Resolves the arguments: a file, a directory (read recursively, links followed, loops reported), a glob pattern,
/// or `-` for standard input. A file reached twice is read once. Nothing here is fatal.
pub fn discover<P: AsRef<Path>>(paths: &[P]) -> Discovery {
    let mut walk = Walk::default();
    for path in paths {
        walk.argument(path.as_ref());
    }
    walk.finish()
}

#[derive(Default)]
struct Walk {
    found: Vec<(Source, Option<u64>, bool)>,
    seen: HashSet<Identity>,
    out: Discovery,
}

/// What makes two paths the same file.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Stdin,
    #[cfg(unix)]
    Inode(u64, u64),
    #[cfg(not(unix))]
    Path(PathBuf),
}

impl Walk {
    fn argument(&mut self, path: &Path) {
        if path == Path::new("-") {
            if self.seen.insert(Identity::Stdin) {
                self.found.push((Source::Stdin, None, false));
            }
            return;
        }
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.directory(path),
            Ok(meta) => self.file(path, &meta, false),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match path.to_str() {
                Some(pattern) if pattern.contains(['*', '?', '[']) => self.pattern(pattern),
                _ => self.reject(path, Reason::Missing),
            },
            Err(e) => self.reject(path, unreadable(&e)),
        }
    }

    fn pattern(&mut self, pattern: &str) {
        let whole = Path::new(pattern);
        let matches = match glob::glob(pattern) {
            Ok(matches) => matches,
            Err(e) => return self.reject(whole, Reason::NoMatch { why: Some(e.to_string()) }),
        };
        let mut any = false;
        for hit in matches {
            any = true;
            match hit {
                Ok(path) => match std::fs::metadata(&path) {
                    Ok(meta) if meta.is_dir() => self.directory(&path),
                    Ok(meta) => self.file(&path, &meta, true),
                    Err(e) => self.reject(&path, unreadable(&e)),
                },
                Err(e) => self.reject(e.path(), unreadable(e.error())),
            }
        }
        if !any {
            self.reject(whole, Reason::NoMatch { why: None });
        }
    }

    fn directory(&mut self, root: &Path) {
        let mut entries = walkdir::WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => {
                    if entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".") {
                        if entry.file_type().is_dir() {
                            entries.skip_current_dir();
                        }
                        self.skip(entry.path(), SkipReason::Hidden);
                    } else if !entry.file_type().is_dir() {
                        match entry.metadata() {
                            Ok(meta) => self.file(entry.path(), &meta, true),
                            Err(e) => self.walk_error(root, &e),
                        }
                    }
                }
                Err(e) => self.walk_error(root, &e),
            }
        }
    }

    fn walk_error(&mut self, root: &Path, e: &walkdir::Error) {
        let path = e.path().unwrap_or(root);
        let reason = match (e.loop_ancestor(), e.io_error()) {
            (Some(target), _) => Reason::Loop { target: target.display().to_string() },
            (_, Some(io)) => unreadable(io),
            _ => Reason::Unreadable { why: e.to_string() },
        };
        self.reject(path, reason);
    }

    fn file(&mut self, path: &Path, meta: &Metadata, found: bool) {
        // A pipe named by the person is meant (process substitution); one met in a directory would block for ever.
        if let Some(what) = special(meta.file_type())
            && (found || what != "a pipe")
        {
            return self.reject(path, Reason::NotRegular { what });
        }
        if self.seen.insert(identity(path, meta)) {
            let size = meta.is_file().then_some(meta.len());
            self.found.push((Source::File(path.to_path_buf()), size, found));
        }
    }

    fn reject(&mut self, path: &Path, reason: Reason) {
        self.out.rejected.push(Rejected { file: name(path), line: 0, count: 1, reason });
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.out.skipped.push(Skipped { file: name(path), line: 0, count: 1, reason });
    }

    /// Rotated sets are put together where their first member was named.
    fn finish(self) -> Discovery {
        let Self { found, mut out, .. } = self;
        let mut first: HashMap<PathBuf, usize> = HashMap::new();
        let mut ranked: Vec<_> = found
            .into_iter()
            .enumerate()
            .map(|(i, item)| {
                let rank = match &item.0 {
                    Source::File(path) => rank(path),
                    Source::Stdin => rank(Path::new("-")),
                };
                let group = *first.entry(rank.set).or_insert(i);
                (group, rank.age, i, item)
            })
            .collect();
        ranked.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
        for (number, (.., (source, size, found))) in ranked.into_iter().enumerate() {
            let name = match &source {
                Source::File(path) => name(path),
                Source::Stdin => "-".into(),
            };
            out.inputs.push(Input { id: InputId(number as u32), source, name, size, found });
        }
        out
    }
}

fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

fn unreadable(e: &std::io::Error) -> Reason {
    if e.kind() == std::io::ErrorKind::NotFound {
        Reason::Missing
    } else {
        Reason::Unreadable { why: e.to_string() }
    }
}

#[cfg(unix)]
fn identity(_path: &Path, meta: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Identity::Inode(meta.dev(), meta.ino())
}

#[cfg(not(unix))]
fn identity(path: &Path, _meta: &Metadata) -> Identity {
    Identity::Path(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
}

#[cfg(unix)]
fn special(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        None
    }
}

#[cfg(not(unix))]
fn special(kind: FileType) -> Option<&'static str> {
    (!kind.is_file() && !kind.is_dir()).then_some("a device")
}
