//! What is in a lake, and whether its files are where they should be. Nothing is computed: that is what
//! [`crate::verify`] is for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use klio_model::Timestamp;
use serde::Serialize;

use crate::error::StoreError;
use crate::identity;
use crate::lake::Lake;
use crate::spool::survey;
use crate::sweep::orphans;
use crate::table::Table;

/// What is in a lake.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// The lake's name, which is that of its log.
    pub origin: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// The layout of its files.
    pub layout: u32,
    /// Its tables.
    pub tables: Vec<TableInfo>,
    /// Batches that are not in the tables yet.
    pub spooled: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// The last batch that is in the tables.
    pub flushed: u64,
    /// Entries of the signed log.
    pub sealed: u64,
    /// The log's root, in hexadecimal digits.
    pub root: String,
    /// The log's public key.
    pub key: String,
    /// Holds in force.
    pub holds: usize,
}

/// One table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableInfo {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: u64,
    /// Data files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows and bytes by class of retention.
    pub classes: BTreeMap<String, (u64, u64)>,
    /// Different days.
    pub days: u64,
    /// The first event, RFC 3339.
    pub oldest: Option<String>,
    /// The last event, RFC 3339.
    pub newest: Option<String>,
}

/// What is not where it should be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Check {
    /// Things to see to.
    pub problems: Vec<String>,
    /// Files in no table, as a crash or a merge leaves them, and their bytes: they are swept away in time.
    pub orphans: Vec<(String, u64)>,
    /// Data files that were looked for.
    pub files: u64,
}

impl Lake {
    /// Says what is in the lake.
    pub fn info(&self) -> Result<Info, StoreError> {
        let identity = identity::read(&self.dir)?;
        let log = self.log()?;
        let flushed = self.events.upto()?;
        let spool = survey(&self.dir.join("spool"), flushed)?;
        let tables = [&self.events, &self.findings, &self.incidents].map(table_info);
        Ok(Info {
            origin: identity.origin,
            created: identity.created,
            layout: identity.layout,
            tables: tables.into_iter().collect::<Result<_, _>>()?,
            spooled: spool.last.saturating_sub(flushed),
            spool_bytes: spool.bytes,
            flushed,
            sealed: log.size(),
            root: log.root().to_string(),
            key: self.public_key().map_or_else(|_| String::new(), |key| key.to_string()),
            holds: self.ledger()?.holds.len(),
        })
    }

    /// Looks whether all files are there, of their size, and not open to others.
    pub fn check(&self) -> Result<Check, StoreError> {
        let mut check = Check::default();
        let ledger = self.ledger()?;
        for table in [&self.events, &self.findings, &self.incidents] {
            let listed: BTreeMap<String, u64> =
                table.place.list()?.into_iter().map(|file| (file.name, file.size)).collect();
            for file in table.files()? {
                check.files += 1;
                let path = format!("{}/{}", table.name, file.path);
                match listed.get(&file.path) {
                    Some(size) if *size == file.size => {}
                    Some(size) => {
                        check.problem(&path, &format!("it has {size} bytes and should have {}", file.size))
                    }
                    None => check.problem(&path, "it is missing"),
                }
                if ledger.leaf_of(&path).is_none() {
                    check.problem(&path, "it is not sealed");
                }
            }
            let orphans = orphans(table, &ledger)?.into_iter();
            check.orphans.extend(orphans.map(|file| (format!("{}/{}", table.name, file.name), file.size)));
        }
        let flushed = self.events.upto()?;
        match survey(&self.dir.join("spool"), flushed) {
            Ok(spool) => {
                spool.damage.iter().for_each(|damage| check.problem("spool", &damage.to_string()));
                if spool.files > 0 && spool.last < flushed {
                    check
                        .problem("spool", &format!("it ends at batch {}, the lake at {flushed}", spool.last));
                }
            }
            Err(error) => check.problem("spool", &error.to_string()),
        }
        match identity::read(&self.dir) {
            Ok(_) => {}
            Err(error) => check.problem("lake.json", &error.to_string()),
        }
        check.secrets(&self.dir);
        Ok(check)
    }
}

fn table_info(table: &Table) -> Result<TableInfo, StoreError> {
    let mut info = TableInfo { name: table.name, version: table.version(), ..TableInfo::default() };
    let (mut days, mut span) = (BTreeSet::new(), None::<(i64, i64)>);
    for file in table.files()? {
        info.files += 1;
        info.rows += file.rows;
        info.bytes += file.size;
        if let Some((a, b)) = file.times {
            span = Some(span.map_or((a, b), |(c, d)| (a.min(c), b.max(d))));
        }
        let class = info.classes.entry(file.class).or_default();
        *class = (class.0 + file.rows, class.1 + file.size);
        days.insert(file.day);
    }
    info.days = days.len() as u64;
    info.oldest = span.map(|(a, _)| Timestamp(a).to_string());
    info.newest = span.map(|(_, b)| Timestamp(b).to_string());
    Ok(info)
}

impl Check {
    fn problem(&mut self, place: &str, said: &str) {
        self.problems.push(format!("{place}: {said}"));
    }

    /// Key files are nobody else's to read, and a directory that others may write in is not ours alone.
    fn secrets(&mut self, dir: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).ok().map(|m| m.permissions().mode() & 0o777);
        if mode(dir).is_some_and(|mode| mode & 0o022 != 0) {
            self.problem(".", "others may write into the lake's directory: `chmod go-w` it");
        }
        let Ok(entries) = fs::read_dir(dir) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_key = path.extension().is_some_and(|e| e == "key") && path.is_file();
            if let Some(mode) = mode(&path).filter(|mode| is_key && mode & 0o077 != 0) {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                self.problem(&name, &format!("others may read this key (mode {mode:o}): `chmod 600` it"));
            }
        }
    }
}
