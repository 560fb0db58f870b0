//! Incidents: the queue, the gravest first.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_model::Severity;
use serde::Deserialize;

use super::address::{self, Address};
use super::frame::{About, Asked, Frame, Screen};
use super::{draw, words};
use crate::api::findings::{Listing, briefs};
use crate::input::range;
use crate::view::{self, BriefView, QueueFacet, QueueValue, QueueView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Incidents that are looked at: the newest ones.
const BATCH: usize = 1000;
/// Incidents of a page.
const ROWS: usize = 50;
/// Values of a facet.
const VALUES: usize = 8;

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// At least so grave.
    severity: String,
    cluster: String,
    actor: String,
    from: String,
    to: String,
    /// So many of the ranked ones are passed over.
    after: usize,
    /// Where the batch begins that is ranked.
    cursor: String,
}

impl Wanted {
    fn address(&self) -> Address {
        Address::new("/incidents")
            .with("severity", self.severity.clone())
            .with("cluster", self.cluster.clone())
            .with("actor", self.actor.clone())
            .with("from", self.from.clone())
            .with("to", self.to.clone())
    }

    fn listing(&self) -> Listing {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Listing {
            cluster: some(&self.cluster),
            // What began earlier and goes on is of the time too.
            to: some(&self.to),
            cursor: some(&self.cursor),
            limit: Some(BATCH),
            ..Listing::default()
        }
    }
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct Queue {
    frame: Frame,
    view: QueueView,
    /// Usual times, where they lead, and whether it is the one that is asked for.
    presets: Vec<(&'static str, String, bool)>,
    /// What is asked for, and the queue without it.
    asked: Vec<(String, String)>,
    now: klio_model::Timestamp,
}

const PRESETS: [(&str, &str); 4] =
    [("24 hours", "now-24h"), ("7 days", "now-7d"), ("30 days", "now-30d"), ("All time", "")];

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let address = wanted.address();
    let least: Option<Severity> = match wanted.severity.as_str() {
        "" => None,
        text => Some(text.parse().map_err(Problem::bad)?),
    };
    let (mut all, next) = briefs(&web, &visitor, wanted.listing()).await?;
    let asked_range = range(Some(&wanted.from), Some(&wanted.to), web.now())?;
    all.retain(|brief| asked_range.start.is_none() || brief.last >= asked_range.start);
    let facets = facets(&all, least, &wanted.actor, &address, &wanted.cluster);
    all.retain(|brief| is_grave(brief, least) && is_by(brief, &wanted.actor));
    rank(&mut all);
    let count = all.len();
    let at = |after: usize| {
        let page = address.clone().with("cursor", wanted.cursor.clone());
        page.with("after", if after == 0 { String::new() } else { after.to_string() }).to_string()
    };
    let view = QueueView {
        range: draw::range(asked_range),
        count: count as u64,
        facets,
        before: (wanted.after > 0).then(|| at(wanted.after.saturating_sub(ROWS))),
        after: Some(wanted.after.saturating_add(ROWS)).filter(|after| *after < count).map(at),
        older: next.map(|cursor| address.clone().with("cursor", cursor).to_string()),
        items: all.into_iter().skip(wanted.after).take(ROWS).collect(),
        severity: wanted.severity.clone(),
        cluster: wanted.cluster.clone(),
        actor: wanted.actor.clone(),
    };
    let preset = |(label, from): (&'static str, &str)| {
        (
            label,
            address.clone().with("from", from).with("to", "").to_string(),
            wanted.from == from && wanted.to.is_empty(),
        )
    };
    let presets = PRESETS.map(preset).to_vec();
    let parts = [
        ("severity", least.map(|least| format!("{least} or graver"))),
        ("cluster", Some(format!("cluster {}", wanted.cluster)).filter(|_| !wanted.cluster.is_empty())),
        ("actor", Some(format!("by {}", wanted.actor)).filter(|_| !wanted.actor.is_empty())),
    ];
    let asked = parts
        .into_iter()
        .filter_map(|(name, said)| Some((said?, address.clone().with(name, "").to_string())));
    let asked = asked.collect();
    let about = About { title: "Incidents".to_owned(), place: "/incidents", command: Some(command(&wanted)) };
    let now = web.now();
    screen.show(&web, &visitor, about, view, |frame, view| Queue { frame, view, presets, asked, now })
}

fn command(wanted: &Wanted) -> String {
    let age = |text: &String| text.strip_prefix("now-").unwrap_or(text).to_owned();
    let options =
        [("--cluster", wanted.cluster.clone()), ("--since", age(&wanted.from)), ("--until", age(&wanted.to))];
    format!("klio incident{}", draw::options(options))
}

/// The gravest first, then the newest.
pub(super) fn rank(all: &mut [BriefView]) {
    let key = |brief: &BriefView| (brief.severity.parse::<Severity>().ok(), brief.score, brief.last);
    all.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| a.id.cmp(&b.id)));
}

fn is_grave(brief: &BriefView, least: Option<Severity>) -> bool {
    least.is_none_or(|least| brief.severity.parse::<Severity>().is_ok_and(|own| own >= least))
}

fn is_by(brief: &BriefView, actor: &str) -> bool {
    let is = |of: &Option<String>| of.as_deref() == Some(actor);
    actor.is_empty() || brief.actors.iter().any(|known| is(&known.user) || is(&known.impersonated))
}

/// The values of a facet are counted among what the other facets let through.
fn facets(
    all: &[BriefView],
    least: Option<Severity>,
    actor: &str,
    address: &Address,
    cluster: &str,
) -> Vec<QueueFacet> {
    let by_actor = || all.iter().filter(|brief| is_by(brief, actor));
    let grave = Severity::ALL.into_iter().rev().map(|level| {
        let count = by_actor().filter(|brief| is_grave(brief, Some(level))).count();
        (level.name().to_owned(), count as u64)
    });
    let grave: Vec<_> = grave.filter(|(_, count)| *count > 0).collect();
    let mut clusters = BTreeMap::<String, u64>::new();
    let mut actors = BTreeMap::<String, u64>::new();
    for brief in all.iter().filter(|brief| is_grave(brief, least)) {
        if is_by(brief, actor) {
            *clusters.entry(brief.cluster.clone()).or_default() += 1;
        }
        let mut users: Vec<&String> = brief.actors.iter().filter_map(|known| known.user.as_ref()).collect();
        users.sort_unstable();
        users.dedup();
        for user in users {
            *actors.entry(user.clone()).or_default() += 1;
        }
    }
    let asked = least.map(Severity::name).unwrap_or_default();
    vec![
        facet("Severity, at least", "severity", grave, asked, address),
        facet("Cluster", "cluster", frequent(clusters), cluster, address),
        facet("Actor", "actor", frequent(actors), actor, address),
    ]
}

fn frequent(of: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut all: Vec<_> = of.into_iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.truncate(VALUES);
    all
}

fn facet(
    name: &'static str,
    field: &'static str,
    values: Vec<(String, u64)>,
    asked: &str,
    address: &Address,
) -> QueueFacet {
    let most = values.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let value = |(value, count): (String, u64)| {
        let is_asked = value == asked;
        QueueValue {
            page: address.clone().with(field, if is_asked { "" } else { value.as_str() }).to_string(),
            share: (count * 100 / most).max(1) as u8,
            asked: is_asked,
            value,
            count,
        }
    };
    QueueFacet { name, values: values.into_iter().map(value).collect() }
}
