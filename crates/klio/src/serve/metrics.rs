//! What the server counts, for Prometheus. Names as its documentation advises (prometheus.io/docs/practices/naming); no
//! user, pod or id is ever a label.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};

use klio_store::{Spooled, Verdict};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use klio_web::view::Completeness;

use crate::pipeline::{Pipeline, Receipt};
use crate::scan::Allowed;

/// A source of events.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfSource {
    /// Which cluster.
    pub cluster: String,
    /// Which source.
    pub source: String,
}

/// Why something was refused.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfReason {
    /// In a word.
    pub reason: &'static str,
}

/// How bad something is.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfSeverity {
    /// The severity's name.
    pub severity: &'static str,
}

/// An entry of the allow-list.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfEntry {
    /// Which cluster.
    pub cluster: String,
    /// The rule that it is about; `all` unless it names one.
    pub rule: String,
    /// Who answers for it.
    pub owner: String,
}

/// Why deliveries are refused.
const REASONS: [&str; 14] = [
    "brute-force",
    "broken",
    "bug",
    "busy",
    "cluster",
    "credentials",
    "disk",
    "draining",
    "encoding",
    "full",
    "gzip",
    "json",
    "large",
    "slow",
];

/// An entry of the allow-list: rule, owner, filter.
type EntryOf = (Option<String>, String, String);

