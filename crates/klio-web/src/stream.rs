//! Answers that are written while they are read: exports, SQL, live tails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::access::{Access, AccessOutcome, AccessStage, AuditError};
use crate::archive::{Archive, ArchiveError, Patience, Stop};
use crate::visitor::{Note, Visitor, too_many};
use crate::{Problem, Sight, Web};

/// Bytes that are handed on at once.
const PART: usize = 64 << 10;
/// Parts that wait for the reader.
const WAITING: usize = 4;

/// The rest of an answer will not come. The connection is broken off, so that nobody takes the part for the whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct Broken;

/// What the reader gets.
pub(crate) type Parts = mpsc::Receiver<Result<Bytes, Broken>>;
/// The same, after a part that has come already.
type Begun = (Option<Bytes>, Parts);

/// The parts of an answer, on their way from the handler to the gate.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Mutex<Option<Begun>>>);

impl Feed {
    pub(crate) fn take(&self) -> Option<Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An answer of this media type whose parts come later, but perhaps for the first.
pub(crate) fn answer(kind: &'static str, first: Option<Bytes>, parts: Parts) -> Response {
    let mut answer = ().into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.extensions_mut().insert(Feed(Arc::new(Mutex::new(Some((first, parts))))));
    answer
}

/// The end of an answer, to be told to the audit.
pub(crate) struct End {
    web: Web,
    access: Access,
    note: Arc<Note>,
    stop: Stop,
}

impl End {
    pub(crate) fn new(web: Web, access: Access, note: Arc<Note>, stop: Stop) -> Self {
        Self { web, access, note, stop }
    }

    async fn tell(mut self, bytes: u64, outcome: AccessOutcome) -> Result<(), AuditError> {
        self.stop.set();
        self.access.stage = AccessStage::Complete;
        self.access.outcome = Some(outcome);
        self.access.bytes = bytes;
        self.access.rows = self.note.counted();
        self.access.time = self.web.now();
        let told = self.web.inner.audit.record(&self.access).await;
        if let Err(error) = &told {
            tracing::error!(%error, "the end of an access cannot be audited");
        }
        told
    }
}

struct Flow {
    first: Option<Bytes>,
    parts: Parts,
    bytes: u64,
    end: Option<End>,
}

impl Flow {
    async fn ends(&mut self, outcome: AccessOutcome) -> Result<(), Broken> {
        match self.end.take() {
            Some(end) => end.tell(self.bytes, outcome).await.map_err(|_| Broken),
            None => Ok(()),
        }
    }
}

impl Drop for Flow {
    /// The reader has gone.
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.stop.set();
            if let Ok(runtime) = Handle::try_current() {
                let bytes = self.bytes;
                runtime.spawn(async move { end.tell(bytes, AccessOutcome::Left).await });
            }
        }
    }
}

/// The parts as a body. Its end comes only after the audit was told.
pub(crate) fn body((first, parts): Begun, end: End) -> Body {
    let flow = Flow { first, parts, bytes: 0, end: Some(end) };
    Body::from_stream(futures::stream::unfold(Some(flow), async |flow| {
        let mut flow = flow?;
        let next = match flow.first.take() {
            Some(first) => Some(Ok(first)),
            None => flow.parts.recv().await,
        };
        match next {
            Some(Ok(part)) => {
                flow.bytes += part.len() as u64;
                Some((Ok(part), Some(flow)))
            }
            Some(Err(broken)) => {
                let _ = flow.ends(AccessOutcome::Failed).await;
                Some((Err(broken), None))
            }
            None => match flow.ends(AccessOutcome::Allowed).await {
                Ok(()) => None,
                Err(broken) => Some((Err(broken), None)),
            },
        }
    }))
}

/// What a thread writes and a reader reads. Holds little: the writer waits for the reader.
pub(crate) struct Pipe {
    to: mpsc::Sender<Result<Bytes, Broken>>,
    held: BytesMut,
    runtime: Handle,
    /// How long the reader may take nothing.
    stalled: Duration,
    /// Whether something was handed on.
    begun: bool,
}

impl Pipe {
    pub(crate) fn new(stalled: Duration) -> (Self, Parts) {
        let (to, parts) = mpsc::channel(WAITING);
        (
            Self {
                to,
                held: BytesMut::with_capacity(PART),
                runtime: Handle::current(),
                stalled,
                begun: false,
            },
            parts,
        )
    }

    /// Hands on what is held. To be called on a thread that may block.
    fn hand_on(&mut self) -> std::io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.begun = true;
        let part = self.held.split().freeze();
        let send = async { tokio::time::timeout(self.stalled, self.to.send(Ok(part))).await };
        match self.runtime.block_on(send) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(std::io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    /// The answer will not be whole.
    fn breaks_off(mut self) {
        let _ = self.hand_on();
        let _ = self.runtime.block_on(tokio::time::timeout(self.stalled, self.to.send(Err(Broken))));
    }
}

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(PART);
        self.held.extend_from_slice(&bytes[..taken]);
        if self.held.len() >= PART {
            self.hand_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.hand_on()
    }
}

/// Lets the archive write an answer, on a thread that may block. Refused before the first byte, it is a refusal; after
/// that, the answer breaks off.
pub(crate) async fn written(
    web: &Web,
    visitor: &Visitor,
    kind: &'static str,
    time: Duration,
    write: impl FnOnce(&dyn Archive, &Sight, &Patience, &mut Pipe) -> Result<(), ArchiveError> + Send + 'static,
) -> Result<Response, Problem> {
    let limits = web.limits();
    let turn = web.inner.questions.turn(&visitor.principal.to_string(), limits.turn).await;
    let turn = turn.ok_or_else(too_many)?;
    let patience = Patience::new(time, visitor.stop.clone());
    let (mut pipe, mut parts) = Pipe::new(limits.stalled);
    let (archive, sight) = (web.inner.archive.clone(), visitor.sight.clone());
    let span = tracing::Span::current();
    let job = tokio::task::spawn_blocking(move || {
        let (_turn, _span) = (turn, span.entered());
        let done = write(&*archive, &sight, &patience, &mut pipe);
        let done = done.and_then(|()| pipe.hand_on().map_err(|_| ArchiveError::ReaderGone));
        match done {
            Err(error) if pipe.begun => {
                tracing::warn!(%error, "an answer broke off");
                pipe.breaks_off();
                Ok(())
            }
            done => done,
        }
    });
    let Ok(first) = tokio::time::timeout(time + Duration::from_secs(1), parts.recv()).await else {
        visitor.stop.set();
        return Err(ArchiveError::TooSlow.into());
    };
    let first = if let Some(Ok(first)) = first {
        Some(first)
    } else {
        let fault = |e| ArchiveError::Unavailable(format!("an answer broke off: {e}"));
        job.await.map_err(fault)??;
        None
    };
    Ok(answer(kind, first, parts))
}
