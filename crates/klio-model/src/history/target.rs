//! Which object somebody asks about, and which events are about it.

use thiserror::Error;

use super::Kind;
use crate::event::{Event, text};
use crate::field::{Field, FieldRef};
use crate::filter::{Filter, Matcher, TextMatch};
use crate::json::Json;

/// Subresources of which a request does something with the object that no other verb tells.
pub(super) const CONNECTS: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Subresources of objects that are in no namespace; what else stands there is taken for a misplaced name.
const OF_CLUSTER: [&str; 6] = ["status", "scale", "approval", "finalize", "proxy", "token"];

/// An object's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// In the plural, as `objectRef.resource` has it.
    pub resource: String,
    /// The API group if it was given; the core group is the empty text.
    pub group: Option<String>,
    /// `None` of an object that is in none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Only what was done by this subresource is told.
    pub subresource: Option<String>,
    /// The resource, if it is built in.
    pub kind: Option<&'static Kind>,
}

/// Why a text names no object.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{message}")]
pub struct TargetError {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
}

impl Target {
    /// Reads `KIND/NAMESPACE/NAME`, `KIND/NAME` of an object that is in no namespace, and either with `/SUBRESOURCE`.
    /// A kind is what kubectl takes (`po`, `Deployment`, `deployments.v1.apps`); of custom resources the plural.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = |message: String, help: &str| Err(TargetError { message, help: help.to_owned() });
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) || !(2..=4).contains(&parts.len()) {
            return wrong(
                format!("`{text}` is no object"),
                "write KIND/NAMESPACE/NAME, or KIND/NAME for an object that is in no namespace",
            );
        }
        let (name, group) =
            parts[0].split_once('.').map_or((parts[0], None), |(name, rest)| (name, Some(rest)));
        let group = group.map(without_version).map(str::to_ascii_lowercase);
        let of_group =
            |kind: &&Kind| group.as_ref().is_none_or(|group| kind.groups().any(|known| known == group));
        let kind = Kind::named(name).filter(of_group);
        let resource = kind.map_or_else(|| name.to_ascii_lowercase(), |kind| kind.plural.to_owned());
        let (namespace, rest) = match (kind.map(|kind| kind.namespaced), &parts[1..]) {
            (Some(true), [] | [_]) => {
                return wrong(
                    format!("{resource} are in namespaces"),
                    &format!("write {name}/NAMESPACE/NAME"),
                );
            }
            (Some(true), [namespace, rest @ ..]) => (Some(*namespace), rest),
            (Some(false), rest @ [_, sub, ..]) if rest.len() > 2 || !OF_CLUSTER.contains(sub) => {
                return wrong(format!("{resource} are in no namespace"), &format!("write {name}/NAME"));
            }
            (Some(false), rest) => (None, rest),
            (None, rest @ [_]) => (None, rest),
            (None, rest) => (Some(rest[0]), &rest[1..]),
        };
        Ok(Self {
            resource,
            group,
            namespace: namespace.map(str::to_owned),
            name: rest[0].to_owned(),
            subresource: rest.get(1).map(|sub| (*sub).to_owned()),
            kind,
        })
    }

    /// True of every event that may be about the object, and of some that are not: [`Target::is_of`] decides.
    pub fn filter(&self) -> Filter {
        let is =
            |field, text: &str| Filter::test(FieldRef::of(field), Matcher::Text(TextMatch::exactly(text)));
        let any = |field, texts: &[&str]| Filter::or(texts.iter().map(|text| is(field, text)));
        let absent = |field| Filter::not(Filter::test(FieldRef::of(field), Matcher::Present));
        let mut parts = vec![
            is(Field::Resource, &self.resource),
            Filter::or([is(Field::Name, &self.name), absent(Field::Name)]),
            Filter::or([
                any(Field::Verb, &["create", "update", "patch", "delete", "deletecollection"]),
                any(Field::Subresource, &CONNECTS),
                // A read shows what the object was, if the answer was recorded.
                Filter::and([
                    is(Field::Verb, "get"),
                    is(Field::Level, "RequestResponse"),
                    absent(Field::Subresource),
                ]),
            ]),
        ];
        if let Some(namespace) = &self.namespace {
            parts.push(Filter::or([is(Field::Namespace, namespace), absent(Field::Namespace)]));
        }
        Filter::and(parts)
    }

    /// Whether an event is about the object: by its reference; for a create without a name, by the body; a deletecollection,
    /// if it is about a place where the object would be. Of reads only those of the object itself are.
    pub fn is_of(&self, event: &Event<'_>) -> bool {
        let object = &event.object;
        let part = |s| text(s).filter(|t| !t.is_empty());
        if part(&object.resource) != Some(&self.resource)
            || !self.is_in(part(&object.api_group).unwrap_or_default())
        {
            return false;
        }
        let (verb, sub) = (text(&event.verb).unwrap_or_default(), part(&object.subresource));
        let reads =
            matches!(verb, "get" | "list" | "watch") && !sub.is_some_and(|sub| CONNECTS.contains(&sub));
        if reads && (verb != "get" || sub.is_some()) {
            return false;
        }
        let placed = match (&self.namespace, part(&object.namespace)) {
            // The reference of a namespace names it twice.
            (None, namespace) => namespace.is_none() || self.resource == "namespaces",
            (Some(_), None) => verb == "deletecollection",
            (Some(ours), Some(theirs)) => ours == theirs,
        };
        placed
            && match part(&object.name) {
                Some(name) => name == self.name,
                None if verb == "deletecollection" => true,
                None if verb == "create" && sub.is_none() => {
                    let named = |part: &crate::event::Part<'_>| {
                        part.at(&["metadata", "name"]).as_ref().and_then(Json::as_str) == Some(&self.name)
                    };
                    named(&event.response_object) || named(&event.request_object)
                }
                None => false,
            }
    }

    fn is_in(&self, group: &str) -> bool {
        match (&self.group, self.kind) {
            (Some(ours), _) => ours == group,
            (None, Some(kind)) => kind.groups().any(|known| known == group),
            (None, None) => true,
        }
    }

    /// `deployments web/frontend`
    pub fn told(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.resource, self.name),
            None => format!("{} {}", self.resource, self.name),
        }
    }

    /// What may be wrong with the kind when nothing is known of the object.
    pub fn advice(&self) -> String {
        if let Some(kind) = self.kind {
            return format!("the kind was taken for {}; names are compared as they are written", kind.told());
        }
        let near = Kind::nearest(&self.resource).map(|near| format!("; did you mean {near}?"));
        format!(
            "`{}` is no built-in kind{} Custom resources go by their plural, as in certificates.cert-manager.io",
            self.resource,
            near.unwrap_or_else(|| ".".to_owned())
        )
    }
}

