//! The requests of an incident over time: a lane for each identity at each address. A picture that needs no script.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use klio_model::{Field, Filter, Severity, Timestamp};

use crate::api::is;
use crate::page::address::{self, Address};
use crate::page::{draw, words};
use crate::view::{RequestView, account};

/// Lanes that are drawn.
const LANES: usize = 24;
/// A quiet time is folded if it is longer than the whole divided by this.
const FOLD: i64 = 12;
/// Shorter times are never folded, in microseconds.
const SHORTEST: i64 = 2_000_000;
/// A whole that is shorter than this has milliseconds on its axis.
const QUICK: i64 = 20_000_000;
/// Marks that are nearer to each other than this, in percent of the width, are one.
const NEAR: f64 = 0.3;
/// What is left free at both ends, in percent of the width.
const MARGIN: f64 = 1.5;
/// Distance of two times on the axis, in percent of the width.
const APART: f64 = 14.0;

/// All lanes with their axis.
#[derive(Template)]
#[template(path = "lanes.html")]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    ticks: Vec<Tick>,
    folds: Vec<(String, String)>,
    /// Identities that are not drawn.
    more: u64,
    /// Severities that occur, the gravest first.
    levels: Vec<&'static str>,
}

struct Lane {
    who: String,
    actor: Option<String>,
    address: Option<(String, String)>,
    count: u64,
    marks: Vec<Mark>,
}

struct Mark {
    x: String,
    /// `context`, or a severity.
    class: &'static str,
    title: String,
    href: String,
}

struct Tick {
    x: String,
    anchor: &'static str,
    text: String,
    title: String,
}

/// Where a time is, in percent of the width: in proportion, but for long quiet times, which are folded.
struct Scale {
    places: BTreeMap<i64, f64>,
    folds: Vec<(f64, i64)>,
}

impl Scale {
    fn of(times: &BTreeSet<i64>) -> Option<Self> {
        let (first, last) = (*times.first()?, *times.last()?);
        let whole = last - first;
        let longest = (whole / FOLD).max(SHORTEST);
        let gaps = || times.iter().zip(times.iter().skip(1)).map(|(a, b)| (*b, b - a));
        let drawn = |gap: i64| if gap > longest { longest / 3 } else { gap };
        let total = gaps().map(|(_, gap)| drawn(gap)).sum::<i64>().max(1) as f64;
        let mut places = BTreeMap::from([(first, MARGIN)]);
        let (mut folds, mut sum) = (Vec::new(), 0);
        let width = 100.0 - 2.0 * MARGIN;
        for (at, gap) in gaps() {
            if gap > longest {
                folds.push((MARGIN + width * (sum + drawn(gap) / 2) as f64 / total, gap));
            }
            sum += drawn(gap);
            places.insert(at, MARGIN + width * sum as f64 / total);
        }
        Some(Self { places, folds })
    }

    fn at(&self, time: i64) -> f64 {
        self.places.get(&time).copied().unwrap_or(MARGIN)
    }

    /// Times to be written below, about evenly apart.
    fn ticks(&self) -> Vec<Tick> {
        let days = |time: i64| time.div_euclid(86_400_000_000);
        let same_day = self.places.first_key_value().map(|(time, _)| days(*time))
            == self.places.last_key_value().map(|(time, _)| days(*time));
        let ends = (self.places.first_key_value(), self.places.last_key_value());
        let quick = matches!(ends, (Some((first, _)), Some((last, _))) if *last - *first < QUICK);
        let mut ticks: Vec<(f64, i64)> = Vec::new();
        for (time, x) in &self.places {
            if ticks.last().is_none_or(|(before, _)| x - before >= APART) {
                ticks.push((*x, *time));
            }
        }
        let tick = |(x, time): (f64, i64)| {
            let whole = draw::time(&Timestamp(time));
            let text = match (same_day, quick) {
                (true, true) => whole.get(11..),
                (true, false) => whole.get(11..19),
                (false, _) => whole.get(5..16),
            };
            Tick {
                x: format!("{x:.2}%"),
                anchor: if x < 6.0 {
                    "start"
                } else if x > 94.0 {
                    "end"
                } else {
                    "middle"
                },
                text: text.unwrap_or(&whole).to_owned(),
                title: Timestamp(time).to_string(),
            }
        };
        ticks.into_iter().map(tick).collect()
    }
}

impl Lanes {
    /// Of the requests that have a time; `during` asks for the events of the time and cluster.
    pub(super) fn of(requests: &[RequestView], during: &Address) -> Option<Self> {
        let times: BTreeSet<i64> = requests.iter().filter_map(|r| Some(r.time?.micros())).collect();
        let scale = Scale::of(&times)?;
        let mut by_who: Vec<(Who<'_>, Vec<&RequestView>)> = Vec::new();
        for request in requests.iter().filter(|request| request.time.is_some()) {
            let who = Who::of(request);
            match by_who.iter_mut().find(|(known, _)| *known == who) {
                Some((_, all)) => all.push(request),
                None => by_who.push((who, vec![request])),
            }
        }
        let more = by_who.len().saturating_sub(LANES) as u64;
        // Those that prove the most stay, in the order in which they came.
        let mut weight: Vec<usize> = by_who.iter().map(|(_, all)| proven(all)).collect();
        weight.sort_unstable_by(|a, b| b.cmp(a));
        let least = weight.get(LANES - 1).copied().unwrap_or(0);
        by_who.retain(|(_, all)| proven(all) >= least);
        by_who.truncate(LANES);
        let lanes = by_who.iter().map(|(who, all)| who.lane(all, &scale, during)).collect();
        let fold = |(x, gap): &(f64, i64)| {
            (format!("{x:.2}%"), format!("{} without requests", words::seconds(&(*gap as f64 / 1e6))))
        };
        let has = |level: &Severity| requests.iter().any(|r| r.severity.as_deref() == Some(level.name()));
        Some(Self {
            ticks: scale.ticks(),
            folds: scale.folds.iter().map(fold).collect(),
            levels: Severity::ALL.into_iter().rev().filter(has).map(Severity::name).collect(),
            lanes,
            more,
        })
    }
}

/// A service account without what all of them begin with.
pub(super) fn short(user: &str) -> String {
    account(user).map_or_else(|account| account, str::to_owned)
}

fn proven(all: &[&RequestView]) -> usize {
    all.iter().filter(|request| request.is_evidence).count() * 1000 + all.len().min(999)
}

/// Whose lane.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Who<'r> {
    user: Option<&'r str>,
    impersonated: Option<&'r str>,
    address: Option<&'r str>,
}

