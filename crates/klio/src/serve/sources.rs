//! How each source is: when it was heard last, how fast, how complete; and the finding when it falls silent.

use std::sync::Arc;
use std::time::Duration;

use klio_detect::{About, Dialect};
use klio_model::{Actor, Finding, Object, Proof, RuleRef, Severity, Tactic, Timestamp};
use klio_store::Verdict;
use klio_web::OWN_CLUSTER;
use klio_web::view::{Balance, Completeness, Gap, SourceView};

use super::Shared;
use crate::pipeline::{self, Pipeline};

/// A source that is silent for so long has fallen silent, in microseconds.
pub const SILENCE: i64 = 5 * 60 * 1_000_000;
/// What is missing for so long does not come any more, in microseconds.
const LATE: i64 = 3 * 60 * 1_000_000;
/// How often is looked.
const EVERY: Duration = Duration::from_secs(10);
/// The rule that a silent source breaks.
const RULE: (&str, &str) = ("klio-source-silent", "A source of audit events has fallen silent");

/// All sources.
pub fn all(pipeline: &Pipeline) -> Vec<SourceView> {
    let now = jiff::Timestamp::now();
    let last = pipeline.intake.spool().last();
    let mut views = Vec::new();
    let followed = pipeline.live.followed();
    let unproven = pipeline.live.why_unproven();
    let trouble = |cluster: &str, source: &str| {
        let files = followed.get(cluster).filter(|_| source == "file").into_iter().flatten();
        let mut of_files =
            files.filter_map(|file| Some(format!("{}: {}", file.path, file.trouble.as_ref()?)));
        of_files.next().or_else(|| unproven.get(cluster).cloned())
    };
    for ((cluster, source), known) in pipeline.live.sources() {
        let balance = pipeline.accounts.balance(&cluster, now.as_second(), last);
        let lag = match (source.as_str(), followed.get(&cluster)) {
            ("file", Some(files)) => {
                let behind = files.iter().filter(|file| file.lag > 0).filter_map(|file| file.changed);
                behind.map(|at| at.elapsed().unwrap_or_default().as_secs_f64()).reduce(f64::max).or(Some(0.0))
            }
            _ => known.lag(),
        };
        views.push(SourceView {
            last_seen: known.seen.map(Timestamp),
            events: known.kept,
            rate: known.rate(),
            lag_seconds: lag,
            errors: known.refused,
            dead_letters: known.dead,
            completeness: balance.map_or(Completeness::Unproven, |b| Completeness::Compared(compared(b))),
            trouble: trouble(&cluster, &source),
            gaps: gaps(pipeline, &cluster),
            cluster,
            source,
        });
    }
    views
}

fn compared(balance: pipeline::Balance) -> Balance {
    let at = |seconds: i64| Timestamp(seconds * 1_000_000);
    Balance {
        ratio: balance.ratio(),
        from: at(balance.from),
        to: at(balance.to),
        counted: balance.counted,
        kept: balance.durable,
        unsure: balance.unsure,
        lost: balance.lost,
    }
}

/// Times without signs of life that are over for so long that nothing can come late any more.
fn gaps(pipeline: &Pipeline, cluster: &str) -> Vec<Gap> {
    let ripe = jiff::Timestamp::now().as_microsecond() - LATE;
    let mut gaps = Vec::new();
    for (lease, beat) in pipeline.intake.pulse().of(cluster) {
        let over = beat.gaps.into_iter().filter(|(_, to)| *to < ripe);
        gaps.extend(over.map(|(from, to)| Gap {
            lease: lease.clone(),
            from: Timestamp(from),
            to: Timestamp(to),
        }));
    }
    gaps
}

/// Looks for ever whether a source has fallen silent, and makes a finding of it, once for each silence.
pub async fn watch(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let now = jiff::Timestamp::now().as_microsecond();
        for (name, known) in shared.pipeline.live.sources() {
            let Some(seen) = known.seen.filter(|_| name.0 != OWN_CLUSTER) else { continue };
            if now - seen < SILENCE || !shared.pipeline.accounts.is_news(&name.0, &name.1, seen) {
                continue;
            }
            tracing::warn!(cluster = name.0, source = name.1, "a source has fallen silent");
            if let Some(verdict) = silent(&name.0, &name.1, seen, now) {
                shared.pipeline.orders.find(verdict);
            }
        }
    }
}

/// What the rule says about itself. The server judges by it, and no file does.
pub fn rule() -> About {
    About {
        id: RULE.0.into(),
        name: None,
        title: RULE.1.into(),
        description: "Nothing came from a source for five minutes that was heard before. API servers are never silent: either the \
                      way to Klio is broken, or somebody has taken the audit flags or the webhook's credential away."
            .into(),
        dialect: Dialect::Klio,
        severity: Severity::Medium,
        tactics: vec![Tactic::DefenseEvasion],
        techniques: Vec::new(),
        labels: Vec::new(),
        reports: true,
        file: String::new(),
        line: 0,
    }
}

fn silent(cluster: &str, source: &str, seen: i64, now: i64) -> Option<Verdict> {
    let id = xxhash_rust::xxh3::xxh3_64(format!("{} {cluster} {source} {seen}", RULE.0).as_bytes());
    let message = format!("{}: nothing came from {source} of {cluster} since {}", RULE.1, Timestamp(seen));
    let finding = Finding {
        id: format!("{id:016x}"),
        time: Some(Timestamp(now)),
        rule: RuleRef { id: RULE.0.into(), title: RULE.1.into(), dialect: "klio" },
        severity: Severity::Medium,
        proof: Proof::Proven,
        tactics: vec![Tactic::DefenseEvasion],
        techniques: Vec::new(),
        actor: Actor::default(),
        object: Object::default(),
        message,
        attribution: None,
        evidence: Vec::new(),
    };
    Some(Verdict {
        id: finding.id.clone(),
        time: finding.time,
        cluster: cluster.to_owned(),
        severity: finding.severity.name(),
        rule: RULE.0.into(),
        title: RULE.1.into(),
        actor: String::new(),
        json: serde_json::to_string(&finding).ok()?,
    })
}
