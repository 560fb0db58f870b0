//! `klio stats`

use std::io::{Write, stdout};
use std::time::Instant;

use klio_detect::rule::Rule;
use klio_model::{FieldRef, Filter};
use klio_store::Scanned;

use super::hunt::scanned_note;
use super::scan::{Window, parse_filter};
use crate::data::{Clusters, Data, refused};
use crate::failure::Failure;
use crate::output::Grid;
use crate::pack::{Rules, verdict};

/// Count the events of the lake.
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:
  klio stats top user 'verb:delete' --since 7d
  klio stats histogram 'code >= 400' --step 5m --since 24h
  klio stats distinct user,resource,verb 'user.kind:serviceaccount'
  klio stats rules --rules ./sigma --only-rules --since 90d")]
pub enum Stats {
    /// The most frequent values of a field.
    Top {
        /// The field; docs/fields.md lists them.
        field: String,
        /// How many values.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        lines: usize,
        #[command(flatten)]
        of: Of,
    },
    /// How many events in each step of time.
    Histogram {
        /// The step: 1s, 1m, 1h, 1d.
        #[arg(long, value_name = "STEP", default_value = "1h")]
        step: String,
        #[command(flatten)]
        of: Of,
    },
    /// The combinations of values of some fields.
    Distinct {
        /// The fields, with commas between them.
        fields: String,
        /// How many combinations at most.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
        lines: usize,
        #[command(flatten)]
        of: Of,
    },
    /// How many events fit each rule: what a new rule would have found.
    ///
    /// Counts events, of which a request may have several, and no correlations. Rules that fit none are left out.
    #[command(name = "rules")]
    EachRule {
        #[command(flatten)]
        rules: Rules,
        #[command(flatten)]
        of: Of,
    },
}

/// Of which events.
#[derive(clap::Args)]
pub struct Of {
    /// Only events for which this filter is true.
    filter: Option<String>,
    #[command(flatten)]
    window: Window,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    clusters: Clusters,
    #[command(flatten)]
    data: Data,
}

impl Of {
    fn filter(&self) -> Result<Filter, Failure> {
        let filter = self.filter.as_deref().map_or(Ok(Filter::All), parse_filter)?;
        self.data.asked(Filter::and([filter, self.window.filter()?]))
    }
}

fn field(name: &str) -> Result<FieldRef, Failure> {
    FieldRef::parse(name.trim()).map_err(|e| Failure::usage(e).hint("docs/fields.md lists the fields"))
}

