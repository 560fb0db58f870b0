//! Trends: who asks how much of the API servers, what is heavy, refused, failed or slow, and how the events grow.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_model::{Event, Field, FieldRef, Filter, Matcher, TextMatch, TimeRange, Timestamp};
use serde::Deserialize;

use super::address::Address;
use super::chart::Chart;
use super::frame::{About, Asked, Frame, Screen};
use super::{draw, words};
use crate::api::{event_view, is, present, split, step_of, usual};
use crate::archive::{Archive, ArchiveError, Patience, Question, Record, Slice, Survey};
use crate::input::{Which, field};
use crate::view::{
    Forecast, Growth, HistogramView, Lister, Ranked, Series, Slow, SlowEvent, TrendsView, Trouble,
};
use crate::visitor::Visitor;
use crate::{Problem, Sight, Web};

/// Without a time: so many microseconds before the newest event.
const USUAL: i64 = 7 * DAY;
const DAY: i64 = 86_400_000_000;
/// Days that are looked back for the growth.
const BACK: i64 = 60 * DAY;
/// Days of the forecast.
const AHEAD: u64 = 30;
/// Values of a list.
const VALUES: usize = 10;
/// Listers, and resources of each.
const LISTERS: usize = 8;
const LISTED: usize = 3;
/// Users and resources that are looked at together.
const PAIRS: usize = 50_000;
/// The newest slow requests that are looked at, and those that are shown.
const LOOKED: usize = 500;
const SLOWEST: usize = 10;

/// By what the volume is split: the field, and what it is called.
const BY: [(&str, &str); 6] = [
    ("user", "user"),
    ("agent", "client"),
    ("resource", "resource"),
    ("verb", "verb"),
    ("namespace", "namespace"),
    ("code", "code"),
];
/// Usual times.
const PRESETS: [(&str, &str); 5] = [
    ("The newest week", ""),
    ("24 hours", "now-24h"),
    ("7 days", "now-7d"),
    ("30 days", "now-30d"),
    ("All time", "1970"),
];
/// Whole collections: every object is read, and sent.
const LISTS: &str = "verb:(list or watch) and not name:*";
const THROTTLED: &str = "code:429";
const FAILED: &str = "code >= 500";
/// API servers note their own latency of requests that took longer than half a second (`apiserver/pkg/endpoints/filters`).
const SLOW: &str = "annotations.apiserver.latency.k8s.io/total:*";

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    cluster: Option<String>,
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
}

impl Wanted {
    fn address(&self, path: &'static str) -> Address {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let address = Address::new(path).with("cluster", text(&self.cluster));
        address.with("from", text(&self.from)).with("to", text(&self.to))
    }
}

