//! `klio sql`

use std::io::{BufWriter, IsTerminal, Write, stdout};
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::time::Duration;

use klio_store::{Cancel, Limits};

use crate::data::Data;
use crate::failure::Failure;
use crate::output::{Grid, plain};

/// Ask the lake in SQL, for reading only.
///
/// The tables are events, findings and incidents; `DESCRIBE events` lists the columns, docs/lake.md explains them.
/// json_get(raw, 'path.to.value') reads inside the record.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio sql 'SELECT verb, count(*) FROM events GROUP BY verb ORDER BY 2 DESC'
  klio sql \"SELECT time, actor, title FROM incidents WHERE severity = 'high' ORDER BY time\"
  klio sql \"SELECT json_get(raw, 'requestObject.spec.nodeName') FROM events WHERE resource = 'pods'\" -o jsonl")]
pub struct Sql {
    /// SELECT, WITH, EXPLAIN, SHOW or DESCRIBE.
    pub query: String,
    /// table, csv, or jsonl: an object for each row.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: SqlFormat,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub time_limit: u64,
    /// Stop when it takes more memory, in MB.
    #[arg(long, value_name = "MB", default_value_t = 512)]
    pub memory_limit: usize,
    /// Print at most so many rows.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub data: Data,
}

/// `-o` of sql.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum SqlFormat {
    /// For a terminal.
    Table,
    /// RFC 4180.
    Csv,
    /// One object per line.
    Jsonl,
}

/// Rows of a table that are set together, so that its columns are of one width.
const TOGETHER: usize = 1_000;

impl Sql {
    /// A question with the usual limits.
    pub fn of(query: &str, limit: Option<u64>, jsonl: bool, data: Data) -> Self {
        let output = if jsonl { SqlFormat::Jsonl } else { SqlFormat::Table };
        Self { query: query.to_owned(), output, time_limit: 60, memory_limit: 512, limit, data }
    }

    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let limits = Limits {
            time: Duration::from_secs(self.time_limit),
            memory_bytes: self.memory_limit << 20,
            rows: self.limit,
        };
        // Not waited for: what runs in it after its time ends with the program.
        let mut lake = ManuallyDrop::new(self.data.lake()?);
        // What a terminal would obey is not printed to one.
        let shown = |text: String| if stdout().is_terminal() { plain(&text) } else { text };
        let mut out = BufWriter::new(stdout().lock());
        let mut grid: Option<(Grid, usize)> = None;
        let mut failed = None;
        let mut headed = false;
        let answered = lake.sql(&self.query, &limits, &Cancel::default(), &mut |page| {
            let mut print = || -> std::io::Result<()> {
                let columns = page.columns();
                if self.output == SqlFormat::Csv && !headed {
                    headed = true;
                    csv(&mut out, columns.iter().map(String::as_str))?;
                }
                let cell = |row, column| page.text(row, column).unwrap_or_default();
                if self.output == SqlFormat::Table && grid.is_none() {
                    grid = Some((Grid::new(&columns.iter().map(String::as_str).collect::<Vec<_>>()), 0));
                }
                for row in 0..page.rows() {
                    match self.output {
                        SqlFormat::Csv => {
                            let cells: Vec<String> =
                                (0..columns.len()).map(|c| shown(cell(row, c))).collect();
                            csv(&mut out, cells.iter().map(String::as_str))?;
                        }
                        SqlFormat::Jsonl => {
                            let values =
                                columns.iter().enumerate().map(|(c, name)| (name.clone(), page.json(row, c)));
                            writeln!(out, "{}", serde_json::Value::Object(values.collect()))?;
                        }
                        SqlFormat::Table => {
                            let Some((rows, count)) = &mut grid else { continue };
                            rows.row((0..columns.len()).map(|c| cell(row, c)).collect());
                            *count += 1;
                            if *count == TOGETHER {
                                write!(out, "{rows}")?;
                                grid = Some((
                                    Grid::new(&columns.iter().map(String::as_str).collect::<Vec<_>>()),
                                    0,
                                ));
                            }
                        }
                    }
                }
                Ok(())
            };
            failed = print().err();
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        failed.map_or(Ok(()), Err)?;
        let answered = answered.map_err(|e| match e {
            klio_store::StoreError::Query(said) => {
                let hint = if said.contains("No field named") {
                    Some("`DESCRIBE events` lists the columns")
                } else if said.contains("table '") {
                    Some("the tables are events, findings and incidents")
                } else {
                    None
                };
                let failure = Failure::usage(said);
                hint.into_iter().fold(failure, Failure::hint)
            }
            e => Failure::world(e),
        })?;
        if let Some((rows, count)) = grid {
            if count > 0 || answered.rows == 0 {
                write!(out, "{rows}")?;
            }
        }
        out.flush()?;
        let more = if answered.cut { "; there are more" } else { "" };
        eprintln!("klio: {} rows{more}", answered.rows);
        if answered.shredded > 0 {
            eprintln!("klio: {} more files cannot be read: their key was destroyed", answered.shredded);
        }
        Ok(())
    }
}

/// A line as RFC 4180 has it.
fn csv<'c>(out: &mut impl Write, cells: impl Iterator<Item = &'c str>) -> std::io::Result<()> {
    let quoted = |cell: &str| {
        if cell.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    write!(out, "{}\r\n", cells.map(quoted).collect::<Vec<_>>().join(","))
}
