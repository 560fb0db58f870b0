//! Sources: where events come from, whether all of them do, and what is wrong.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_model::Timestamp;

use super::address::Address;
use super::frame::{About, Asked, Frame, Nothing, Screen};
use super::{draw, words};
use crate::route;
use crate::view::{Balance, Completeness, Gap, SourcePage, SourceView};
use crate::visitor::Visitor;
use crate::{OWN_CLUSTER, Problem, Web, api};

/// A source that is silent for so long has fallen silent, in microseconds: the server makes a finding of it then.
const SILENCE: i64 = 5 * 60 * 1_000_000;
/// Gaps of a source that are shown.
const GAPS: usize = 12;

#[derive(Template)]
#[template(path = "sources.html")]
struct Sources {
    frame: Frame,
    view: SourcePage,
    now: Timestamp,
    /// Why dead letters are not for the reader.
    no_letters: Option<String>,
}

impl Sources {
    fn state(&self, source: &SourceView) -> (&'static str, &'static str) {
        state(source, &self.now)
    }

    /// How many sources of clusters deliver, of how many.
    fn delivering(&self) -> (u64, u64) {
        let of_clusters = || self.view.items.iter().filter(|source| source.cluster != OWN_CLUSTER);
        let good = of_clusters().filter(|source| self.state(source).1 == "delivers").count();
        (good as u64, of_clusters().count() as u64)
    }

    /// Whether a cluster's completeness is not proved.
    fn unproven(&self) -> bool {
        self.view.items.iter().any(|source| source.cluster != OWN_CLUSTER && balance(source).is_none())
    }

    /// Sources of which there is something to tell.
    fn told(&self) -> impl Iterator<Item = &SourceView> {
        self.view
            .items
            .iter()
            .filter(|source| source.trouble.is_some() || !source.gaps.is_empty() || balance(source).is_some())
    }
}

/// How a source is: a class, a word.
#[allow(clippy::trivially_copy_pass_by_ref)] // templates hand over references
pub(super) fn state(source: &SourceView, now: &Timestamp) -> (&'static str, &'static str) {
    match source.last_seen {
        None => ("idle", "never heard"),
        Some(_) if source.trouble.is_some() => ("bad", "in trouble"),
        Some(seen) if now.micros() - seen.micros() < SILENCE => ("good", "delivers"),
        Some(_) if source.cluster == OWN_CLUSTER => ("idle", "quiet"),
        Some(_) => ("bad", "silent"),
    }
}

/// What the API servers counted, if they did.
fn balance(source: &SourceView) -> Option<&Balance> {
    match &source.completeness {
        Completeness::Unproven => None,
        Completeness::Compared(balance) => Some(balance),
    }
}

/// Events that were counted and are not kept, as far as the borders of the time do not explain it.
fn missing(balance: &Balance) -> u64 {
    balance.counted.saturating_sub(balance.kept).saturating_sub(balance.unsure)
}

/// The events of a cluster.
fn explore(cluster: &str) -> String {
    Address::new("/explore").with("cluster", cluster).to_string()
}

/// The time around a gap.
fn around(cluster: &str, gap: &Gap) -> String {
    let address = Address::new("/explore").with("cluster", cluster);
    address.with("from", gap.from.to_string()).with("to", gap.to.to_string()).to_string()
}

/// The newest gaps, and how many more there are.
fn newest(gaps: &[Gap]) -> (Vec<&Gap>, u64) {
    let mut all: Vec<&Gap> = gaps.iter().collect();
    all.sort_by_key(|gap| std::cmp::Reverse(gap.from));
    let more = all.len().saturating_sub(GAPS) as u64;
    all.truncate(GAPS);
    (all, more)
}

/// How long a gap is.
fn length(gap: &Gap) -> String {
    words::seconds(&((gap.to.micros() - gap.from.micros()) as f64 / 1e6))
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let view = api::sources::list(State(web.clone()), visitor.clone()).await?.0;
    let about =
        About { title: "Sources".to_owned(), place: "/sources", command: Some("klio sources".to_owned()) };
    let (now, no_letters) = (web.now(), route::why_not(&visitor, "GET", "/sources/dead-letters"));
    screen.show(&web, &visitor, about, view, |frame, view| Sources { frame, view, now, no_letters })
}
