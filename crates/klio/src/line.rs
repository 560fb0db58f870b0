//! A line to somebody whom the settings name: HTTPS alone, for no longer and no more than fits.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode};

/// How long one answer may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A client for one of them.
#[derive(Debug)]
pub struct Line {
    ca: Option<PathBuf>,
    made: Mutex<Option<(Vec<u8>, Client)>>,
}

impl Line {
    /// A line whose other end is verified by the authorities in this PEM file, or by the system's.
    pub fn new(ca: Option<PathBuf>) -> Self {
        Self { ca, made: Mutex::default() }
    }

    /// The client; a new one when the file has changed.
    pub fn client(&self) -> Result<Client, String> {
        let pem = match &self.ca {
            Some(ca) => std::fs::read(ca).map_err(|e| format!("{}: {e}", ca.display()))?,
            None => Vec::new(),
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = made.as_ref().filter(|(before, _)| *before == pem) {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE);
        if let Some(ca) = &self.ca {
            let roots = Certificate::from_pem_bundle(&pem).map_err(|e| format!("{}: {e}", ca.display()))?;
            builder = builder.tls_certs_only(roots);
        }
        let client = builder.build().map_err(|e| e.to_string())?;
        *made = Some((pem, client.clone()));
        Ok(client)
    }
}

/// What came back.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// Sends a request, and reads what comes back, up to so many bytes.
pub async fn send(request: RequestBuilder, most: usize) -> Result<Answer, String> {
    let mut answer = request.send().await.map_err(told)?;
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(told)? {
        if body.len() + part.len() > most {
            return Err(format!("it answers more than {} KiB", most >> 10));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer { status, headers, body })
}

/// What went wrong, with its causes: reqwest's own words are no more than "error sending request".
pub fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
