//! Request URIs as the API server reads them (Go's `net/url`, `ParseRequestURI` and `ParseQuery`).
//!
//! A URI on the server side has no fragment: `#` is a character of the query like any other.

use std::borrow::Cow;

use super::{Recorded, text};

/// Decodes `%XX` and, in a query, `+`; `None` at a malformed escape.
fn unescape(text: &str, plus: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let hex = |b: Option<u8>| char::from(b?).to_digit(16);
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' if plus => b' ',
            b'%' => (hex(bytes.next())? * 16 + hex(bytes.next())?) as u8,
            b => b,
        });
    }
    Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

/// Name and value of each query parameter in order, decoded. As in Go, a pair with a `;` or a malformed escape
/// does not count.
pub fn query_pairs(uri: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let query = uri.split_once('?').map_or("", |(_, q)| q);
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescape(key, true)?, unescape(value, true)?))
    })
}

impl super::Event<'_> {
    /// The path of the request URI, decoded, with repeated slashes as one.
    pub fn path(&self) -> Option<&str> {
        let uri = text(&self.request_uri)?;
        let path = uri.split_once('?').map_or(uri, |(path, _)| path);
        if !path.contains('%') && !path.contains("//") {
            return Some(path);
        }
        Some(self.decoded_path.get_or_init(|| {
            let mut decoded = unescape(path, false).unwrap_or(Cow::Borrowed(path)).into_owned();
            let mut last = ' ';
            decoded.retain(|c| std::mem::replace(&mut last, c) != '/' || c != '/');
            decoded
        }))
    }

    /// All `command=` parameters of an exec, decoded and joined by a space.
    pub fn exec_command(&self) -> Option<String> {
        let uri = text(&self.request_uri)?;
        let words: Vec<_> = query_pairs(uri).filter(|(k, _)| k == "command").map(|(_, v)| v).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Whether the request certainly was a server-side dry run (`dryRun=All`): nothing is stored.
    ///
    /// A delete reads its options from the body and, only if there is none, from the query
    /// (`apiserver/pkg/endpoints/handlers/delete.go`), so that a query proves nothing about a body which was not
    /// recorded. A token is issued and a connection made whatever the query says.
    pub fn dry_run(&self) -> bool {
        if matches!(
            text(&self.object.subresource),
            Some("token" | "exec" | "attach" | "portforward" | "proxy")
        ) {
            return false;
        }
        let asked = || {
            text(&self.request_uri).filter(|uri| uri.contains('?')).is_some_and(|uri| {
                uri.contains("dryRun") && query_pairs(uri).any(|(k, v)| k == "dryRun" && v == "All")
            })
        };
        if !matches!(text(&self.verb), Some("delete" | "deletecollection")) {
            return asked();
        }
        match self.request_object.tree() {
            Some(options) => options
                .get("dryRun")
                .is_some_and(|list| list.items().iter().any(|item| item.as_str() == Some("All"))),
            None => asked() && self.request_recorded() == Recorded::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn decodes_what_kubectl_sends() {
        let pairs: Vec<_> = query_pairs("/x?command=sh&command=-c&command=cat+%2Fetc%2Fshadow&tty").collect();
        assert_eq!(pairs[2].1, "cat /etc/shadow");
        assert_eq!(pairs[3], ("tty".into(), "".into()));
    }

    #[test]
    fn queries_are_read_as_go_reads_them() {
        let check = |uri: &str, want: &[(&str, &str)]| {
            let got: Vec<_> = query_pairs(uri).collect();
            let got: Vec<_> = got.iter().map(|(k, v)| (k.as_ref(), v.as_ref())).collect();
            assert_eq!(got, want, "{uri}");
        };
        check("/x?stdout=1#&command=cat", &[("stdout", "1#"), ("command", "cat")]);
        check("/x?a=1;b=2&c=3", &[("c", "3")]);
        check("/x?a=%zz&b=%4&c=1", &[("c", "1")]);
        check("/x?&&a=b=c&=d", &[("a", "b=c"), ("", "d")]);
        check("/x?%63ommand=a?b", &[("command", "a?b")]);
        check("/x#y", &[]);
    }

    #[test]
    fn paths_are_decoded_once_and_their_slashes_joined() {
        let check = |uri: &str, want: &str| {
            let json = format!(r#"{{"requestURI":"{uri}"}}"#);
            assert_eq!(Event::parse(&json).unwrap().path(), Some(want), "{uri}");
        };
        check("/api/v1/nodes/n1/proxy/%65xec/ns/p/c?command=id", "/api/v1/nodes/n1/proxy/exec/ns/p/c");
        check("/api//v1///pods?a//b", "/api/v1/pods");
        check("/a%2F/b+c%2541%00", "/a/b+c%41\u{0}");
        check("/a%zz//b", "/a%zz/b");
        check("/a#b?c", "/a#b");
        check("/é//", "/é/");
    }

    #[test]
    fn only_a_proven_dry_run_is_one() {
        let check = |verb: &str, level: &str, uri: &str, body: &str, want: bool| {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            let (resource, sub) = path.split_once('/').unwrap_or((path, ""));
            let json = format!(
                r#"{{"level":"{level}","stage":"ResponseComplete","verb":"{verb}","requestURI":"/{path}?{query}",
                "objectRef":{{"resource":"{resource}","subresource":"{sub}"}},"requestObject":{body}}}"#
            );
            let event = Event::parse(&json).unwrap();
            assert_eq!((event.dry_run(), event.is_write()), (want, !want), "{json}");
        };
        check("create", "Metadata", "pods?dryRun=All", "null", true);
        check("patch", "Request", "pods?fieldManager=x&dryRun=All", r#"{"dryRun":[]}"#, true);
        check("create", "Metadata", "pods", "null", false);
        // The options in the body count, not those in the query.
        check("delete", "Request", "pods?dryRun=All", r#"{"kind":"DeleteOptions"}"#, false);
        check("delete", "Request", "pods", r#"{"kind":"DeleteOptions","dryRun":["All"]}"#, true);
        check("delete", "Request", "pods?dryRun=All", r#"{"a":tru}"#, false);
        // No body was sent, or who knows.
        check("deletecollection", "Request", "pods?dryRun=All", "null", true);
        check("delete", "Metadata", "pods?dryRun=All", "null", false);
        check("create", "Request", "serviceaccounts/token?dryRun=All", "null", false);
        check("create", "Metadata", "pods/exec?dryRun=All", "null", false);
        check("create", "Metadata", "pods/eviction?dryRun=All", "null", true);
    }
}
