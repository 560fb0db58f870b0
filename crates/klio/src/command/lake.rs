//! `klio lake`

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use klio_model::Timestamp;
use klio_store::keys::FileKeyProvider;
use klio_store::{Classes, CompactOptions, Encryption, Hold, Writer, narrowed};

use super::scan::Window;
use crate::data::{Data, refused};
use crate::failure::Failure;
use crate::output::{Grid, plain};

/// See to the lake: what is in it, merging, expiry, legal holds, keys.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio lake info
  klio lake compact
  klio lake expire --dry-run
  klio lake hold 'user:alice' --owner legal --reason 'case 4711'
  klio lake keys rotate")]
pub struct Lake {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    data: Data,
}

#[derive(clap::Subcommand)]
enum What {
    /// What is in the lake.
    Info {
        /// As one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Whether every file is where it should be; `klio verify` says whether it is what was sealed.
    Check {
        /// As one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Merge small files.
    Compact {
        /// Merge partitions with at least so many small files.
        #[arg(long, value_name = "N", default_value_t = 4)]
        min_files: usize,
        /// Keep the replaced files so many seconds for those who are reading them.
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        grace: u64,
    },
    /// Remove what has been kept as long as the retention rules say.
    Expire {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// What would be removed at this moment; RFC 3339.
        #[arg(long, value_name = "TIME", requires = "dry_run")]
        at: Option<String>,
    },
    /// Keep events whatever the retention rules say.
    Hold(Held),
    /// End a hold: give its filter and owner.
    Release(Held),
    /// The holds in force.
    Holds,
    /// Print the newest signed checkpoint, to be kept elsewhere.
    Checkpoint,
    /// Print the public key of the signed log, to be kept elsewhere.
    PublicKey,
    /// The keys of an encrypted lake.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(clap::Args)]
struct Held {
    /// Which events; `*` for all.
    filter: String,
    /// Who asked.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    owner: String,
    /// Why.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    #[command(flatten)]
    window: Window,
}

#[derive(clap::Subcommand)]
enum Keys {
    /// Make a key file for `lake.encryption.key`.
    New {
        /// Where; not in the lake's directory.
        path: PathBuf,
    },
    /// List the data keys.
    List,
    /// Give every data key a new version: what is written from now on is encrypted with it.
    Rotate,
    /// Wrap the data keys with another key; then name it in klio.yaml.
    Rewrap {
        /// `file:PATH` or `env:NAME`.
        key: String,
    },
    /// Destroy the key of one day of a retention class: its events cannot be read any more, in any copy.
    Shred {
        /// The retention class.
        #[arg(long)]
        class: String,
        /// The day, YYYY-MM-DD.
        #[arg(long)]
        day: String,
        /// Why; it is stated in the signed log.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// It cannot be undone.
        #[arg(long)]
        yes: bool,
    },
}

impl Lake {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let data = &self.data;
        match self.what {
            What::Info { json } => info(data, json),
            What::Check { json } => check(data, json),
            What::Compact { min_files, grace } => compact(data, min_files, grace),
            What::Expire { dry_run, at } => expire(data, dry_run, at.as_deref()),
            What::Hold(held) => {
                let hold = held.hold()?;
                let leaf = writer(data)?.hold(&hold).map_err(refused)?;
                eprintln!("klio: held; entry {leaf} of the signed log says so");
                Ok(())
            }
            What::Release(held) => {
                let hold = held.hold()?;
                let leaf = writer(data)?.release(&hold).map_err(refused)?;
                eprintln!("klio: released; entry {leaf} of the signed log says so");
                Ok(())
            }
            What::Holds => holds(data),
            What::Checkpoint => {
                write!(stdout(), "{}", data.lake()?.checkpoint().map_err(Failure::world)?)?;
                Ok(())
            }
            What::PublicKey => {
                writeln!(stdout(), "{}", data.lake()?.public_key().map_err(Failure::world)?)?;
                Ok(())
            }
            What::Keys(keys) => keys.run(data),
        }
    }
}

impl Held {
    fn hold(&self) -> Result<Hold, Failure> {
        if self.window.filter.is_some() {
            return Err(Failure::usage("a hold has one filter").hint("put --where into it"));
        }
        let text = |s: &String| s.trim().to_owned();
        let (filter, owner, reason) = (text(&self.filter), text(&self.owner), text(&self.reason));
        Ok(narrowed(Hold { filter, owner, reason }, self.window.range()?))
    }
}

/// Opens the lake for writing; it must be there.
fn writer(data: &Data) -> Result<Writer, Failure> {
    drop(data.lake()?);
    Writer::open(&data.dir()?, &data.config()?.lake).map_err(refused)
}

fn info(data: &Data, json: bool) -> Result<(), Failure> {
    let info = data.lake()?.info().map_err(Failure::world)?;
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&info).map_err(Failure::world)?)?;
        return Ok(());
    }
    writeln!(stdout(), "{}  {}, made {}", data.dir()?.display(), info.origin, info.created)?;
    let mut grid = Grid::new(&["table", "rows", "bytes", "files", "days", "first", "last"]);
    for table in &info.tables {
        let time = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".into());
        grid.row(vec![
            table.name.into(),
            table.rows.to_string(),
            table.bytes.to_string(),
            table.files.to_string(),
            table.days.to_string(),
            time(&table.oldest),
            time(&table.newest),
        ]);
    }
    write!(stdout(), "{grid}")?;
    writeln!(
        stdout(),
        "spool: {} batches not in a table yet, {} bytes on disk",
        info.spooled,
        info.spool_bytes
    )?;
    writeln!(stdout(), "seal:  {} entries, root {}, {} holds", info.sealed, info.root, info.holds)?;
    writeln!(stdout(), "key:   {}", info.key)?;
    Ok(())
}

