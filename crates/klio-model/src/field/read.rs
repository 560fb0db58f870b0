//! Reading the values of a field out of an event.

use super::walk::walk;
use super::{Field, FieldRef};
use crate::event::{Event, Level, Recorded, query_pairs, text};
use crate::json::Json;

/// One value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'v> {
    /// Text.
    Text(&'v str),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// An object: it is present, but no text equals it.
    Tree(&'v Json<'v>),
    /// The same, as JSON.
    Object(&'v str),
}

/// Whether a field had a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// At least one.
    Present,
    /// None, and the event would show it.
    Absent,
    /// None, or not all: the audit level, the stage or a cut may have kept some out.
    Unknown,
}

impl<'v> Value<'v> {
    fn of(json: &'v Json<'v>) -> Self {
        match json {
            Json::String(s) => Self::Text(s),
            Json::Int(n) => Self::Int(*n),
            Json::Float(n) => Self::Float(*n),
            Json::Bool(b) => Self::Bool(*b),
            tree => Self::Tree(tree),
        }
    }

    /// The value as text: numbers and booleans as JSON writes them, objects as JSON.
    pub fn to_text(self) -> std::borrow::Cow<'v, str> {
        match self {
            Self::Text(s) | Self::Object(s) => s.into(),
            Self::Int(n) => n.to_string().into(),
            Self::Float(n) => n.to_string().into(),
            Self::Bool(b) => if b { "true" } else { "false" }.into(),
            Self::Tree(tree) => tree.to_text().into(),
        }
    }
}

