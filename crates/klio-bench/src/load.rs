//! A running server under load: events at a steady rate, as an API server's audit webhook posts them.

use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

mod probe;

use crate::error::Error;
use crate::klio::program;
use probe::Probe;

/// Events of one body: what the API server sends by default
/// (kubernetes `apiserver/pkg/server/options/audit.go`, `defaultBatchMaxSize`).
const BATCH: usize = 400;
/// Bodies that are on their way at once.
const SENDERS: usize = 16;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Load {
    /// Events a second that were wanted, and for how many seconds.
    pub rate: u64,
    /// Seconds of load.
    pub seconds: f64,
    /// Events that were acknowledged, and bytes of their bodies.
    pub events: u64,
    /// Bytes that were acknowledged.
    pub bytes: u64,
    /// Answers that told to come again.
    pub pushed_back: u64,
    /// Milliseconds from the begin of a post to its answer.
    pub p50_ms: f64,
    /// The same for all but one in a hundred.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// Seconds from an event's receipt to its verdict, for all but one in a hundred (an upper bound: the histogram's), once all
    /// were judged.
    pub verdict_p99_s: f64,
    /// How many times an event with a finding was posted and asked for until the API showed the finding.
    pub probes: usize,
    /// Seconds from such a post to the answer that shows it, for all but one in a hundred.
    pub shown_p99_s: f64,
    /// Most memory of the server in MB.
    pub rss_mb: u64,
    /// Processor seconds of the server.
    pub cpu_s: f64,
    /// Events in the lake at the end.
    pub kept: u64,
}

/// A `klio serve` that ends with this.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub https: String,
    ops: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn other(said: impl std::fmt::Display) -> Error {
    Error::Io(std::io::Error::other(said.to_string()))
}

impl Server {
    /// Starts one over a data directory, on ports that nobody uses.
    pub fn start(data: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(data)?;
        std::fs::write(data.join("klio.yaml"), "server:\n  listen: 127.0.0.1:0\n  ops: 127.0.0.1:0\n")?;
        let mut child = Command::new(program()?)
            .args(["serve", "--log-format", "json", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| other("no stderr"))?;
        let mut lines = BufReader::new(stderr).lines();
        for line in lines.by_ref() {
            let line: serde_json::Value = serde_json::from_str(&line?).unwrap_or_default();
            if let (Some(https), Some(ops)) = (line["listen"].as_str(), line["ops"].as_str()) {
                let (https, ops) = (https.to_owned(), ops.to_owned());
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        eprintln!("{line}");
                    }
                });
                return Ok(Self { child, https, ops });
            }
        }
        Err(other("klio serve did not start"))
    }
}

fn connect(data: &Path, out: &Path) -> Result<String, Error> {
    let status = Command::new(program()?)
        .args(["connect", "cluster", "load", "--no-wait", "--url", "https://127.0.0.1:8443", "--data"])
        .arg(data)
        .arg("--out")
        .arg(out)
        .stdout(Stdio::null())
        .status()?;
    let text = std::fs::read_to_string(out.join("klio-webhook.yaml"))?;
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: "));
    match token.filter(|_| status.success()) {
        Some(token) => Ok(token.to_owned()),
        None => Err(other("klio connect failed")),
    }
}

/// Sends the lines of `corpus` at `rate` events a second for so many seconds, and reads the lake.
pub fn run(corpus: &Path, rate: u64, seconds: u64) -> Result<Load, Error> {
    let dir = tempfile::tempdir_in(corpus.parent().unwrap_or(Path::new(".")))?;
    let data = dir.path().join("lake");
    let token = connect(&data, &dir.path().join("out"))?;
    let viewer = probe::viewer(&data)?;
    let mut server = Server::start(&data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let probe = Probe { client: client(&data)?, https: server.https.clone(), token: token.clone(), viewer };
    let over = Arc::new(AtomicBool::new(false));
    let probing = runtime.spawn(probe.run(over.clone()));
    let mut load = runtime.block_on(send(corpus, &server, &data, &token, rate, seconds))?;
    over.store(true, Ordering::Relaxed);
    let mut shown = runtime.block_on(probing).map_err(other)??;
    shown.sort_by(f64::total_cmp);
    (load.probes, load.shown_p99_s) = (shown.len(), at(&shown, 0.99));
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    load.rss_mb = peak.and_then(|p| p.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id()))?;
    // User and system time, in hundredths of a second (proc_pid_stat(5)).
    let ticks = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    load.cpu_s = ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0;
    Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status()?;
    server.child.wait()?;
    let output = Command::new(program()?)
        .args(["sql", "SELECT count(*) AS n FROM events WHERE cluster = 'load'", "-o", "jsonl", "--data"])
        .arg(&data)
        .output()?;
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    // The probes are kept too.
    load.kept = row["n"].as_u64().unwrap_or(0).saturating_sub(load.probes as u64);
    Ok(load)
}

/// A client that trusts the server's own authority.
fn client(data: &Path) -> Result<reqwest::Client, Error> {
    let pem = std::fs::read(data.join("tls/ca.pem"))?;
    let root = reqwest::Certificate::from_pem(&pem).map_err(other)?;
    reqwest::Client::builder().tls_certs_only([root]).build().map_err(other)
}

