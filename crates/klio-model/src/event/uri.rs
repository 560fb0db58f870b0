//! Query strings of request URIs.

use std::borrow::Cow;

/// Decodes `%XX` and `+` of one component of a query; malformed escapes stay as they are.
pub fn decode_component(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let hex = |b: Option<&u8>| b.and_then(|b| (*b as char).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'+' => out.push(b' '),
            b'%' => {
                if let (Some(high), Some(low)) = (hex(bytes.get(i + 1)), hex(bytes.get(i + 2))) {
                    out.push((high * 16 + low) as u8);
                    i += 2;
                } else {
                    out.push(b'%');
                }
            }
            b => out.push(b),
        }
        i += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Name and value of each query parameter in order, decoded.
pub fn query_pairs(uri: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let query = uri.split_once('?').map_or("", |(_, q)| q);
    let query = query.split_once('#').map_or(query, |(q, _)| q);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_component(key), decode_component(value))
    })
}

impl super::Event<'_> {
    /// The request URI without its query.
    pub fn path(&self) -> Option<&str> {
        let uri = super::text(&self.request_uri)?;
        Some(uri.split_once('?').map_or(uri, |(path, _)| path))
    }

    /// All `command=` parameters of an exec, decoded and joined by a space.
    pub fn exec_command(&self) -> Option<String> {
        let uri = super::text(&self.request_uri)?;
        let words: Vec<_> = query_pairs(uri).filter(|(k, _)| k == "command").map(|(_, v)| v).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Whether the request asked for a server-side dry run (`dryRun=All`): nothing is stored.
    pub fn dry_run(&self) -> bool {
        super::text(&self.request_uri).is_some_and(|uri| {
            uri.contains("dryRun") && query_pairs(uri).any(|(k, v)| k == "dryRun" && v == "All")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_kubectl_sends() {
        let pairs: Vec<_> =
            query_pairs("/x?command=sh&command=-c&command=cat+%2Fetc%2Fshadow&bad=%zz&tty").collect();
        assert_eq!(pairs[2].1, "cat /etc/shadow");
        assert_eq!(pairs[3].1, "%zz");
        assert_eq!(pairs[4], ("tty".into(), "".into()));
    }
}
