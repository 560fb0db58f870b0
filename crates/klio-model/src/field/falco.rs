//! The fields of Falco's audit source, read as its plugins read them.
//!
//! A Falco rule names values such as `ka.req.pod.volumes.hostpath` or `jevt.value[/spec/x]`, and may bend
//! them (`tolower(…)`) or compare two of them. Those that Klio's registry has under another name use that
//! entry; the rest are paths below the registry's `falco`, whose path is an [`Expr`] in a spelling without
//! brackets, blanks or empty segments, so that it is a field name like any other.
//!
//! Source of the facts: falcosecurity/plugins, `plugins/k8saudit/pkg/k8saudit/{fields,extract}.go` and
//! `plugins/json/pkg/json/json.go`; falcosecurity/libs, `userspace/libsinsp` for `evt.*` and transformers.

mod bend;
mod read;
mod spell;
mod time;

use super::{Field, FieldRef, Seen};
use crate::event::Level;

pub(super) use read::visit;
pub use read::{Got, get};
pub use time::indent;

/// What may stand in brackets after a field's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// Nothing.
    None,
    /// An index into a list; may be left out.
    Index,
    /// A key or pointer; must be there.
    Key,
}

/// What kind of value an expression has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One text.
    Text,
    /// A list of texts.
    List,
    /// A whole number.
    Number,
}

/// A field's value kind and argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// What it holds.
    pub kind: Kind,
    /// What may stand in brackets.
    pub argument: Argument,
}

const fn shape(kind: Kind, argument: Argument) -> Shape {
    Shape { kind, argument }
}

const ONE: Shape = shape(Kind::Text, Argument::None);
const KEYED: Shape = shape(Kind::Text, Argument::Key);
const MANY: Shape = shape(Kind::List, Argument::None);
const INDEXED: Shape = shape(Kind::List, Argument::Index);
const NUMBER: Shape = shape(Kind::Number, Argument::None);

/// The lists of containers in a pod spec; each has the fields of [`CONTAINER`].
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The last part of `ka.req.pod.<list>.…`; ephemeral containers have no ports.
const CONTAINER: [&str; 15] = [
    "name",
    "image",
    "image.repository",
    "command",
    "args",
    "privileged",
    "allow_privilege_escalation",
    "read_only_fs",
    "run_as_user",
    "eff_run_as_user",
    "run_as_group",
    "eff_run_as_group",
    "proc_mount",
    "add_capabilities",
    "host_port",
];

const OTHERS: [(&str, Shape); 80] = [
    ("ka.auditid", ONE),
    ("ka.stage", ONE),
    ("ka.auth.decision", ONE),
    ("ka.auth.reason", ONE),
    ("ka.auth.openshift.decision", ONE),
    ("ka.auth.openshift.username", ONE),
    ("ka.validations.admission.policy.failure", ONE),
    ("ka.security.pod.violations", ONE),
    ("ka.user.name", ONE),
    ("ka.user.groups", MANY),
    ("ka.impuser.name", ONE),
    ("ka.verb", ONE),
    ("ka.uri", ONE),
    ("ka.uri.param", KEYED),
    ("ka.target.name", ONE),
    ("ka.target.namespace", ONE),
    ("ka.target.resource", ONE),
    ("ka.target.subresource", ONE),
    ("ka.target.pod.name", ONE),
    ("ka.req.binding.subjects", MANY),
    ("ka.req.binding.subjects.user_names", MANY),
    ("ka.req.binding.subjects.serviceaccount_names", MANY),
    ("ka.req.binding.subjects.serviceaccount_ns_names", MANY),
    ("ka.req.binding.subjects.group_names", MANY),
    ("ka.req.binding.role", ONE),
    ("ka.req.binding.subject.has_name", KEYED),
    ("ka.req.configmap.name", ONE),
    ("ka.req.configmap.obj", ONE),
    ("ka.req.container.image", ONE),
    ("ka.req.container.image.repository", ONE),
    ("ka.req.container.host_network", ONE),
    ("ka.req.container.privileged", ONE),
    ("ka.req.pod.host_ipc", ONE),
    ("ka.req.pod.host_network", ONE),
    ("ka.req.pod.host_pid", ONE),
    ("ka.req.pod.run_as_user", ONE),
    ("ka.req.pod.run_as_group", ONE),
    ("ka.req.pod.fs_group", ONE),
    ("ka.req.pod.supplemental_groups", MANY),
    ("ka.req.pod.volumes.hostpath", INDEXED),
    ("ka.req.pod.volumes.flexvolume_driver", INDEXED),
    ("ka.req.pod.volumes.volume_type", INDEXED),
    ("ka.req.volume.hostpath", KEYED),
    ("ka.req.role.rules", MANY),
    ("ka.req.role.rules.apiGroups", INDEXED),
    ("ka.req.role.rules.nonResourceURLs", INDEXED),
    ("ka.req.role.rules.verbs", INDEXED),
    ("ka.req.role.rules.resources", INDEXED),
    ("ka.req.service.type", ONE),
    ("ka.req.service.ports", INDEXED),
    ("ka.resp.name", ONE),
    ("ka.response.code", ONE),
    ("ka.response.reason", ONE),
    ("ka.useragent", ONE),
    ("ka.sourceips", INDEXED),
    ("ka.cluster.name", ONE),
    ("json.value", KEYED),
    ("json.obj", ONE),
    ("json.rawtime", ONE),
    ("jevt.value", KEYED),
    ("jevt.obj", ONE),
    ("jevt.rawtime", ONE),
    // The generic fields of every event source; time is `stageTimestamp`, in UTC.
    ("evt.time", ONE),
    ("evt.time.s", ONE),
    ("evt.time.iso8601", ONE),
    ("evt.datetime", ONE),
    ("evt.datetime.s", ONE),
    ("evt.rawtime", NUMBER),
    ("evt.rawtime.s", NUMBER),
    ("evt.rawtime.ns", NUMBER),
    ("evt.source", ONE),
    ("evt.type", ONE),
    ("evt.category", ONE),
    ("evt.pluginname", ONE),
    ("evt.plugininfo", ONE),
    ("evt.is_async", ONE),
    // Known names without a value in a recorded log.
    ("evt.num", NUMBER),
    ("evt.asynctype", ONE),
    ("evt.hostname", ONE),
    ("evt.reltime", NUMBER),
];

