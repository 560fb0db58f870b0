//! Who used which credential on what: three layers, drawn by the server.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;
use klio_model::{Field, Filter, Severity};

use crate::api::is;
use crate::page::address::{self, Address};
use crate::page::words;
use crate::view::RequestView;

use super::lanes::short;

/// Nodes of each layer.
const NODES: [usize; 3] = [16, 20, 22];
/// Where each layer begins and how wide it is.
const LAYERS: [(f64, f64); 3] = [(0.0, 290.0), (400.0, 220.0), (740.0, 440.0)];
/// Letters that fit.
const LETTERS: [usize; 3] = [38, 28, 58];
/// Nodes of the last layer that no finding is about.
const BESIDE: usize = 4;
/// Height of a node with its second line.
const ROW: f64 = 40.0;

/// The picture.
#[derive(Template)]
#[template(path = "graph.html")]
pub(super) struct Graph {
    height: f64,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// What is not drawn.
    more: String,
}

struct Node {
    x: f64,
    y: f64,
    width: f64,
    label: String,
    below: String,
    title: String,
    href: String,
    class: &'static str,
}

struct Edge {
    path: String,
    width: String,
    class: &'static str,
    title: String,
}

/// What is known of a node before it has a place.
#[derive(Default)]
struct Found<'r> {
    order: usize,
    count: u64,
    level: Option<Severity>,
    verbs: BTreeMap<&'r str, u64>,
    names: BTreeMap<&'r str, u64>,
    addresses: BTreeMap<&'r str, u64>,
}

/// A node: its layer, and what tells it from the others there.
type Key<'r> = (usize, String);

impl Graph {
    /// Of the requests; `during` asks for the events of the time and cluster.
    pub(super) fn of(requests: &[RequestView], during: &Address) -> Option<Self> {
        let mut found: BTreeMap<Key<'_>, Found<'_>> = BTreeMap::new();
        let mut links: BTreeMap<(Key<'_>, Key<'_>), (u64, Option<Severity>)> = BTreeMap::new();
        let mut samples: BTreeMap<Key<'_>, &RequestView> = BTreeMap::new();
        for (order, request) in requests.iter().enumerate() {
            let level = request.severity.as_ref().and_then(|text| text.parse::<Severity>().ok());
            let keys = [0, 1, 2].map(|layer| (layer, key(layer, request)));
            for key in &keys {
                let node = found.entry(key.clone()).or_insert_with(|| Found { order, ..Found::default() });
                samples.entry(key.clone()).or_insert(request);
                node.count += 1;
                node.level = node.level.max(level);
                let texts = [
                    (&mut node.verbs, &request.verb),
                    (&mut node.names, &request.name),
                    (&mut node.addresses, &request.source_ip),
                ];
                for (map, text) in texts {
                    if let Some(text) = text.as_deref() {
                        *map.entry(text).or_default() += 1;
                    }
                }
            }
            for pair in keys.windows(2) {
                if let [a, b] = pair {
                    let link = links.entry((a.clone(), b.clone())).or_default();
                    link.0 += 1;
                    link.1 = link.1.max(level);
                }
            }
        }
        let (places, more) = places(&found, &links)?;
        let rows = places.values().map(|(_, at)| *at + 1).max()? as f64;
        let tallest = |layer: usize| places.keys().filter(|(of, _)| *of == layer).count() as f64;
        let y = |key: &Key<'_>| {
            let at = places.get(key).map_or(0, |(_, at)| *at) as f64;
            // Shorter layers stand in the middle.
            (at + (rows - tallest(key.0)) / 2.0) * ROW + 4.0
        };
        let nodes = places.keys().filter_map(|key| {
            let (node, sample) = (found.get(key)?, samples.get(key)?);
            Some(draw_node(key.0, y(key), node, sample, during))
        });
        let nodes = nodes.collect();
        let mut edges: Vec<(Option<Severity>, Edge)> = links
            .iter()
            .filter(|((a, b), _)| places.contains_key(a) && places.contains_key(b))
            .map(|((a, b), (count, level))| {
                let left = LAYERS.get(a.0).map_or(0.0, |(x, width)| x + width);
                let right = LAYERS.get(b.0).map_or(0.0, |(x, _)| *x);
                let (from, to) = (y(a) + 16.0, y(b) + 16.0);
                let middle = f64::midpoint(left, right);
                let edge = Edge {
                    path: format!(
                        "M{left:.0} {from:.0}C{middle:.0} {from:.0} {middle:.0} {to:.0} {right:.0} {to:.0}"
                    ),
                    width: format!("{:.1}", 1.0 + (*count as f64).ln() * 0.55),
                    class: class(*level),
                    title: words::count(count, "request", "requests"),
                };
                (*level, edge)
            })
            .collect();
        edges.sort_by_key(|(level, _)| *level);
        let kinds = [
            ("identity", "identities"),
            ("credential", "credentials"),
            ("kind of object", "kinds of objects"),
        ];
        let more = more.iter().zip(kinds).filter(|(count, _)| **count > 0);
        let more: Vec<String> = more.map(|(count, (one, many))| words::count(count, one, many)).collect();
        Some(Self {
            height: rows * ROW + 4.0,
            nodes,
            edges: edges.into_iter().map(|(_, edge)| edge).collect(),
            more: more.join(", "),
        })
    }
}

fn class(level: Option<Severity>) -> &'static str {
    level.map_or("context", Severity::name)
}

fn key(layer: usize, request: &RequestView) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match layer {
        0 => format!("{}\0{}", text(&request.user), text(&request.impersonated)),
        1 => request.credential.clone().unwrap_or_else(|| format!("\0{}", text(&request.user))),
        _ => format!("{}\0{}", resource(request), text(&request.namespace)),
    }
}