/// `v1.apps` → `apps`, as kubectl reads `deployments.v1.apps`.
fn without_version(group: &str) -> &str {
    let (first, rest) = group.split_once('.').unwrap_or((group, ""));
    let is_version = first.strip_prefix('v').is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    if is_version { rest } else { group }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kubectl_users_write_them() {
        let check =
            |text: &str, resource: &str, group: Option<&str>, place: (Option<&str>, &str, Option<&str>)| {
                let target = Target::parse(text).unwrap();
                assert_eq!((target.resource.as_str(), target.group.as_deref()), (resource, group), "{text}");
                let found =
                    (target.namespace.as_deref(), target.name.as_str(), target.subresource.as_deref());
                assert_eq!(found, place, "{text}");
            };
        check("po/shop/cart", "pods", None, (Some("shop"), "cart", None));
        check("Deployment/shop/cart/scale", "deployments", None, (Some("shop"), "cart", Some("scale")));
        check("deployments.v1.apps/shop/cart", "deployments", Some("apps"), (Some("shop"), "cart", None));
        check("clusterrole/view", "clusterroles", None, (None, "view", None));
        check("no/node-1/status", "nodes", None, (None, "node-1", Some("status")));
        let rbac = "rbac.authorization.k8s.io";
        check(&format!("clusterrolebindings.{rbac}/x"), "clusterrolebindings", Some(rbac), (None, "x", None));
        check(
            "certificates.cert-manager.io/a/b",
            "certificates",
            Some("cert-manager.io"),
            (Some("a"), "b", None),
        );
        // A custom resource that is named like a built-in one.
        check("svc.example.com/a/b", "svc", Some("example.com"), (Some("a"), "b", None));
    }

    #[test]
    fn what_is_no_address_gets_advice() {
        let check = |text: &str, message: &str, help: &str| {
            let error = Target::parse(text).unwrap_err();
            assert!(error.message.contains(message) && error.help.contains(help), "{text}: {error:?}");
        };
        check("pods", "is no object", "KIND/NAMESPACE/NAME");
        check("pod//x", "is no object", "KIND/NAMESPACE/NAME");
        check("pod/x", "in namespaces", "pod/NAMESPACE/NAME");
        check("clusterrole/default/x", "in no namespace", "clusterrole/NAME");
        let advice = Target::parse("deplyoments/a/b").unwrap().advice();
        assert!(advice.contains("did you mean deployments?"), "{advice}");
        assert!(Target::parse("widgets/a/b").unwrap().advice().contains("kind. Custom"));
    }

    #[test]
    fn events_are_told_apart() {
        let is_of =
            |target: &str, event: &str| Target::parse(target).unwrap().is_of(&Event::parse(event).unwrap());
        let event = r#"{"verb":"patch","objectRef":{"resource":"deployments","namespace":"a","name":"b","apiGroup":"apps"}}"#;
        assert!(is_of("deploy/a/b", event));
        assert!(
            !is_of("deploy/a/c", event)
                && !is_of("deploy/c/b", event)
                && !is_of("deployments.x.io/a/b", event)
        );
        let made = r#"{"verb":"create","objectRef":{"resource":"pods","namespace":"a"},"responseObject":{"metadata":{"name":"p-1"}}}"#;
        assert!(is_of("po/a/p-1", made) && !is_of("po/a/p-2", made));
        let all = r#"{"verb":"deletecollection","objectRef":{"resource":"pods","namespace":"a"}}"#;
        assert!(is_of("po/a/p-1", all) && !is_of("po/b/p-1", all));
        let namespace =
            r#"{"verb":"patch","objectRef":{"resource":"namespaces","namespace":"a","name":"a"}}"#;
        assert!(is_of("ns/a", namespace));
        let read = |verb: &str, sub: &str| {
            let event = format!(
                r#"{{"verb":"{verb}","objectRef":{{"resource":"pods","namespace":"a","name":"p","subresource":"{sub}"}}}}"#
            );
            is_of("po/a/p", &event)
        };
        assert!(read("get", "") && read("get", "exec") && !read("get", "log") && !read("watch", ""));
    }
}
