//! What somebody may see of a lake: enforced where rows are read, so that no answer, count or export can go past it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit};
use klio_model::{Event, Filter};
use serde_json::{Value, json};

use crate::answer::answer;
use crate::error::StoreError;
use crate::group::Group;
use crate::verdicts::{KeptVerdict, VerdictKind};

/// Says what of a cluster may be seen: events of which the filter is certainly true, or nothing.
type Rule = dyn Fn(&str) -> Option<Filter> + Send + Sync;

/// All that may be seen.
pub struct Sight {
    rule: Box<Rule>,
    /// What the rule said, by cluster.
    told: Mutex<HashMap<String, Option<Arc<Filter>>>>,
    /// Clusters that SQL does not see; nothing if SQL is not for this sight.
    hidden: Option<Vec<String>>,
}

impl Sight {
    /// What the rule says, and no SQL: it cannot be told by columns.
    pub fn new(rule: impl Fn(&str) -> Option<Filter> + Send + Sync + 'static) -> Self {
        Self { rule: Box::new(rule), told: Mutex::default(), hidden: None }
    }

    /// The same for somebody who sees all clusters but these as a whole, and may ask in SQL.
    #[must_use]
    pub fn with_sql_but_for(mut self, hidden: Vec<String>) -> Self {
        self.hidden = Some(hidden);
        self
    }

    fn filter(&self, cluster: &str) -> Option<Arc<Filter>> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = told.get(cluster) {
            return filter.clone();
        }
        let filter = (self.rule)(cluster).map(Arc::new);
        told.insert(cluster.to_owned(), filter.clone());
        filter
    }

    /// Whether an event may be seen.
    pub(crate) fn sees(&self, cluster: &str, event: &Event<'_>) -> bool {
        self.filter(cluster).is_some_and(|filter| filter.matches(event))
    }

    /// Whether a finding or an incident may be seen. Who sees a part of a cluster sees findings about one event, if what they say of
    /// it is enough to know that he may see it; an incident tells of many events, and is for who sees all.
    pub(crate) fn sees_verdict(&self, kind: VerdictKind, verdict: &KeptVerdict) -> bool {
        let Some(filter) = self.filter(&verdict.cluster) else { return false };
        if *filter == Filter::All {
            return true;
        }
        kind == VerdictKind::Finding
            && about(&verdict.json)
                .is_some_and(|text| Event::parse(&text).is_ok_and(|event| filter.matches(&event)))
    }

    /// The rows of a group that may be seen perhaps, and those that may be seen for certain.
    pub(crate) fn rows(&self, group: &Group<'_>) -> Result<(BooleanBuffer, BooleanBuffer), StoreError> {
        let none = BooleanBuffer::new_unset(group.rows);
        let (mut may, mut certain) = (none.clone(), none);
        // Without the column it is of no cluster.
        let Some(clusters) = group.words("cluster")? else { return Ok((may, certain)) };
        for code in 1..=clusters.words.len() as u32 {
            let Some(filter) = clusters.word(code).and_then(|name| self.filter(name)) else { continue };
            let rows = clusters.rows(|of| of == code);
            if *filter == Filter::All {
                may = &may | &rows;
                certain = &certain | &rows;
            } else if rows.count_set_bits() > 0 {
                let answers = answer(&filter, group, &rows)?;
                may = &may | &(&rows & &answers.yes);
                certain = &certain | &(&rows & &answers.certain());
            }
        }
        Ok((may, certain))
    }

    /// The condition on the rows that SQL may see.
    pub(crate) fn condition(&self) -> Result<Expr, StoreError> {
        let Some(hidden) = &self.hidden else {
            return Err(StoreError::Query("SQL is for those who see everything".into()));
        };
        let cluster = || Expr::Column(Column::from_name("cluster"));
        let but_for = |all: Expr, name: &String| all.and(cluster().not_eq(lit(name.clone())));
        Ok(hidden.iter().fold(cluster().is_not_null(), but_for))
    }
}

/// What a finding about one event says of it, as an event.
fn about(finding: &str) -> Option<String> {
    let finding: Value = serde_json::from_str(finding).ok()?;
    if finding.pointer("/evidence")?.as_array()?.len() != 1 {
        return None;
    }
    let part = |path: &str| finding.pointer(path).cloned().unwrap_or(Value::Null);
    let mut object = serde_json::Map::new();
    for (name, path) in [
        ("resource", "/object/resource"),
        ("subresource", "/object/subresource"),
        ("namespace", "/object/namespace"),
        ("name", "/object/name"),
    ] {
        if let text @ Value::String(_) = part(path) {
            object.insert(name.into(), text);
        }
    }
    // Whether the namespace itself is meant cannot be told: the group of the resource is not in a finding.
    if !object.contains_key("namespace") {
        object.remove("name");
    }
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "user": { "username": part("/actor/user") }, "objectRef": object,
    });
    Some(event.to_string())
}

impl std::fmt::Debug for Sight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sight").field("hidden", &self.hidden).finish_non_exhaustive()
    }
}
