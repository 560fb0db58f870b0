//! All events that match, as a file: without a limit, and without holding them.

use std::io::Write;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::archive::ExportFormat;
use crate::input::{Asked, Which};
use crate::visitor::Visitor;
use crate::{Problem, Web, stream};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// The records as they are kept, one a line.
    #[default]
    Jsonl,
    /// RFC 4180 with a heading.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// What is exported, and how.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Export {
    /// jsonl, csv or parquet; usually jsonl.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// A filter, as docs/filter.md has them; all events without one.
    filter: Option<String>,
    /// Of these clusters, with commas between; of all but Klio's own audit (`klio`) without one.
    cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
}

/// All events that match, as a file.
#[utoipa::path(get, path = "/api/v1/events/export", tag = "events", params(Export),
    responses((status = 200, description = "A file; if the connection breaks off it is not whole",
        content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn export(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<Export>,
) -> Result<Response, Problem> {
    let Export { format, filter, cluster, from, to } = asked;
    let question = Which { filter, cluster, from, to }.question(&web, &visitor)?;
    let (format, kind, name) = match format {
        Format::Jsonl => (ExportFormat::Jsonl, "application/x-ndjson", "klio-events.jsonl"),
        Format::Csv => (ExportFormat::Csv, "text/csv; charset=utf-8", "klio-events.csv"),
        Format::Parquet => (ExportFormat::Parquet, "application/vnd.apache.parquet", "klio-events.parquet"),
    };
    let (note, time) = (visitor.note.clone(), web.limits().export);
    let write = move |archive: &dyn crate::Archive, sight: &_, patience: &_, pipe: &mut stream::Pipe| {
        let out: &mut (dyn Write + Send) = pipe;
        let rows = archive.export(sight, patience, &question, format, out)?;
        note.rows(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(())
    };
    let mut answer = stream::written(&web, &visitor, kind, time, write).await?;
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}
