//! Detections and hunts: what Klio looks for by itself, and what somebody should ask now and then.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use klio_detect::coverage::Verdict as Sees;
use klio_model::Severity;
use serde::{Deserialize, Serialize};

use super::address::{self, Address};
use super::frame::{About, Asked, Frame, Nothing, Screen};
use super::{draw, markdown};
use crate::api::{coverage, findings, rules};
use crate::archive::SqlPart;
use crate::route;
use crate::view::{
    AllowView, CoveragePage, CoverageView, FindingView, HuntPage, HuntView, RuleView, SavedHuntView,
};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Findings of a rule that are shown.
const FINDINGS: usize = 30;
/// Rows of a hunt's answer.
const ROWS: u64 = 200;
/// What is asked with a hunt in SQL.
const SQL: (&str, &str) = ("POST", "/api/v1/sql");

/// Which rules.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedRules {
    /// Part of the title or description.
    q: Option<String>,
    severity: Option<String>,
    tactic: Option<String>,
    /// The id of one of ATT&CK.
    technique: Option<String>,
    /// `hit`: only those that fired; `works`, `partly`, `blind`, `unproven`: with what is recorded.
    state: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// All rules, and what is excused.
#[derive(Debug, Serialize)]
pub(crate) struct DetectionsView {
    items: Vec<RuleView>,
    /// Whether each can work; nothing if that could not be found out.
    coverage: Option<CoveragePage>,
    allowed: Vec<AllowView>,
}

impl DetectionsView {
    /// Whether a rule can work.
    fn sees(&self, rule: &RuleView) -> &'static str {
        self.coverage.as_ref().and_then(|page| page.of(&rule.id)).map_or("", |item| item.verdict)
    }
}