impl Event<'_> {
    /// The text of a plain text field that every event has as a whole; `None` for fields of other kinds.
    /// The inner option is whether it is there.
    #[inline]
    pub(crate) fn plain(&self, field: Field) -> Option<Option<&str>> {
        Some(match field {
            Field::AuditId => text(&self.audit_id),
            Field::Verb => text(&self.verb),
            Field::Uri => text(&self.request_uri),
            Field::UriPath => self.path(),
            Field::User => text(&self.user.name),
            Field::UserUid => text(&self.user.uid),
            Field::UserNamespace => self.user_namespace(),
            Field::UserKind => Some(self.user_kind().name()),
            Field::Person => self.people.and_then(|people| people.of(self)).map(|p| p.name.as_str()),
            Field::Team => self.people.and_then(|people| people.of(self)).and_then(|p| p.team.as_deref()),
            Field::Impersonated => self.impersonated.as_ref().and_then(|i| text(&i.name)),
            Field::ImpersonatedUid => self.impersonated.as_ref().and_then(|i| text(&i.uid)),
            Field::SourceIp => self.source_ip(),
            Field::SourceScope => self.source_ip().and_then(crate::event::SourceScope::of).map(|s| s.name()),
            Field::UserAgent => text(&self.user_agent),
            Field::Resource => text(&self.object.resource),
            Field::Subresource => text(&self.object.subresource),
            Field::Namespace => text(&self.object.namespace),
            Field::Name => text(&self.object.name),
            Field::ObjectUid => text(&self.object.uid),
            Field::ApiGroup => text(&self.object.api_group),
            Field::ApiVersion => text(&self.object.api_version),
            Field::ResourceVersion => text(&self.object.resource_version),
            Field::Status => text(&self.status),
            Field::Message => text(&self.message),
            Field::Reason => text(&self.reason),
            Field::Outcome => Some(self.outcome().name()),
            Field::Time => text(&self.received).or_else(|| text(&self.staged)),
            Field::StageTime => text(&self.staged),
            Field::Stage => Some(self.stage.name()).filter(|s| !s.is_empty()),
            Field::Level => match self.level {
                Level::Unstated => None,
                Level::Metadata => Some("Metadata"),
                Level::Request => Some("Request"),
                Level::RequestResponse => Some("RequestResponse"),
            },
            _ => return None,
        })
    }

    /// Whether the part that holds the field is no JSON.
    fn unreadable(&self, field: Field) -> bool {
        match field {
            Field::Groups => self.user.groups.unreadable(),
            Field::Extra | Field::Credential => self.user.extra.unreadable(),
            Field::ImpersonatedGroups => self.impersonated.as_ref().is_some_and(|i| i.groups.unreadable()),
            Field::ImpersonatedExtra => self.impersonated.as_ref().is_some_and(|i| i.extra.unreadable()),
            Field::Authentication => self.authentication.unreadable(),
            Field::SourceIps | Field::SourceIp | Field::SourceScope => self.source_ips.unreadable(),
            Field::Annotations => self.annotations.unreadable(),
            Field::Object | Field::Document => self.document().is_none(),
            _ => false,
        }
    }

    /// Whether a field without a value is known to have none.
    fn missing(&self, field: Field) -> Seen {
        let recorded = match field {
            Field::RequestObject => self.request_recorded(),
            Field::ResponseObject => self.response_recorded(),
            Field::Code
            | Field::Status
            | Field::Message
            | Field::Reason
            | Field::Annotations
            | Field::Decision
            | Field::DecisionReason
            | Field::PodSecurity
                if !self.unreadable(field) =>
            {
                self.outcome_recorded()
            }
            _ if self.salvaged || field.info().needs_memory || self.unreadable(field) => Recorded::No,
            _ => Recorded::Yes,
        };
        if recorded == Recorded::Yes { Seen::Absent } else { Seen::Unknown }
    }

    /// Calls `f` for each value of a field; `f` returns true to stop.
    pub fn visit(&self, at: &FieldRef, f: &mut dyn FnMut(Value<'_>) -> bool) -> Seen {
        let field = at.field();
        if field == Field::Falco {
            return super::falco::visit(self, at.path(), f);
        }
        if let Some(found) = self.plain(field) {
            return match found {
                Some(value) => {
                    f(Value::Text(value));
                    Seen::Present
                }
                None => self.missing(field),
            };
        }
        let mut any = false;
        let mut each = |value: Value<'_>| {
            any = true;
            f(value)
        };
        let tree = |json: Option<&Json<'_>>, path: &str, each: &mut dyn FnMut(Value<'_>) -> bool| {
            if let Some(json) = json {
                walk(json, path, &mut |j| each(Value::of(j)));
            }
        };
        let path = at.path();
        let mut computed = Recorded::Yes;
        match field {
            Field::Code => {
                if let Some(code) = self.code {
                    each(Value::Int(code));
                }
            }
            Field::DryRun => {
                each(Value::Bool(self.dry_run()));
            }
            Field::RequestWrite => {
                each(Value::Bool(self.is_write()));
            }
            Field::ExecCommand => {
                if let Some(command) = self.exec_command() {
                    each(Value::Text(&command));
                }
            }
            Field::UriParam => {
                for (key, value) in query_pairs(text(&self.request_uri).unwrap_or_default()) {
                    if (path.is_empty() || key == path) && each(Value::Text(&value)) {
                        break;
                    }
                }
            }
            Field::Credential => {
                if let Some(credential) = self.credential() {
                    each(Value::Text(credential));
                }
            }
            Field::Decision => {
                if let Some(t) = self.annotation("authorization.k8s.io/decision") {
                    each(Value::Text(&t));
                }
            }
            Field::DecisionReason => {
                if let Some(t) = self.annotation("authorization.k8s.io/reason") {
                    each(Value::Text(&t));
                }
            }
            Field::PodSecurity => {
                if let Some(t) = self.annotation("pod-security.kubernetes.io/audit-violations") {
                    each(Value::Text(&t));
                }
            }
            Field::Groups
                if path.is_empty() && self.user.groups.each_string(&mut |group| each(Value::Text(group))) => {
            }
            Field::Groups => tree(self.user.groups.tree(), path, &mut each),
            Field::Extra => tree(self.user.extra.tree(), path, &mut each),
            Field::ImpersonatedGroups => {
                tree(self.impersonated.as_ref().and_then(|i| i.groups.tree()), path, &mut each);
            }
            Field::ImpersonatedExtra => {
                tree(self.impersonated.as_ref().and_then(|i| i.extra.tree()), path, &mut each);
            }
            Field::Authentication => tree(self.authentication.tree(), path, &mut each),
            Field::SourceIps
                if path.is_empty()
                    && self.source_ips.each_string(&mut |address| each(Value::Text(address))) => {}
            Field::SourceIps => tree(self.source_ips.tree(), path, &mut each),
            Field::Annotations if !path.is_empty() => match self.flat_annotation(path) {
                Some(None) => return Seen::Absent,
                Some(Some(text)) => {
                    each(Value::Text(&text));
                }
                None => tree(self.annotations.tree(), path, &mut each),
            },
            Field::Annotations => match self.flat_annotations().and_then(crate::event::Flat::to_text) {
                Some(text) => {
                    each(Value::Object(text));
                }
                None => tree(self.annotations.tree(), path, &mut each),
            },
            Field::RequestObject => tree(self.request_object.tree(), path, &mut each),
            Field::ResponseObject => tree(self.response_object.tree(), path, &mut each),
            Field::Patch => {
                computed = self.written();
                tree(self.patched(), path, &mut each);
            }
            Field::Object => tree(self.document().and_then(|d| d.get("objectRef")), path, &mut each),
            Field::Document => tree(self.document(), path, &mut each),
            Field::Pod => {
                let (root, below) = match path.strip_prefix("metadata") {
                    Some(rest) if rest.is_empty() || rest.starts_with('.') => {
                        ("metadata", rest.trim_start_matches('.'))
                    }
                    _ => ("spec", path),
                };
                computed = self.pods(&mut |pod| {
                    pod.get(root).is_some_and(|part| walk(part, below, &mut |j| each(Value::of(j))))
                });
            }
            Field::PodHostPath => computed = self.host_paths(&mut |path| each(Value::Text(path))),
            Field::VolumeHostPath => computed = self.volume_paths(&mut |path| each(Value::Text(path))),
            Field::PatchRemoved => computed = self.removed(&mut |path| each(Value::Text(path))),
            Field::Container => {
                computed = self.containers(&mut |c| walk(c, path, &mut |j| each(Value::of(j))));
            }
            Field::Grant => computed = self.grants(&mut |grant| each(Value::Text(grant))),
            Field::Subject => computed = self.subjects(&mut |subject| each(Value::Text(subject))),
            Field::RoleRef if is_binding(self) => {
                computed = self.written();
                tree(self.patched(), "roleRef.name", &mut each);
            }
            _ if field.info().needs_memory => {
                if let Some(value) = self.facts.as_ref().and_then(|facts| facts.value(field)) {
                    each(value);
                }
            }
            _ if field.info().needs_outside => {
                let outside = self.outside.as_ref();
                computed = outside.map_or(Recorded::No, |outside| outside.values(field, &mut each));
            }
            _ => {}
        }
        if computed == Recorded::No {
            Seen::Unknown
        } else if any {
            Seen::Present
        } else if self.has_part(field) {
            // The part is there and the path below it is not.
            Seen::Absent
        } else {
            self.missing(field)
        }
    }

    fn has_part(&self, field: Field) -> bool {
        match field {
            Field::RequestObject => self.request_object.tree().is_some(),
            Field::ResponseObject => self.response_object.tree().is_some(),
            Field::Annotations => self.annotations.tree().is_some(),
            // Their keys are looked for in the text, readable or not.
            Field::Decision | Field::DecisionReason | Field::PodSecurity => self.annotations.text().is_some(),
            _ => false,
        }
    }
}

fn is_binding(event: &Event<'_>) -> bool {
    matches!(text(&event.object.resource), Some("rolebindings" | "clusterrolebindings"))
}

impl Event<'_> {
    /// The text of a plain text field; `None` if it is missing or the field holds something else.
    #[inline]
    pub fn text_of(&self, field: Field) -> Option<&str> {
        self.plain(field).flatten()
    }
}

impl FieldRef {
    /// All values of the field in an event, as text.
    pub fn values(&self, event: &Event<'_>) -> Vec<String> {
        let mut out = Vec::new();
        event.visit(self, &mut |value| {
            out.push(value.to_text().into_owned());
            false
        });
        out
    }
}
