//! Klio's own traces: what a collector gets by OTLP, and that nobody waits for one that does not answer.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use made::{events, ok};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use server::{Server, body, connect, runtime, send};

/// What came, with the line and the fields of each request's head.
#[derive(Default)]
struct Heard {
    heads: Vec<String>,
    requests: Vec<ExportTraceServiceRequest>,
}

/// Takes traces as a collector does.
struct Collector {
    endpoint: String,
    heard: Arc<Mutex<Heard>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Heard::default()));
        let own = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let own = own.clone();
                std::thread::spawn(move || while hear(&stream, &own).is_some() {});
            }
        });
        Self { endpoint, heard }
    }

    fn spans(&self) -> Vec<Span> {
        let heard = self.heard.lock().unwrap();
        let resources = heard.requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|one| &one.scope_spans).flat_map(|one| one.spans.clone()).collect()
    }
}

/// Takes one request.
fn hear(stream: &TcpStream, heard: &Mutex<Heard>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
    let mut heard = heard.lock().unwrap();
    heard.heads.push(head);
    heard.requests.push(request);
    let mut stream = stream;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .ok()
}

fn fields(all: &[KeyValue]) -> BTreeMap<String, String> {
    let told = |field: &KeyValue| match field.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    };
    all.iter().filter_map(|field| Some((field.key.clone(), told(field)?))).collect()
}

/// A server that tells its traces there.
fn serve(data: &std::path::Path, endpoint: &str, more: &[(&str, &str)]) -> Server {
    let own = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    Server::start_in(data, &[], &[&own, more].concat())
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn a_collector_gets_what_was_done_and_nothing_of_what_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    ok(&data, &["user", "add", "anastasia", "--role", "admin"]);
    let asks = ok(&data, &["user", "token", "anastasia", "--name", "test"]).trim().to_owned();
    let collector = Collector::start();
    let server = serve(
        &data,
        &collector.endpoint,
        &[
            ("OTEL_SERVICE_NAME", "klio-eu"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=audit"),
        ],
    );
    let client = server.client().build().unwrap();
    let lines = body(&events(0..3));
    let request = client.post(format!("{}/audit/prod", server.https)).bearer_auth(&token).body(lines.clone());
    let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(runtime().block_on(send(request)).unwrap().status, 200);
    let request = client.get(format!("{}/api/v1/events?filter=user:u1", server.https)).bearer_auth(&asks);
    let answer = runtime().block_on(send(request)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    server.settled();
    assert!(server.stop() < Duration::from_secs(10));

    let spans = collector.spans();
    let named = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        found
            .next()
            .unwrap_or_else(|| panic!("no {name}: {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>()))
    };
    let taken = named("POST /audit/{cluster}");
    assert_eq!((hex(&taken.trace_id), hex(&taken.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(taken.kind, 2, "a server's");
    let told = fields(&taken.attributes);
    assert_eq!(told["http.request.method"], "POST");
    assert_eq!(told["http.route"], "/audit/{cluster}");
    assert_eq!(told["http.response.status_code"], "200");
    let child = |name: &str, parent: &Span| {
        let found = spans.iter().find(|span| span.name == name && span.parent_span_id == parent.span_id);
        let found = found.unwrap_or_else(|| panic!("no {name} below {}", parent.name)).clone();
        assert_eq!(found.trace_id, parent.trace_id);
        assert!(found.end_time_unix_nano >= found.start_time_unix_nano);
        found
    };
    let own = child("body", taken);
    let told = fields(&own.attributes);
    assert_eq!((told["klio.cluster"].as_str(), told["klio.events"].as_str()), ("prod", "3"));
    assert_eq!(told["klio.bytes"], lines.len().to_string());
    child("sync", &own);
    let judged = spans.iter().map(|span| (&span.name, fields(&span.attributes)));
    let mut judged = judged.filter(|(name, told)| *name == "judge" && told["klio.cluster"] == "prod");
    assert_eq!(judged.next().unwrap().1["klio.events"], "3");
    named("flush");
    child("question", named("GET /api/v1/events"));

    let heard = collector.heard.lock().unwrap();
    assert!(
        heard
            .heads
            .iter()
            .all(|head| head.starts_with("POST /v1/traces ") && head.contains("x-tenant: audit"))
    );
    let resource = heard.requests[0].resource_spans[0].resource.as_ref().unwrap();
    let resource = fields(&resource.attributes);
    assert_eq!(
        (resource["service.name"].as_str(), resource["deployment.environment"].as_str()),
        ("klio-eu", "test")
    );
    let all = format!("{:?}", heard.requests);
    for secret in ["anastasia", "user:u1", "id-1", "u2", &token, &asks] {
        assert!(!all.contains(secret), "{secret} is told");
    }
}

#[test]
fn nothing_is_sent_where_the_variables_say_so() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("lake");
        let token = connect(&data, "prod");
        let collector = Collector::start();
        let server = serve(&data, &collector.endpoint, &[off]);
        assert_eq!(server.post("/audit", &token, body(&events(0..1))).status, 200);
        server.settled();
        server.stop();
        assert!(collector.spans().is_empty(), "{off:?}");
    }
}

#[test]
fn a_collector_that_is_gone_or_never_answers_is_not_waited_for() {
    // It is connected to, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for endpoint in ["http://127.0.0.1:1".to_owned(), format!("http://{}", silent.local_addr().unwrap())] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("lake");
        let token = connect(&data, "prod");
        // More spans than the queue holds.
        let server = serve(
            &data,
            &endpoint,
            &[("OTEL_BSP_MAX_QUEUE_SIZE", "8"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "600")],
        );
        let mut longest = Duration::ZERO;
        for n in 0..30 {
            let started = Instant::now();
            assert_eq!(server.post("/audit", &token, body(&events(n..n + 1))).status, 200);
            longest = longest.max(started.elapsed());
        }
        assert!(longest < Duration::from_secs(2), "{endpoint}: {longest:?}");
        server.until("what is lost is counted", |server| server.metric("klio_trace_spans_lost_total") > 0.5);
        server.settled();
        assert!(server.stop() < Duration::from_secs(10), "{endpoint}");
        assert_eq!(made::count(&data), 30 + klio_events(&data));
    }
}

/// Events of Klio's own audit.
fn klio_events(data: &std::path::Path) -> u64 {
    made::number(data, "SELECT count(*) FROM events WHERE cluster = 'klio'")
}
