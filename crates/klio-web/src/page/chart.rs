//! Events over time as a picture that needs no script: each step is a link to its own time.

use askama::Template;
use klio_model::{TimeRange, Timestamp};

use super::address::Address;
use super::draw;
use crate::view::HistogramView;

/// Width and height of the picture in its own units.
const SIZE: (f64, f64) = (1000.0, 100.0);

/// A histogram, stacked by the values of its field.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    /// Microseconds from 1970 at the left and right ends, for who drags over it.
    start: i64,
    end: i64,
    /// The address to which a time is added.
    to: String,
    steps: Vec<Step>,
    axis: Vec<String>,
    legend: Vec<(String, String)>,
    most: u64,
}

struct Step {
    x: f64,
    width: f64,
    title: String,
    href: String,
    parts: Vec<Part>,
}

struct Part {
    y: f64,
    height: f64,
    class: String,
}

/// The colours of what requests came to; other values take them in turn.
fn class(field: Option<&str>, value: Option<&str>, at: usize) -> String {
    let fixed = match (field, value) {
        (_, None) => return "rest-of".to_owned(),
        (Some("outcome"), Some("allowed")) => Some(0),
        (Some("outcome"), Some("denied")) => Some(1),
        (Some("outcome"), Some("failed")) => Some(2),
        (Some("outcome"), Some("unknown")) => Some(3),
        _ => None,
    };
    format!("s{}", fixed.unwrap_or(at % 10))
}

impl Chart {
    /// Microseconds from 1970 at the left and right ends.
    pub(super) fn ends(&self) -> (i64, i64) {
        (self.start, self.end)
    }

    /// Of a histogram over a range; `address` is where its steps lead.
    pub(crate) fn new(histogram: &HistogramView, range: TimeRange, address: &Address) -> Option<Self> {
        let step =
            i64::try_from(histogram.interval_seconds.max(1).saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        let bars = || histogram.series.iter().flat_map(|series| &series.bars);
        let first = bars().map(|bar| bar.start.micros()).min()?;
        let last = bars().map(|bar| bar.start.micros()).max()?;
        // Of a time that is mostly empty, the part that is not.
        let length = last.saturating_add(step).saturating_sub(first);
        let near = |time: i64, to: i64| time.saturating_sub(to).saturating_abs() <= length.saturating_mul(4);
        let start = range.start.map(|start| start.micros().div_euclid(step).saturating_mul(step));
        let start = start.filter(|start| near(*start, first)).unwrap_or(first).min(first);
        let end = range.end.map(Timestamp::micros).filter(|end| near(*end, last));
        let after = last.saturating_add(step);
        let end = end.unwrap_or(after).max(after);
        let mut columns = std::collections::BTreeMap::<i64, Vec<(usize, u64)>>::new();
        for (at, series) in histogram.series.iter().enumerate() {
            for bar in &series.bars {
                columns.entry(bar.start.micros()).or_default().push((at, bar.count));
            }
        }
        let sum = |parts: &[(usize, u64)]| parts.iter().map(|(_, count)| count).sum::<u64>();
        let most = columns.values().map(|parts| sum(parts)).max()?.max(1);
        let field = histogram.field.as_deref();
        let unit = SIZE.0 / end.saturating_sub(start).max(1) as f64;
        let width = (step as f64 * unit).min(SIZE.0);
        let name = |at: usize| histogram.series.get(at).and_then(|series| series.value.as_deref());
        let steps = columns.iter().map(|(at, parts)| {
            let mut below = 0;
            let part = |(series, count): &(usize, u64)| {
                below += count;
                let height = |count: u64| SIZE.1 * count as f64 / most as f64;
                Part {
                    y: SIZE.1 - height(below),
                    height: height(*count),
                    class: class(field, name(*series), *series),
                }
            };
            let drawn = parts.iter().map(part).collect();
            let said = parts.iter().map(|(series, count)| {
                format!("{} {}", name(*series).unwrap_or("other"), draw::number(count))
            });
            let said: Vec<String> = said.collect();
            Step {
                x: at.saturating_sub(start) as f64 * unit,
                width: (width * 0.92).max(0.6),
                title: format!("{}: {}", draw::time(&Timestamp(*at)), said.join(", ")),
                href: address
                    .clone()
                    .with("from", Timestamp(*at).to_string())
                    .with("to", Timestamp(at.saturating_add(step)).to_string())
                    .to_string(),
                parts: drawn,
            }
        });
        let steps = steps.collect();
        let axis = [0, 1, 2, 3, 4]
            .map(|part| draw::time(&Timestamp(start.saturating_add(end.saturating_sub(start) / 4 * part))));
        let day = |text: &String| text.get(..10).map(str::to_owned);
        let same_day = day(&axis[0]) == day(&axis[4]);
        let axis = axis.into_iter().enumerate().map(|(at, text)| {
            let whole = text.get(..19).unwrap_or(&text);
            if same_day && at > 0 { whole.get(11..).unwrap_or(whole).to_owned() } else { whole.to_owned() }
        });
        let legend = histogram.series.iter().enumerate().map(|(at, series)| {
            let value = series.value.as_deref();
            (class(field, value, at), value.unwrap_or("other").to_owned())
        });
        Some(Self {
            start,
            end,
            to: address.clone().with("from", "").with("to", "").to_string(),
            steps,
            axis: axis.collect(),
            legend: legend.collect(),
            most,
        })
    }
}
