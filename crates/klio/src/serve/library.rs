//! What can be read about the judgement: rules with their pages, what is excused, hunts.

use std::path::Path;
use std::sync::Arc;

use klio_detect::About;
use klio_web::Library;
use klio_web::view::{AllowView, HuntView};

use super::metrics::Metrics;
use super::{Shared, sources};
use crate::hunts::{self, Ask};
use crate::pack;
use crate::pipeline::Pipeline;

/// The pages and files of what judges now.
pub struct Shelf {
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
}

impl Shelf {
    /// Of a server.
    pub fn new(shared: &Shared) -> Self {
        Self { pipeline: shared.pipeline.clone(), metrics: shared.metrics.clone() }
    }
}

impl Library for Shelf {
    fn rules(&self) -> Vec<About> {
        let set = self.pipeline.orders.rules();
        let rules = set.rules.iter().map(|rule| rule.about.clone());
        let correlations = set.correlations.iter().map(|rule| rule.about.clone());
        rules.chain(correlations).chain([sources::rule()]).collect()
    }

    fn page(&self, rule: &About) -> Option<String> {
        let own = pack::page(&rule.file).map(str::to_owned);
        own.or_else(|| read(&Path::new(&rule.file).with_extension("md")))
    }

    fn source(&self, rule: &About) -> Option<String> {
        pack::source(&rule.file).map(str::to_owned).or_else(|| read(Path::new(&rule.file)))
    }

    fn allowed(&self) -> Vec<AllowView> {
        let set = self.pipeline.orders.rules();
        let entries = set.allow.iter().map(|entry| AllowView {
            rule: entry.rule.clone(),
            filter: entry.text.clone(),
            owner: entry.owner.clone(),
            reason: entry.reason.clone(),
            until: entry.until,
            findings: self.metrics.excused_by(entry.rule.as_deref(), &entry.owner, &entry.text),
        });
        entries.collect()
    }

    fn hunts(&self) -> Vec<HuntView> {
        let said = |text: &str| (text != "none").then(|| text.to_owned());
        let view = |hunt: hunts::Hunt| {
            let (filter, sql) = match hunt.ask {
                Ask::Filter(text) => (Some(text.to_owned()), None),
                Ask::Sql(text) => (None, Some(text.to_owned())),
            };
            HuntView {
                name: hunt.slug.to_owned(),
                title: hunt.title.to_owned(),
                tactic: said(hunt.tactic),
                technique: said(hunt.technique),
                filter,
                sql,
                page: hunt.page.to_owned(),
            }
        };
        hunts::all().into_iter().map(view).collect()
    }
}

/// A rule file of the site, or its page; nothing if it is too large to be one.
fn read(path: &Path) -> Option<String> {
    const MOST: u64 = 1 << 20;
    let length = std::fs::metadata(path).ok()?.len();
    if length > MOST { None } else { std::fs::read_to_string(path).ok() }
}
