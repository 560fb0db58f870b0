//! Which values of a few fields a filter names, and of which it reads anything at all.

use klio_model::filter::Piece;
use klio_model::{Field, Filter, Matcher, Test, TextMatch};

/// No filter of a rule names more values of one field than are worth asking about.
const VALUES: usize = 256;
/// Filters nest no deeper than their compilers allow; this only keeps the walk from trusting them.
const MAX_DEPTH: usize = 200;

/// A value that a filter names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub text: String,
    /// Without wildcards.
    pub exact: bool,
}

/// What a filter names.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub resources: Vec<Value>,
    pub subresources: Vec<Value>,
    pub verbs: Vec<Value>,
    pub users: Vec<Value>,
    pub kinds: Vec<String>,
    pub groups: Vec<Value>,
    /// Namespaces of service accounts.
    pub homes: Vec<Value>,
    pub namespaces: Vec<Value>,
    pub names: Vec<Value>,
    pub paths: Vec<Value>,
    /// Resources are told apart by more than exact names, so each must be asked about.
    pub every_resource: bool,
    pub every_subresource: bool,
    pub reads_user: bool,
    pub reads_namespace: bool,
    pub reads_name: bool,
    pub reads_stage: bool,
    pub reads_path: bool,
    /// Computed fields that only some resources have.
    pub reads_pod: bool,
    pub reads_volume: bool,
    pub reads_grant: bool,
    pub reads_binding: bool,
}

impl Named {
    pub fn of(filter: &Filter) -> Self {
        let mut named = Self::default();
        named.walk(filter, 0);
        named
    }

    fn walk(&mut self, filter: &Filter, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match filter {
            Filter::All | Filter::Nothing | Filter::Keyword(_) => {}
            Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|p| self.walk(p, depth + 1)),
            Filter::Not(part) => self.walk(part, depth + 1),
            Filter::Test(test) => self.test(test),
        }
    }

    fn test(&mut self, test: &Test) {
        self.reads(test.field.field());
        let fields = [test.field.field()];
        let other = if let Matcher::Same(other) = &test.matcher { Some(other.field()) } else { None };
        if let Some(other) = other {
            self.reads(other);
        }
        let texts: &[TextMatch] = match &test.matcher {
            Matcher::Text(text) => std::slice::from_ref(text),
            Matcher::OneOf(texts) => texts,
            Matcher::Present => &[],
            _ => {
                // Regular expressions and comparisons draw lines that no list of names shows.
                for field in fields.into_iter().chain(other) {
                    self.every_resource |= matches!(field, Field::Resource | Field::ApiGroup);
                    self.every_subresource |= field == Field::Subresource;
                }
                return;
            }
        };
        let field = test.field.field();
        let values: Vec<Value> = texts.iter().take(VALUES).map(value).collect();
        let open = values.iter().any(|v| !v.exact);
        let list = match field {
            Field::Resource => {
                self.every_resource |= open;
                &mut self.resources
            }
            Field::Subresource => {
                self.every_subresource |= open;
                &mut self.subresources
            }
            Field::ApiGroup => {
                self.every_resource = true;
                return;
            }
            Field::Verb => &mut self.verbs,
            Field::User => &mut self.users,
            Field::UserKind => {
                self.kinds.extend(values.into_iter().map(|v| v.text));
                return;
            }
            Field::Groups => &mut self.groups,
            Field::UserNamespace => &mut self.homes,
            Field::Namespace => &mut self.namespaces,
            Field::Name => &mut self.names,
            Field::UriPath | Field::Uri => &mut self.paths,
            _ => return,
        };
        for value in values {
            if !list.contains(&value) && list.len() < VALUES {
                list.push(value);
            }
        }
    }

    fn reads(&mut self, field: Field) {
        match field {
            Field::User | Field::UserKind | Field::UserNamespace | Field::Groups => self.reads_user = true,
            // Absent or known for those who did not authenticate.
            Field::Credential
            | Field::Extra
            | Field::UserUid
            | Field::Code
            | Field::Outcome
            | Field::Decision
            | Field::DecisionReason
            | Field::Annotations
            | Field::PodSecurity
            | Field::Impersonated => self.reads_user = true,
            Field::Namespace => self.reads_namespace = true,
            Field::Name => self.reads_name = true,
            Field::Stage => self.reads_stage = true,
            Field::Uri | Field::UriPath => self.reads_path = true,
            Field::Pod | Field::Container | Field::PodHostPath => self.reads_pod = true,
            Field::VolumeHostPath => self.reads_volume = true,
            Field::Grant => self.reads_grant = true,
            Field::Subject | Field::RoleRef => self.reads_binding = true,
            _ => {}
        }
    }

    /// Whether a resource is one of its own to the filter, and not one of the rest.
    pub fn tells_apart(&self, resource: &str) -> bool {
        self.every_resource || self.names_resource(resource) || self.reads_part_of(resource)
    }

    /// Whether the filter reads a computed field that objects of the resource have.
    pub fn reads_part_of(&self, resource: &str) -> bool {
        match resource {
            "roles" | "clusterroles" => self.reads_grant,
            "rolebindings" | "clusterrolebindings" => self.reads_binding,
            "persistentvolumes" => self.reads_volume,
            _ => self.reads_pod && has_pods(resource),
        }
    }

    /// Whether the filter says its name.
    pub fn names_resource(&self, resource: &str) -> bool {
        self.resources.iter().any(|r| r.text.eq_ignore_ascii_case(resource))
    }

    pub fn names_subresource(&self, subresource: &str) -> bool {
        self.every_subresource || self.subresources.iter().any(|r| r.text.eq_ignore_ascii_case(subresource))
    }
}

/// Whether objects of a resource hold a pod or a template of one (as in `klio-model/src/event/workload.rs`).
pub(super) fn has_pods(resource: &str) -> bool {
    matches!(
        resource,
        "pods"
            | "deployments"
            | "daemonsets"
            | "statefulsets"
            | "replicasets"
            | "replicationcontrollers"
            | "jobs"
            | "cronjobs"
            | "podtemplates"
    )
}

/// The text, or one that the pattern fits.
fn value(pattern: &TextMatch) -> Value {
    let mut exact = true;
    let mut text = String::new();
    for piece in pattern.pieces() {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::One | Piece::Many => {
                exact = false;
                text.push('x');
            }
        }
    }
    Value { text, exact }
}
