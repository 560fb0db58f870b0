//! Where the lake's files lie: a directory, or a bucket of an object store. What is written here is durable when the
//! call returns.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;
use url::Url;

use crate::error::StoreError;

/// A directory or a prefix in a bucket.
#[derive(Clone)]
pub(crate) enum Place {
    Local(PathBuf),
    Remote { store: Arc<dyn ObjectStore>, url: Url, prefix: Key, runtime: Arc<Runtime> },
}

/// A file as a place lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub name: String,
    pub size: u64,
    /// When it was last written, in microseconds since 1970; the far future when nobody knows.
    pub changed: i64,
}

impl Place {
    /// A place below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        match self {
            Self::Local(root) => Self::Local(root.join(name)),
            Self::Remote { store, url, prefix, runtime } => {
                let mut url = url.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().push(name);
                }
                let prefix = prefix.clone().join(name);
                Self::Remote { store: store.clone(), url, prefix, runtime: runtime.clone() }
            }
        }
    }

    /// The address of the place.
    pub(crate) fn url(&self) -> Result<Url, StoreError> {
        match self {
            Self::Local(root) => {
                let root = fs::canonicalize(root).map_err(StoreError::io(root))?;
                Url::from_directory_path(&root).map_err(|()| StoreError::Setting {
                    place: root.display().to_string(),
                    said: "no directory".into(),
                })
            }
            Self::Remote { url, .. } => Ok(url.clone()),
        }
    }

    /// Writes a file whole.
    pub(crate) fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        match self {
            Self::Local(root) => {
                let path = root.join(name);
                let dir = path.parent().unwrap_or(root);
                if !dir.is_dir() {
                    fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
                    let made = dir.ancestors().take_while(|d| d.starts_with(root));
                    made.filter_map(Path::parent).try_for_each(sync)?;
                }
                let mut file = File::create(&path).map_err(StoreError::io(&path))?;
                file.write_all(&bytes).map_err(StoreError::io(&path))?;
                file.sync_all().map_err(StoreError::io(&path))?;
                sync(dir)
            }
            Self::Remote { store, prefix, runtime, .. } => {
                let key = key(prefix, name);
                runtime.block_on(store.put(&key, bytes.into())).map_err(remote(&key)).map(drop)
            }
        }
    }

    /// Reads a part of a file.
    pub(crate) fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        match self {
            Self::Local(root) => {
                let path = root.join(name);
                let mut file = File::open(&path).map_err(StoreError::io(&path))?;
                file.seek(SeekFrom::Start(range.start)).map_err(StoreError::io(&path))?;
                let wanted = range.end.saturating_sub(range.start);
                let there = file.metadata().map_err(StoreError::io(&path))?.len().saturating_sub(range.start);
                let mut bytes = Vec::with_capacity(wanted.min(there) as usize);
                file.take(wanted).read_to_end(&mut bytes).map_err(StoreError::io(&path))?;
                if (bytes.len() as u64) < wanted {
                    return Err(StoreError::Damaged {
                        file: name.into(),
                        said: "the file is too short".into(),
                    });
                }
                Ok(bytes.into())
            }
            Self::Remote { store, prefix, runtime, .. } => {
                let key = key(prefix, name);
                runtime.block_on(store.get_range(&key, range)).map_err(remote(&key))
            }
        }
    }

    /// Reads a file whole that has at most `most` bytes.
    pub(crate) fn read_all(&self, name: &str, most: u64) -> Result<Bytes, StoreError> {
        match self {
            Self::Local(root) => Ok(read_file(&root.join(name), name, most)?.into()),
            Self::Remote { store, prefix, runtime, .. } => {
                let key = key(prefix, name);
                let found = runtime.block_on(store.get(&key)).map_err(remote(&key))?;
                if found.meta.size > most {
                    return Err(too_long(name, found.meta.size, most));
                }
                runtime.block_on(found.bytes()).map_err(remote(&key))
            }
        }
    }

    /// Removes a file; one that is not there is removed already.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self {
            Self::Local(root) => {
                let path = root.join(name);
                match fs::remove_file(&path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io(&path)(e)),
                    _ => Ok(()),
                }
            }
            Self::Remote { store, prefix, runtime, .. } => {
                let key = key(prefix, name);
                match runtime.block_on(store.delete(&key)) {
                    Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                    Err(e) => Err(remote(&key)(e)),
                }
            }
        }
    }

    /// All files below, by name.
    pub(crate) fn list(&self) -> Result<Vec<Listed>, StoreError> {
        match self {
            Self::Local(root) if !root.is_dir() => Ok(Vec::new()),
            Self::Local(root) => {
                let mut found = Vec::new();
                let mut open = vec![root.clone()];
                while let Some(dir) = open.pop() {
                    for entry in fs::read_dir(&dir).map_err(StoreError::io(&dir))? {
                        let entry = entry.map_err(StoreError::io(&dir))?;
                        let kind = entry.metadata().map_err(StoreError::io(&dir))?;
                        let path = entry.path();
                        if kind.is_dir() {
                            open.push(path);
                        } else if let Ok(name) = path.strip_prefix(root) {
                            let changed =
                                kind.modified().ok().and_then(|t| jiff::Timestamp::try_from(t).ok());
                            found.push(Listed {
                                name: name.to_string_lossy().into_owned(),
                                size: kind.len(),
                                changed: changed.map_or(i64::MAX, jiff::Timestamp::as_microsecond),
                            });
                        }
                    }
                }
                found.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(found)
            }
            Self::Remote { store, prefix, runtime, .. } => {
                use futures::TryStreamExt;
                let all = store.list(Some(prefix)).try_collect::<Vec<_>>();
                let all = runtime.block_on(all).map_err(remote(prefix))?;
                let below = format!("{prefix}/");
                let name = |key: &Key| key.as_ref().strip_prefix(&below).unwrap_or(key.as_ref()).to_owned();
                let mut found: Vec<_> = all
                    .iter()
                    .map(|m| Listed {
                        name: name(&m.location),
                        size: m.size,
                        changed: m.last_modified.timestamp_micros(),
                    })
                    .collect();
                found.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(found)
            }
        }
    }

    /// Whether an object store answers: lists what lies directly below.
    pub(crate) fn reach(&self) -> Result<(), StoreError> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Remote { store, prefix, runtime, .. } => {
                let listed = runtime.block_on(store.list_with_delimiter(Some(prefix)));
                listed.map(drop).map_err(remote(prefix))
            }
        }
    }

    /// Whether all files below are regular and have at most `most` bytes, before they are handed to a library.
    pub(crate) fn sound(&self, most: u64) -> Result<(), StoreError> {
        for file in self.list()? {
            let mut size = file.size;
            if let Self::Local(root) = self {
                let path = root.join(&file.name);
                let there = match fs::metadata(&path) {
                    // A writer may have renamed it meanwhile.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    there => there.map_err(StoreError::io(&path))?,
                };
                if !there.is_file() {
                    let said = "it is not a regular file".into();
                    return Err(StoreError::Damaged { file: file.name, said });
                }
                size = there.len();
            }
            if size > most {
                return Err(too_long(&file.name, size, most));
            }
        }
        Ok(())
    }

    /// Makes what another library wrote here durable: object stores did it, a file system must be told.
    pub(crate) fn sync(&self, name: &str) -> Result<(), StoreError> {
        let Self::Local(root) = self else { return Ok(()) };
        let path = root.join(name);
        sync(&path)?;
        path.parent().map_or(Ok(()), sync)
    }
}

