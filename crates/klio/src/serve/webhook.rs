//! The audit webhook: what API servers post is durable before it is acknowledged.
//!
//! An API server tries each batch five times within some 90 seconds, whatever the refusal, and then drops it for ever; an
//! answer 429 or 503 with `Retry-After` is no attempt (kubernetes `apiserver/plugin/pkg/audit/webhook`,
//! `client-go/rest/with_retry.go`). So whatever may pass is refused that way.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use klio_model::Timestamp;
use klio_web::Problem;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::listen::Peer;
use crate::pipeline::{Live, Receipt, Refusal, Sender, is_full};
use crate::traces;

/// How long a body may take: the API server gives up after 30 seconds.
const BODY: Duration = Duration::from_secs(30);
/// How long a body waits for room in memory.
const ROOM: Duration = Duration::from_secs(5);
/// Seconds after which a sender is to come again.
const AGAIN: u64 = 2;
/// The name of the source.
const SOURCE: &str = "webhook";

/// Clusters that may deliver are sources before they do.
pub fn expect(live: &Live, clusters: &BTreeSet<String>) {
    for cluster in clusters {
        live.source(cluster, SOURCE, |_| {});
    }
}

/// Bytes for which one permit stands.
pub const PERMIT: u64 = 4096;

/// `POST /audit`: the cluster is that of the credentials.
pub async fn by_credentials(
    State(server): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    receive(&server, &peer, None, request).await
}

/// `POST /audit/{cluster}`: the cluster is in the path, and its credentials are asked for.
pub async fn by_path(
    State(server): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Path(cluster): Path<String>,
    request: Request,
) -> Response {
    receive(&server, &peer, Some(cluster), request).await
}

/// `GET /audit` and `GET /audit/{cluster}`: what a cluster may know of itself: whether anything came.
pub async fn status(
    State(server): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    path: Option<Path<String>>,
    headers: HeaderMap,
) -> Response {
    let cluster = match authenticate(&server, &peer, path.as_ref().map(|path| path.as_str()), &headers) {
        Ok(cluster) => cluster,
        Err((reason, problem)) => {
            server.metrics.refuse(reason);
            return problem.into_response();
        }
    };
    let sources = server.pipeline.live.sources();
    let own = sources.iter().filter(|((of, _), _)| *of == cluster).map(|(_, now)| now);
    let (mut events, mut seen) = (0, None);
    for now in own {
        events += now.kept + now.known;
        seen = seen.max(now.seen);
    }
    let seen = seen.map(|micros| Timestamp(micros).to_string());
    let body = serde_json::json!({ "cluster": cluster, "events": events, "lastSeen": seen });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn receive(server: &Arc<Shared>, peer: &Peer, path: Option<String>, request: Request) -> Response {
    let started = Instant::now();
    match take(server, peer, path, request).await {
        Ok(receipt) => {
            server.metrics.acknowledged.observe(started.elapsed().as_secs_f64());
            let Receipt { kept, known, dead, .. } = receipt;
            let body = serde_json::json!({ "kept": kept, "known": known, "deadLetters": dead });
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Err((reason, problem)) => {
            server.metrics.refuse(reason);
            problem.into_response()
        }
    }
}

type Refused = (&'static str, Problem);

async fn take(
    server: &Arc<Shared>,
    peer: &Peer,
    path: Option<String>,
    request: Request,
) -> Result<Receipt, Refused> {
    let cluster = authenticate(server, peer, path.as_deref(), request.headers())?;
    peer.trusted();
    if server.is_draining() {
        return Err((
            "draining",
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is going down").again(AGAIN),
        ));
    }
    let most = server.config.load().server.body_bytes;
    let headers = request.headers();
    let is_gzip = match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes()) {
        None | Some(b"identity") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => {
            let said = "bodies may be compressed with gzip, and with nothing else";
            return Err(("encoding", Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said).close()));
        }
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large(server, &cluster, most));
    }
    let mut room = Room { server, held: None };
    let body = read(request.into_body(), length, most, &mut room).await.map_err(|wrong| match wrong {
        Wrong::Slow => (
            "slow",
            Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took longer than 30 seconds").close(),
        ),
        Wrong::Large => too_large(server, &cluster, most),
        Wrong::Broken(said) => ("broken", Problem::new(StatusCode::BAD_REQUEST, said).close()),
        Wrong::Busy => busy(),
    })?;
    if is_gzip && !room.holds(body.len() as u64 + most).await {
        return Err(busy());
    }
    let room = room.held;
    let (own, name, bytes) = (server.clone(), cluster.clone(), body.len());
    let span = traces::body(&cluster, SOURCE, bytes);
    let taken = tokio::task::spawn_blocking(move || {
        let (_room, _span) = (room, span.enter());
        let body = if is_gzip { inflate(&body, most)? } else { body };
        let received = jiff::Timestamp::now().as_microsecond();
        let from = Sender { cluster: &name, source: SOURCE, received };
        let receipt = own.pipeline.intake.take(from, &body).map_err(Taking::Refused)?;
        traces::taken(&span, receipt.kept + receipt.known);
        Ok(receipt)
    });
    let live = &server.pipeline.live;
    let problem = match taken.await {
        Ok(Ok(receipt)) => {
            live.trouble(None);
            live.taken(&cluster, SOURCE, receipt);
            server.metrics.taken(&cluster, SOURCE, bytes, receipt);
            return Ok(receipt);
        }
        Ok(Err(Taking::Large)) => too_large(server, &cluster, most),
        Ok(Err(Taking::Gzip(said))) => {
            ("gzip", Problem::new(StatusCode::BAD_REQUEST, format!("the body is no gzip: {said}")))
        }
        Ok(Err(Taking::Refused(Refusal::NotJson(reason)))) => {
            tracing::warn!(cluster, address = %peer.address, %reason, "a body is no JSON");
            ("json", Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {reason}")))
        }
        Ok(Err(Taking::Refused(Refusal::Full(e)))) => {
            let reason = if is_full(&e) { "full" } else { "disk" };
            live.trouble(Some(e.to_string()));
            if server.says("intake") {
                tracing::error!(cluster, error = %e, "events cannot be made durable; senders are told to come again");
            }
            let said = "events cannot be made durable now";
            (reason, Problem::new(StatusCode::SERVICE_UNAVAILABLE, said).again(AGAIN))
        }
        Err(_) => {
            ("bug", Problem::new(StatusCode::SERVICE_UNAVAILABLE, "a bug: see the server's log").again(AGAIN))
        }
    };
    live.source(&cluster, SOURCE, |now| now.refused += 1);
    Err(problem)
}

enum Taking {
    Large,
    Gzip(String),
    Refused(Refusal),
}

/// Which cluster the sender may deliver for.
fn authenticate(
    server: &Shared,
    peer: &Peer,
    path: Option<&str>,
    headers: &HeaderMap,
) -> Result<String, Refused> {
    let credentials = server.credentials.load();
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(cluster) = credentials.cluster(token, peer.certificate.as_ref()) else {
        let (tries, waits) = server.strangers.refused(peer.address.ip());
        if tries == 1 || waits && server.says("strangers") {
            tracing::warn!(address = %peer.address.ip(), "wrong credentials for the audit webhook");
        }
        if waits {
            let said = "too many tries with wrong credentials";
            return Err(("brute-force", Problem::new(StatusCode::TOO_MANY_REQUESTS, said).again(60).close()));
        }
        let said = "no cluster has these credentials; `klio connect cluster NAME` makes some";
        return Err(("credentials", Problem::new(StatusCode::UNAUTHORIZED, said).close()));
    };
    match path {
        Some(path) if path != cluster => {
            if server.says("cluster") {
                tracing::warn!(cluster, path, address = %peer.address.ip(), "a cluster delivers to the path of another");
            }
            let said = "these credentials are those of another cluster than the one in the path";
            Err(("cluster", Problem::new(StatusCode::FORBIDDEN, said).close()))
        }
        _ => Ok(cluster),
    }
}

/// Room in memory for a body, taken as it comes: who sends slowly keeps no more from others than he has sent.
struct Room<'s> {
    server: &'s Shared,
    held: Option<OwnedSemaphorePermit>,
}