/// All that is counted.
pub struct Metrics {
    registry: Registry,
    events: Family<OfSource, Counter>,
    repeated: Family<OfSource, Counter>,
    bytes: Family<OfSource, Counter>,
    dead: Family<OfSource, Counter>,
    seen: Family<OfSource, Gauge<f64, AtomicU64>>,
    complete: Family<OfSource, Gauge<f64, AtomicU64>>,
    /// Deliveries that were refused.
    pub refused: Family<OfReason, Counter>,
    /// From the begin of a body to its answer, in seconds.
    pub acknowledged: Histogram,
    /// Writing to the lake, in seconds.
    pub flush: Histogram,
    /// Times that the lake could not be written.
    pub flush_failures: Counter,
    judged: Counter,
    findings: Family<OfSeverity, Counter>,
    allowed: Family<OfEntry, Counter>,
    /// The same by entry.
    excused: Mutex<HashMap<EntryOf, u64>>,
    /// From the receipt of an event to its verdict, in seconds.
    verdict: Histogram,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were closed at the door.
    pub turned_away: Family<OfReason, Counter>,
    spool_bytes: Gauge,
    spool_batches: Gauge,
    dead_letters: Gauge,
    /// When the server's certificate ends, in seconds since 1970.
    pub certificate: Gauge<i64, AtomicI64>,
    ready: Gauge,
    spans_lost: Counter,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("klio");
        let fine = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let metrics = Self {
            events: Family::default(),
            repeated: Family::default(),
            bytes: Family::default(),
            dead: Family::default(),
            seen: Family::default(),
            complete: Family::default(),
            refused: Family::default(),
            acknowledged: fine(),
            flush: fine(),
            flush_failures: Counter::default(),
            judged: Counter::default(),
            findings: Family::default(),
            allowed: Family::default(),
            excused: Mutex::default(),
            verdict: fine(),
            connections: Gauge::default(),
            turned_away: Family::default(),
            spool_bytes: Gauge::default(),
            spool_batches: Gauge::default(),
            dead_letters: Gauge::default(),
            certificate: Gauge::default(),
            ready: Gauge::default(),
            spans_lost: crate::traces::LOST.clone(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register("ingest_events", "Events that were made durable", m.events.clone());
        registry.register("ingest_repeated_events", "Events that were delivered again", m.repeated.clone());
        registry.register_with_unit(
            "ingest",
            "Bytes of bodies that were taken",
            Unit::Bytes,
            m.bytes.clone(),
        );
        registry.register("ingest_dead_letters", "Items that are no events", m.dead.clone());
        registry.register(
            "ingest_last_seen_timestamp_seconds",
            "When the last delivery came",
            m.seen.clone(),
        );
        registry.register(
            "source_completeness_ratio",
            "Part of what the API servers counted that has come; nothing where it is unproven",
            m.complete.clone(),
        );
        registry.register("ingest_refused", "Deliveries that were refused", m.refused.clone());
        registry.register_with_unit(
            "ingest_acknowledge_duration",
            "From the first byte of a body to its answer",
            Unit::Seconds,
            m.acknowledged.clone(),
        );
        registry.register_with_unit(
            "lake_flush_duration",
            "Writing files of the lake",
            Unit::Seconds,
            m.flush.clone(),
        );
        registry.register(
            "lake_flush_failures",
            "Times that the lake could not be written",
            m.flush_failures.clone(),
        );
        registry.register("judged_events", "Events that were judged", m.judged.clone());
        registry.register("findings", "Findings", m.findings.clone());
        registry.register("allowed_findings", "Findings that the allow-list excused", m.allowed.clone());
        registry.register_with_unit(
            "verdict_duration",
            "From the receipt of an event to its verdict",
            Unit::Seconds,
            m.verdict.clone(),
        );
        registry.register("connections", "Connections that are open", m.connections.clone());
        registry.register(
            "connections_turned_away",
            "Connections that were closed at the door",
            m.turned_away.clone(),
        );
        registry.register_with_unit(
            "spool",
            "Bytes in the spool's files",
            Unit::Bytes,
            m.spool_bytes.clone(),
        );
        registry.register(
            "spool_waiting_batches",
            "Batches that are not in the lake yet",
            m.spool_batches.clone(),
        );
        registry.register("dead_letters", "Dead letters that wait for somebody", m.dead_letters.clone());
        registry.register(
            "tls_certificate_expiry_timestamp_seconds",
            "When the server's certificate ends",
            m.certificate.clone(),
        );
        registry.register("ready", "1 if events are taken", m.ready.clone());
        registry.register("trace_spans_lost", "Spans that could not be sent", m.spans_lost.clone());
        registry.register(
            "build",
            "Which build this is",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        // A counter that first appears with its first refusal is not seen to rise.
        for reason in REASONS {
            drop(metrics.refused.get_or_create(&OfReason { reason }));
        }
        Self { registry, ..metrics }
    }

    /// A delivery was taken.
    pub fn taken(&self, cluster: &str, source: &str, bytes: usize, receipt: Receipt) {
        let of = OfSource { cluster: cluster.to_owned(), source: source.to_owned() };
        self.events.get_or_create(&of).inc_by(receipt.kept);
        self.repeated.get_or_create(&of).inc_by(receipt.known);
        self.dead.get_or_create(&of).inc_by(receipt.dead);
        self.bytes.get_or_create(&of).inc_by(bytes as u64);
        self.seen.get_or_create(&of).set(jiff::Timestamp::now().as_millisecond() as f64 / 1e3);
    }

    /// A delivery was refused.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&OfReason { reason }).inc();
    }

    /// A batch was judged.
    pub fn judged(&self, batch: &Spooled, events: u64, found: &[Verdict]) {
        self.judged.inc_by(events);
        for verdict in found {
            self.findings.get_or_create(&OfSeverity { severity: verdict.severity }).inc();
        }
        let age = jiff::Timestamp::now().as_microsecond() - batch.received().micros();
        self.verdict.observe(age.max(0) as f64 / 1e6);
    }

    /// An entry of the allow-list excused so many findings more; of none more it is there with what it has.
    pub fn excused(&self, cluster: &str, entry: &Allowed, findings: u64) {
        let rule = entry.rule.clone().unwrap_or_else(|| "all".to_owned());
        let of = OfEntry { cluster: cluster.to_owned(), rule, owner: entry.owner.clone() };
        self.allowed.get_or_create(&of).inc_by(findings);
        if findings > 0 {
            let key = (entry.rule.clone(), entry.owner.clone(), entry.filter.clone());
            let mut excused = self.excused.lock().unwrap_or_else(PoisonError::into_inner);
            *excused.entry(key).or_default() += findings;
        }
    }

    /// Findings that an entry of the allow-list excused since the server runs, in all clusters.
    pub fn excused_by(&self, rule: Option<&str>, owner: &str, filter: &str) -> u64 {
        let key = (rule.map(str::to_owned), owner.to_owned(), filter.to_owned());
        let excused = self.excused.lock().unwrap_or_else(PoisonError::into_inner);
        excused.get(&key).copied().unwrap_or_default()
    }

    /// All of it in the text format of OpenMetrics.
    pub fn text(&self, pipeline: &Pipeline, is_ready: bool) -> String {
        let spool = pipeline.intake.spool();
        let (_, flushed) = pipeline.live.progress();
        self.spool_bytes.set(spool.room().0 as i64);
        self.spool_batches.set(spool.last().saturating_sub(flushed) as i64);
        self.dead_letters.set(pipeline.intake.dead().count() as i64);
        self.ready.set(i64::from(is_ready));
        for source in super::sources::all(pipeline) {
            let of = OfSource { cluster: source.cluster, source: source.source };
            match source.completeness {
                Completeness::Compared(balance) => drop(self.complete.get_or_create(&of).set(balance.ratio)),
                Completeness::Unproven => drop(self.complete.remove(&of)),
            }
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
