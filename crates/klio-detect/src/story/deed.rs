//! What a request of a story did, read again out of its few words (`create pods/exec shop/cart 101`).

use super::StoryEvent;

/// A request, in parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Deed<'d> {
    pub verb: &'d str,
    pub resource: &'d str,
    pub subresource: &'d str,
    pub namespace: &'d str,
    /// `*` for all of a namespace, empty for all of a cluster.
    pub name: &'d str,
    /// Whether the server did it.
    pub is_done: bool,
}

impl<'d> Deed<'d> {
    /// Of an event's words; nothing for requests that name no resource.
    pub fn of(event: &'d StoryEvent) -> Option<Self> {
        let mut rest = &*event.what;
        let mut code = None;
        if let Some((words, last)) = rest.rsplit_once(' ') {
            if let Ok(number) = last.parse::<u16>() {
                (rest, code) = (words, Some(number));
            }
        }
        let (verb, rest) = rest.split_once(' ')?;
        let (resource, place) = rest.split_once(' ').unwrap_or((rest, ""));
        if resource.starts_with('/') {
            return None;
        }
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (namespace, name) = place.split_once('/').unwrap_or(("", place));
        let is_done = code.is_some_and(|code| code < 400);
        Some(Self { verb, resource, subresource, namespace, name, is_done })
    }

    /// Whether it names one object.
    pub fn is_one(&self) -> bool {
        !matches!(self.name, "" | "*")
    }

    /// Whether it makes or changes the object itself.
    pub fn writes(&self) -> bool {
        self.subresource.is_empty() && matches!(self.verb, "create" | "update" | "patch")
    }

    /// `namespace/name`, or the name alone.
    pub fn place(&self) -> String {
        if self.namespace.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Role;

    #[test]
    fn words_are_read_again() {
        let check = |what: &str, want: Option<(&str, &str, &str, &str, &str, bool)>| {
            let (audit_id, stage, role) = ("a".into(), "ResponseComplete", Role::Evidence);
            let event = StoryEvent { audit_id, stage, time: None, role, what: what.into() };
            let deed = Deed::of(&event);
            let parts = deed.map(|d| (d.verb, d.resource, d.subresource, d.namespace, d.name, d.is_done));
            assert_eq!(parts, want, "{what}");
        };
        check("create pods/exec shop/cart 101", Some(("create", "pods", "exec", "shop", "cart", true)));
        check("list secrets shop/* 403", Some(("list", "secrets", "", "shop", "*", false)));
        check("list secrets 200", Some(("list", "secrets", "", "", "", true)));
        check(
            "create clusterrolebindings evil 201",
            Some(("create", "clusterrolebindings", "", "", "evil", true)),
        );
        check("get secrets shop/a b c 200", Some(("get", "secrets", "", "shop", "a b c", true)));
        check("get /version 200", None);
        check("", None);
        check("get", None);
    }
}
