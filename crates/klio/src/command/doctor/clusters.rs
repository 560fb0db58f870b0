//! Clusters: each can deliver, its files can be read, its API servers can be asked, and it was heard of late.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use klio_source::{Source, discover};
use klio_store::{Cancel, Lake, Limits};
use tokio::runtime::Runtime;

use super::chart::Chart;
use super::doors::Running;
use crate::config::{Cluster, Config};
use crate::serve::{apiservers, credentials::Credentials, sources};

/// Seconds that the clocks of API servers may differ from ours.
const APART: i64 = 10;
/// Files of a cluster that are opened.
const FILES: usize = 1_000;

/// Looks at them.
pub fn look(
    runtime: &Runtime,
    dir: &Path,
    config: &Config,
    running: Option<&Running>,
    lake: Option<Lake>,
    chart: &mut Chart,
) {
    let mut deliver = BTreeSet::new();
    match Credentials::read(dir, config) {
        Ok(credentials) => deliver = credentials.clusters(),
        Err(failure) => {
            chart.failed("credentials", &failure, "no cluster can deliver until they can be read")
        }
    }
    let names: BTreeSet<&String> = config.clusters.keys().chain(&deliver).collect();
    if names.is_empty() {
        chart.warn(
            "clusters",
            "none can deliver yet",
            "`klio connect cluster NAME` prints what its API server needs",
        );
        return;
    }
    let mut heard = lake.map(kept).unwrap_or_default();
    heard.extend(running.map(|running| counted(&running.metrics)).unwrap_or_default());
    let none = Cluster::default();
    for name in names {
        let cluster = config.clusters.get(name).unwrap_or(&none);
        let check = format!("cluster {name}");
        if !deliver.contains(name) && cluster.files.is_empty() {
            let advice = format!("`klio connect cluster {name}` makes a token and says where it goes");
            chart.fail(&check, "it has no token, certificate or files", advice);
        } else {
            silence(&check, heard.get(name.as_str()).copied(), running.is_some(), chart);
        }
        if !cluster.files.is_empty() {
            files(&format!("{check}: files"), &cluster.files, chart);
        }
        for apiserver in &cluster.apiservers {
            let check = format!("{check}: {}", apiserver.url);
            match runtime.block_on(apiservers::ask(apiserver)) {
                Ok(at) => clock(&check, at, chart),
                Err(said) => {
                    let advice = if said.contains("401") || said.contains("403") {
                        "the token's user needs the right to `get` the path /metrics"
                    } else {
                        "its own address, its authority (`ca`) and the way there must be right; without it completeness is unproven"
                    };
                    chart.fail(check, said, advice);
                }
            }
        }
    }
}

fn clock(check: &str, at: i64, chart: &mut Chart) {
    let apart = jiff::Timestamp::now().as_second() - at;
    if apart.abs() > APART {
        let advice = "set the clocks by NTP: `timedatectl`, `chronyc tracking`";
        chart.warn(check, format!("its clock and ours are {} seconds apart", apart.abs()), advice);
    } else {
        chart.ok(check, "its counters can be read");
    }
}

fn silence(check: &str, heard: Option<i64>, is_running: bool, chart: &mut Chart) {
    let advice = "the chapter `KlioIngestStopped` of docs/server.md says where to look";
    let Some(at) = heard else {
        let advice = "it was never heard: install the kubeconfig that `klio connect cluster` wrote, or try it with `klio connect test FILE`";
        return chart.warn(check, "nothing has ever come", advice);
    };
    let quiet = jiff::Timestamp::now().as_second() - at;
    let last = jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
    if is_running && quiet > sources::SILENCE / 1_000_000 {
        chart.warn(check, format!("silent for {quiet} seconds, since {last}"), advice);
    } else {
        chart.ok(check, format!("heard last at {last}"));
    }
}

fn files(check: &str, patterns: &[String], chart: &mut Chart) {
    let found = discover(patterns);
    let advice =
        "docs/server.md#log-files; logs of root need a group or the capability that the systemd unit shows";
    if let Some(first) = found.rejected.first() {
        return chart.fail(check, format!("{}: {}", first.file, first.reason), advice);
    }
    for input in found.inputs.iter().take(FILES) {
        let Source::File(path) = &input.source else { continue };
        if let Err(e) = File::open(path).and_then(|mut file| file.read(&mut [0])) {
            return chart.fail(check, format!("{}: {e}", path.display()), advice);
        }
    }
    chart.ok(check, format!("{} can be read", found.inputs.len()));
}

/// When the server last heard each cluster, in seconds since 1970, by what it counts.
fn counted(metrics: &str) -> BTreeMap<String, i64> {
    let mut heard = BTreeMap::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("klio_ingest_last_seen_timestamp_seconds{") else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let cluster = labels.split(',').find_map(|label| label.strip_prefix("cluster=\"")?.strip_suffix('"'));
        if let (Some(cluster), Ok(at)) = (cluster, value.parse::<f64>()) {
            let last = heard.entry(cluster.to_owned()).or_default();
            *last = (at as i64).max(*last);
        }
    }
    heard
}

/// When the last event of each cluster was received, in seconds since 1970, by the lake; nothing where it does not say so in time.
fn kept(mut lake: Lake) -> BTreeMap<String, i64> {
    let limits = Limits { time: Duration::from_secs(20), memory_bytes: 256 << 20, rows: None };
    let mut heard = BTreeMap::new();
    let query =
        "SELECT cluster, CAST(extract(epoch FROM max(received)) AS BIGINT) FROM events GROUP BY cluster";
    let _ = lake.sql(query, &limits, &Cancel::default(), &mut |page| {
        for row in 0..page.rows() {
            let at = page.json(row, 1).as_i64();
            heard.extend(page.text(row, 0).zip(at));
        }
        ControlFlow::Continue(())
    });
    // What runs in it after its time ends with the program.
    std::mem::forget(lake);
    heard
}