#[derive(Template)]
#[template(path = "trends.html")]
struct Trends {
    frame: Frame,
    view: TrendsView,
    volume: Option<Chart>,
    growth: Option<Chart>,
    range: String,
    /// Usual times, and by what the volume may be split: where they lead, and whether it is this one.
    presets: Vec<(&'static str, String, bool)>,
    splits: Vec<(&'static str, String, bool)>,
}

impl Trends {
    /// What goes wrong: what it is, what it means, what is said if nothing does.
    fn troubles(&self) -> [(&'static str, &'static str, &'static str, &Trouble); 2] {
        [
            (
                "Throttled",
                "The API server refused them as too many (429): these clients ask too fast.",
                "Nobody was refused as too fast (429).",
                &self.view.throttled,
            ),
            (
                "Failed",
                "The API server could not answer them (5xx).",
                "The API server answered every request (no 5xx).",
                &self.view.failed,
            ),
        ]
    }
}

/// A share in percent, short.
#[allow(clippy::trivially_copy_pass_by_ref)] // templates hand over references
fn share(share: &f64) -> String {
    let percent = share * 100.0;
    if percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// A number of events that was computed, without its sign.
#[allow(clippy::trivially_copy_pass_by_ref)] // templates hand over references
fn round(n: &f64) -> String {
    draw::number(&(n.abs().round() as u64))
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let by_name = wanted.by.clone().filter(|by| !by.is_empty()).unwrap_or_else(|| "user".to_owned());
    let by = field(&by_name, &visitor)?;
    let which = Which {
        filter: None,
        cluster: wanted.cluster.clone(),
        from: wanted.from.clone(),
        to: wanted.to.clone(),
    };
    let question = which.question(&web, &visitor)?;
    let parts = [LISTS, THROTTLED, FAILED, SLOW].map(Filter::parse);
    let [lists, throttled, failed, slow] = parts;
    let parts = Parts { lists: lists?, throttled: throttled?, failed: failed?, slow: slow? };
    let explore = wanted.address("/explore");
    let now = web.now();
    let asked = {
        let (visitor, cluster) = (visitor.clone(), wanted.cluster.clone().unwrap_or_default());
        move |archive: &dyn Archive, sight: &Sight, patience: &Patience| {
            let range = usual(archive, sight, patience, &question, USUAL, now)?;
            let survey =
                Reader { archive, sight, patience, question: Question { range, ..question }, explore };
            survey.view(&visitor, &parts, (cluster, by_name, by), now)
        }
    };
    let view = visitor.ask(&web, asked).await?;
    visitor.note.rows(view.users.len() + view.listers.len() + view.slow.slowest.len());
    let range = TimeRange { start: view.start, end: view.end };
    let address = wanted.address("/trends").with("by", wanted.by.clone().unwrap_or_default());
    let volume = Chart::new(&view.volume, range, &address);
    let days = TimeRange { start: None, end: None };
    let growth = Chart::new(&view.growth.days, days, &wanted.address("/trends"));
    let preset = |(name, from): (&'static str, &str)| {
        let to = address.clone().with("from", from).with("to", "").to_string();
        (name, to, wanted.from.as_deref().unwrap_or_default() == from && wanted.to.is_none())
    };
    let split =
        |(by, name): (&str, &'static str)| (name, address.clone().with("by", by).to_string(), by == view.by);
    let (presets, splits) = (PRESETS.map(preset).to_vec(), BY.map(split).to_vec());
    let limits = draw::limits(&view.cluster, range.start, range.end);
    let about = About {
        title: "Trends".to_owned(),
        place: "/trends",
        command: Some(format!("klio stats top {}{limits}", draw::shell(&view.by))),
    };
    let range = draw::range(range);
    screen.show(&web, &visitor, about, view, |frame, view| Trends {
        frame,
        view,
        volume,
        growth,
        range,
        presets,
        splits,
    })
}

/// What is looked at by itself.
struct Parts {
    lists: Filter,
    throttled: Filter,
    failed: Filter,
    slow: Filter,
}

/// Users, resources, and how many events have both.
struct Pairs(Vec<(Option<String>, Option<String>, u64)>);

impl Pairs {
    fn users(&self, most: usize) -> Vec<(String, u64)> {
        summed(self.0.iter().filter_map(|(user, _, count)| Some((user.as_ref()?, *count))), most)
    }

    /// Those of a user, or of all.
    fn resources(&self, of: Option<&str>, most: usize) -> Vec<(String, u64)> {
        let own = self.0.iter().filter(|(user, _, _)| of.is_none() || user.as_deref() == of);
        summed(own.filter_map(|(_, resource, count)| Some((resource.as_ref()?, *count))), most)
    }
}

/// The most frequent names.
fn summed<'p>(pairs: impl Iterator<Item = (&'p String, u64)>, most: usize) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&String, u64> = BTreeMap::new();
    pairs.for_each(|(name, count)| *sums.entry(name).or_default() += count);
    let mut sorted: Vec<(String, u64)> =
        sums.into_iter().map(|(name, count)| (name.clone(), count)).collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.truncate(most);
    sorted
}

/// The archive, for one reader and one question.
struct Reader<'a> {
    archive: &'a dyn Archive,
    sight: &'a Sight,
    patience: &'a Patience,
    question: Question,
    /// Where events of the question are found.
    explore: Address,
}

impl Reader<'_> {
    fn view(
        &self,
        visitor: &Visitor,
        parts: &Parts,
        (cluster, name, by): (String, String, FieldRef),
        now: Timestamp,
    ) -> Result<TrendsView, ArchiveError> {
        let Self { archive, sight, patience, question, .. } = self;
        let step = step_of(*archive, sight, patience, question, None)?;
        let asked = Survey {
            tops: vec![(FieldRef::of(Field::User), VALUES)],
            steps: step.map(|step| (by.clone(), step)),
            ..Survey::default()
        };
        let found = archive.survey(sight, patience, question, &asked)?;
        let users = found.tops.into_iter().next().unwrap_or_default().values;
        Ok(TrendsView {
            cluster,
            start: question.range.start,
            end: question.range.end,
            by: name,
            count: found.count,
            volume: split(step, Some(&by), found.steps),
            users: self.ranked(&Filter::All, Field::User, users, found.count),
            listers: self.listers(&parts.lists)?,
            throttled: self.trouble(&parts.throttled)?,
            failed: self.trouble(&parts.failed)?,
            slow: self.slow(visitor, &parts.slow)?,
            growth: self.growth(now)?,
        })
    }

