//! A session that can read three tables and do nothing else.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::table::LakeTable;
use super::{Limits, json_get};
use crate::error::StoreError;
use crate::sight::Sight;

/// Functions that are left out.
const UNBOUNDED: [&str; 12] = [
    "repeat",
    "lpad",
    "rpad",
    "space",
    "levenshtein",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "range",
    "generate_series",
    "gen_series",
];

/// Parts of a table that are read side by side.
pub(super) const PARTS: usize = 2;

/// Neither definitions nor changes nor settings.
pub(super) fn reading_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// Operators that a query may have: each may nest what stands beside it once more, and trees are walked and dropped by
/// recursion, which ends the whole program where the stack does.
const OPERATORS: usize = 400;

/// Refuses what might be nested too deeply, before it is parsed.
pub(super) fn check_depth(query: &str) -> Result<(), StoreError> {
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize();
    let tokens = tokens.map_err(|e| StoreError::Query(e.to_string()))?;
    let nests = |token: &&Token| match token {
        Token::Word(word) => NESTING.contains(&word.keyword),
        Token::Comma
        | Token::Period
        | Token::RParen
        | Token::SemiColon
        | Token::EOF
        | Token::Whitespace(_) => false,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => false,
        _ => true,
    };
    let operators = tokens.iter().filter(nests).count();
    if operators > OPERATORS {
        return Err(StoreError::Query(format!(
            "the query has {operators} operators, {OPERATORS} are allowed; a list of values is written `IN (…)`"
        )));
    }
    Ok(())
}

/// Words that stand between or before expressions and queries.
const NESTING: [Keyword; 17] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::JOIN,
    Keyword::SELECT,
    Keyword::CASE,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::IS,
    Keyword::BETWEEN,
    Keyword::AT,
    Keyword::COLLATE,
    Keyword::EXPLAIN,
];

/// A session over these tables, or over as much of them as may be seen.
pub(super) fn session(
    tables: Vec<LakeTable>,
    limits: &Limits,
    sight: Option<&Sight>,
) -> Result<SessionContext, StoreError> {
    let wrong = |e: datafusion::error::DataFusionError| StoreError::Query(e.to_string());
    // What does not fit into memory is refused: a spilled sort would leave records on disk.
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(wrong)?;
    let config = SessionConfig::new().with_information_schema(true).with_target_partitions(PARTS);
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_physical_optimizer_rule(Arc::new(Yielding))
        .build();
    let context = SessionContext::new_with_state(state);
    context.register_udf(json_get::json_get());
    // What they make is not counted as memory, or takes long without a look at the clock.
    for name in UNBOUNDED {
        context.deregister_udf(name);
        context.deregister_udtf(name);
    }
    for mut table in tables {
        table.seen = sight.map(Sight::condition).transpose()?;
        context.register_table(table.name, Arc::new(table)).map_err(wrong)?;
    }
    Ok(context)
}

/// Makes joins give way: one row of a join without a condition may have millions of partners, and what never waits
/// cannot be stopped.
#[derive(Debug)]
struct Yielding;

impl PhysicalOptimizerRule for Yielding {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let done = plan.transform_up(|node| {
            if node.name().contains("Join") {
                return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>));
            }
            Ok(Transformed::no(node))
        });
        done.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "yielding"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
