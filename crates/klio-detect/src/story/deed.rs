//! What a request of a story did, read again out of its few words (`create pods/exec shop/cart`) and its ending.

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
    code: Option<u16>,
    is_dry: bool,
    is_cut: bool,
}

impl<'d> Deed<'d> {
    /// Of an event's words; nothing for requests that name no resource.
    pub fn of(event: &'d StoryEvent) -> Option<Self> {
        let (verb, rest) = event.words().split_once(' ')?;
        let (resource, place) = rest.split_once(' ').unwrap_or((rest, ""));
        if resource.starts_with('/') {
            return None;
        }
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (namespace, name) = place.split_once('/').unwrap_or(("", place));
        let (code, is_dry, is_cut) = (event.code, event.dry_run, event.is_cut);
        Some(Self { verb, resource, subresource, namespace, name, code, is_dry, is_cut })
    }

    /// Whether the server did it. A dry run does nothing.
    pub fn is_done(&self) -> bool {
        !self.is_dry && self.code.is_some_and(|code| code < 400)
    }

    /// Whether the server refused it.
    pub fn is_refused(&self) -> bool {
        self.code.is_some_and(|code| code >= 400)
    }

    /// Whether it names one object, with all of its name.
    pub fn is_one(&self) -> bool {
        !matches!(self.name, "" | "*") && !self.is_cut
    }

    /// Whether it makes or changes the object itself.
    pub fn writes(&self) -> bool {
        self.subresource.is_empty() && matches!(self.verb, "create" | "update" | "patch")
    }

    /// Whether it deletes the object itself.
    pub fn deletes(&self) -> bool {
        self.subresource.is_empty() && self.verb == "delete"
    }

    /// Whether the object was not there before: a server-side apply or a PUT also creates, and is then answered 201
    /// (`apiserver/pkg/endpoints/handlers/patch.go`, `update.go`).
    pub fn makes(&self) -> bool {
        self.writes() && (self.verb == "create" || self.code == Some(201))
    }

    /// `namespace/name`, or the name alone.
    pub fn place(&self) -> String {
        let end = if self.is_cut { "…" } else { "" };
        if self.namespace.is_empty() {
            format!("{}{end}", self.name)
        } else {
            format!("{}/{}{end}", self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Ending;

    #[test]
    fn words_are_read_again() {
        let check = |what: &str, code: u16, want: Option<(&str, &str, &str, &str, &str, bool)>| {
            let ending = Ending { code: (code != 0).then_some(code), ..Ending::default() };
            let event = StoryEvent::made(what, ending);
            let deed = Deed::of(&event);
            let parts = deed.map(|d| (d.verb, d.resource, d.subresource, d.namespace, d.name, d.is_done()));
            assert_eq!(parts, want, "{what}");
        };
        check("create pods/exec shop/cart", 101, Some(("create", "pods", "exec", "shop", "cart", true)));
        check("list secrets shop/*", 403, Some(("list", "secrets", "", "shop", "*", false)));
        check("list secrets", 200, Some(("list", "secrets", "", "", "", true)));
        check("create roles evil", 201, Some(("create", "roles", "", "", "evil", true)));
        check("create roles evil 403", 201, Some(("create", "roles", "", "", "evil 403", true)));
        check("get secrets shop/a b c", 200, Some(("get", "secrets", "", "shop", "a b c", true)));
        check("get secrets shop/a 200", 0, Some(("get", "secrets", "", "shop", "a 200", false)));
        check("get /version", 200, None);
        check("", 0, None);
        check("get", 0, None);
    }
}