#[derive(Template)]
#[template(path = "detections.html")]
struct Detections {
    frame: Frame,
    /// Why the reader may not change the allow-list.
    no_change: Option<String>,
    view: DetectionsView,
    wanted: WantedRules,
    all: usize,
    /// Tactics and how many rules each has, and where it leads.
    tactics: Vec<(String, usize, String, bool)>,
    severities: Vec<(&'static str, usize, String, bool)>,
    hit: (usize, String, bool),
    /// Whether rules can work, and how many can so.
    sights: Vec<(&'static str, usize, String, bool)>,
}

/// The name of a tactic or the id of a technique as it is written in JSON.
fn word(value: &serde_json::Value) -> String {
    let member = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
    let text = value.as_str().or_else(|| member("id")).or_else(|| member("name"));
    text.unwrap_or_default().to_owned()
}

pub(crate) async fn detections(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<WantedRules>,
) -> Result<Response, Problem> {
    let during = rules::During { from: wanted.from.clone(), to: wanted.to.clone() };
    let mut items =
        rules::list(State(web.clone()), visitor.clone(), crate::input::Asked(during)).await?.0.items;
    items.retain(|rule| rule.reports);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let address = Address::new("/detections")
        .with("q", text(&wanted.q))
        .with("severity", text(&wanted.severity))
        .with("tactic", text(&wanted.tactic))
        .with("technique", text(&wanted.technique))
        .with("state", text(&wanted.state))
        .with("from", text(&wanted.from))
        .with("to", text(&wanted.to));
    let mut names: Vec<String> = items.iter().flat_map(|rule| rule.tactics.iter().map(word)).collect();
    names.sort();
    names.dedup();
    let choice = |name: &'static str, value: &str, chosen: &Option<String>| {
        let is = chosen.as_deref() == Some(value);
        (address.clone().with(name, if is { "" } else { value }).to_string(), is)
    };
    let tactics = names.into_iter().map(|name| {
        let count = items.iter().filter(|rule| rule.tactics.iter().any(|t| word(t) == name)).count();
        let (to, is) = choice("tactic", &name, &wanted.tactic);
        (name, count, to, is)
    });
    let tactics = tactics.collect();
    let severities = Severity::ALL.iter().rev().map(|severity| {
        let name = severity.name();
        let (to, is) = choice("severity", name, &wanted.severity);
        (name, items.iter().filter(|rule| rule.severity == name).count(), to, is)
    });
    let severities = severities.collect();
    // Without it the page says less.
    let covered = coverage::soon(&web, &visitor).await;
    let sees =
        |rule: &RuleView| covered.as_ref().and_then(|page| page.of(&rule.id)).map_or("", |item| item.verdict);
    let sights = Sees::ALL.map(|verdict| {
        let name = verdict.name();
        let (to, is) = choice("state", name, &wanted.state);
        (name, items.iter().filter(|rule| sees(rule) == name).count(), to, is)
    });
    let sights = sights.to_vec();
    let (to, is) = choice("state", "hit", &wanted.state);
    let hit = (items.iter().filter(|rule| rule.hits > 0).count(), to, is);
    let all = items.len();
    let asked = text(&wanted.q).to_lowercase();
    items.retain(|rule| {
        (asked.is_empty() || format!("{} {}", rule.title, rule.description).to_lowercase().contains(&asked))
            && wanted.severity.as_deref().is_none_or(|s| s.is_empty() || rule.severity == s)
            && wanted
                .tactic
                .as_deref()
                .is_none_or(|t| t.is_empty() || rule.tactics.iter().any(|own| word(own) == t))
            && wanted
                .technique
                .as_deref()
                .is_none_or(|t| t.is_empty() || rule.techniques.iter().any(|own| word(own) == t))
            && match wanted.state.as_deref() {
                Some("hit") => rule.hits > 0,
                Some(state) => state.is_empty() || sees(rule) == state,
                None => true,
            }
    });
    items.sort_by(|a, b| (b.hits, &a.title).cmp(&(a.hits, &b.title)));
    let allowed = excused(&web, &visitor).await?;
    let about = About {
        title: "Detections".to_owned(),
        place: "/detections",
        command: Some("klio rule list".to_owned()),
    };
    let view = DetectionsView { items, coverage: covered.map(|page| (*page).clone()), allowed };
    let no_change = route::why_not(&visitor, "DELETE", "/api/v1/allow/{id}");
    screen.show(&web, &visitor, about, view, |frame, view| Detections {
        frame,
        no_change,
        view,
        wanted,
        all,
        tactics,
        severities,
        hit,
        sights,
    })
}

/// The allow-list, for who sees everything: its entries are about all clusters.
async fn excused(web: &Web, visitor: &Visitor) -> Result<Vec<AllowView>, Problem> {
    if route::why_not(visitor, "GET", "/api/v1/allow").is_some() {
        return Ok(Vec::new());
    }
    Ok(rules::allowed(State(web.clone()), visitor.clone()).await?.0.items)
}

/// A rule and what it found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DetectionView {
    #[serde(flatten)]
    rule: RuleView,
    /// The newest of its findings.
    findings: Vec<FindingView>,
    /// What is excused of it.
    allowed: Vec<AllowView>,
    /// Whether it can work with what is recorded.
    coverage: Option<CoverageView>,
}

#[derive(Template)]
#[template(path = "detection.html")]
struct Detection {
    frame: Frame,
    /// Why the reader may not change the allow-list.
    no_change: Option<String>,
    view: DetectionView,
    page: String,
}

pub(crate) async fn detection(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(id): Path<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let asked = crate::input::Asked(rules::During::default());
    let rule = rules::get(State(web.clone()), visitor.clone(), Path(id.clone()), asked).await?.0;
    let mut allowed = excused(&web, &visitor).await?;
    allowed.retain(|entry| entry.rule.as_ref().is_none_or(|name| *name == rule.id || *name == rule.title));
    let found = findings::of_rule(&web, &visitor, &id, FINDINGS).await?;
    let page =
        rule.page.as_deref().map(|text| markdown::html(markdown::without_cases(text))).unwrap_or_default();
    let about = About {
        title: rule.title.clone(),
        place: "/detections",
        command: Some(format!("klio rule show {}", draw::shell(&rule.id))),
    };
    let coverage = coverage::soon(&web, &visitor).await.and_then(|page| page.of(&rule.id).cloned());
    let view = DetectionView { rule, findings: found, allowed, coverage };
    let no_change = route::why_not(&visitor, "DELETE", "/api/v1/allow/{id}");
    screen.show(&web, &visitor, about, view, |frame, view| Detection { frame, no_change, view, page })
}

