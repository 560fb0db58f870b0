//! Refusals, as RFC 9457 writes them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use klio_desk::DeskError;
use klio_model::Timestamp;
use klio_model::filter::FilterError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ArchiveError;

/// The media type of a problem.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do about it.
    pub detail: String,
    /// Of a filter: the byte at which it stops being one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Of a filter: how many bytes are wrong; 0 at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// When to try again, seconds.
    #[serde(skip)]
    pub(crate) again: Option<u32>,
    /// Whether the connection is closed.
    #[serde(skip)]
    close: bool,
}

impl Problem {
    /// A refusal, and what is to be done about it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Refused"),
            status: status.as_u16(),
            detail: detail.into(),
            position: None,
            length: None,
            help: None,
            again: None,
            close: false,
        }
    }

    /// To be tried again after so many seconds.
    #[must_use]
    pub fn again(mut self, seconds: u64) -> Self {
        self.again = Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        self
    }

    /// The connection is closed: what is left of the body is not read.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// And what to do instead.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The text of a filter: before what is wrong, that, and after it.
    pub(crate) fn marked<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
        let at = self.position? as usize;
        let end = at.checked_add(self.length? as usize)?;
        Some((text.get(..at)?, text.get(at..end)?, text.get(end..)?))
    }

    /// What was asked cannot be meant so.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing, or it is not his to see.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such thing, or you may not see it")
    }

    /// Somebody who has to say who he is.
    pub fn who_are_you(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Somebody who may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// It cannot be done now. Why, only the log is told.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).again(5)
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Self {
        let mut problem = Self::bad(format!("the filter: {}", error.message));
        // Filters are shorter than that.
        problem.position = u32::try_from(error.position).ok();
        problem.length = u32::try_from(error.length).ok();
        problem.help = error.help;
        problem
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::NotFound => Self::not_found(),
            ArchiveError::BadPosition => {
                Self::bad("the cursor leads nowhere any more; begin anew without it")
            }
            ArchiveError::BadQuestion(said) => Self::bad(said),
            ArchiveError::TooSlow => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "it took too long; ask for a shorter time or fewer clusters",
            ),
            ArchiveError::ReaderGone => Self::new(StatusCode::REQUEST_TIMEOUT, "the reader has gone"),
            ArchiveError::Unavailable(said) => {
                tracing::error!(error = %said, "the archive cannot be read");
                Self::unavailable("the archive cannot be read now; the server's log says why")
            }
        }
    }
}

impl Problem {
    /// What the desk said, at this time.
    pub(crate) fn of_desk(error: DeskError, now: Timestamp) -> Self {
        let said = error.to_string();
        match error {
            DeskError::Denied => Self::who_are_you("not let in"),
            DeskError::TooMany(until) => {
                let wait = u64::try_from((until.micros() - now.micros()) / 1_000_000 + 1).unwrap_or(1);
                Self::new(StatusCode::TOO_MANY_REQUESTS, said).again(wait)
            }
            DeskError::Busy => Self::unavailable(said).again(1),
            DeskError::NotAllowed { .. } | DeskError::Beyond | DeskError::NotWithToken => {
                Self::forbidden(said)
            }
            DeskError::Unknown { .. } => Self::not_found(),
            DeskError::Taken(_) | DeskError::NotEmpty | DeskError::LastAdmin(_) | DeskError::Full(_) => {
                Self::new(StatusCode::CONFLICT, said)
            }
            DeskError::BadName(..) | DeskError::Weak(_) | DeskError::Expired => Self::bad(said),
            DeskError::Newer { .. }
            | DeskError::Damaged(_)
            | DeskError::Place(_)
            | DeskError::Database(_)
            | DeskError::Ledger(_)
            | DeskError::Crypto(_) => {
                tracing::error!(error = %said, "the desk cannot be asked");
                Self::unavailable("users cannot be looked up now; the server's log says why")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut answer = (self.status(), body).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(seconds) = self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"klio\""));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // For whoever draws it.
        answer.extensions_mut().insert(self);
        answer
    }
}