/// The resource, or what else was asked for.
fn resource(request: &RequestView) -> &str {
    request.resource.as_deref().unwrap_or("no object")
}

/// Which nodes are drawn, each with its place in its layer: near to what it is linked with.
#[allow(clippy::type_complexity)]
fn places<'r>(
    found: &BTreeMap<Key<'r>, Found<'r>>,
    links: &BTreeMap<(Key<'r>, Key<'r>), (u64, Option<Severity>)>,
) -> Option<(BTreeMap<Key<'r>, (f64, usize)>, [u64; 3])> {
    let mut places: BTreeMap<Key<'r>, (f64, usize)> = BTreeMap::new();
    let mut more = [0; 3];
    for (layer, most) in NODES.into_iter().enumerate() {
        let mut all: Vec<(&Key<'r>, &Found<'r>)> = found.iter().filter(|((of, _), _)| *of == layer).collect();
        all.sort_by_key(|(_, node)| Reverse((node.level, node.count)));
        let graded = all.iter().filter(|(_, node)| node.level.is_some()).count();
        let most = if layer == 2 && graded > 0 { most.min(graded + BESIDE) } else { most };
        if let Some(rest) = more.get_mut(layer) {
            *rest = all.len().saturating_sub(most) as u64;
        }
        all.truncate(most);
        let mut placed: Vec<(f64, Reverse<Option<Severity>>, usize, &Key<'r>)> = all
            .into_iter()
            .map(|(key, node)| {
                let before = links.iter().filter(|((_, to), _)| to == key);
                let before: Vec<f64> =
                    before.filter_map(|((from, _), _)| Some(places.get(from)?.1 as f64)).collect();
                let middle = if before.is_empty() {
                    f64::MAX
                } else {
                    before.iter().sum::<f64>() / before.len() as f64
                };
                let level = if layer == 2 { node.level } else { None };
                (if layer == 0 { 0.0 } else { middle }, Reverse(level), node.order, key)
            })
            .collect();
        placed.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        for (at, (middle, _, _, key)) in placed.into_iter().enumerate() {
            places.insert(key.clone(), (middle, at));
        }
    }
    (!places.is_empty()).then_some((places, more))
}

fn draw_node(layer: usize, y: f64, node: &Found<'_>, sample: &RequestView, during: &Address) -> Node {
    let (x, width) = LAYERS.get(layer).copied().unwrap_or_default();
    let letters = LETTERS.get(layer).copied().unwrap_or(40);
    let explore = |filter: Filter| during.clone().with("filter", filter.to_string()).to_string();
    let requests = words::count(&node.count, "request", "requests");
    let some = |of: &BTreeMap<&str, u64>, many: &str| match of.len() {
        0 => String::new(),
        1 => of.keys().next().map(|only| (*only).to_owned()).unwrap_or_default(),
        n => format!("{n} {many}"),
    };
    let (label, below, href) = match layer {
        0 => {
            let user = sample.user.as_deref();
            let other =
                sample.impersonated.as_ref().map(|other| format!(" as {}", short(other))).unwrap_or_default();
            let to = user.map_or_else(|| explore(Filter::All), |user| address::path("/actors", user));
            let name = user.map_or_else(|| "no valid credentials".to_owned(), short);
            (format!("{name}{other}"), requests.clone(), to)
        }
        1 => {
            let from = some(&node.addresses, "addresses");
            let from = if from.is_empty() { String::new() } else { format!("from {from}") };
            let to = match (&sample.credential, &sample.user) {
                (Some(id), _) => address::path("/credentials", id),
                (None, Some(user)) => explore(is(Field::User, user)),
                (None, None) => explore(Filter::All),
            };
            (credential(sample), from, to)
        }
        _ => {
            let resource = resource(sample);
            let place = sample.namespace.as_deref().map(|space| format!(" in {space}")).unwrap_or_default();
            let name = match node.names.len() {
                0 => String::new(),
                1 => format!("{}: ", some(&node.names, "")),
                n => format!("{n} names: "),
            };
            let verbs: Vec<String> =
                node.verbs.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
            let part =
                |field, value: &Option<String>| value.as_ref().map_or(Filter::All, |value| is(field, value));
            let kind = match sample.resource.as_deref().map(|text| text.split_once('/').unwrap_or((text, "")))
            {
                None => Filter::All,
                Some((resource, "")) => is(Field::Resource, resource),
                Some((resource, part)) => {
                    Filter::and([is(Field::Resource, resource), is(Field::Subresource, part)])
                }
            };
            let filter = Filter::and([kind, part(Field::Namespace, &sample.namespace)]);
            (format!("{resource}{place}"), format!("{name}{}", verbs.join(", ")), explore(filter))
        }
    };
    let whole = [label.as_str(), below.as_str(), requests.as_str()].join("\n");
    Node {
        x,
        y,
        width,
        label: cut(&label, letters),
        below: cut(&below, letters + 6),
        title: whole,
        href,
        class: class(node.level),
    }
}

/// The kind of a credential and the beginning of its id.
fn credential(request: &RequestView) -> String {
    let Some(id) = request.credential.as_deref() else {
        return if request.user.is_some() { "no credential id recorded" } else { "no credential" }.to_owned();
    };
    let (kind, value) = id.split_once('=').unwrap_or(("", id));
    let kind = match kind {
        "JTI" => "token",
        "X509SHA256" => "certificate",
        _ => "credential",
    };
    let short: String = value.chars().take(8).collect();
    format!("{kind} {short}…")
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}