/// Reads a regular file of at most `most` bytes; `name` is what errors call it. A pipe or a device in its place would
/// never end.
pub(crate) fn read_file(path: &Path, name: &str, most: u64) -> Result<Vec<u8>, StoreError> {
    let there = fs::metadata(path).map_err(StoreError::io(path))?;
    if !there.is_file() {
        return Err(StoreError::Damaged { file: name.into(), said: "it is not a regular file".into() });
    }
    if there.len() > most {
        return Err(too_long(name, there.len(), most));
    }
    let mut bytes = Vec::with_capacity(there.len() as usize);
    let file = File::open(path).map_err(StoreError::io(path))?;
    file.take(most).read_to_end(&mut bytes).map_err(StoreError::io(path))?;
    Ok(bytes)
}

fn too_long(name: &str, bytes: u64, most: u64) -> StoreError {
    StoreError::Damaged { file: name.into(), said: format!("it has {bytes} bytes and may have {most}") }
}

/// Makes a file or a directory durable.
pub(crate) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(StoreError::io(path))
}

fn key(prefix: &Key, name: &str) -> Key {
    Key::from(format!("{prefix}/{name}"))
}

fn remote(key: &Key) -> impl FnOnce(object_store::Error) -> StoreError + '_ {
    move |e| StoreError::Remote { place: key.to_string(), said: e.to_string() }
}