    fn with(&self, filter: &Filter) -> Question {
        Question {
            filter: Filter::and([self.question.filter.clone(), filter.clone()]),
            ..self.question.clone()
        }
    }

    fn to(&self, filter: &Filter) -> String {
        let text = if *filter == Filter::All { String::new() } else { filter.to_string() };
        self.explore.clone().with("filter", text).to_string()
    }

    /// Values of a field with their share of so many events of a filter, and where those are found.
    fn ranked(&self, filter: &Filter, field: Field, values: Vec<(String, u64)>, all: u64) -> Vec<Ranked> {
        let field = FieldRef::of(field);
        let one = |(value, count): (String, u64)| {
            let test = Filter::test(field.clone(), Matcher::Text(TextMatch::exactly(&value)));
            let share = count as f64 / all.max(1) as f64;
            Ranked { explore: self.to(&Filter::and([filter.clone(), test])), share, value, count }
        };
        values.into_iter().map(one).collect()
    }

    /// How many events match a filter, and how many of each user and resource.
    fn pairs(&self, filter: &Filter) -> Result<(u64, Pairs), ArchiveError> {
        let fields = vec![FieldRef::of(Field::User), FieldRef::of(Field::Resource)];
        let survey = Survey { combinations: vec![(fields, PAIRS)], ..Survey::default() };
        let found = self.archive.survey(self.sight, self.patience, &self.with(filter), &survey)?;
        let rows = found.combinations.into_iter().next().unwrap_or_default();
        let pair = |(values, count): (Vec<Option<String>>, u64)| {
            let mut values = values.into_iter();
            (values.next().flatten(), values.next().flatten(), count)
        };
        Ok((found.count, Pairs(rows.into_iter().map(pair).collect())))
    }

    fn listers(&self, lists: &Filter) -> Result<Vec<Lister>, ArchiveError> {
        let (count, pairs) = self.pairs(lists)?;
        let users = self.ranked(lists, Field::User, pairs.users(LISTERS), count);
        let one = |user: Ranked| {
            let of_user = Filter::and([lists.clone(), is(Field::User, &user.value)]);
            let resources = pairs.resources(Some(&user.value), LISTED);
            Lister { resources: self.ranked(&of_user, Field::Resource, resources, user.count), user }
        };
        Ok(users.into_iter().map(one).collect())
    }

    fn trouble(&self, filter: &Filter) -> Result<Trouble, ArchiveError> {
        let (count, pairs) = self.pairs(filter)?;
        Ok(Trouble {
            count,
            users: self.ranked(filter, Field::User, pairs.users(5), count),
            resources: self.ranked(filter, Field::Resource, pairs.resources(None, 5), count),
            explore: self.to(filter),
        })
    }

    fn slow(&self, visitor: &Visitor, filter: &Filter) -> Result<Slow, ArchiveError> {
        let all = self.trouble(filter)?;
        if all.count == 0 {
            return Ok(Slow { all, looked: 0, slowest: Vec::new() });
        }
        let slice = Slice { after: None, most: LOOKED };
        let page = self.archive.events(self.sight, self.patience, &self.with(filter), &slice)?;
        let mut slowest: Vec<SlowEvent> =
            page.items.iter().filter_map(|record| slow_event(record, visitor)).collect();
        slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        slowest.truncate(SLOWEST);
        Ok(Slow { all, looked: page.items.len() as u64, slowest })
    }

