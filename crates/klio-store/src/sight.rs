//! What somebody may see of a lake: enforced where rows are read, so that no answer, count or export can go past it.

use arrow::buffer::BooleanBuffer;
use datafusion::common::Column;
use datafusion::functions::string::expr_fn::starts_with;
use datafusion::logical_expr::{Expr, lit};
use klio_model::{Event, Filter};
use serde_json::Value;

use crate::answer::answer;
use crate::error::StoreError;
use crate::group::Group;
use crate::verdicts::{KeptVerdict, VerdictKind};

/// A name, or all names that begin in one way. Case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// This name.
    Is(String),
    /// Names that begin with this.
    Begins(String),
}

impl Name {
    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Is(own) => own == name,
            Self::Begins(start) => name.starts_with(start.as_str()),
        }
    }

    /// The same of a column.
    fn of_column(&self, column: &str) -> Expr {
        let column = Expr::Column(Column::from_name(column));
        match self {
            Self::Is(own) => column.eq(lit(own.clone())),
            Self::Begins(start) if start.is_empty() => column.is_not_null(),
            Self::Begins(start) => starts_with(column, lit(start.clone())),
        }
    }
}

/// A part of a cluster.
#[derive(Clone, Debug)]
pub struct Part {
    /// The namespaces.
    pub namespaces: Vec<Name>,
    /// Which events are about them: those of which this is certainly true.
    pub filter: Filter,
}

/// Something that may be seen.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Of which clusters.
    pub cluster: Name,
    /// What of them; nothing for all of it.
    pub part: Option<Part>,
}

/// All that may be seen. Nothing, if there are no grants.
#[derive(Clone, Debug, Default)]
pub struct Sight(pub Vec<Grant>);

impl Sight {
    /// Whether an event may be seen.
    pub(crate) fn sees(&self, cluster: &str, event: &Event<'_>) -> bool {
        let sees = |grant: &Grant| {
            grant.cluster.fits(cluster) && grant.part.as_ref().is_none_or(|part| part.filter.matches(event))
        };
        self.0.iter().any(sees)
    }

    /// Whether a finding or an incident may be seen. An incident tells of many events: only who sees all of the cluster does.
    pub(crate) fn sees_verdict(&self, kind: VerdictKind, verdict: &KeptVerdict) -> bool {
        let mut namespace = None;
        let mut of = || {
            let json: Value = serde_json::from_str(&verdict.json).unwrap_or_default();
            json.pointer("/object/namespace").and_then(Value::as_str).map(str::to_owned)
        };
        self.0.iter().filter(|grant| grant.cluster.fits(&verdict.cluster)).any(|grant| match &grant.part {
            None => true,
            Some(_) if kind == VerdictKind::Incident => false,
            Some(part) => {
                let namespace = namespace.get_or_insert_with(&mut of);
                namespace.as_deref().is_some_and(|own| part.namespaces.iter().any(|name| name.fits(own)))
            }
        })
    }

    /// The rows of a group that may be seen perhaps, and those that may be seen for certain.
    pub(crate) fn rows(&self, group: &Group<'_>) -> Result<(BooleanBuffer, BooleanBuffer), StoreError> {
        let none = BooleanBuffer::new_unset(group.rows);
        let (mut may, mut certain) = (none.clone(), none);
        // Without the column it is of no cluster.
        let Some(clusters) = group.words("cluster")? else { return Ok((may, certain)) };
        for grant in &self.0 {
            let rows = clusters.rows(|code| clusters.word(code).is_some_and(|name| grant.cluster.fits(name)));
            if rows.count_set_bits() == 0 {
                continue;
            }
            match &grant.part {
                None => {
                    may = &may | &rows;
                    certain = &certain | &rows;
                }
                Some(part) => {
                    let answers = answer(&part.filter, group, &rows)?;
                    may = &may | &(&rows & &answers.yes);
                    certain = &certain | &(&rows & &answers.certain());
                }
            }
        }
        Ok((may, certain))
    }

    /// The condition on the rows of a table that SQL may see. Of a part of a cluster these are the events whose namespace is
    /// known, and no verdicts: what those tell cannot be told by columns.
    pub(crate) fn condition(&self, table: &str) -> Expr {
        let mut any = lit(false);
        for grant in &self.0 {
            let cluster = grant.cluster.of_column("cluster");
            let one = match &grant.part {
                None => cluster,
                Some(part) if table == "events" => {
                    let names = part.namespaces.iter().map(|name| name.of_column("namespace"));
                    cluster.and(names.fold(lit(false), Expr::or))
                }
                Some(_) => continue,
            };
            any = any.or(one);
        }
        any
    }
}
