//! Falco's names for what Klio's registry has under another.
//!
//! Equal fields become registry fields, so that the engine's dispatch knows them; the others are read by
//! `klio_model::field::falco`.

use klio_model::field::falco::{Argument, Expr, Function, Kind, lookup, names};
use klio_model::field::{FIELDS, Holds};
use klio_model::{Field, FieldRef};

use super::nearest;

/// Where a value is read.
pub(super) enum Reading {
    /// In this field.
    Field(FieldRef),
    /// Nowhere: Falco has a bug.
    Never,
    /// `jevt.rawtime`, which every event that Falco takes has.
    RawTime,
}

/// The registry's entry for a field.
pub(super) fn reading(expr: &Expr) -> Reading {
    let Expr::Field(name, arg) = expr else { return Reading::Field(expr.field_ref()) };
    let field = match name.as_str() {
        "ka.auditid" => Field::AuditId,
        "ka.stage" => Field::Stage,
        "ka.verb" => Field::Verb,
        "ka.uri" => Field::Uri,
        "ka.useragent" => Field::UserAgent,
        "ka.user.name" => Field::User,
        "ka.user.groups" => Field::Groups,
        "ka.impuser.name" => Field::Impersonated,
        "ka.target.name" | "ka.req.configmap.name" => Field::Name,
        "ka.target.namespace" => Field::Namespace,
        "ka.target.resource" => Field::Resource,
        "ka.target.subresource" => Field::Subresource,
        "ka.auth.decision" => Field::Decision,
        "ka.auth.reason" => Field::DecisionReason,
        "ka.security.pod.violations" => Field::PodSecurity,
        "ka.response.code" => Field::Code,
        "ka.response.reason" => Field::Reason,
        "jevt.rawtime" | "json.rawtime" => return Reading::RawTime,
        "jevt.value" | "json.value" => match arg.as_deref().and_then(pointed) {
            Some(field) => field,
            None => return Reading::Field(expr.field_ref()),
        },
        // Falco's plugin looks for the addresses among the rules of a role (falcosecurity/plugins issue 236).
        "ka.sourceips" => return Reading::Never,
        _ => {
            return Reading::Field(
                below(name).map_or_else(|| expr.field_ref(), |(field, path)| FieldRef::below(field, path)),
            );
        }
    };
    Reading::Field(FieldRef::of(field))
}

/// Fields that are one path in a body or an annotation.
fn below(name: &str) -> Option<(Field, &'static str)> {
    Some(match name {
        "ka.auth.openshift.decision" => (Field::Annotations, "authentication.openshift.io/decision"),
        "ka.auth.openshift.username" => (Field::Annotations, "authentication.openshift.io/username"),
        "ka.validations.admission.policy.failure" => {
            (Field::Annotations, "validation.policy.admission.k8s.io/validation_failure")
        }
        "ka.cluster.name" => (Field::Annotations, "cluster_name"),
        "ka.resp.name" => (Field::ResponseObject, "metadata.name"),
        "ka.req.binding.role" => (Field::RequestObject, "roleRef.name"),
        "ka.req.configmap.obj" => (Field::RequestObject, "data"),
        "ka.req.service.type" => (Field::RequestObject, "spec.type"),
        "ka.req.pod.host_ipc" => (Field::RequestObject, "spec.hostIPC"),
        "ka.req.pod.host_pid" => (Field::RequestObject, "spec.hostPID"),
        "ka.req.pod.host_network" | "ka.req.container.host_network" => {
            (Field::RequestObject, "spec.hostNetwork")
        }
        "ka.req.pod.run_as_user" => (Field::RequestObject, "spec.securityContext.runAsUser"),
        "ka.req.pod.run_as_group" => (Field::RequestObject, "spec.securityContext.runAsGroup"),
        "ka.req.pod.fs_group" => (Field::RequestObject, "spec.securityContext.fsGroup"),
        _ => return None,
    })
}

/// The registry field that a pointer into the event names.
fn pointed(pointer: &str) -> Option<Field> {
    let tokens = pointer.strip_prefix('/').unwrap_or(pointer).split('/');
    let path = tokens.map(|t| t.replace("~1", "/").replace("~0", "~")).collect::<Vec<_>>().join(".");
    let info = FIELDS.iter().find(|i| !i.path.is_empty() && i.path == path)?;
    matches!(info.holds, Holds::Text | Holds::Number).then_some(info.field)
}

