//! One incident as a story: what happened, who did it with what, how far it reached, what proves it, and what to do now.

mod facts;
mod graph;
mod lanes;
mod telling;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use klio_model::{Filter, Timestamp};
use serde::Deserialize;

use super::address::{self, Address};
use super::frame::{About, Asked, Frame, Screen};
use super::{draw, words};
use crate::api;
use crate::route;
use crate::view::{IncidentView, ReachView, RequestView, headline};
use crate::visitor::Visitor;
use crate::{Problem, Web};
use graph::Graph;
use lanes::Lanes;
use telling::Told;

/// Requests of a page of the table.
const ROWS: usize = 100;
/// Audit ids of one exported file: more make an address that proxies refuse.
const EXPORTED: usize = 250;
/// Names of each kind that the reach shows before it is opened.
const NAMED: usize = 6;
/// Of those who are behind it, so many are named at once.
const CAUSES: usize = 3;
/// Steps of containment that are shown before the rest is opened.
const STEPS: usize = 5;

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Which requests the table has: evidence or context; all without one.
    requests: String,
    /// So many of them are passed over.
    after: usize,
}

#[derive(Template)]
#[template(path = "incident.html")]
struct Page {
    frame: Frame,
    view: IncidentView,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    told: Vec<Told>,
    causes: Vec<Told>,
    reach: Vec<Reached>,
    phases: Vec<(String, u64)>,
    lanes: Option<Lanes>,
    graph: Option<Graph>,
    table: Table,
    exports: Vec<(String, String)>,
    /// Why evidence is not for the reader.
    no_export: Option<String>,
    evidence: String,
    explore: String,
}

/// One kind of things that were reached.
struct Reached {
    what: &'static str,
    shown: Vec<(String, Option<String>)>,
    rest: Vec<(String, Option<String>)>,
    count: u64,
}

/// A part of the requests.
struct Table {
    tabs: Vec<(&'static str, u64, String, bool)>,
    rows: Vec<RequestView>,
    before: Option<String>,
    after: Option<String>,
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(id): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let story = api::findings::story(State(web.clone()), visitor.clone(), Path(id)).await?.0;
    let findings = api::findings::of_story(&web, &visitor, &story).await?;
    let requests = facts::requests(&web, &visitor, &story, &findings).await?;
    let reach: ReachView = serde_json::from_value(story.reach.clone()).unwrap_or_default();
    let count = story.events.len() as u64 + story.unlisted_events;
    let view = IncidentView {
        headline: headline(&story.actors, &reach, count),
        rules: facts::rules(findings),
        story,
        reach,
        requests,
    };
    let about = About {
        title: format!("Incident {}", view.story.id),
        place: "/incidents",
        command: Some(format!("klio incident {}", draw::shell(&view.story.id))),
    };
    let no_export = route::why_not(&visitor, "GET", "/api/v1/events/export");
    screen.show(&web, &visitor, about, view, |frame, view| Page::of(frame, view, &wanted, no_export))
}

impl Page {
    fn of(frame: Frame, view: IncidentView, wanted: &Wanted, no_export: Option<String>) -> Self {
        let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
        let (first, last) = (time(&view.story.first), time(&view.story.last));
        let end = last.map(|last| Timestamp(last.micros().saturating_add(1)));
        let during = Address::new("/explore")
            .with("cluster", view.story.cluster.clone())
            .with("from", first.map(|time| time.to_string()).unwrap_or_default())
            .with("to", end.map(|time| time.to_string()).unwrap_or_default());
        let ids: Vec<&str> = view.story.events.iter().map(|event| event.audit_id.as_str()).collect();
        Self {
            told: telling::story(&view),
            causes: telling::causes(&view),
            reach: reached(&view.reach, &view.story.cluster),
            phases: telling::phases(&view),
            lanes: Lanes::of(&view.requests, &during),
            graph: Graph::of(&view.requests, &during),
            table: Table::of(&view, wanted),
            exports: exports(&ids, &view.story.cluster),
            evidence: evidence(&ids, &view.story.id),
            explore: during.to_string(),
            no_export,
            frame,
            first,
            last,
            view,
        }
    }

    /// Requests, also those that are not listed.
    fn requests(&self) -> String {
        let count = self.view.story.events.len() as u64 + self.view.story.unlisted_events;
        words::count(&count, "request", "requests")
    }