impl<'r> Who<'r> {
    fn of(request: &'r RequestView) -> Self {
        Self {
            user: request.user.as_deref(),
            impersonated: request.impersonated.as_deref(),
            address: request.source_ip.as_deref(),
        }
    }

    /// Only his requests.
    fn filter(&self) -> Filter {
        let part = |field, value: Option<&str>| value.map_or(Filter::All, |value| is(field, value));
        Filter::and([
            part(Field::User, self.user),
            part(Field::Impersonated, self.impersonated),
            part(Field::SourceIp, self.address),
        ])
    }

    fn lane(&self, all: &[&RequestView], scale: &Scale, during: &Address) -> Lane {
        let other = self.impersonated.map(|other| format!(" as {}", short(other))).unwrap_or_default();
        Lane {
            who: format!("{}{other}", self.user.map_or_else(|| "no valid credentials".to_owned(), short)),
            actor: self.user.map(|user| address::path("/actors", user)),
            address: self.address.map(|ip| (ip.to_owned(), address::path("/addresses", ip))),
            count: all.len() as u64,
            marks: self.marks(all, scale, during),
        }
    }

    /// Requests that would cover each other are one mark. The gravest are drawn last, above the others.
    fn marks(&self, all: &[&RequestView], scale: &Scale, during: &Address) -> Vec<Mark> {
        let mut groups: Vec<(f64, Vec<&RequestView>)> = Vec::new();
        for request in all {
            let x = scale.at(request.time.map_or(0, Timestamp::micros));
            match groups.last_mut() {
                Some((begin, group)) if x - *begin < NEAR => group.push(request),
                _ => groups.push((x, vec![request])),
            }
        }
        let grave =
            |request: &&RequestView| request.severity.as_ref().and_then(|text| text.parse::<Severity>().ok());
        let mut marks: Vec<(Option<Severity>, Mark)> = groups
            .into_iter()
            .map(|(x, group)| {
                let level = group.iter().filter_map(grave).max();
                let mark = Mark {
                    x: format!("{x:.2}%"),
                    class: level.map_or("context", Severity::name),
                    title: title(&group, level),
                    href: self.href(&group, during),
                };
                (level, mark)
            })
            .collect();
        marks.sort_by_key(|(level, _)| *level);
        marks.into_iter().map(|(_, mark)| mark).collect()
    }

    fn href(&self, group: &[&RequestView], during: &Address) -> String {
        match group {
            [one] => address::event(Some(&one.audit_id), None),
            all => {
                let micros = |request: Option<&&RequestView>| {
                    request.and_then(|r| r.time).map_or(0, Timestamp::micros)
                };
                let address = during.clone().with("filter", self.filter().to_string());
                let address = address.with("from", Timestamp(micros(all.first())).to_string());
                address.with("to", Timestamp(micros(all.last()) + 1).to_string()).to_string()
            }
        }
    }
}

fn title(group: &[&RequestView], level: Option<Severity>) -> String {
    let time = |request: &RequestView| draw::maybe_time(request.time.as_ref());
    let mut rules: Vec<&str> =
        group.iter().flat_map(|request| request.rules.iter().map(String::as_str)).collect();
    rules.sort_unstable();
    rules.dedup();
    let more = rules.len().saturating_sub(4);
    rules.truncate(4);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let found = level.map(|level| format!("\n{level}: {}{more}", rules.join("; "))).unwrap_or_default();
    match group {
        [one] => format!("{} {}{found}", time(one), one.what),
        all => {
            let first = all.first().map(|request| time(request)).unwrap_or_default();
            format!("{first}: {} requests{found}", all.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_times_are_folded() {
        let times: BTreeSet<i64> = [0, 10, 20, 90_000_000, 90_000_010].into();
        let scale = Scale::of(&times).unwrap();
        assert_eq!(scale.folds.len(), 1);
        assert!((scale.at(0) - MARGIN).abs() < 1e-9);
        assert!((scale.at(90_000_010) - (100.0 - MARGIN)).abs() < 1e-9);
        let even: BTreeSet<i64> = (0..100).map(|n| n * 1_000).collect();
        let scale = Scale::of(&even).unwrap();
        assert!(scale.folds.is_empty());
        assert!((scale.at(33_000) - (MARGIN + 97.0 / 3.0)).abs() < 0.1);
        assert!(scale.ticks().len() <= 8);
        assert!(Scale::of(&BTreeSet::new()).is_none());
        assert!(Scale::of(&[7].into()).is_some_and(|scale| scale.at(7) > 0.0));
    }
}
