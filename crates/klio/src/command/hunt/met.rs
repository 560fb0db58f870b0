//! Which indicators the events of a hunt met.

use std::collections::BTreeMap;
use std::io::Write;

use klio_model::{Event, Indicator, Timestamp};

use super::HuntFormat;
use crate::output::{Grid, plain};

/// The indicators that an event met.
fn of<'e>(event: &'e Event<'_>) -> &'e [Indicator] {
    event.outside.as_ref().and_then(|outside| outside.met.as_ref()).map_or(&[], |met| &met.all)
}

/// Prints a line below an event for each indicator that it met.
pub fn show(event: &Event<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    for Indicator { list, value, note } in of(event) {
        let note = if note.is_empty() { String::new() } else { format!(": {}", plain(note)) };
        writeln!(out, "    met {} of {}{note}", plain(value), plain(list))?;
    }
    Ok(())
}

/// How often each indicator was met.
#[derive(Default)]
pub struct Tally {
    met: BTreeMap<Indicator, Count>,
}

#[derive(Default)]
struct Count {
    events: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Tally {
    /// Counts an event.
    pub fn note(&mut self, event: &Event<'_>) {
        for one in of(event) {
            let count = self.met.entry(one.clone()).or_default();
            count.events += 1;
            if let Some(time) = event.time() {
                count.first = Some(count.first.map_or(time, |first| first.min(time)));
                count.last = Some(count.last.map_or(time, |last| last.max(time)));
            }
        }
    }

    /// Prints the counts: to stderr where stdout holds events alone.
    pub fn tell(self, format: HuntFormat, out: &mut dyn Write) -> std::io::Result<()> {
        if self.met.is_empty() {
            return Ok(());
        }
        let mut grid = Grid::new(&["events", "list", "indicator", "note", "first", "last"]);
        let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        for (Indicator { list, value, note }, count) in self.met {
            let texts = [&*list, &value, &note].map(str::to_owned);
            let times = [time(count.first), time(count.last)];
            grid.row([vec![count.events.to_string()], texts.to_vec(), times.to_vec()].concat());
        }
        match format {
            HuntFormat::Jsonl => eprint!("{grid}"),
            HuntFormat::Table | HuntFormat::Wide => write!(out, "\n{grid}")?,
        }
        Ok(())
    }
}