    /// How many rules found something.
    fn rules(&self) -> String {
        words::count(&(self.view.rules.len() as u64), "rule", "rules")
    }
}

fn reached(reach: &ReachView, cluster: &str) -> Vec<Reached> {
    let kinds = reach.parts().into_iter().enumerate().filter(|(_, (_, names))| !names.is_empty());
    let kinds = kinds.map(|(at, (what, names))| {
        let link = |name: &String| {
            let (resource, place) = match at {
                0 => ("secrets", name.as_str()),
                1 => ("serviceaccounts", name.as_str()),
                2 => ("pods", name.as_str()),
                3 => ("nodes", name.as_str()),
                _ => name.split_once(' ').unwrap_or(("", name)),
            };
            (name.clone(), object(cluster, resource, place))
        };
        let mut shown: Vec<_> = names.iter().map(link).collect();
        let rest = shown.split_off(shown.len().min(NAMED));
        Reached { what, shown, rest, count: names.len() as u64 }
    });
    kinds.collect()
}

/// The page of an object, of one that is named.
fn object(cluster: &str, resource: &str, place: &str) -> Option<String> {
    let (namespace, name) = place.split_once('/').map_or((None, place), |(space, name)| (Some(space), name));
    if resource.is_empty() || matches!(name, "" | "*") {
        return None;
    }
    Some(address::object(cluster, resource, namespace, name))
}

/// A filter that these requests match.
fn filter(ids: &[&str]) -> String {
    let is_plain = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match ids {
        [one] if is_plain(one) => format!("audit.id:{one}"),
        all if all.iter().all(is_plain) => format!("audit.id:({})", all.join(" or ")),
        all => Filter::or(all.iter().map(|id| api::is(klio_model::Field::AuditId, id))).to_string(),
    }
}

/// Files of the requests' events: what each is called, and its address.
fn exports(ids: &[&str], cluster: &str) -> Vec<(String, String)> {
    let files = ids.chunks(EXPORTED).enumerate().map(|(at, part)| {
        let begin = at * EXPORTED + 1;
        let label = if ids.len() <= EXPORTED {
            "All requests as NDJSON".to_owned()
        } else {
            format!("Requests {begin} to {} as NDJSON", begin + part.len() - 1)
        };
        let address = Address::new("/api/v1/events/export")
            .with("format", "jsonl")
            .with("cluster", cluster)
            .with("filter", filter(part));
        (label, address.to_string())
    });
    files.collect()
}

/// The command that exports the events with the proofs that they were sealed.
fn evidence(ids: &[&str], story: &str) -> String {
    let short: String = story.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    format!(
        "klio evidence export {} --to ./incident-{short} --by YOUR-NAME --reason 'incident {short}'",
        draw::shell(&filter(ids))
    )
}

impl Table {
    fn of(view: &IncidentView, wanted: &Wanted) -> Self {
        let address = Address::new("").with("requests", wanted.requests.clone());
        let to =
            |address: Address| format!("{}{address}#requests", address::path("/incidents", &view.story.id));
        let is_wanted = |kind: &str, request: &RequestView| match kind {
            "evidence" => request.is_evidence,
            "context" => !request.is_evidence,
            _ => true,
        };
        let tabs = [("All", ""), ("Evidence", "evidence"), ("Context", "context")].map(|(label, kind)| {
            let count = view.requests.iter().filter(|request| is_wanted(kind, request)).count();
            (label, count as u64, to(Address::new("").with("requests", kind)), kind == wanted.requests)
        });
        let mut rows: Vec<RequestView> =
            view.requests.iter().filter(|request| is_wanted(&wanted.requests, request)).cloned().collect();
        let all = rows.len();
        rows = rows.into_iter().skip(wanted.after).take(ROWS).collect();
        let at = |after: usize| {
            to(address.clone().with("after", if after == 0 { String::new() } else { after.to_string() }))
        };
        Self {
            before: (wanted.after > 0).then(|| at(wanted.after.saturating_sub(ROWS))),
            after: Some(wanted.after.saturating_add(ROWS)).filter(|after| *after < all).map(at),
            tabs: tabs.to_vec(),
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_exported_by_their_ids() {
        assert_eq!(filter(&["a-1", "b-2"]), "audit.id:(a-1 or b-2)");
        // Clients choose audit ids.
        let odd = filter(&["a or b", "c"]);
        assert!(Filter::parse(&odd).is_ok(), "{odd}");
        let ids: Vec<String> = (0..=EXPORTED).map(|n| format!("{n:036}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let files = exports(&ids, "prod");
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(|(_, address)| address.len() < 16_000));
        assert_eq!(
            exports(&ids[..3], "prod").first().map(|(label, _)| label.as_str()),
            Some("All requests as NDJSON")
        );
    }

    #[test]
    fn reached_objects_have_pages() {
        assert_eq!(object("", "secrets", "shop/key").as_deref(), Some("/objects/secrets/shop/key"));
        assert_eq!(object("p", "nodes", "n1").as_deref(), Some("/objects/nodes/-/n1?cluster=p"));
        assert_eq!(object("", "secrets", "shop/*"), None);
        assert_eq!(object("", "secrets", "*"), None);
    }
}