/// The kind and argument of a field by its exact Falco name.
pub fn lookup(name: &str) -> Option<Shape> {
    if let Some((list, last)) = name.strip_prefix("ka.req.pod.").and_then(|rest| rest.split_once('.'))
        && LISTS.contains(&list)
    {
        let known = CONTAINER.contains(&last) && !(list == LISTS[2] && last == "host_port");
        return known.then_some(INDEXED);
    }
    OTHERS.iter().find(|(n, _)| *n == name).map(|(_, shape)| *shape)
}

/// All names, for suggestions.
pub fn names() -> impl Iterator<Item = String> {
    let containers =
        LISTS.iter().flat_map(|list| CONTAINER.iter().map(move |last| format!("ka.req.pod.{list}.{last}")));
    OTHERS.iter().map(|(name, _)| (*name).to_owned()).chain(containers).filter(|name| lookup(name).is_some())
}

/// A value of Falco's language: a field, a literal, or something computed from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A field with its argument.
    Field(String, Option<String>),
    /// A text.
    Literal(String),
    /// A transformer, a list of values, or a comparison (which is `true` or `false`).
    Call(Function, Vec<Expr>),
}

/// What computes a value from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Function {
    ToLower,
    ToUpper,
    Base64,
    Basename,
    Len,
    Join,
    Concat,
    GetOpt,
    /// `( … , … )` in the arguments of another.
    List,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Contains,
    IContains,
    StartsWith,
    EndsWith,
    In,
    Intersects,
}

impl Function {
    /// Each with its name in rules and field names.
    pub const ALL: [(Self, &'static str); 21] = [
        (Self::ToLower, "tolower"),
        (Self::ToUpper, "toupper"),
        (Self::Base64, "b64"),
        (Self::Basename, "basename"),
        (Self::Len, "len"),
        (Self::Join, "join"),
        (Self::Concat, "concat"),
        (Self::GetOpt, "getopt"),
        (Self::List, "list"),
        (Self::Equal, "eq"),
        (Self::Unequal, "ne"),
        (Self::Less, "lt"),
        (Self::AtMost, "le"),
        (Self::Greater, "gt"),
        (Self::AtLeast, "ge"),
        (Self::Contains, "contains"),
        (Self::IContains, "icontains"),
        (Self::StartsWith, "startswith"),
        (Self::EndsWith, "endswith"),
        (Self::In, "in"),
        (Self::Intersects, "intersects"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(f, _)| *f == self).map_or("", |(_, name)| name)
    }
}

impl Expr {
    /// The registry's name for this value: a path below `falco`.
    pub fn field_ref(&self) -> FieldRef {
        let mut path = String::new();
        self.spell(&mut path);
        FieldRef::below(Field::Falco, &path)
    }
}

/// The least audit level at which all that a path below `falco` names is recorded.
pub(super) fn level(path: &str) -> Level {
    Expr::unspell(path).map_or(Level::Metadata, |expr| expr.level())
}

impl Expr {
    fn level(&self) -> Level {
        let (name, arg) = match self {
            Self::Literal(_) => return Level::Metadata,
            Self::Call(_, args) => return args.iter().map(Self::level).max().unwrap_or(Level::Metadata),
            Self::Field(name, arg) => (name.as_str(), arg.as_deref()),
        };
        match name {
            "jevt.value" | "json.value" => super::level::of_pointer(arg.and_then(|a| a.split('/').nth(1))),
            "ka.target.pod.name" | "ka.resp.name" => Level::RequestResponse,
            "ka.req.configmap.name" => Level::Metadata,
            _ if name.starts_with("ka.req.") => Level::Request,
            _ => Level::Metadata,
        }
    }
}

/// Whether a path below `falco` names a value.
pub(super) fn is_valid(path: &str) -> bool {
    Expr::unspell(path).is_some_and(|expr| match expr {
        Expr::Field(name, _) => lookup(&name).is_some(),
        Expr::Literal(_) | Expr::Call(..) => true,
    })
}

#[cfg(test)]
mod tests;