impl Stats {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let started = Instant::now();
        let mut out = stdout().lock();
        let mut wrong = 0;
        let scanned = match self {
            Self::Top { field: name, lines, of } => {
                let mut lake = of.clusters.lake(&of.data)?;
                let people = crate::people::of(of.data.config()?.people.as_deref())?;
                let (at, asked) = (field(&name)?, (&of.filter()?, of.window.range()?));
                let top = crate::people::top(&mut lake, &people, &at, asked, lines);
                let top = top.map_err(refused)?;
                let mut grid = Grid::new(&["events", &name]);
                for (value, count) in &top.values {
                    if of.json {
                        writeln!(out, "{}", serde_json::json!({"value": value, "events": count}))?;
                    }
                    grid.row(vec![count.to_string(), value.clone()]);
                }
                if !of.json {
                    for (count, words) in [(top.other, "(other values)"), (top.missing, "(no value)")] {
                        if count > 0 {
                            grid.row(vec![count.to_string(), words.into()]);
                        }
                    }
                    write!(out, "{grid}")?;
                }
                rough(top.let_go);
                top.scanned
            }
            Self::Histogram { step, of } => {
                let mut lake = of.clusters.lake(&of.data)?;
                let found = lake.histogram(&of.filter()?, of.window.range()?, micros(&step)?);
                let found = found.map_err(refused)?;
                let most = found.steps.iter().map(|(_, n)| *n).max().unwrap_or(1).max(1);
                let mut grid = Grid::new(&["from", "events", ""]);
                for (time, count) in &found.steps {
                    if of.json {
                        writeln!(out, "{}", serde_json::json!({"from": time.to_string(), "events": count}))?;
                    }
                    let bar = (count * 50).div_ceil(most) as usize;
                    grid.row(vec![time.to_string(), count.to_string(), "█".repeat(bar)]);
                }
                if !of.json {
                    write!(out, "{grid}")?;
                }
                found.scanned
            }
            Self::Distinct { fields, lines, of } => {
                let names: Vec<&str> = fields.split(',').map(str::trim).collect();
                let refs = names.iter().map(|n| field(n)).collect::<Result<Vec<_>, _>>()?;
                let mut lake = of.clusters.lake(&of.data)?;
                let found =
                    lake.distinct(&refs, &of.filter()?, of.window.range()?, lines).map_err(refused)?;
                let mut heading = vec!["events"];
                heading.extend(&names);
                let mut grid = Grid::new(&heading);
                for (values, count) in &found.rows {
                    if of.json {
                        let pairs =
                            names.iter().zip(values).map(|(n, v)| ((*n).to_owned(), v.clone().into()));
                        let mut object: serde_json::Map<String, serde_json::Value> = pairs.collect();
                        object.insert("events".into(), (*count).into());
                        writeln!(out, "{}", serde_json::Value::Object(object))?;
                    }
                    let mut row = vec![count.to_string()];
                    row.extend(values.iter().map(|v| v.clone().unwrap_or_else(|| "-".into())));
                    grid.row(row);
                }
                if !of.json {
                    write!(out, "{grid}")?;
                }
                if found.more > 0 {
                    eprintln!("klio: {} more combinations; -n asks for more", found.more);
                }
                rough(found.let_go);
                found.scanned
            }
            Self::EachRule { rules, of } => {
                let (set, errors) = rules.load()?.told();
                wrong = errors;
                let events = of.filter()?;
                let filter = |rule: &Rule| Filter::and([events.clone(), rule.filter.clone()]);
                let filters: Vec<Filter> = set.rules.iter().map(filter).collect();
                let mut lake = of.clusters.lake(&of.data)?;
                let counted = lake.count_each(&filters, of.window.range()?).map_err(refused)?;
                let mut all: Vec<_> = set.rules.iter().zip(&counted).filter(|(_, n)| n.matched > 0).collect();
                all.sort_by_key(|(_, n)| std::cmp::Reverse(n.matched));
                let mut grid = Grid::new(&["events", "level", "rule"]);
                for (rule, Scanned { matched, .. }) in all {
                    if of.json {
                        let object =
                            serde_json::json!({"rule": rule.id, "title": rule.title, "events": matched});
                        writeln!(out, "{object}")?;
                    }
                    grid.row(vec![matched.to_string(), rule.severity.name().into(), rule.title.clone()]);
                }
                if !of.json {
                    write!(out, "{grid}")?;
                }
                // Each rule is asked of the same events; the records that were read are counted for each.
                let first = counted.first().copied().unwrap_or_default();
                let sum = |of: fn(&Scanned) -> u64| counted.iter().map(of).sum();
                Scanned { records: sum(|n| n.records), matched: sum(|n| n.matched), ..first }
            }
        };
        out.flush()?;
        scanned_note(&scanned, started.elapsed());
        verdict(wrong)
    }
}

/// Says so if there were more values than are counted one by one.
fn rough(let_go: u64) {
    if let_go > 0 {
        eprintln!(
            "klio: too many different values: {let_go} events of rare ones are told together, and other numbers may \
             be a little low; a filter or a shorter time makes them exact"
        );
    }
}

/// A step of time in microseconds.
fn micros(step: &str) -> Result<i64, Failure> {
    let unit = step.char_indices().last().map_or("", |(i, _)| step.get(i..).unwrap_or_default());
    let number = step.strip_suffix(unit).and_then(|n| n.parse::<i64>().ok()).filter(|n| *n > 0);
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    number.zip(seconds).and_then(|(n, s)| n.checked_mul(s)?.checked_mul(1_000_000)).ok_or_else(|| {
        Failure::usage(format!("`{step}` is not a step of time")).hint("write 30s, 1m, 1h or 1d")
    })
}
