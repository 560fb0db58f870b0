//! SQL over the lake, for reading only, for those who see everything.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::archive::{ArchiveError, SqlPart};
use crate::input::Given;
use crate::visitor::Visitor;
use crate::{Archive, Problem, Web, stream};

/// Rows, if nobody says how many.
const ROWS: u64 = 10_000;

/// A question in SQL.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Sql {
    /// One SELECT over the tables `events`, `findings` and `incidents`.
    query: String,
    /// Rows at most; usually 10,000.
    limit: Option<u64>,
    /// Seconds at most.
    seconds: Option<u64>,
    /// json or jsonl; usually json.
    #[serde(default)]
    format: Rows,
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rows {
    /// One object: `columns`, `rows`, `count`, and `cut` if there were more.
    #[default]
    Json,
    /// Each row a line. As many lines as the limit says: there may be more.
    Jsonl,
}

/// What the object of an answer holds.
#[derive(Debug, ToSchema)]
#[allow(dead_code)]
pub(crate) struct SqlAnswer {
    /// Names of the columns.
    columns: Vec<String>,
    /// Each an object.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<()>,
    /// How many.
    count: u64,
    /// Whether there were more.
    cut: bool,
}

/// Rows, while they are found. If the connection breaks off they are not all.
#[utoipa::path(post, path = "/api/v1/sql", tag = "events", request_body = Sql,
    responses((status = 200, description = "Rows", body = SqlAnswer)))]
pub(crate) async fn sql(
    State(web): State<Web>,
    visitor: Visitor,
    Given(asked): Given<Sql>,
) -> Result<Response, Problem> {
    let limits = web.limits();
    let most = asked.limit.unwrap_or(ROWS).min(limits.sql_rows);
    let time = asked.seconds.map_or(limits.question, |s| Duration::from_secs(s).min(limits.question));
    let (query, format, note) = (asked.query, asked.format, visitor.note.clone());
    let kind = match format {
        Rows::Json => "application/json",
        Rows::Jsonl => "application/x-ndjson",
    };
    let write = move |archive: &dyn Archive, sight: &_, patience: &_, pipe: &mut stream::Pipe| {
        let mut count = 0_u64;
        let mut failed = None;
        let mut take = |part: SqlPart| {
            let result = match (part, format) {
                (SqlPart::Columns(names), Rows::Json) => {
                    let names = serde_json::to_string(&names).unwrap_or_default();
                    write!(pipe, "{{\"columns\":{names},\"rows\":[")
                }
                (SqlPart::Columns(_), Rows::Jsonl) => Ok(()),
                (SqlPart::Rows(rows), _) => rows.iter().try_for_each(|row| {
                    count += 1;
                    match format {
                        Rows::Json if count > 1 => write!(pipe, ",\n{row}"),
                        Rows::Json => pipe.write_all(row.as_bytes()),
                        Rows::Jsonl => writeln!(pipe, "{row}"),
                    }
                }),
            };
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            }
        };
        let cut = archive.sql(sight, patience, &query, most, &mut take)?;
        note.rows(usize::try_from(count).unwrap_or(usize::MAX));
        if failed.is_some() {
            return Err(ArchiveError::ReaderGone);
        }
        if format == Rows::Json {
            write!(pipe, "],\"count\":{count},\"cut\":{cut}}}").map_err(|_| ArchiveError::ReaderGone)?;
        }
        Ok(())
    };
    stream::written(&web, &visitor, kind, time, write).await
}
