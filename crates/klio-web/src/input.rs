//! What clients send: queries and bodies, read with refusals that say what is wrong.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use klio_model::{FieldRef, Filter, TimeRange, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::archive::Question;
use crate::visitor::Visitor;
use crate::{Problem, Web, bodies};

/// A query with names that are known.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(asked)| Self(asked)).map_err(|e| Problem::bad(e.body_text()))
    }
}

/// A request's body, of bounded size, within a bounded time.
async fn body(request: Request, web: &Web) -> Result<Bytes, Problem> {
    let limits = web.limits();
    let read = tokio::time::timeout(limits.body_time, to_bytes(request.into_body(), limits.body)).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail = format!("the body has more than {} bytes, or broke off", limits.body);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly")),
    }
}

/// The fields of a form that a browser sends without a script (`application/x-www-form-urlencoded`).
pub(crate) struct Fields(Bytes);

impl Fields {
    /// The value of a field; nothing if there is none.
    pub(crate) fn get(&self, name: &str) -> String {
        let mut fields = url::form_urlencoded::parse(&self.0);
        fields.find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

impl FromRequest<Web> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        body(request, web).await.map(Self)
    }
}

/// A body of JSON.
pub(crate) struct Given<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Web> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "send JSON with the header Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = body(request, web).await?;
        // What serde says of a value that does not fit may repeat it, and it may be a password.
        serde_json::from_slice(&bytes).map(Self).map_err(|e| {
            let what =
                if e.is_data() { "a member is missing, unknown or of the wrong type" } else { "no JSON" };
            Problem::bad(format!("the body: {what} (line {}, column {})", e.line(), e.column()))
        })
    }
}

/// Which events are meant.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// A filter, as docs/filter.md has them; all events without one.
    pub(crate) filter: Option<String>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    pub(crate) cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    pub(crate) from: Option<String>,
    /// Before this time.
    pub(crate) to: Option<String>,
}

impl Which {
    /// The question, if he may ask it.
    pub(crate) fn question(&self, web: &Web, visitor: &Visitor) -> Result<Question, Problem> {
        let filter = match self.filter.as_deref().map(str::trim) {
            None | Some("") => Filter::All,
            Some(text) => Filter::parse(text)?,
        };
        let filter = web.inner.archive.people().resolve(filter);
        if !visitor.bodies() {
            bodies::check(&filter)?;
        }
        let range = range(self.from.as_deref(), self.to.as_deref(), web.now())?;
        Ok(Question { clusters: clusters(self.cluster.as_deref()), filter, range })
    }

    /// What a cursor is bound to.
    pub(crate) fn words(&self) -> [&str; 4] {
        [&self.filter, &self.cluster, &self.from, &self.to].map(|text| text.as_deref().unwrap_or_default())
    }
}

/// The names between commas.
pub(crate) fn clusters(text: Option<&str>) -> Vec<String> {
    let names = text.unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A field, if he may ask for it.
pub(crate) fn field(name: &str, visitor: &Visitor) -> Result<FieldRef, Problem> {
    let field = FieldRef::parse(name).map_err(|e| Problem::bad(e.to_string()))?;
    if !visitor.bodies() {
        bodies::check_field(&field)?;
    }
    Ok(field)
}

/// How many, of at most so many.
pub(crate) fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(usual),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(Problem::bad(format!("`limit` is between 1 and {most}"))),
    }
}

/// The years 1 to 9999, microseconds from 1970.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// A span of time.
pub(crate) fn range(from: Option<&str>, to: Option<&str>, now: Timestamp) -> Result<TimeRange, Problem> {
    let side = |name: &str, text: Option<&str>| {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        let time = time(text, now).ok_or_else(|| {
            Problem::bad(format!(
                "`{name}` is no time: write 2026-11-21T10:00:00Z, its beginning, now, or now-3h (s, m, h, d, w)"
            ))
        })?;
        if !TIMES.contains(&time.micros()) {
            return Err(Problem::bad(format!("`{name}` is not in the years 1 to 9999")));
        }
        Ok(Some(time))
    };
    let range = TimeRange { start: side("from", from)?, end: side("to", to)? };
    if let (Some(start), Some(end)) = (range.start, range.end)
        && end <= start
    {
        return Err(Problem::bad("`to` is not after `from`"));
    }
    Ok(range)
}

fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(offset) = text.strip_prefix("now") {
        // A plus in a query is a space.
        let (sign, amount) = match offset.split_at_checked(1) {
            None => return Some(now),
            Some(("-", amount)) => (-1, amount),
            Some(("+" | " ", amount)) => (1, amount),
            Some(_) => return None,
        };
        return Some(Timestamp(now.micros().checked_add(sign * span(amount)?)?));
    }
    Timestamp::parse(text).or_else(|| TimeRange::of(text)?.start)
}

/// Microseconds of `90s`, `15m`, `3h`, `7d`, `2w`.
pub(crate) fn span(text: &str) -> Option<i64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 7 * 86_400,
        _ => return None,
    };
    let number = text.get(..text.len() - 1)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(unit)?.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
        let check = |text: &str, want: Option<&str>| {
            let got = time(text, now).map(|t| t.to_string());
            assert_eq!(got, want.map(|w| format!("{w}.000000Z")), "{text}");
        };
        check("now", Some("2026-11-21T10:00:00"));
        check("now-3h", Some("2026-11-21T07:00:00"));
        check("now 1d", Some("2026-11-22T10:00:00"));
        check("2026-07", Some("2026-07-01T00:00:00"));
        check("2026-07-01T10:00:00+02:00", Some("2026-07-01T08:00:00"));
        for odd in ["", "nowish", "now-", "now-h", "now--3h", "now-99999999999999w", "yesterday", "now-é"] {
            check(odd, None);
        }
        assert!(range(Some("now"), Some("now-1h"), now).is_err());
        let said = |from: &str| range(Some(from), Some("now"), now).err().map(|problem| problem.detail);
        for from in ["now-15250284w", "now-105800w", "now+416100w"] {
            assert_eq!(said(from).as_deref(), Some("`from` is not in the years 1 to 9999"), "{from}");
        }
        assert_eq!((said("0001-01-01"), said("now-100000w")), (None, None));
    }
}
