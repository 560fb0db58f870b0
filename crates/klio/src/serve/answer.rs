//! Answers: problems as RFC 9457 writes them, and when to come again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refusal.
pub struct Problem {
    status: StatusCode,
    detail: String,
    again: Option<u64>,
    close: bool,
}

impl Problem {
    /// A refusal, and what is to be done about it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), again: None, close: false }
    }

    /// To be tried again after so many seconds.
    #[must_use]
    pub fn again(mut self, seconds: u64) -> Self {
        self.again = Some(seconds);
        self
    }

    /// The connection is closed: what is left of the body is not read.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("refused");
        let body = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut answer = (self.status, body.to_string()).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"klio\""));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}
