//! What happened to an object.

use klio_model::Timestamp;
use klio_model::history::{History, Step};
use serde::Serialize;
use utoipa::ToSchema;

/// What happened to an object: who changed which fields and when, rebuilt from answers and patches.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    /// `deployments shop/cart`.
    pub object: String,
    /// Its API group and version, and its kind, as far as they were recorded: `apps/v1 Deployment`.
    pub kind: Option<String>,
    /// Who owns it: `ReplicaSet cart-7c9`.
    pub owners: Vec<String>,
    /// How many versions there were.
    pub versions: u32,
    /// Whether it was deleted.
    pub deleted: bool,
    /// When, if that was recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// What happened, in the order of time.
    #[schema(value_type = Vec<Object>)]
    pub steps: Vec<Step>,
    /// Why changes could not be seen, and what to do about it.
    pub advice: Vec<String>,
    /// Whether there are older events than were looked at.
    pub cut: bool,
}

impl HistoryView {
    pub(crate) fn of(told: History, cut: bool) -> Self {
        let gone = told.gone();
        Self {
            object: told.target.told(),
            advice: told.advice(),
            deleted: gone.is_some(),
            deleted_at: gone.flatten(),
            kind: told.kind,
            owners: told.owners,
            versions: told.versions,
            steps: told.steps,
            cut,
        }
    }
}