    /// Events of each day, up to the end of the time that was asked for.
    fn growth(&self, now: Timestamp) -> Result<Growth, ArchiveError> {
        let mut question = self.question.clone();
        question.range.start = None;
        question.range.end = Some(question.range.end.unwrap_or_else(|| present(now)));
        let Some((first, last)) = self.archive.span(self.sight, self.patience, &question)? else {
            let days = HistogramView { interval_seconds: 86_400, field: None, series: Vec::new() };
            return Ok(Growth { days, forecast: None });
        };
        question.range.start = Some(Timestamp(first.micros().max(last.micros().saturating_sub(BACK))));
        let bars = self.archive.histogram(self.sight, self.patience, &question, DAY)?;
        let counts: Vec<(i64, u64)> =
            bars.iter().map(|bar| (bar.start.micros().div_euclid(DAY), bar.count)).collect();
        let begins = question.range.start.map_or(0, Timestamp::micros);
        // The first day and the last one are cut, and so is today.
        let whole = begins.div_euclid(DAY) + 1..last.micros().min(now.micros()).div_euclid(DAY);
        let days = HistogramView {
            interval_seconds: 86_400,
            field: None,
            series: vec![Series { value: Some("events a day".to_owned()), bars }],
        };
        Ok(Growth { days, forecast: forecast(&counts, whole) })
    }
}

fn slow_event(record: &Record, visitor: &Visitor) -> Option<SlowEvent> {
    let view = event_view(record, &visitor.sight, visitor.bodies())?;
    let event = Event::parse(view.event.get()).ok()?;
    let answered = FieldRef::of(Field::StageTime).values(&event);
    let answered = Timestamp::parse(answered.first()?)?;
    Some(SlowEvent {
        seconds: (answered.micros() - view.time?.micros()) as f64 / 1e6,
        time: view.time,
        page: view.page(),
        sentence: view.sentence,
    })
}

/// The line of least squares through whole days, those without events too; nothing with fewer than three.
fn forecast(counts: &[(i64, u64)], whole: std::ops::Range<i64>) -> Option<Forecast> {
    let days = whole.end.checked_sub(whole.start).filter(|days| *days >= 3)? as f64;
    let of = |day: i64| counts.iter().find(|(known, _)| *known == day).map_or(0, |(_, count)| *count) as f64;
    let points: Vec<(f64, f64)> = whole.clone().map(|day| ((day - whole.start) as f64, of(day))).collect();
    let mean = points.iter().map(|(_, y)| y).sum::<f64>() / days;
    let middle = (days - 1.0) / 2.0;
    let rise = points.iter().map(|(x, y)| (x - middle) * (y - mean)).sum::<f64>();
    let run = points.iter().map(|(x, _)| (x - middle).powi(2)).sum::<f64>();
    let slope = rise / run;
    let at = |x: f64| (mean + slope * (x - middle)).max(0.0);
    let next = (0..AHEAD).map(|ahead| at(days + ahead as f64)).sum();
    Some(Forecast { days: days as u64, mean, slope, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_goes_on_as_the_days_went() {
        let whole = |n: f64| n.round() as i64;
        let even = forecast(&[(1, 100), (2, 100), (3, 100), (4, 7)], 1..4).unwrap();
        assert_eq!((even.days, whole(even.mean), whole(even.slope), whole(even.next)), (3, 100, 0, 3_000));
        let growing = forecast(&[(1, 10), (2, 20), (3, 30)], 1..4).unwrap();
        assert_eq!(whole(growing.slope), 10);
        // 40, 50, … 330.
        assert_eq!(whole(growing.next), 5_550);
        // A day without events counts as none, and what shrinks does not go below none.
        assert_eq!(whole(forecast(&[(1, 30), (3, 0)], 1..4).unwrap().next), 0);
        assert!(forecast(&[(1, 100), (2, 100)], 1..3).is_none());
    }
}
