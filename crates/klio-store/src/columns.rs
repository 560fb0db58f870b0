//! The columns of the table `events`: made from the registry of fields, with what the lake adds itself.
//!
//! A column holds exactly what the field of its name yields for an event, so that a filter can be answered from
//! columns; what no column holds is asked of the record itself, which is kept as it was received.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field as ArrowField, Int32Type, Schema, SchemaRef, TimeUnit};
use klio_model::Field;

/// How a column is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Text with few distinct values.
    Word,
    /// Text with many distinct values.
    Text,
    /// Microseconds since 1970, UTC.
    Time,
    /// A whole number.
    Int,
    /// true or false.
    Bool,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// As SQL calls it: the field's name with `_`, unless SQL reserves that word.
    pub name: &'static str,
    pub kind: Kind,
    /// The field that it answers.
    pub field: Option<Field>,
}

const fn of(name: &'static str, kind: Kind, field: Field) -> Column {
    Column { name, kind, field: Some(field) }
}

const fn own(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, field: None }
}

/// All columns but the partition's (`class`, `day`), in the order of the file.
pub(crate) const COLUMNS: &[Column] = &[
    of("time", Kind::Time, Field::Time),
    of("stage_time", Kind::Time, Field::StageTime),
    own("cluster", Kind::Word),
    own("source", Kind::Word),
    own("received", Kind::Time),
    of("level", Kind::Word, Field::Level),
    of("stage", Kind::Word, Field::Stage),
    of("audit_id", Kind::Text, Field::AuditId),
    of("verb", Kind::Word, Field::Verb),
    of("user_name", Kind::Word, Field::User),
    of("user_kind", Kind::Word, Field::UserKind),
    of("groups", Kind::Word, Field::Groups),
    of("credential", Kind::Word, Field::Credential),
    of("impersonated", Kind::Word, Field::Impersonated),
    of("source_ip", Kind::Word, Field::SourceIp),
    of("source_scope", Kind::Word, Field::SourceScope),
    of("agent", Kind::Word, Field::UserAgent),
    of("resource", Kind::Word, Field::Resource),
    of("subresource", Kind::Word, Field::Subresource),
    of("namespace", Kind::Word, Field::Namespace),
    of("name", Kind::Word, Field::Name),
    of("api_group", Kind::Word, Field::ApiGroup),
    of("code", Kind::Int, Field::Code),
    of("reason", Kind::Word, Field::Reason),
    of("outcome", Kind::Word, Field::Outcome),
    of("decision", Kind::Word, Field::Decision),
    of("dry_run", Kind::Bool, Field::DryRun),
    of("request_write", Kind::Bool, Field::RequestWrite),
    // Whether a body was recorded.
    own("body", Kind::Bool),
    // The worst finding on this event.
    own("severity", Kind::Word),
    // Whether each column without a value is known to have none.
    own("whole", Kind::Bool),
    // Whether it was cut on its way: what it lacks is unknown and not absent.
    own("salvaged", Kind::Bool),
    // The log leaf of the segment that stated the row first. Merged files keep it, and the order of the rows of each
    // segment, so that the segment's row tree can be computed again.
    own("flush", Kind::Int),
    own("raw", Kind::Text),
];

/// The columns of the tables `findings` and `incidents`: what both are asked for, and the whole as JSON.
pub(crate) const VERDICTS: &[Column] = &[
    own("time", Kind::Time),
    own("id", Kind::Word),
    own("cluster", Kind::Word),
    own("source", Kind::Word),
    own("received", Kind::Time),
    own("severity", Kind::Word),
    own("rule", Kind::Word),
    own("title", Kind::Word),
    own("actor", Kind::Word),
    own("flush", Kind::Int),
    own("raw", Kind::Text),
];

/// The column of `events` with this name.
pub(crate) fn column(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|c| c.name == name)
}

/// The column that answers a field.
pub(crate) fn answering(field: Field) -> Option<&'static Column> {
    COLUMNS.iter().find(|c| c.field == Some(field))
}

/// Columns as Arrow reads and writes them.
pub(crate) fn schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|c| {
        let data = match c.kind {
            Kind::Word => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Kind::Text => DataType::Utf8,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Int => DataType::Int64,
            Kind::Bool => DataType::Boolean,
        };
        ArrowField::new(c.name, data, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The text of a row in a column of words.
pub(crate) fn word<'b>(batch: &'b RecordBatch, name: &str, row: usize) -> Option<&'b str> {
    let words = batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>()?;
    Some(words.values().as_string_opt::<i32>()?.value(words.key(row)?))
}

/// The columns of a table.
pub(crate) fn columns_of(table: &str) -> &'static [Column] {
    if table == "events" { COLUMNS } else { VERDICTS }
}

/// The schema of a table.
pub(crate) fn schema_of(table: &str) -> &'static SchemaRef {
    if table == "events" { &EVENTS } else { &VERDICT }
}

/// The schema of `events`.
pub(crate) static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| schema(COLUMNS));

/// The schema of `findings` and `incidents`.
pub(crate) static VERDICT: LazyLock<SchemaRef> = LazyLock::new(|| schema(VERDICTS));

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use klio_model::field::Holds;

    use super::*;

    #[test]
    fn columns_hold_what_the_registry_says() {
        for column in COLUMNS {
            let Some(field) = column.field else { continue };
            let info = field.info();
            let fits = match column.kind {
                Kind::Word | Kind::Text => matches!(info.holds, Holds::Text | Holds::Strings),
                Kind::Time => info.holds == Holds::Time,
                Kind::Int => info.holds == Holds::Number,
                Kind::Bool => info.holds == Holds::Bool,
            };
            assert!(fits, "{} is {:?}", column.name, info.holds);
            assert!(!info.needs_body, "{} may be unknown", column.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<&str> = COLUMNS.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
