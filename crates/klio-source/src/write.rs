//! Writes JSON text the way Go's `encoding/json` does, since that is what the apiserver writes with.

/// Begins a member: a comma unless it is the first, the key (already escaped), the colon.
pub(crate) fn key(out: &mut Vec<u8>, key: &[u8]) {
    if !matches!(out.last(), Some(b'{')) {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(key);
    out.extend_from_slice(b"\":");
}

/// A string with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, s: &str) {
    out.push(b'"');
    for c in s.chars() {
        character(out, c);
    }
    out.push(b'"');
}

/// One character of a string, escaped where Go (≥ 1.22, HTML escaping on) escapes it.
pub(crate) fn character(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\0'..='\x1f' | '&' | '<' | '>' | '\u{2028}' | '\u{2029}' => unicode(out, c as u32),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// `\u` and four lower-case hexadecimal digits.
pub(crate) fn unicode(out: &mut Vec<u8>, code: u32) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit((code >> shift) & 15, 16).unwrap_or('0');
        out.push(digit as u8);
    }
}
