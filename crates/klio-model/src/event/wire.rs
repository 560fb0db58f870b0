//! The one typed pass over an event's text.
//!
//! Scalars become slices of the text; lists, annotations and bodies are passed over in 64-byte steps
//! (`block.rs`) and kept as raw text. The text is UTF-8 already. What is passed over is checked for balance,
//! not for grammar: a body that is no JSON inside its braces turns out when a rule asks for it, and then
//! counts as not recorded. Why not a general parser: `docs/decisions/0003-event-scanner.md`.

use std::borrow::Cow;

use super::block::{end_of_container, end_of_string};
use super::{Event, Identity, Level, ObjectRef, ParseError, Part, Stage};
use crate::json::Str;

type Read<T> = Result<T, ParseError>;

/// Reads one event.
pub(super) fn read(json: &str) -> Read<Event<'_>> {
    let mut event = Event::empty(json);
    let mut scan = Scan { text: json, at: 0 };
    scan.object(&mut |scan, key| {
        match key {
            "level" => {
                event.level = match scan.string()?.as_ref().map(|s| s.0.as_ref()) {
                    Some("Metadata") => Level::Metadata,
                    Some("Request") => Level::Request,
                    Some("RequestResponse") => Level::RequestResponse,
                    _ => Level::Unstated,
                }
            }
            "auditID" => event.audit_id = scan.string()?,
            "stage" => {
                event.stage = match scan.string()?.as_ref().map(|s| s.0.as_ref()) {
                    Some("RequestReceived") => Stage::RequestReceived,
                    Some("ResponseStarted") => Stage::ResponseStarted,
                    Some("ResponseComplete") => Stage::ResponseComplete,
                    Some("Panic") => Stage::Panic,
                    _ => Stage::Unstated,
                }
            }
            "requestURI" => event.request_uri = scan.string()?,
            "verb" => event.verb = scan.string()?,
            "user" => event.user = scan.identity()?.unwrap_or_default(),
            "impersonatedUser" => event.impersonated = scan.identity()?,
            "authenticationMetadata" => event.authentication = scan.part()?,
            "sourceIPs" => event.source_ips = scan.part()?,
            "userAgent" => event.user_agent = scan.string()?,
            "objectRef" => event.object = scan.object_ref()?,
            "responseStatus" => scan.status(&mut event)?,
            "requestObject" => event.request_object = scan.part()?,
            "responseObject" => event.response_object = scan.part()?,
            "requestReceivedTimestamp" => event.received = scan.string()?,
            "stageTimestamp" | "timestamp" => event.staged = scan.string()?,
            "annotations" => event.annotations = scan.part()?,
            _ => {
                scan.value()?;
            }
        }
        Ok(())
    })?;
    scan.space();
    if scan.at < json.len() {
        return Err(scan.wrong("more text after the event's closing brace"));
    }
    Ok(event)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    fn wrong(&self, what: &str) -> ParseError {
        ParseError::Malformed(format!("{what} at byte {}", self.at))
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &str) -> Read<()> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(self.wrong(if self.at < self.text.len() { what } else { "the text ends early" }));
        }
        self.at += 1;
        Ok(())
    }

    /// Text between quotes, still escaped, and whether it has escapes. The cursor stands on the quote.
    #[inline]
    fn quoted(&mut self) -> Read<(&'a str, bool)> {
        let start = self.at + 1;
        let Some((end, escaped)) = end_of_string(self.text.as_bytes(), start) else {
            return Err(self.wrong("a string without a closing quote"));
        };
        self.at = end + 1;
        Ok((&self.text[start..end], escaped))
    }

    /// Calls `member` for each key; it must consume the value.
    fn object(&mut self, member: &mut dyn FnMut(&mut Self, &'a str) -> Read<()>) -> Read<()> {
        self.expect(b'{', "expected an object")?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a member name"));
            }
            let (key, _) = self.quoted()?;
            self.expect(b':', "expected `:`")?;
            self.space();
            member(self, key)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return Err(self.wrong("expected `,` or `}`")),
                None => return Err(self.wrong("the text ends early")),
            }
        }
    }

    /// Passes over any value and returns its text; `None` for null.
    fn value(&mut self) -> Read<Option<&'a str>> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.quoted()?;
            }
            Some(b'{' | b'[') => {
                let Some(end) = end_of_container(self.text.as_bytes(), start) else {
                    return Err(self.wrong("an object or list without its closing bracket"));
                };
                self.at = end;
            }
            Some(b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
                while let Some(b'a'..=b'z' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'E') = self.peek() {
                    self.at += 1;
                }
                if sonic_rs::from_str::<sonic_rs::Value>(&self.text[start..self.at]).is_err() {
                    self.at = start;
                    return Err(self.wrong("expected a value"));
                }
            }
            Some(_) => return Err(self.wrong("expected a value")),
            None => return Err(self.wrong("the text ends early")),
        }
        let text = &self.text[start..self.at];
        Ok((text != "null").then_some(text))
    }

    fn part(&mut self) -> Read<Part<'a>> {
        Ok(Part::new(self.value()?))
    }

    /// A string or null.
    #[inline]
    fn string(&mut self) -> Read<Option<Str<'a>>> {
        if self.peek() != Some(b'"') {
            return match self.value()? {
                None => Ok(None),
                Some(_) => Err(self.wrong("expected a string before here")),
            };
        }
        let start = self.at;
        let (text, escaped) = self.quoted()?;
        if !escaped {
            return Ok(Some(Str(Cow::Borrowed(text))));
        }
        let unescaped: String = sonic_rs::from_str(&self.text[start..self.at])
            .map_err(|_| self.wrong("a string with a bad escape before here"))?;
        Ok(Some(Str(Cow::Owned(unescaped))))
    }

    fn identity(&mut self) -> Read<Option<Identity<'a>>> {
        if self.peek() != Some(b'{') {
            return match self.value()? {
                None => Ok(None),
                Some(_) => Err(self.wrong("expected an object before here")),
            };
        }
        let mut identity = Identity::default();
        self.object(&mut |scan, key| {
            match key {
                "username" => identity.name = scan.string()?,
                "uid" => identity.uid = scan.string()?,
                "groups" => identity.groups = scan.part()?,
                "extra" => identity.extra = scan.part()?,
                _ => {
                    scan.value()?;
                }
            }
            Ok(())
        })?;
        Ok(Some(identity))
    }

    fn object_ref(&mut self) -> Read<ObjectRef<'a>> {
        let mut object = ObjectRef::default();
        if self.peek() != Some(b'{') {
            return match self.value()? {
                None => Ok(object),
                Some(_) => Err(self.wrong("expected an object before here")),
            };
        }
        self.object(&mut |scan, key| {
            let slot = match key {
                "resource" => &mut object.resource,
                "namespace" => &mut object.namespace,
                "name" => &mut object.name,
                "uid" => &mut object.uid,
                "apiGroup" => &mut object.api_group,
                "apiVersion" => &mut object.api_version,
                "resourceVersion" => &mut object.resource_version,
                "subresource" => &mut object.subresource,
                _ => return scan.value().map(|_| ()),
            };
            *slot = scan.string()?;
            Ok(())
        })?;
        Ok(object)
    }

    fn status(&mut self, event: &mut Event<'a>) -> Read<()> {
        if self.peek() != Some(b'{') {
            return match self.value()? {
                None => Ok(()),
                Some(_) => Err(self.wrong("expected an object before here")),
            };
        }
        self.object(&mut |scan, key| {
            match key {
                "status" => event.status = scan.string()?,
                "message" => event.message = scan.string()?,
                "reason" => event.reason = scan.string()?,
                "code" => event.code = scan.integer()?,
                _ => {
                    scan.value()?;
                }
            }
            Ok(())
        })
    }

    fn integer(&mut self) -> Read<Option<i64>> {
        let start = self.at;
        let mut n: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - start > 15 {
                return Err(self.wrong("a number that is too large"));
            }
            n = n * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        if self.at > start && !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Ok(Some(n));
        }
        self.at = start;
        match self.value()? {
            None => Ok(None),
            Some(other) => {
                // Managed clouds write codes as text or as a float now and then.
                let number = other.trim_matches('"').parse::<f64>().ok();
                number.map(|n| Some(n as i64)).ok_or_else(|| self.wrong("expected a number before here"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_native_event() {
        let e = read(
            r#"{"kind":"Event","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/a?b\u0026c","verb":"get",
            "user":{"username":"u","groups":["g"],"extra":{"k":["v]}"]}},"sourceIPs":["1.2.3.4"],"objectRef":{"resource":"pods","name":"p"},
            "responseStatus":{"metadata":{},"code":200},"annotations":{"a\"}":"{["}}"#,
        )
        .unwrap();
        assert_eq!(e.request_uri.as_ref().unwrap().0, "/a?b&c");
        assert_eq!(e.user.extra.text(), Some(r#"{"k":["v]}"]}"#));
        assert_eq!(e.annotations.text(), Some(r#"{"a\"}":"{["}"#));
        assert_eq!((e.code, e.level, e.stage), (Some(200), Level::Metadata, Stage::ResponseComplete));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let check = |text: &str, want: &str| {
            let got = read(text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(got.contains(want), "{text}: {got}");
        };
        check(r#"{"verb":"get""#, "ends early at byte 13");
        check(r#"{"verb":"get"#, "without a closing quote");
        check(r#"{"verb":5}"#, "expected a string");
        check(r#"{"verb":"get" "user":{}}"#, "expected `,` or `}`");
        check(r#"{"requestObject":{"a":[1}"#, "without its closing bracket");
        check(r#"{"verb":"get"} x"#, "more text");
        check("[]", "expected an object");
        check("", "ends early");
        check(r#"{"verb":tru}"#, "expected a value");
    }

    #[test]
    fn nulls_and_odd_codes_are_legal() {
        let e = read(r#"{"verb":null,"user":null,"objectRef":null,"responseStatus":{"code":"403"},"annotations":null}"#).unwrap();
        assert_eq!(e.code, Some(403));
        assert!(e.annotations.text().is_none() && e.verb.is_none());
    }
}
