//! `klio actor`

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

use klio_store::{Cancel, Lake, Limits};

use crate::data::{Data, refused};
use crate::failure::Failure;
use crate::output::{Grid, plain};

/// Tell who somebody is by what he does: what, where, from where, with which client and credential, at which hours; what is new of
/// it; and what was found about him.
///
/// Asks the lake. New is what first happened within the last days of what is known of him, if he was known before.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio actor alice@corp.example
  klio actor system:serviceaccount:ci:deployer --new 7
  klio timeline --actor alice@corp.example      one by one, in the order of time")]
pub struct Actor {
    /// The user, as audit events name him.
    pub name: String,
    /// Only of this cluster.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// New is what first happened within so many days.
    #[arg(long = "new", value_name = "DAYS", default_value_t = 1)]
    pub fresh: u16,
    /// Rows of each table.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: u16,
    #[command(flatten)]
    pub data: Data,
}

/// What is told, and the expression that tells it.
const HABITS: [(&str, &str); 6] = [
    (
        "does",
        "concat(verb, ' ', coalesce(resource, '(no resource)'), CASE WHEN subresource IS NULL THEN '' ELSE concat('/', subresource) END)",
    ),
    ("in namespace", "coalesce(namespace, '(cluster)')"),
    ("from", "source_ip"),
    ("with client", "split_part(agent, ' ', 1)"),
    ("with credential", "credential"),
    ("as", "impersonated"),
];

impl Actor {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let mut lake = self.data.lake()?;
        let mut out = std::io::stdout().lock();
        let is_him = format!("user_name = {}{}", quoted(&self.name), self.of_cluster());
        let head = ask(
            &mut lake,
            &format!(
                "SELECT min(user_kind), count(*), count(DISTINCT audit_id), min(time), max(time), \
                 sum(CASE WHEN outcome = 'denied' THEN 1 ELSE 0 END), sum(CASE WHEN request_write THEN 1 ELSE 0 END) FROM events WHERE {is_him}"
            ),
        )?;
        let head = head.first().cloned().unwrap_or_default();
        let cell = |n: usize| head.get(n).map_or("", String::as_str);
        let as_him = format!("impersonated = {}{}", quoted(&self.name), self.of_cluster());
        if cell(1) == "0" || head.is_empty() {
            let others = self.habits(&mut lake, &as_him, "user_name")?;
            if others.is_empty() {
                return Err(Failure::usage(format!("nobody called {} did anything that is kept", self.name))
                    .hint(format!(
                        "the name is compared whole; `klio stats distinct user 'user:{}*'` shows what begins so",
                        self.name
                    )));
            }
            writeln!(out, "Nobody came as {} himself; others acted as him.", plain(&self.name))?;
            return table(&["acted as by", "requests", "first", "last", ""], others, &mut out);
        }
        let person = crate::people::of(self.data.config()?.people.as_deref())?;
        if let Some(person) = person.of_name(&self.name) {
            let team = person.team.as_ref().map(|team| format!(", {team}")).unwrap_or_default();
            writeln!(out, "{}", plain(&format!("Person: {}{team}", person.name)))?;
        }
        writeln!(out, "{} ({})", plain(&self.name), cell(0))?;
        writeln!(
            out,
            "{} events, {} requests, {} denied, {} that change something",
            cell(1),
            cell(2),
            cell(5),
            cell(6)
        )?;
        writeln!(out, "first {}, last {}", cell(3), cell(4))?;
        for (title, expression) in HABITS {
            let rows = self.habits(&mut lake, &is_him, expression)?;
            table(&[title, "requests", "first", "last", ""], rows, &mut out)?;
        }
        let others = self.habits(&mut lake, &as_him, "user_name")?;
        table(&["acted as by", "requests", "first", "last", ""], others, &mut out)?;
        hours(&mut lake, &is_him, &mut out)?;
        let found = ask(
            &mut lake,
            &format!(
                "SELECT severity, title, count(*), min(time), max(time) FROM findings WHERE actor = {}{} GROUP BY severity, title \
                 ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 4 END, 3 DESC LIMIT {}",
                quoted(&self.name),
                self.of_cluster(),
                self.limit
            ),
        )?;
        table(&["found", "what", "times", "first", "last"], found, &mut out)?;
        Ok(())
    }

    fn of_cluster(&self) -> String {
        self.cluster.as_ref().map(|cluster| format!(" AND cluster = {}", quoted(cluster))).unwrap_or_default()
    }

    /// The values of an expression in the events for which a condition is true, with how often, since when and until when.
    fn habits(&self, lake: &mut Lake, is_him: &str, expression: &str) -> Result<Vec<Vec<String>>, Failure> {
        let query = format!(
            "WITH one AS (SELECT {expression} AS what, time, audit_id FROM events WHERE {is_him}), \
             span AS (SELECT min(time) AS first, max(time) AS last FROM one) \
             SELECT what, count(DISTINCT audit_id) AS requests, min(time) AS first, max(time) AS last, \
             CASE WHEN min(time) > (SELECT last - INTERVAL '{} days' FROM span) AND (SELECT first < last - INTERVAL '{} days' FROM span) \
             THEN 'new' ELSE '' END AS news FROM one WHERE what IS NOT NULL GROUP BY what ORDER BY news DESC, requests DESC, what LIMIT {}",
            self.fresh, self.fresh, self.limit
        );
        ask(lake, &query)
    }
}

/// Requests by the hour of the day, UTC.
fn hours(lake: &mut Lake, is_him: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let rows = ask(
        lake,
        &format!(
            "SELECT CAST(date_part('hour', time) AS BIGINT), count(DISTINCT audit_id) FROM events WHERE {is_him} GROUP BY 1"
        ),
    )?;
    let mut hours = [0u64; 24];
    for row in rows {
        let number = |n: usize| row.get(n).and_then(|text| text.parse::<u64>().ok());
        if let (Some(hour), Some(count)) = (number(0), number(1))
            && let Some(known) = usize::try_from(hour).ok().and_then(|hour| hours.get_mut(hour))
        {
            *known += count;
        }
    }
    let most = hours.iter().copied().max().unwrap_or(0).max(1);
    let bars = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |count: &u64| {
        bars.get(usize::try_from((count * 8).div_ceil(most)).unwrap_or(8)).copied().unwrap_or('█')
    };
    writeln!(
        out,
        "\nhours of the day, UTC\n0     6     12    18\n{}",
        hours.iter().map(bar).collect::<String>()
    )?;
    Ok(())
}

fn table(columns: &[&str], rows: Vec<Vec<String>>, out: &mut dyn Write) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut grid = Grid::new(columns);
    for row in rows {
        grid.row(row);
    }
    write!(out, "\n{grid}")?;
    Ok(())
}

fn ask(lake: &mut Lake, query: &str) -> Result<Vec<Vec<String>>, Failure> {
    let limits = Limits { time: Duration::from_mins(1), memory_bytes: 512 << 20, rows: None };
    let mut rows = Vec::new();
    lake.sql(query, &limits, &Cancel::default(), &mut |page| {
        for row in 0..page.rows() {
            rows.push(
                (0..page.columns().len()).map(|column| page.text(row, column).unwrap_or_default()).collect(),
            );
        }
        ControlFlow::Continue(())
    })
    .map_err(refused)?;
    Ok(rows)
}

/// A text as SQL quotes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
