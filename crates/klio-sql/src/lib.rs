//! From the text of a query to its rows.
//!
//! A crate of its own for one reason: whoever awaits DataFusion's SQL planner compiles all of it, which takes minutes.
//! Here it is compiled once and not with each change of the store.

use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::future::BoxFuture;

/// Plans a query.
pub fn plan<'q>(
    context: &'q SessionContext,
    query: &'q str,
    options: SQLOptions,
) -> BoxFuture<'q, Result<DataFrame>> {
    Box::pin(context.sql_with_options(query, options))
}

/// Begins to run it.
pub fn run(frame: DataFrame) -> BoxFuture<'static, Result<SendableRecordBatchStream>> {
    Box::pin(frame.execute_stream())
}
