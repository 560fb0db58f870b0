//! Audit log files of this machine, followed: what is written to them comes into the spool with the position behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use klio_source::follow::{Follower, Following};

use super::{Pipeline, Sender, is_full};
use crate::serve::metrics::Metrics;
use crate::traces;

/// How long it waits before it tries again what the disk refused.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the state of the files is told.
const TELL: Duration = Duration::from_secs(1);
/// Longest sleep, so that the server ends in time.
const NAP: Duration = Duration::from_millis(250);

/// Follows the files of a cluster until the server ends. `known` are the positions that the lake and the spool remember.
pub fn follow(
    pipeline: &Arc<Pipeline>,
    metrics: &Metrics,
    cluster: &str,
    patterns: &[String],
    known: Vec<(String, String)>,
) {
    let mut follower = Follower::new(patterns, known, Following::default());
    let mut told: Option<Instant> = None;
    while !pipeline.orders.is_over() {
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            pipeline.live.files(cluster, follower.status());
        }
        let Some(piece) = follower.piece() else {
            std::thread::park_timeout(follower.idle().min(NAP));
            continue;
        };
        let source = piece.source();
        let received = jiff::Timestamp::now().as_microsecond();
        let span = traces::body(cluster, "file", piece.bytes.len());
        let from = Sender { cluster, source: &source, received };
        match span.in_scope(|| pipeline.intake.take_piece(from, &piece)) {
            Ok((receipt, records)) => {
                traces::taken(&span, receipt.kept + receipt.known);
                follower.kept(&piece, records);
                pipeline.live.trouble(None);
                // One source for all files of a cluster: their names are many and change.
                pipeline.live.taken(cluster, "file", receipt);
                metrics.taken(cluster, "file", piece.bytes.len(), receipt);
            }
            Err(e) => {
                pipeline.live.trouble(Some(e.to_string()));
                metrics.refuse(if is_full(&e) { "full" } else { "disk" });
                tracing::error!(cluster, error = %e, "lines of a log cannot be made durable; they are read again");
                std::thread::park_timeout(AGAIN);
            }
        }
    }
}
