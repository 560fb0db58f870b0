//! Addresses of pages: the address is the state, so each link is the page's own address with something changed.

use std::fmt::Write as _;

use url::form_urlencoded::Serializer;

/// A path and its query.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    path: &'static str,
    pairs: Vec<(&'static str, String)>,
}

impl Address {
    pub(crate) fn new(path: &'static str) -> Self {
        Self { path, pairs: Vec::new() }
    }

    /// With this value; nothing is written for an empty one.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.pairs.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.pairs.push((name, value));
        }
        self
    }

    /// What is in the query but these.
    pub(crate) fn others(&self, names: &[&str]) -> Vec<(&'static str, String)> {
        self.pairs.iter().filter(|(name, _)| !names.contains(name)).cloned().collect()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.path)?;
        if self.pairs.is_empty() {
            return Ok(());
        }
        let query = Serializer::new(String::new()).extend_pairs(&self.pairs).finish();
        write!(f, "?{query}")
    }
}

/// A path with a name in it, such as `/events/5e8b`.
pub(crate) fn path(before: &str, name: &str) -> String {
    format!("{before}/{}", segment(name))
}

/// The page of an event. Browsers take `.` and `..` for directions, so that such ids, which clients choose, are searched for; an event
/// without an id is found by its [mark](crate::view::EventView::mark) alone.
pub(crate) fn event(id: Option<&str>, mark: Option<&str>) -> String {
    let id = id.filter(|id| !matches!(*id, "" | "." | ".." | NO_ID));
    match (id, mark) {
        (Some(id), None) => path("/events", id),
        (id, Some(mark)) => format!("{}?mark={}", path("/events", id.unwrap_or(NO_ID)), segment(mark)),
        (None, None) => "/explore".to_owned(),
    }
}

/// Stands in an event's address for an audit id that cannot stand there.
pub(crate) const NO_ID: &str = "-";

/// The page of an object.
pub(crate) fn object(cluster: &str, resource: &str, namespace: Option<&str>, name: &str) -> String {
    let namespace = namespace.filter(|text| !text.is_empty()).unwrap_or("-");
    let place = format!("/objects/{}/{}/{}", segment(resource), segment(namespace), segment(name));
    if cluster.is_empty() { place } else { format!("{place}?cluster={}", segment(cluster)) }
}

/// A part of a path (RFC 3986, 3.3): all but unreserved characters are escaped.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_any_text() {
        let address =
            Address::new("/explore").with("filter", "user:\"a&b=c\" ").with("from", "").with("by", "verb");
        assert_eq!(address.to_string(), "/explore?filter=user%3A%22a%26b%3Dc%22+&by=verb");
        assert_eq!(address.clone().with("filter", "").to_string(), "/explore?by=verb");
        assert_eq!(event(Some("a/b"), None), "/events/a%2Fb");
        assert_eq!(event(Some(".."), Some("5.ab")), "/events/-?mark=5.ab");
        assert_eq!(event(None, Some("5.ab")), "/events/-?mark=5.ab");
        assert_eq!(object("prod", "pods", None, "x"), "/objects/pods/-/x?cluster=prod");
        assert_eq!(path("/actors", "system:serviceaccount:a/b"), "/actors/system%3Aserviceaccount%3Aa%2Fb");
    }
}
