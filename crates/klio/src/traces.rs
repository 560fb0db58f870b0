//! Klio's own traces, sent by OTLP over HTTP where the standard variables say
//! (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables), and nowhere unless they do.
//!
//! A span tells what was done, for which cluster, how much and how long; never what is in an event, a question or a credential,
//! and never who somebody is. Spans wait in a queue that is bounded, and are sent by a thread of their own: whoever takes them may be
//! slow or gone, and nothing here waits for him.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter as Otlp, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prometheus_client::metrics::counter::Counter;
use tokio::runtime::Runtime;
use tracing::field::Empty;
use tracing::{Instrument, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::failure::Failure;

/// The target of the spans that are sent. They are in no log.
pub const SPANS: &str = "klio::spans";

/// How long what still waits at the end may take.
const LAST: Duration = Duration::from_millis(500);
/// How long one sending may take, unless a variable says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Spans that could not be sent.
pub static LOST: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The traces of a server, on their way.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send traces, if the variables name an endpoint.
    pub fn begin() -> Result<Option<Self>, Failure> {
        let is = |name: &str, value: &str| set(name).is_some_and(|own| own.eq_ignore_ascii_case(value));
        let endpoint =
            set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
        if endpoint.is_none() || is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let protocol =
            set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
            return Err(Failure::usage(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {other}, and only http/protobuf is spoken"
            )));
        }
        let exporter =
            Otlp::builder().with_http().with_http_client(Way::new()?).build().map_err(Failure::usage)?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(Counted(exporter))
            .build();
        Ok(Some(Self(provider)))
    }

    /// Hands on spans that end.
    pub fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(&self) -> impl Layer<S> + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("klio"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|meta| meta.is_span() && meta.target() == SPANS))
    }

    /// Sends what waits, as far as that can be done in time.
    pub fn end(self) {
        let _ = self.0.shutdown_with_timeout(LAST);
    }
}

/// A variable that is set; an empty one is not, as the specification has it.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let is_named = set("OTEL_SERVICE_NAME").is_some()
        || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
    let resource = Resource::builder().with_attribute(version);
    if is_named { resource.build() } else { resource.with_service_name("klio").build() }
}

/// The way to the collector: a client with a runtime of its own, so that it shares no thread with the server.
#[derive(Debug)]
struct Way {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Way {
    fn new() -> Result<Self, Failure> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::world)?;
        let patience = set("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").or_else(|| set("OTEL_EXPORTER_OTLP_TIMEOUT"));
        let patience = patience.and_then(|text| text.parse().ok()).map_or(PATIENCE, Duration::from_millis);
        let client = reqwest::Client::builder().timeout(patience).build().map_err(Failure::world)?;
        Ok(Self { runtime, client })
    }
}

#[async_trait]
impl HttpClient for Way {
    async fn send_bytes(
        &self,
        request: axum::http::Request<Bytes>,
    ) -> Result<axum::http::Response<Bytes>, HttpError> {
        let sending = async {
            let answer = self.client.execute(request.try_into()?).await?;
            let status = answer.status();
            let mut told = axum::http::Response::new(answer.bytes().await?);
            *told.status_mut() = status;
            Ok::<_, reqwest::Error>(told)
        };
        // On the exporter's own thread, which has nothing else to do.
        self.runtime.block_on(sending).map_err(|e| e.without_url().into())
    }
}

/// Counts what does not arrive.
#[derive(Debug)]
struct Counted(Otlp);

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let sent = self.0.export(batch).await;
        if let Err(error) = &sent {
            if LOST.inc_by(count) == 0 {
                tracing::warn!(%error, "traces cannot be sent; metrics count how many are lost");
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Tells of a request in a span: the child of the sender's, if he names one (`traceparent`, w3.org/TR/trace-context).
pub async fn request(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let method = method(request.method());
    let span = tracing::info_span!(
        target: SPANS,
        "request",
        otel.name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    if !span.is_disabled() {
        let _ = span.set_parent(sender(request.headers()));
    }
    let answer = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", answer.status().as_u16());
    if answer.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    answer
}

fn sender(headers: &HeaderMap) -> opentelemetry::Context {
    TraceContextPropagator::new().extract(&HeaderExtractor(headers))
}

/// Methods that are none of the usual have one name: whoever asks must not make up names.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// A body that is being taken; [`taken`] ends what is told of it.
pub fn body(cluster: &str, source: &str, bytes: usize) -> Span {
    tracing::info_span!(
        target: SPANS,
        "body",
        klio.cluster = cluster,
        klio.source = source,
        klio.bytes = bytes,
        klio.events = Empty,
    )
}

/// So many events were in it.
pub fn taken(span: &Span, events: u64) {
    span.record("klio.events", events);
}