/// Whether a value comes from the audit plugin, which reads only events that have an `auditID`.
pub(super) fn is_audit(expr: &Expr) -> bool {
    match expr {
        Expr::Field(name, _) => name.starts_with("ka."),
        Expr::Literal(_) => false,
        Expr::Call(_, args) => args.iter().any(is_audit),
    }
}

/// What is wrong with an expression.
pub(super) struct Misuse {
    pub message: String,
    pub advice: Option<String>,
    /// A name that does not exist, which a rule may allow.
    pub unknown: bool,
}

fn misuse<T>(message: String, advice: Option<&str>) -> Result<T, Misuse> {
    Err(Misuse { message, advice: advice.map(str::to_owned), unknown: false })
}

/// What kind of value an expression has, after checking its names, arguments and types.
pub(super) fn kind(expr: &Expr) -> Result<Kind, Misuse> {
    let (function, args) = match expr {
        Expr::Literal(_) => return Ok(Kind::Text),
        Expr::Field(name, arg) => return field_kind(name, arg.as_deref()),
        Expr::Call(function, args) => (*function, args),
    };
    let kinds = args.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    let name = function.name();
    match (function, kinds.as_slice()) {
        (Function::Len, [Kind::Text | Kind::List]) => Ok(Kind::Number),
        (
            Function::ToLower | Function::ToUpper | Function::Base64 | Function::Basename,
            [kind @ (Kind::Text | Kind::List)],
        ) => Ok(*kind),
        (
            Function::Len | Function::ToLower | Function::ToUpper | Function::Base64 | Function::Basename,
            [Kind::Number],
        ) => misuse(format!("{name}() works on text, and this is a number"), None),
        (
            Function::Len | Function::ToLower | Function::ToUpper | Function::Base64 | Function::Basename,
            _,
        ) => misuse(format!("{name}() takes one value"), None),
        (Function::Join, [Kind::Text, Kind::List]) => Ok(Kind::Text),
        (Function::Join, _) => {
            misuse("join() takes a separator and a list".to_owned(), Some("write join(\",\", a.list.field)"))
        }
        (Function::Concat, [_, _, ..]) if kinds.iter().all(|k| *k == Kind::Text) => Ok(Kind::Text),
        (Function::Concat, _) => {
            misuse("concat() takes two or more texts".to_owned(), Some("join a list with join()"))
        }
        (Function::GetOpt, [Kind::List, Kind::Text]) => Ok(Kind::List),
        (Function::GetOpt, [Kind::List, Kind::Text, Kind::Text]) => match &args[2] {
            Expr::Literal(letter) if letter.chars().count() == 1 => Ok(Kind::Text),
            _ => misuse("the argument of getopt() is one letter".to_owned(), None),
        },
        (Function::GetOpt, _) => misuse("getopt() takes a list and the option letters".to_owned(), None),
        (Function::List, kinds) if kinds.iter().all(|k| *k == Kind::Text) => Ok(Kind::List),
        _ => misuse(format!("{name}() cannot take these values"), None),
    }
}

fn field_kind(name: &str, arg: Option<&str>) -> Result<Kind, Misuse> {
    let Some(shape) = lookup(name) else {
        let advice = nearest(name, names()).map_or_else(
            || "a k8s_audit rule has the fields ka.*, jevt.*, json.* and evt.*".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Misuse {
            message: format!("unknown field `{name}`"),
            advice: Some(advice),
            unknown: true,
        });
    };
    match (shape.argument, arg) {
        (Argument::None | Argument::Index, None) | (Argument::Key, Some(_)) => Ok(shape.kind),
        (Argument::Index, Some(index)) if index.parse::<u32>().is_ok() => Ok(shape.kind),
        (Argument::Index, Some(_)) => {
            misuse(format!("the argument of `{name}` is an index"), Some("write a number, or nothing"))
        }
        (Argument::None, Some(_)) => {
            misuse(format!("`{name}` takes no argument"), Some("drop the part in brackets"))
        }
        (Argument::Key, None) => {
            let example = if matches!(name, "jevt.value" | "json.value") { "/objectRef/name" } else { "key" };
            misuse(format!("`{name}` needs an argument"), Some(&format!("write {name}[{example}]")))
        }
    }
}
