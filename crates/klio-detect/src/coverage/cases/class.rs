//! Subjects by what a filter tells apart.

use super::super::catalog::{self, KINDS};
use super::super::named::Named;
use super::super::target::{SOME_GROUP, Subject};

/// Stands for all resources that the filter does not tell apart: no resource is called so.
const OTHER: &str = "\u{1}";

/// A subject with what varies with it.
pub(super) struct Member {
    pub subject: Subject,
    pub verbs: &'static [&'static str],
    pub namespaced: bool,
}

/// Subjects that are one to the filter.
pub(super) struct Class {
    pub group: Option<&'static str>,
    pub resource: String,
    pub subresource: String,
    pub any: bool,
    pub members: Vec<Member>,
}

/// Subjects by what the filter tells apart.
pub(super) fn classes(named: &Named) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for kind in KINDS {
        if kind.addon && !named.names_resource(kind.resource) {
            continue;
        }
        let own = named.tells_apart(kind.resource);
        let parts = std::iter::once(("", kind.verbs)).chain(kind.subresources.iter().copied());
        for (part, verbs) in parts {
            let told = own || part.is_empty() || named.names_subresource(part);
            let group = own.then_some(kind.group);
            let resource = if own { kind.resource } else { OTHER };
            let subresource = if told { part } else { OTHER };
            let member = Member {
                subject: Subject::Resource {
                    group: kind.group.into(),
                    resource: kind.resource.into(),
                    subresource: part.into(),
                },
                verbs,
                namespaced: kind.namespaced,
            };
            let same =
                |c: &&mut Class| c.group == group && c.resource == resource && c.subresource == subresource;
            match classes.iter_mut().find(same) {
                Some(class) => class.members.push(member),
                None => classes.push(Class {
                    group,
                    resource: resource.to_owned(),
                    subresource: subresource.to_owned(),
                    any: !named.names_resource(kind.resource) && !named.reads_part_of(kind.resource),
                    members: vec![member],
                }),
            }
        }
    }
    // Resources that only the rule knows.
    for value in named.resources.iter().filter(|v| v.exact && !v.text.is_empty()) {
        if KINDS.iter().any(|k| k.resource.eq_ignore_ascii_case(&value.text)) {
            continue;
        }
        classes.push(Class {
            group: Some(""),
            resource: value.text.clone(),
            subresource: String::new(),
            any: false,
            members: vec![Member {
                subject: Subject::Resource {
                    group: SOME_GROUP.into(),
                    resource: value.text.clone().into(),
                    subresource: "".into(),
                },
                verbs: catalog::ALL,
                namespaced: true,
            }],
        });
    }
    classes
}
