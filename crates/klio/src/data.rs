//! Where the lake lies and how it is kept: `--data` and `klio.yaml`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klio_model::Filter;
use klio_store::keys::KeyError;
use klio_store::keys::Secret;
use klio_store::spool::SpoolError;
use klio_store::{Lake, Sight, StoreError};

use crate::config::Config;
use crate::failure::Failure;
use crate::people;

/// Which lake.
#[derive(clap::Args, Clone, Default)]
pub struct Data {
    /// Directory of the lake; $XDG_DATA_HOME/klio unless given.
    #[arg(long, env = "KLIO_DATA", value_name = "DIR", help_heading = "Lake", global = true)]
    data: Option<PathBuf>,
    /// The settings; klio.yaml in that directory unless given.
    #[arg(long, env = "KLIO_CONFIG", value_name = "FILE", help_heading = "Lake", global = true)]
    config: Option<PathBuf>,
}

impl Data {
    /// The directory.
    pub fn dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.data {
            return Ok(dir.clone());
        }
        let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        named("XDG_DATA_HOME")
            .or_else(|| named("HOME").map(|home| home.join(".local/share")))
            .map(|base| base.join("klio"))
            .ok_or_else(|| Failure::usage("there is no home directory").hint("give --data DIR"))
    }

    /// The directory, to write in. What root makes in somebody else's directory, the server could not read.
    pub fn own(&self) -> Result<PathBuf, Failure> {
        use std::os::unix::fs::MetadataExt as _;
        let dir = self.dir()?;
        match fs::metadata(&dir) {
            Ok(meta) if meta.uid() != 0 && rustix::process::geteuid().is_root() => {
                let (dir, uid) = (dir.display(), meta.uid());
                return Err(Failure::usage(format!("{dir} belongs to user {uid}, and this is root"))
                    .hint(format!("run it as that user: `sudo -u '#{uid}' klio …`; what root makes there, the server cannot read")));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("klio: {} is new; --data or KLIO_DATA names another directory", dir.display());
            }
            Ok(_) | Err(_) => {}
        }
        Ok(dir)
    }

    /// The settings' file: one that was named must be there.
    pub fn config_path(&self) -> Result<PathBuf, Failure> {
        match &self.config {
            Some(path) if !path.exists() => {
                Err(Failure::usage(format!("{}: there is no such file", path.display())))
            }
            Some(path) => Ok(path.clone()),
            None => Ok(self.dir()?.join("klio.yaml")),
        }
    }

    /// Reads the settings, if there are any.
    pub fn config(&self) -> Result<Config, Failure> {
        Config::read(&self.config_path()?)
    }

    /// A filter as the lake is to be asked: tests of persons become tests of their accounts.
    pub fn asked(&self, filter: Filter) -> Result<Filter, Failure> {
        if !people::asks(&filter) {
            return Ok(filter);
        }
        let people = people::of(self.config()?.people.as_deref())?;
        people::demand(&filter, &people, "`people: FILE` in klio.yaml names them")?;
        Ok(people.resolve(filter))
    }

    /// Opens the lake for reading.
    pub fn lake(&self) -> Result<Lake, Failure> {
        Lake::open(&self.dir()?, &self.config()?.lake).map_err(refused)
    }
}

/// Of which clusters.
#[derive(clap::Args, Clone, Default)]
pub struct Clusters {
    /// Only events of these clusters, with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Which events")]
    cluster: Vec<String>,
}

impl Clusters {
    /// Whether all are meant.
    pub fn is_all(&self) -> bool {
        self.cluster.is_empty()
    }

    /// Whether this one is meant.
    pub fn has(&self, cluster: &str) -> bool {
        self.is_all() || self.cluster.iter().any(|name| name == cluster)
    }

    /// Opens the lake for reading, with nothing in it of other clusters.
    pub fn lake(&self, data: &Data) -> Result<Lake, Failure> {
        let mut lake = data.lake()?;
        if !self.is_all() {
            let own = self.clone();
            let sight = Sight::new(move |cluster| own.has(cluster).then_some(Filter::All));
            lake.show_to(Some(Arc::new(sight)));
        }
        Ok(lake)
    }
}

/// A lake's refusal: of what was asked or set, or of the world.
pub fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Setting { .. }
        | StoreError::Query(_)
        | StoreError::Key(KeyError::Reference { .. })
        | StoreError::Spool(SpoolError::Options { .. } | SpoolError::Seal { .. }) => Failure::usage(error),
        error => Failure::world(error),
    }
}

/// A file or directory that cannot be used.
pub fn failed(path: &Path, e: &std::io::Error) -> Failure {
    let failure = Failure::world(format!("{}: {e}", path.display()));
    if e.kind() == std::io::ErrorKind::PermissionDenied {
        return failure.hint("run it as the owner of that directory, as the server is run");
    }
    failure
}

/// Writes a file whole or not at all, for nobody else to read.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| failed(path, &e);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(path).map(drop).map_err(|e| failed(e.error))
}

/// The key of redaction's hashes: made on first use, so that equal secrets have equal hashes in one lake.
pub fn redaction_key(dir: &Path) -> Result<[u8; 32], Failure> {
    let path = dir.join("redaction.key");
    let failed = |e: std::io::Error| failed(&path, &e);
    match fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            Failure::world(format!("{} does not hold 32 bytes", path.display()))
                .hint("restore it from a copy")
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && dir.join("lake.json").exists() => {
            Err(Failure::world(format!("{} is gone: put it back from a backup", path.display())).hint(
                "with another key equal secrets would no longer have equal hashes; if it is lost, make a file of \
                 32 random bytes in its place",
            ))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let key = Secret::random().map_err(Failure::world)?;
            fs::create_dir_all(dir).map_err(failed)?;
            // Whole or not at all, and of two that make one the first counts.
            let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
            file.write_all(key.expose()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
            match file.persist_noclobber(&path) {
                Ok(_) => fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?,
                Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e.error)),
            }
            redaction_key(dir)
        }
        Err(e) => Err(failed(e)),
    }
}
