//! `klio dead-letters`

use std::io::Write;
use std::sync::Arc;

use klio_model::Timestamp;
use klio_store::{DeadLetter, DeadLetters};
use serde::Serialize;

use crate::data::{Data, redaction_key, refused};
use crate::failure::Failure;
use crate::keep::{Keeper, Terms};
use crate::output::{Grid, plain};
use crate::pipeline::Intake;

/// See to what was delivered as events and is none.
///
/// They were durable before they were acknowledged. Since secrets cannot be found in what cannot be read, they are kept
/// encrypted, and listed without their contents.
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:
  klio dead-letters list
  klio dead-letters show 3
  klio dead-letters replay")]
pub enum Letters {
    /// List them: when, from where, why.
    List {
        /// table, or jsonl.
        #[arg(short, long, value_enum, default_value = "table")]
        output: ListFormat,
        #[command(flatten)]
        data: Data,
    },
    /// Print the bytes of one, as they came. They may hold secrets.
    Show {
        /// Its number.
        number: u64,
        #[command(flatten)]
        data: Data,
    },
    /// Read them again, as this version reads; what is an event now is kept as one.
    Replay {
        #[command(flatten)]
        data: Data,
    },
    /// Remove those up to a number.
    Remove {
        /// The last that is removed.
        upto: u64,
        #[command(flatten)]
        data: Data,
    },
}

/// How a list is printed.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListFormat {
    /// For a terminal.
    Table,
    /// One object per line.
    Jsonl,
}

#[derive(Serialize)]
struct Line<'l> {
    number: u64,
    received: String,
    cluster: &'l str,
    source: &'l str,
    bytes: usize,
    reason: &'l str,
}

impl Letters {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::List { output, data } => list(output, &data),
            Self::Show { number, data } => {
                let found = read(&data, number.saturating_sub(1))?.next().transpose()?;
                let Some((_, letter)) = found.filter(|(at, _)| *at == number) else {
                    return Err(Failure::usage(format!("there is no dead letter {number}"))
                        .hint("`klio dead-letters list` shows which there are"));
                };
                std::io::stdout().write_all(&letter.bytes)?;
                Ok(())
            }
            Self::Replay { data } => replay(&data),
            Self::Remove { upto, data } => {
                let (_keeper, intake) = open(&data)?;
                intake.dead().remove(upto).map_err(Failure::world)
            }
        }
    }
}

fn read(
    data: &Data,
    after: u64,
) -> Result<impl Iterator<Item = Result<(u64, DeadLetter), Failure>>, Failure> {
    let dir = data.dir()?;
    let settings = data.config()?.lake;
    let letters = DeadLetters::read(&dir, &settings, redaction_key(&dir)?, after).map_err(refused)?;
    Ok(letters.map(|letter| letter.map_err(Failure::world)))
}

fn list(output: ListFormat, data: &Data) -> Result<(), Failure> {
    let mut grid = Grid::new(&["number", "received", "cluster", "source", "bytes", "reason"]);
    let mut out = std::io::stdout().lock();
    for letter in read(data, 0)? {
        let (number, letter) = letter?;
        let received = Timestamp(letter.received).to_string();
        match output {
            ListFormat::Table => grid.row(vec![
                number.to_string(),
                received,
                letter.cluster,
                letter.source,
                letter.bytes.len().to_string(),
                plain(&letter.reason),
            ]),
            ListFormat::Jsonl => {
                let (cluster, source, reason) = (&letter.cluster, &letter.source, &letter.reason);
                let line = Line { number, received, cluster, source, bytes: letter.bytes.len(), reason };
                serde_json::to_writer(&mut out, &line).map_err(Failure::world)?;
                out.write_all(b"\n")?;
            }
        }
    }
    if output == ListFormat::Table {
        write!(out, "{grid}")?;
    }
    Ok(())
}

/// Opens the lake for writing: no server may be at it.
fn open(data: &Data) -> Result<(Keeper, Intake), Failure> {
    let dir = data.dir()?;
    let (config, secret) = (data.config()?, redaction_key(&dir)?);
    let terms = Arc::new(Terms::new("default", &config.lake, secret, config.redaction)?);
    let keeper = Keeper::open(&dir, &config.lake, terms.clone())?;
    let dead = DeadLetters::open(&dir, &config.lake, secret).map_err(refused)?;
    let intake = Intake::new(keeper.intake(), dead, terms).map_err(Failure::world)?;
    Ok((keeper, intake))
}

fn replay(data: &Data) -> Result<(), Failure> {
    let (_keeper, intake) = open(data)?;
    let last = intake.dead().numbers().1;
    let (mut kept, mut still) = (0, 0);
    for letter in read(data, 0)? {
        let (number, letter) = letter?;
        if number > last {
            break;
        }
        let (receipt, reason) = intake.replay(&letter).map_err(Failure::world)?;
        kept += receipt.kept + receipt.known;
        if reason.is_some() {
            still += 1;
        } else {
            intake.dead().forget(number).map_err(Failure::world)?;
        }
    }
    eprintln!("klio: {kept} are events now and wait for the judge; {still} are still none");
    Ok(())
}
