//! From which audit level on a value can be recorded.

use super::{Field, FieldRef, falco};
use crate::event::Level;

impl FieldRef {
    /// The least audit level at which the value can be in an event.
    ///
    /// The registry says it for the entry; below `event` and `falco`, which reach everything, the path does.
    pub fn level(&self) -> Level {
        match self.field() {
            Field::Document => of_pointer(self.path().split('.').next()),
            Field::Falco => falco::level(self.path()),
            field => match field.info().level {
                "RequestResponse" => Level::RequestResponse,
                "Request" => Level::Request,
                _ => Level::Metadata,
            },
        }
    }
}

/// The level of what the first key of a path into the event names.
pub(super) fn of_pointer(key: Option<&str>) -> Level {
    match key {
        Some("requestObject") => Level::Request,
        Some("responseObject") => Level::RequestResponse,
        _ => Level::Metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_or_the_path_says_the_level() {
        let check =
            |name: &str, want: Level| assert_eq!(FieldRef::parse(name).unwrap().level(), want, "{name}");
        check("verb", Level::Metadata);
        check("pod.hostPID", Level::Request);
        check("responseObject.metadata.uid", Level::RequestResponse);
        check("event.kind", Level::Metadata);
        check("event.requestObject.spec", Level::Request);
        let of = |name: &str, arg: Option<&str>| {
            falco::Expr::Field(name.to_owned(), arg.map(str::to_owned)).field_ref().level()
        };
        assert_eq!(of("ka.req.pod.volumes.hostpath", None), Level::Request);
        assert_eq!(of("ka.target.pod.name", None), Level::RequestResponse);
        assert_eq!(of("jevt.value", Some("/responseObject/spec")), Level::RequestResponse);
        assert_eq!(of("jevt.value", Some("/stage")), Level::Metadata);
        let both = falco::Expr::Call(
            falco::Function::Equal,
            vec![
                falco::Expr::Field("ka.user.name".into(), None),
                falco::Expr::Field("ka.req.binding.role".into(), None),
            ],
        );
        assert_eq!(both.field_ref().level(), Level::Request);
    }
}
