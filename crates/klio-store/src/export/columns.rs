//! Which columns an export has.

use klio_model::{Event, Field, FieldRef};

use crate::columns::column;
use crate::error::StoreError;
use crate::scan::Kept;

/// Columns of an export, by the names of the table `events` or of fields.
#[derive(Clone, Debug)]
pub struct ExportColumns(pub(super) Vec<ExportColumn>);

#[derive(Clone, Debug)]
pub(super) struct ExportColumn {
    pub name: String,
    pub from: From,
}

/// Where the values of a column come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    Time,
    Received,
    Cluster,
    Source,
    Field(FieldRef),
}

/// What an auditor asks first.
const DEFAULT: [&str; 12] = [
    "time",
    "cluster",
    "user_name",
    "verb",
    "resource",
    "subresource",
    "namespace",
    "name",
    "code",
    "source_ip",
    "agent",
    "audit_id",
];

impl Default for ExportColumns {
    fn default() -> Self {
        let known = DEFAULT
            .iter()
            .filter_map(|name| from(name).ok().map(|from| ExportColumn { name: (*name).into(), from }));
        Self(known.collect())
    }
}

impl ExportColumns {
    /// Columns by name.
    ///
    /// # Errors
    /// [`StoreError::Query`] for a name that is neither a column nor a field.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, StoreError> {
        let one = |name: &S| {
            let name = name.as_ref();
            Ok(ExportColumn { name: name.to_owned(), from: from(name)? })
        };
        names.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| column.name.as_str())
    }
}

fn from(name: &str) -> Result<From, StoreError> {
    Ok(match name {
        "time" => From::Time,
        "received" => From::Received,
        "cluster" => From::Cluster,
        "source" => From::Source,
        _ => match column(name).and_then(|c| c.field) {
            Some(field) => From::Field(FieldRef::of(field)),
            None => From::Field(FieldRef::parse(name).map_err(|e| {
                StoreError::Query(format!("{e}; a column of the table `events` will do, too"))
            })?),
        },
    })
}

impl ExportColumn {
    /// The value as text; several values stand side by side with commas.
    pub(super) fn text(&self, kept: &Kept, event: Option<&Event<'_>>) -> Option<String> {
        match &self.from {
            From::Time => kept.time.map(|t| t.to_string()),
            From::Received => Some(kept.received.to_string()),
            From::Cluster => Some(kept.cluster.clone()),
            From::Source => Some(kept.source.clone()),
            From::Field(field) => {
                let values = field.values(event?);
                (!values.is_empty()).then(|| values.join(","))
            }
        }
    }

    /// The number that the column holds, if it holds numbers.
    pub(super) fn number(&self, kept: &Kept, event: Option<&Event<'_>>) -> Option<i64> {
        match &self.from {
            From::Time => kept.time.map(|t| t.micros()),
            From::Received => Some(kept.received.micros()),
            From::Field(field) if field.field() == Field::Code => event?.code,
            _ => None,
        }
    }
}