/// The library of hunts.
#[derive(Debug, Serialize)]
pub(crate) struct HuntsView {
    items: Vec<HuntView>,
    /// Those that the reader and others saved.
    saved: Vec<SavedHuntView>,
}

/// Where a filter is asked, of all time.
fn asked(filter: &str) -> String {
    Address::new("/explore").with("filter", filter).with("from", "1970").to_string()
}

#[derive(Template)]
#[template(path = "hunts.html")]
struct Hunts {
    frame: Frame,
    view: HuntsView,
}

pub(crate) async fn hunts(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let HuntPage { mut items, saved } = rules::hunts(State(web.clone()), visitor.clone()).await?.0;
    items.sort_by(|a, b| (&a.tactic, &a.title).cmp(&(&b.tactic, &b.title)));
    let about = About { title: "Hunts".to_owned(), place: "/hunts", command: Some("klio hunts".to_owned()) };
    screen.show(&web, &visitor, about, HuntsView { items, saved }, |frame, view| Hunts { frame, view })
}

/// A hunt, and its answer if it was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedHuntView {
    #[serde(flatten)]
    hunt: HuntView,
    /// Why its SQL cannot be asked here.
    refused: Option<String>,
    /// What came of its SQL: names, then rows.
    answer: Option<RowsView>,
}

/// Rows of an answer to SQL.
#[derive(Debug, Serialize)]
pub(crate) struct RowsView {
    columns: Vec<String>,
    rows: Vec<serde_json::Value>,
    more: bool,
}

impl RowsView {
    fn cell(row: &serde_json::Value, column: &str) -> String {
        row.get(column).map(draw::json).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "hunt.html")]
struct Hunt {
    frame: Frame,
    view: AskedHuntView,
    page: String,
    /// Where its filter is asked.
    ask: Option<String>,
}

/// Whether it is to be asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asking {
    /// Anything: its SQL is asked.
    ask: Option<String>,
}

pub(crate) async fn hunt(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(name): Path<String>,
    Asked(asking): Asked<Asking>,
) -> Result<Response, Problem> {
    let hunt = rules::hunt(State(web.clone()), visitor.clone(), Path(name)).await?.0;
    let refused = route::why_not(&visitor, SQL.0, SQL.1);
    let mut answer = None;
    // A link of another site may lead to the question, and only Klio's own page asks it.
    let asked_here = !visitor.credential.is_ambient() || screen.is_own();
    let query = hunt.sql.clone().filter(|_| asking.ask.is_some() && asked_here && refused.is_none());
    if let Some(query) = query {
        visitor.note.also(route::find(SQL.0, Some(SQL.1)).ok());
        let found = visitor.ask(&web, move |archive, sight, patience| {
            let mut view = RowsView { columns: Vec::new(), rows: Vec::new(), more: false };
            view.more = archive.sql(sight, patience, &query, ROWS, &mut |part| {
                match part {
                    SqlPart::Columns(names) => view.columns = names,
                    SqlPart::Rows(rows) => {
                        view.rows.extend(rows.iter().filter_map(|row| serde_json::from_str(row).ok()));
                    }
                }
                std::ops::ControlFlow::Continue(())
            })?;
            Ok(view)
        });
        let found = found.await?;
        visitor.note.rows(found.rows.len());
        answer = Some(found);
    }
    let ask = hunt.filter.as_deref().map(asked);
    let page = markdown::html(hunt.page.split("\n## Tried on\n").next().unwrap_or_default());
    let about = About {
        title: hunt.title.clone(),
        place: "/hunts",
        command: Some(format!("klio hunt @{}", hunt.name)),
    };
    let view = AskedHuntView { hunt, refused, answer };
    screen.show(&web, &visitor, about, view, |frame, view| Hunt { frame, view, page, ask })
}
