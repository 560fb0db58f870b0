//! The server: what it listens on, what its parts share, how it starts, reads its settings again, and ends.

pub mod apiservers;
mod archive;
mod audit;
pub mod credentials;
mod library;
mod listen;
pub mod metrics;
pub mod ops;
mod reload;
pub mod sources;
pub mod tls;
mod vouch;
mod webhook;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use klio_desk::Desk;

use crate::config::Config;
use crate::data::redaction_key;
use crate::failure::Failure;
use crate::keep::Terms;
use crate::pack::Rules;
use crate::pipeline::{self, Judge, Pipeline, Setup};
use crate::traces;
use credentials::{Credentials, Strangers};
use listen::Door;
use metrics::Metrics;
use tls::Served;
use vouch::{People, Vouch};

/// How long the server says that it is not ready before it closes its doors: load balancers look every second or so.
const NOTICE: Duration = Duration::from_millis(1500);
/// How long requests may take to end, and then the judge. Together with the notice less than ten seconds.
const REQUESTS: Duration = Duration::from_secs(4);
const LAST: Duration = Duration::from_secs(4);
/// How often the same is said in the log at most.
const SAID: Duration = Duration::from_mins(1);
/// Threads that may wait for a disk: those of all questions and live tails that [`klio_web::Limits`] allows, and as many again for
/// who delivers and for the audit.
const WRITERS: usize = 160;

/// What the parts of the server share.
pub struct Shared {
    dir: PathBuf,
    /// The file of settings.
    settings: PathBuf,
    config: ArcSwap<Config>,
    credentials: ArcSwap<Credentials>,
    tls: Arc<ArcSwap<Served>>,
    strangers: Strangers,
    pipeline: Arc<Pipeline>,
    judge: OnceLock<Judge>,
    metrics: Arc<Metrics>,
    /// Permits for memory of bodies, all of them.
    permits: u64,
    /// Memory for bodies.
    room: Arc<Semaphore>,
    draining: AtomicBool,
    said: Mutex<HashMap<&'static str, Instant>>,
}

impl Shared {
    /// Whether something that happens often is to be said now.
    fn says(&self, what: &'static str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.get(what).is_some_and(|last| now.duration_since(*last) < SAID) {
            return false;
        }
        said.insert(what, now);
        true
    }

    fn judge_is_over(&self) -> bool {
        self.judge.get().is_some_and(Judge::is_gone) && !self.is_draining()
    }

    /// Whether something can be made durable in the data directory.
    fn probe(&self) -> std::io::Result<()> {
        let path = self.dir.join("spool/probe");
        let file = std::fs::File::create(&path)?;
        file.set_len(0)?;
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 0)?;
        file.sync_all()?;
        std::fs::remove_file(&path)
    }
}

/// Runs the server until it is told to end.
pub fn run(dir: PathBuf, settings: PathBuf, config: Config, rules: &Rules) -> Result<(), Failure> {
    raise_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(WRITERS)
        .build()
        .map_err(Failure::world)?;
    let ended = runtime.block_on(serve(dir, settings, config, rules));
    runtime.shutdown_background();
    ended
}

