//! An API server that does nothing but TokenReview, and answers as it is told: also what no real one would.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::keys::Authority;
use super::server::runtime;

#[derive(Default)]
struct State {
    /// The status of a review by token, or `fault`.
    answers: HashMap<String, Value>,
    asked: Vec<Value>,
}

pub struct Reviewer {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Reviewer {
    pub fn start(authority: &Authority) -> Self {
        let (certificate, key) = authority.server();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let own = state.clone();
        let task = runtime().spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(talk(acceptor.clone(), stream, own.clone()));
            }
        });
        Self { url, state, task }
    }

    /// What a token gets; others are not authenticated.
    pub fn answers(&self, token: &str, status: Value) {
        self.state.lock().unwrap().answers.insert(token.to_owned(), status);
    }

    /// All that was asked.
    pub fn asked(&self) -> Vec<Value> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for Reviewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(acceptor: TlsAcceptor, stream: TcpStream, state: Arc<Mutex<State>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    while let Some(asked) = read(&mut stream).await {
        let token = asked["body"]["spec"]["token"].as_str().unwrap().to_owned();
        let status = {
            let mut state = state.lock().unwrap();
            state.asked.push(asked);
            state.answers.get(&token).cloned().unwrap_or(json!({ "authenticated": false }))
        };
        let review =
            json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status });
        let (head, body) = match status["fault"].as_str() {
            None => ("201 Created", review.to_string()),
            Some("500") => ("500 Internal Server Error", String::new()),
            Some("403") => ("403 Forbidden", String::new()),
            Some("302") => ("302 Found\r\nLocation: https://127.0.0.1:9/", String::new()),
            Some("huge") => ("201 Created", "x".repeat(2 << 20)),
            Some("garbage") => ("201 Created", "[]".to_owned()),
            Some(_) => return,
        };
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request: path, authorization, body.
async fn read(stream: &mut TlsStream<TcpStream>) -> Option<Value> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let header = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let length: usize = header("content-length")?.parse().unwrap();
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body: Value = serde_json::from_slice(&bytes[head..head + length]).unwrap();
    let path = text.split(' ').nth(1).unwrap();
    Some(json!({ "path": path, "authorization": header("authorization"), "body": body }))
}