/// The value below which that part of sorted values lies.
fn at(sorted: &[f64], part: f64) -> f64 {
    sorted
        .get(((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

async fn send(
    corpus: &Path,
    server: &Server,
    data: &Path,
    token: &str,
    rate: u64,
    seconds: u64,
) -> Result<Load, Error> {
    let client = client(data)?;
    let (queue, bodies) = mpsc::channel::<(Vec<u8>, u64)>(SENDERS);
    let bodies = Arc::new(Mutex::new(bodies));
    let pushed = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (client, bodies, pushed) = (client.clone(), bodies.clone(), pushed.clone());
            let (url, token) = (format!("{}/audit", server.https), token.to_owned());
            tokio::spawn(async move {
                let mut took = Vec::new();
                let (mut events, mut bytes) = (0, 0);
                loop {
                    let next = bodies.lock().await.recv().await;
                    let Some((body, count)) = next else { return Ok((took, events, bytes)) };
                    loop {
                        let started = Instant::now();
                        let answer = client.post(&url).bearer_auth(&token).body(body.clone()).send().await;
                        match answer.map_err(other)?.status().as_u16() {
                            200 => {
                                took.push(started.elapsed().as_secs_f64() * 1e3);
                                (events, bytes) = (events + count, bytes + body.len() as u64);
                                break;
                            }
                            429 | 503 => {
                                pushed.fetch_add(1, Ordering::Relaxed);
                                tokio::time::sleep(Duration::from_millis(500)).await;
                            }
                            status => return Err(other(format!("answered {status}"))),
                        }
                    }
                }
            })
        })
        .collect();
    let started = Instant::now();
    let mut lines = BufReader::with_capacity(1 << 20, std::fs::File::open(corpus)?);
    let (mut line, mut sent, mut pass) = (Vec::new(), 0_u64, 0_u64);
    let mut body = head();
    while sent < rate * seconds {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            // Once more from the beginning, as other events.
            lines.seek(SeekFrom::Start(0))?;
            (pass, _) = (pass + 1, lines.read_until(b'\n', &mut line)?);
        }
        if pass > 0 {
            rename(&mut line, pass);
        }
        if !body.ends_with(b"[") {
            body.push(b',');
        }
        body.extend_from_slice(line.trim_ascii_end());
        sent += 1;
        if sent.is_multiple_of(BATCH as u64) {
            body.extend_from_slice(b"]}");
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            tokio::time::sleep_until((started + due).into()).await;
            queue.send((std::mem::replace(&mut body, head()), BATCH as u64)).await.map_err(other)?;
        }
    }
    drop(queue);
    let mut took = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    for sender in senders {
        let (of, count, size) = sender.await.map_err(other)??;
        took.extend(of);
        (events, bytes) = (events + count, bytes + size);
    }
    let seconds = started.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let metrics = judged(server, events).await?;
    Ok(Load {
        rate,
        seconds,
        events,
        bytes,
        pushed_back: pushed.load(Ordering::Relaxed),
        p50_ms: at(&took, 0.5),
        p99_ms: at(&took, 0.99),
        max_ms: at(&took, 1.0),
        verdict_p99_s: quantile(&metrics, "klio_verdict_duration_seconds", 0.99),
        probes: 0,
        shown_p99_s: 0.0,
        rss_mb: 0,
        cpu_s: 0.0,
        kept: 0,
    })
}

/// The metrics once so many events were judged: an event that still waits must not be left out of the quantiles.
async fn judged(server: &Server, events: u64) -> Result<String, Error> {
    let patience = Instant::now() + Duration::from_mins(2);
    loop {
        let metrics = reqwest::get(format!("{}/metrics", server.ops)).await.map_err(other)?;
        let metrics = metrics.text().await.map_err(other)?;
        let count = metrics.lines().find_map(|line| line.strip_prefix("klio_judged_events_total "));
        if count.and_then(|count| count.parse::<f64>().ok()).is_some_and(|count| count >= events as f64) {
            return Ok(metrics);
        }
        if Instant::now() > patience {
            return Err(other("the server does not judge what it has taken"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes another event of a line: the first digits of its auditID become a number.
fn rename(line: &mut [u8], pass: u64) {
    const KEY: &[u8] = b"\"auditID\":\"";
    let found = line.windows(KEY.len()).position(|window| window == KEY);
    if let Some(id) = found.and_then(|found| line.get_mut(found + KEY.len()..found + KEY.len() + 8)) {
        id.copy_from_slice(format!("{pass:08x}").as_bytes());
    }
}

fn head() -> Vec<u8> {
    br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#.to_vec()
}

/// The bound of the histogram's bucket in which a quantile lies.
fn quantile(metrics: &str, name: &str, part: f64) -> f64 {
    let start = format!("{name}_bucket{{le=\"");
    let buckets = metrics.lines().filter_map(|line| {
        let (bound, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
        Some((bound.parse::<f64>().unwrap_or(f64::INFINITY), count.parse::<f64>().ok()?))
    });
    let buckets: Vec<(f64, f64)> = buckets.collect();
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    buckets.iter().find(|(_, count)| *count >= all * part).map_or(0.0, |(bound, _)| *bound)
}