async fn serve(dir: PathBuf, settings: PathBuf, config: Config, rules: &Rules) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (heard(SignalKind::terminate())?, heard(SignalKind::interrupt())?);
    let seen = reload::look(&settings, &dir, &config, rules);
    let credentials = Credentials::read(&dir, &config)?;
    config.sign_in.check_files()?;
    let served = tls::load(&dir, &config.tls())?;
    // Bound before the lake is opened: whoever cannot listen need not try.
    let listen = bind(config.server.listen).await?;
    let ops = bind(config.server.ops).await?;
    let (set, _) = rules.with(&config, &dir).load()?.told();
    let secret = redaction_key(&dir)?;
    let terms = Arc::new(Terms::new("default", &config.lake, secret, config.redaction.clone())?);
    let metrics = Arc::new(Metrics::new());
    metrics.certificate.set(served.ends);
    let every = Duration::from_secs(config.server.flush_seconds);
    let (pipeline, judge) = {
        let setup = Setup {
            dir: dir.clone(),
            lake: config.lake.clone(),
            clusters: config.clusters.clone(),
            terms,
            secret,
            rules: set,
            every,
        };
        let metrics = metrics.clone();
        let start = tokio::task::spawn_blocking(move || pipeline::start(setup, &metrics));
        start.await.map_err(Failure::world)??
    };
    let room = config.server.in_flight_bytes.div_ceil(webhook::PERMIT);
    let most = config.server.connections;
    let clusters = credentials.clusters();
    webhook::expect(&pipeline.live, &clusters);
    let clusters = clusters.len();
    let shared = Arc::new(Shared {
        dir,
        settings,
        credentials: ArcSwap::from_pointee(credentials),
        tls: Arc::new(ArcSwap::from_pointee(served)),
        config: ArcSwap::from_pointee(config),
        strangers: Strangers::default(),
        pipeline,
        judge: OnceLock::from(judge),
        metrics: metrics.clone(),
        permits: room,
        room: Arc::new(Semaphore::new(room as usize)),
        draining: AtomicBool::new(false),
        said: Mutex::default(),
    });
    let own = Arc::new(audit::Own(shared.pipeline.clone()));
    let place = shared.config.load().desk(&shared.dir)?;
    let mapping = shared.config.load().sign_in.mapping.clone();
    let options = klio_desk::Options { mapping, ..klio_desk::Options::default() };
    let desk = Desk::open(&place, own.clone(), options).await.map_err(Failure::world)?;
    let people = people(&shared, &desk, own, secret, rules)
        .ok_or_else(|| Failure::world("there is no key for places"))?;
    let (close, closing) = watch::channel(false);
    let address =
        |listener: &TcpListener| listener.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string());
    tracing::info!(
        listen = format!("https://{}", address(&listen)),
        ops = format!("http://{}", address(&ops)),
        data = %shared.dir.display(),
        clusters,
        "klio is ready"
    );
    let follows = shared.config.load().clusters.values().any(|cluster| !cluster.files.is_empty());
    if clusters == 0 && !follows {
        tracing::warn!(
            "no cluster can deliver yet: `klio connect cluster NAME` prints what its API server needs"
        );
    }
    let door = Door {
        listener: listen,
        router: router(&shared)
            .merge(klio_web::router(people.web.clone()))
            .layer(axum::middleware::from_fn(traces::request)),
        tls: Some(shared.tls.clone()),
        most,
        metrics: metrics.clone(),
    };
    let side = Door {
        listener: ops,
        router: ops::health(&shared).merge(ops::metrics(&shared)),
        tls: None,
        most: 256,
        metrics,
    };
    let doors = [tokio::spawn(door.open(closing.clone())), tokio::spawn(side.open(closing))];
    let watching = [
        tokio::spawn(sources::watch(shared.clone())),
        tokio::spawn(tend(desk)),
        tokio::spawn(reload::watch(shared.clone(), people, rules.clone(), seen)),
        tokio::spawn(apiservers::read(shared.clone())),
    ];
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    watching.iter().for_each(tokio::task::JoinHandle::abort);
    tracing::info!("going down: requests are finished, the rest is refused");
    shared.draining.store(true, Ordering::Release);
    let again = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        () = drain(&shared, &close, doors) => {}
        () = again => tracing::warn!("ended at once: what was not written to the lake is in the spool"),
    }
    Ok(())
}

/// The API, over the lake and the desk, and who may come in.
fn people(
    shared: &Arc<Shared>,
    desk: &Desk,
    own: Arc<audit::Own>,
    secret: [u8; 32],
    rules: &Rules,
) -> Option<People> {
    let config = shared.config.load();
    let sources = shared.pipeline.clone();
    let memory = archive::Memory::new(
        shared.dir.clone(),
        config.lake.clone(),
        secret,
        shared.pipeline.clone(),
        move || sources::all(&sources),
    )?;
    let vouch = Arc::new(Vouch::new(shared.clone()));
    let options = klio_web::Options {
        identify: vec![vouch.clone()],
        providers: Some(vouch.clone()),
        proxies: config.server.proxies.clone(),
        origins: config.server.url.iter().cloned().collect(),
        library: Arc::new(library::Shelf::new(shared.clone(), rules.clone())),
        ..klio_web::Options::default()
    };
    let web = klio_web::Web::new(Arc::new(memory), desk.clone(), own, options);
    Some(People { vouch, desk: desk.clone(), web })
}

/// Sees to the desk now and then: what was not told yet, and what has passed away.
async fn tend(desk: Desk) {
    loop {
        if let Err(e) = desk.tell_waiting().await {
            tracing::warn!(error = %e, "what was changed at the desk cannot be audited yet");
        }
        if let Err(e) = desk.tidy().await {
            tracing::warn!(error = %e, "the desk cannot be tidied");
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
}

/// Ends in order: readiness, doors, requests, judge.
async fn drain(shared: &Shared, close: &watch::Sender<bool>, doors: [tokio::task::JoinHandle<()>; 2]) {
    tokio::time::sleep(NOTICE).await;
    let _ = close.send(true);
    let until = tokio::time::Instant::now() + REQUESTS;
    for door in doors {
        let _ = tokio::time::timeout_at(until, door).await;
    }
    shared.pipeline.orders.stop();
    let until = Instant::now() + LAST;
    while shared.judge.get().is_some_and(|judge| !judge.is_over()) && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, flushed) = shared.pipeline.live.progress();
    let waiting = shared.pipeline.intake.spool().last().saturating_sub(flushed);
    tracing::info!(waiting, "ended");
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/audit", post(webhook::by_credentials).get(webhook::status))
        .route("/audit/{cluster}", post(webhook::by_path).get(webhook::status))
        .with_state(shared.clone())
        .merge(ops::health(shared))
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::world(format!("cannot listen on {address}: {e}"))
            .hint("is another server there? `server.listen` and `server.ops` in klio.yaml say where")
    })
}

fn heard(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(Failure::world)
}

/// Ten thousand connections need as many descriptors.
fn raise_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
