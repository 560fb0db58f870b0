//! Connections: accepted, encrypted, limited in number and in patience.
//!
//! Nobody who has shown no credentials can keep others out: when there is no place left, the oldest connection without
//! credentials that does nothing is closed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::metrics::{Metrics, OfReason};
use super::tls::Served;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be without a request, and a request without the end of its head. Go's client, and so the API
/// server, closes its own after 90 seconds (`net/http`, `DefaultTransport`).
const HEAD: Duration = Duration::from_mins(2);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;

/// Who is at the other end.
#[derive(Clone)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// The certificate that the client showed and that was found good.
    pub certificate: Option<CertificateDer<'static>>,
    /// The same, if it is a person's: for the API.
    person: Option<Arc<[u8]>>,
    guest: Arc<Guest>,
}

impl Peer {
    /// It has shown credentials: its connection is not closed for others.
    pub fn trusted(&self) {
        self.guest.trusted.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Guest {
    trusted: AtomicBool,
    busy: AtomicBool,
    leave: Notify,
}

/// A port that is listened on.
pub struct Door {
    /// The port.
    pub listener: TcpListener,
    /// What is served.
    pub router: Router,
    /// Its certificate; nothing for plain HTTP.
    pub tls: Option<Arc<ArcSwap<Served>>>,
    /// Most connections.
    pub most: usize,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

type Guests = Arc<Mutex<BTreeMap<u64, Arc<Guest>>>>;

impl Door {
    /// Accepts connections until `closing` turns true; then those that are open may finish what they are at.
    pub async fn open(self, mut closing: watch::Receiver<bool>) {
        let guests = Guests::default();
        let mut number = 0;
        let all = Arc::new(Notify::new());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = closing.wait_for(|closing| *closing) => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of file descriptors, or a connection that is gone already.
                    tracing::warn!(error = %e, "a connection cannot be accepted");
                    self.metrics.turned_away.get_or_create(&OfReason { reason: "system" }).inc();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let guest = Arc::new(Guest::default());
            number += 1;
            if !admit(&guests, self.most, number, &guest) {
                self.metrics.turned_away.get_or_create(&OfReason { reason: "full" }).inc();
                continue;
            }
            self.metrics.connections.inc();
            let peer = Peer { address, certificate: None, person: None, guest };
            let (router, tls, metrics) = (self.router.clone(), self.tls.clone(), self.metrics.clone());
            let (guests, closing, all) = (guests.clone(), closing.clone(), all.clone());
            tokio::spawn(async move {
                serve(stream, peer, router, tls, &metrics, closing).await;
                metrics.connections.dec();
                let mut guests = guests.lock().unwrap_or_else(PoisonError::into_inner);
                guests.remove(&number);
                all.notify_waiters();
            });
        }
        drop(self.listener);
        loop {
            let gone = all.notified();
            if guests.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            // The last one may have left between the two lines.
            let _ = tokio::time::timeout(Duration::from_millis(100), gone).await;
        }
    }
}

/// Lets a guest in, if need be in place of the oldest who is unknown and does nothing.
fn admit(guests: &Guests, most: usize, number: u64, guest: &Arc<Guest>) -> bool {
    let mut guests = guests.lock().unwrap_or_else(PoisonError::into_inner);
    if guests.len() >= most {
        let idle =
            |guest: &Guest| !guest.trusted.load(Ordering::Relaxed) && !guest.busy.load(Ordering::Relaxed);
        let Some(oldest) = guests.iter().find(|(_, guest)| idle(guest)).map(|(number, _)| *number) else {
            return false;
        };
        if let Some(guest) = guests.remove(&oldest) {
            guest.leave.notify_one();
        }
    }
    guests.insert(number, guest.clone());
    true
}

async fn serve(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    tls: Option<Arc<ArcSwap<Served>>>,
    metrics: &Metrics,
    closing: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return talk(TokioIo::new(stream), peer, router, closing).await;
    };
    let served = tls.load_full();
    let acceptor = TlsAcceptor::from(served.config.clone());
    let guest = peer.guest.clone();
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
        () = guest.leave.notified() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certificate = shown.first().map(|certificate| certificate.clone().into_owned());
            let person = certificate.as_ref().filter(|_| served.is_person(shown));
            let person = person.map(|der| Arc::from(der.as_ref()));
            talk(TokioIo::new(stream), Peer { certificate, person, ..peer }, router, closing).await;
        }
        Ok(Err(e)) => {
            tracing::debug!(address = %peer.address, error = %e, "a TLS handshake failed");
            metrics.turned_away.get_or_create(&OfReason { reason: "tls" }).inc();
        }
        Err(_) => {
            metrics.turned_away.get_or_create(&OfReason { reason: "slow" }).inc();
        }
    }
}

async fn talk<S>(stream: TokioIo<S>, peer: Peer, router: Router, mut closing: watch::Receiver<bool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let guest = peer.guest.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (mut router, peer) = (router.clone(), peer.clone());
        async move {
            peer.guest.busy.store(true, Ordering::Relaxed);
            let guest = peer.guest.clone();
            let mut request = request.map(axum::body::Body::new);
            let certificate = peer.person.clone();
            request.extensions_mut().insert(klio_web::Peer { address: peer.address.ip(), certificate });
            request.extensions_mut().insert(peer);
            let answer: Result<axum::response::Response, Infallible> = router.call(request).await;
            if answer.as_ref().is_ok_and(|answer| answer.extensions().get::<klio_web::LetIn>().is_some()) {
                guest.trusted.store(true, Ordering::Relaxed);
            }
            guest.busy.store(false, Ordering::Relaxed);
            answer as Result<_, Infallible>
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = guest.leave.notified() => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
