//! What a GKE request was about: `methodName` and `resourceName` taken apart into verb, objectRef and requestURI.
//! `io.k8s.core.v1.pods.exec.create` + `core/v1/namespaces/shop/pods/cart/exec`; a CRD's group stands reversed in the
//! method (`com.example.v1.widgets.create`) and straight in the resource (`example.com/v1/namespaces/shop/widgets/w`).

use crate::scan::Members;
use crate::write;

/// The object of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub verb: &'a str,
    group: &'a str,
    version: &'a str,
    namespace: &'a str,
    resource: &'a str,
    name: &'a str,
    subresource: String,
    /// A request for no object, such as `healthz`.
    path: Option<&'a str>,
}

/// Subresources of namespaces; anything else behind `namespaces/x/` is a resource in it.
const OF_NAMESPACES: [&str; 2] = ["status", "finalize"];

impl<'a> Target<'a> {
    pub(crate) fn read(method: &'a str, resource_name: &'a str) -> Self {
        let (middle, verb) = method.rsplit_once('.').unwrap_or(("", method));
        let mut target = Self { verb, ..Self::default() };
        let parts: Vec<&str> = resource_name.split('/').filter(|p| !p.is_empty()).collect();
        let [group, version, rest @ ..] = &parts[..] else {
            target.path = Some(resource_name).filter(|p| !p.is_empty());
            return target;
        };
        if middle == "io.k8s" || middle.is_empty() || !is_version(version) {
            target.path = Some(resource_name);
            return target;
        }
        target.group = if *group == "core" { "" } else { group };
        target.version = version;
        let rest = match rest {
            ["namespaces", namespace, tail @ ..]
                if tail.first().is_some_and(|t| !OF_NAMESPACES.contains(t)) =>
            {
                target.namespace = namespace;
                tail
            }
            ["namespaces", name, ..] => {
                // RequestInfo counts a namespace as lying in itself.
                target.namespace = name;
                rest
            }
            _ => rest,
        };
        target.resource = rest.first().copied().unwrap_or_default();
        target.name = rest.get(1).copied().unwrap_or_default();
        target.subresource = rest.get(2).copied().unwrap_or_default().to_string();
        if target.subresource.is_empty() {
            // The method knows it even if the resource was cut short.
            if let Some((_, tail)) = middle.rsplit_once(&format!(".{}.{}.", version, target.resource)) {
                target.subresource = tail.replace('.', "/");
            }
        }
        target
    }

    /// The path a client would have asked for.
    pub(crate) fn uri(&self) -> Option<String> {
        if let Some(path) = self.path {
            return Some(format!("/{}", path.trim_start_matches('/')));
        }
        if self.resource.is_empty() {
            return None;
        }
        let mut uri = match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let add = |uri: &mut String, part: &str| {
            uri.push('/');
            uri.push_str(part);
        };
        if !self.namespace.is_empty() && self.resource != "namespaces" {
            add(&mut uri, "namespaces");
            add(&mut uri, self.namespace);
        }
        add(&mut uri, self.resource);
        // A plain create posts to the collection.
        if !self.name.is_empty() && (self.verb != "create" || !self.subresource.is_empty()) {
            add(&mut uri, self.name);
        }
        if !self.subresource.is_empty() {
            add(&mut uri, &self.subresource);
        }
        Some(uri)
    }

    /// Writes `objectRef` in the apiserver's order of members.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        if self.resource.is_empty() {
            return;
        }
        write::key(out, b"objectRef");
        out.push(b'{');
        for (key, value) in [
            (&b"resource"[..], self.resource),
            (b"namespace", self.namespace),
            (b"name", self.name),
            (b"apiGroup", self.group),
            (b"apiVersion", self.version),
            (b"subresource", &self.subresource),
        ] {
            if !value.is_empty() {
                write::key(out, key);
                write::string(out, value);
            }
        }
        out.push(b'}');
    }
}

fn is_version(part: &str) -> bool {
    let mut chars = part.chars();
    chars.next() == Some('v') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

/// Writes an object without the protobuf wrapper's `@type`.
pub(crate) fn put_object(value: &[u8], out: &mut Vec<u8>) {
    if !value.starts_with(b"{") {
        return out.extend_from_slice(value);
    }
    out.push(b'{');
    for m in Members::new(value).map_while(Result::ok).filter(|m| m.key != b"@type") {
        write::key(out, m.key);
        out.extend_from_slice(m.value);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, resource: &str, uri: &str, object: &str) {
        let target = Target::read(method, resource);
        let mut out = b"{".to_vec();
        target.put(&mut out);
        assert_eq!(target.uri().as_deref(), Some(uri));
        assert_eq!(String::from_utf8(out).unwrap(), format!("{{{object}"), "{method}");
    }

    #[test]
    fn methods_and_resources_become_requests() {
        check(
            "io.k8s.core.v1.pods.exec.create",
            "core/v1/namespaces/shop/pods/cart-7c9/exec",
            "/api/v1/namespaces/shop/pods/cart-7c9/exec",
            r#""objectRef":{"resource":"pods","namespace":"shop","name":"cart-7c9","apiVersion":"v1","subresource":"exec"}"#,
        );
        check(
            "io.k8s.authorization.rbac.v1.clusterroles.create",
            "rbac.authorization.k8s.io/v1/clusterroles/x",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            r#""objectRef":{"resource":"clusterroles","name":"x","apiGroup":"rbac.authorization.k8s.io","apiVersion":"v1"}"#,
        );
        check(
            "io.k8s.core.v1.secrets.list",
            "core/v1/namespaces/shop/secrets",
            "/api/v1/namespaces/shop/secrets",
            r#""objectRef":{"resource":"secrets","namespace":"shop","apiVersion":"v1"}"#,
        );
        check(
            "io.k8s.core.v1.namespaces.delete",
            "core/v1/namespaces/shop",
            "/api/v1/namespaces/shop",
            r#""objectRef":{"resource":"namespaces","namespace":"shop","name":"shop","apiVersion":"v1"}"#,
        );
        check(
            "com.example.stable.v1beta1.widgets.patch",
            "stable.example.com/v1beta1/namespaces/shop/widgets/w",
            "/apis/stable.example.com/v1beta1/namespaces/shop/widgets/w",
            r#""objectRef":{"resource":"widgets","namespace":"shop","name":"w","apiGroup":"stable.example.com","apiVersion":"v1beta1"}"#,
        );
        check("io.k8s.get", "healthz", "/healthz", "");
        check("io.k8s.get", "api/v1/widgets", "/api/v1/widgets", "");
    }
}