impl Room<'_> {
    /// Waits until there is room for so many bytes; false if it takes too long.
    async fn holds(&mut self, bytes: u64) -> bool {
        let held = self.held.as_ref().map_or(0, |held| held.num_permits() as u64);
        // Never more than there is: settings may have changed since.
        let wanted = bytes.div_ceil(PERMIT).clamp(1, self.server.permits);
        let Ok(more @ 1..) = u32::try_from(wanted.saturating_sub(held)) else { return true };
        let room = self.server.room.clone().acquire_many_owned(more);
        let Ok(Ok(room)) = tokio::time::timeout(ROOM, room).await else { return false };
        match &mut self.held {
            Some(held) => held.merge(room),
            None => self.held = Some(room),
        }
        true
    }
}

fn busy() -> Refused {
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too much is being delivered at once");
    ("busy", problem.again(AGAIN).close())
}

fn too_large(server: &Shared, cluster: &str, most: u64) -> Refused {
    if server.says("large") {
        tracing::error!(
            cluster,
            most,
            "a body is larger than server.body_bytes: its events are lost unless that is raised, or the API server is \
             told --audit-webhook-truncate-enabled or a smaller --audit-webhook-batch-max-size"
        );
    }
    let said =
        format!("the body is larger than {most} bytes: send smaller batches, or raise server.body_bytes");
    ("large", Problem::new(StatusCode::PAYLOAD_TOO_LARGE, said).close())
}

enum Wrong {
    Slow,
    Busy,
    Large,
    Broken(String),
}

/// Reads a body, with patience and memory that end.
async fn read(mut body: Body, length: Option<u64>, most: u64, room: &mut Room<'_>) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(most) as usize);
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Wrong::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() as u64 + data.len() as u64 > most {
                return Err(Wrong::Large);
            }
            if !room.holds((bytes.len() + data.len()) as u64).await {
                return Err(Wrong::Busy);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    match tokio::time::timeout(BODY, reading).await {
        Ok(read) => read.map(|()| bytes),
        Err(_) => Err(Wrong::Slow),
    }
}

fn inflate(body: &[u8], most: u64) -> Result<Vec<u8>, Taking> {
    let mut plain = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(body).take(most + 1).read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() as u64 > most => Err(Taking::Large),
        Ok(_) => Ok(plain),
        Err(e) => Err(Taking::Gzip(e.to_string())),
    }
}

impl Shared {
    /// Whether the server is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