fn check(data: &Data, json: bool) -> Result<(), Failure> {
    let check = data.lake()?.check().map_err(Failure::world)?;
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&check).map_err(Failure::world)?)?;
    } else {
        let bytes: u64 = check.orphans.iter().map(|(_, bytes)| bytes).sum();
        writeln!(
            stdout(),
            "{} data files; {} that no table names, {bytes} bytes",
            check.files,
            check.orphans.len()
        )?;
        for problem in &check.problems {
            writeln!(stdout(), "problem: {}", plain(problem))?;
        }
        if check.problems.is_empty() {
            writeln!(stdout(), "in order: every file is where it should be; `klio verify` looks into them")?;
        }
    }
    if check.problems.is_empty() { Ok(()) } else { Err(Failure::found()) }
}

fn compact(data: &Data, min_files: usize, grace: u64) -> Result<(), Failure> {
    let options =
        CompactOptions { min_files, grace: Duration::from_secs(grace), ..CompactOptions::default() };
    let done = writer(data)?.compact(&options).map_err(refused)?;
    eprintln!(
        "klio: {} files became {}, {} bytes became {}, {} rows",
        done.files_before, done.files_after, done.bytes_before, done.bytes_after, done.rows
    );
    if done.refused.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = done.refused.iter().map(|s| plain(s)).collect();
    Err(Failure::world(format!("left as they are:\n      {}", said.join("\n      ")))
        .hint("`klio verify` says what happened to them"))
}

fn expire(data: &Data, dry_run: bool, at: Option<&str>) -> Result<(), Failure> {
    let now = match at {
        Some(text) => Timestamp::parse(text)
            .ok_or_else(|| Failure::usage(format!("`{text}` is not a time")).hint("2026-11-21T08:00:00Z"))?,
        None => Timestamp(jiff::Timestamp::now().as_microsecond()),
    };
    let classes = Classes::of(&data.config()?.lake).map_err(Failure::usage)?;
    let expired = writer(data)?.expire(now, &classes, dry_run).map_err(refused)?;
    let mut grid = Grid::new(&["table", "class", "day", "rule", "files", "rows", "bytes", "held files"]);
    for p in &expired.partitions {
        let number = |n: u64| n.to_string();
        grid.row(vec![
            p.table.into(),
            p.class.clone(),
            p.day.clone(),
            p.rule.clone(),
            number(p.files),
            number(p.rows),
            number(p.bytes),
            number(p.held),
        ]);
    }
    write!(stdout(), "{grid}")?;
    let rows: u64 = expired.partitions.iter().map(|p| p.rows).sum();
    match (dry_run, rows) {
        (true, _) => eprintln!("klio: {rows} rows would be removed"),
        (false, 0) => eprintln!("klio: nothing is as old as the rules say"),
        (false, _) => eprintln!("klio: {rows} rows removed; the signed log says so"),
    }
    Ok(())
}

fn holds(data: &Data) -> Result<(), Failure> {
    let mut grid = Grid::new(&["since", "owner", "filter", "reason"]);
    for (since, hold) in data.lake()?.holds().map_err(Failure::world)? {
        grid.row(vec![Timestamp(since).to_string(), hold.owner, hold.filter, hold.reason]);
    }
    write!(stdout(), "{grid}")?;
    Ok(())
}

impl Keys {
    fn run(self, data: &Data) -> Result<(), Failure> {
        match self {
            Self::New { path } => {
                let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(".".as_ref());
                let is_inside = |lake: PathBuf| dir.canonicalize().is_ok_and(|dir| dir.starts_with(lake));
                if data.dir()?.canonicalize().is_ok_and(is_inside) {
                    return Err(Failure::usage("a key beside the data protects nothing")
                        .hint("keep it in another directory, from which no copy of the data is made"));
                }
                FileKeyProvider::generate(&path).map_err(Failure::world)?;
                // The line is to hold wherever klio is called.
                let path = path.canonicalize().unwrap_or(path);
                eprintln!("klio: made; keep a copy in a safe place: without it the lake cannot be read");
                writeln!(stdout(), "lake:\n  encryption:\n    key: file:{}", path.display())?;
                Ok(())
            }
            Self::List => {
                let keys = data.lake()?.keys().map_err(Failure::world)?;
                let keys = keys.ok_or_else(|| Failure::usage("this lake is not encrypted"))?;
                let mut grid = Grid::new(&["key", "versions", "since", "destroyed"]);
                for key in keys {
                    let why = key.destroyed.unwrap_or_default();
                    grid.row(vec![key.name, key.versions.to_string(), key.since, why]);
                }
                write!(stdout(), "{grid}")?;
                Ok(())
            }
            Self::Rotate => {
                let count = writer(data)?.rotate_keys().map_err(refused)?;
                eprintln!("klio: {count} data keys have a new version");
                Ok(())
            }
            Self::Rewrap { key } => {
                let new = Encryption { key: Some(key), command: Vec::new(), key_name: None };
                let count = writer(data)?.rewrap_keys(&new).map_err(refused)?;
                eprintln!("klio: {count} data keys are wrapped anew; name the new key in klio.yaml");
                Ok(())
            }
            Self::Shred { class, day, reason, yes } => {
                if !yes {
                    return Err(Failure::usage("this cannot be undone").hint("say --yes"));
                }
                writer(data)?.shred(&class, &day, &reason).map_err(refused)?;
                eprintln!("klio: destroyed; the signed log says so");
                Ok(())
            }
        }
    }
}
