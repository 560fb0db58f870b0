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

use super::table::LakeTable;
use super::{Limits, json_get};
use crate::error::StoreError;

/// Parts of a table that are read side by side.
pub(super) const PARTS: usize = 2;

/// Neither definitions nor changes nor settings.
pub(super) fn reading_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

pub(super) fn session(tables: Vec<LakeTable>, limits: &Limits) -> Result<SessionContext, StoreError> {
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
    for table in tables {
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
