//! The one typed pass over an event's text.
//!
//! Scalars become slices of the text; lists, annotations and bodies are passed over in 64-byte steps
//! (`block.rs`) and kept as raw text. The text is UTF-8 already. What is passed over is checked for balance,
//! not for grammar: a body that is no JSON inside its braces turns out when a rule asks for it, and then
//! counts as not recorded. Why not a general parser: `docs/decisions/0003-event-scanner.md`.
//!
//! The API server always writes members in one order (`apis/audit/v1/types.go`), and so [`Scan::usual`] compares
//! whole stretches of text instead of reading keys. Where an event departs from that order, and for whatever is
//! left, [`Scan::members`] goes on from the same place, key by key: the result is the same.

use std::borrow::Cow;

use super::block::{end_of_container, end_of_string};
use super::{Event, Identity, Level, ObjectRef, ParseError, Part, Stage};
use crate::json::{Json, Str};

type Read<T> = Result<T, ParseError>;

/// Reads one event.
pub(super) fn read(json: &str) -> Read<Event<'_>> {
    // An event is a kilobyte: it is filled where it is returned.
    let mut read = Ok(Event::empty(json));
    if let Ok(event) = &mut read
        && let Err(wrong) = fill(event, json)
    {
        read = Err(wrong);
    }
    read
}

fn fill<'a>(event: &mut Event<'a>, json: &'a str) -> Read<()> {
    let mut scan = Scan { text: json, at: 0 };
    let begun = scan.usual(event)?;
    scan.members(begun, &mut |scan, key| scan.member(event, key))?;
    scan.space();
    if scan.at < json.len() { Err(scan.wrong("more text after the event's closing brace")) } else { Ok(()) }
}

pub(super) fn level(text: Option<&str>) -> Level {
    match text {
        Some("Metadata") => Level::Metadata,
        Some("Request") => Level::Request,
        Some("RequestResponse") => Level::RequestResponse,
        _ => Level::Unstated,
    }
}

pub(super) fn stage(text: Option<&str>) -> Stage {
    match text {
        Some("RequestReceived") => Stage::RequestReceived,
        Some("ResponseStarted") => Stage::ResponseStarted,
        Some("ResponseComplete") => Stage::ResponseComplete,
        Some("Panic") => Stage::Panic,
        _ => Stage::Unstated,
    }
}

pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
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
    pub(super) fn quoted(&mut self) -> Read<(&'a str, bool)> {
        let start = self.at + 1;
        let Some((end, escaped)) = end_of_string(self.text.as_bytes(), start) else {
            return Err(self.wrong("a string without a closing quote"));
        };
        self.at = end + 1;
        Ok((&self.text[start..end], escaped))
    }

    /// Passes over `text` if it comes next.
    #[inline(always)]
    pub(super) fn eat(&mut self, text: &'static str) -> bool {
        let here = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let eaten = here.starts_with(text.as_bytes());
        if eaten {
            self.at += text.len();
        }
        eaten
    }

    /// As much of an event as comes in the API server's order. Returns whether the cursor stands after a member
    /// (else the event's opening brace is still to come).
    fn usual(&mut self, event: &mut Event<'a>) -> Read<bool> {
        if !self.eat(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#) {
            return Ok(false);
        }
        if self.eat(r#","level":"Metadata""#) {
            event.level = Level::Metadata;
        } else if self.eat(r#","level":""#) {
            event.level = level(self.inside()?.as_ref().map(|s| s.0.as_ref()));
        }
        if self.eat(r#","auditID":""#) {
            event.audit_id = self.inside()?;
        }
        if self.eat(r#","stage":"ResponseComplete""#) {
            event.stage = Stage::ResponseComplete;
        } else if self.eat(r#","stage":""#) {
            event.stage = stage(self.inside()?.as_ref().map(|s| s.0.as_ref()));
        }
        if self.eat(r#","requestURI":""#) {
            event.request_uri = self.inside()?;
        }
        if self.eat(r#","verb":""#) {
            event.verb = self.inside()?;
        }
        if self.eat(r#","user":{"username":""#) {
            let mut user = Identity { name: self.inside()?, ..Identity::default() };
            if self.eat(r#","uid":""#) {
                user.uid = self.inside()?;
            }
            if self.eat(r#","groups":"#) {
                user.groups = self.part()?;
            }
            if self.eat(r#","extra":"#) {
                user.extra = self.part()?;
            }
            if !self.eat("}") {
                self.members(true, &mut |scan, key| scan.of_identity(&mut user, key))?;
            }
            event.user = user;
        }
        if self.eat(r#","impersonatedUser":"#) {
            event.impersonated = self.identity()?;
        }
        if self.eat(r#","sourceIPs":"#) {
            event.source_ips = self.part()?;
        }
        if self.eat(r#","userAgent":""#) {
            event.user_agent = self.inside()?;
        }
        if self.eat(r#","objectRef":{"resource":""#) {
            let object = &mut event.object;
            object.resource = self.inside()?;
            if self.eat(r#","namespace":""#) {
                object.namespace = self.inside()?;
            }
            if self.eat(r#","name":""#) {
                object.name = self.inside()?;
            }
            if self.eat(r#","uid":""#) {
                object.uid = self.inside()?;
            }
            if self.eat(r#","apiGroup":""#) {
                object.api_group = self.inside()?;
            }
            if self.eat(r#","apiVersion":""#) {
                object.api_version = self.inside()?;
            }
            if self.eat(r#","resourceVersion":""#) {
                object.resource_version = self.inside()?;
            }
            if self.eat(r#","subresource":""#) {
                object.subresource = self.inside()?;
            }
            if !self.eat("}") {
                self.members(true, &mut |scan, key| scan.of_object(object, key))?;
            }
        }
        if self.eat(r#","responseStatus":{"metadata":{}"#) {
            if self.eat(r#","status":""#) {
                event.status = self.inside()?;
            }
            if self.eat(r#","message":""#) {
                event.message = self.inside()?;
            }
            if self.eat(r#","reason":""#) {
                event.reason = self.inside()?;
            }
            if self.eat(r#","details":"#) {
                self.value()?;
            }
            if self.eat(r#","code":"#) {
                event.code = self.integer()?;
            }
            if !self.eat("}") {
                self.members(true, &mut |scan, key| scan.of_status(event, key))?;
            }
        }
        if self.eat(r#","requestObject":"#) {
            event.request_object = self.part()?;
        }
        if self.eat(r#","responseObject":"#) {
            event.response_object = self.part()?;
        }
        if self.eat(r#","requestReceivedTimestamp":""#) {
            event.received = self.inside()?;
        }
        if self.eat(r#","stageTimestamp":""#) {
            event.staged = self.inside()?;
        }
        if self.eat(r#","annotations":"#) {
            event.annotations = self.part()?;
        }
        Ok(true)
    }

    /// One member of an event; the cursor stands on its value.
    fn member(&mut self, event: &mut Event<'a>, key: &str) -> Read<()> {
        match key {
            "level" => event.level = level(self.string()?.as_ref().map(|s| s.0.as_ref())),
            "auditID" => event.audit_id = self.string()?,
            "stage" => event.stage = stage(self.string()?.as_ref().map(|s| s.0.as_ref())),
            "requestURI" => event.request_uri = self.string()?,
            "verb" => event.verb = self.string()?,
            "user" => event.user = self.identity()?.unwrap_or_default(),
            "impersonatedUser" => event.impersonated = self.identity()?,
            "authenticationMetadata" => event.authentication = self.part()?,
            "sourceIPs" => event.source_ips = self.part()?,
            "userAgent" => event.user_agent = self.string()?,
            "objectRef" => {
                event.object = ObjectRef::default();
                let object = &mut event.object;
                self.object(&mut |scan, key| scan.of_object(object, key))?;
            }
            "responseStatus" => {
                self.object(&mut |scan, key| scan.of_status(event, key))?;
            }
            "requestObject" => event.request_object = self.part()?,
            "responseObject" => event.response_object = self.part()?,
            "requestReceivedTimestamp" => event.received = self.string()?,
            "stageTimestamp" | "timestamp" => event.staged = self.string()?,
            "annotations" => event.annotations = self.part()?,
            _ => {
                self.value()?;
            }
        }
        Ok(())
    }

    fn of_identity(&mut self, identity: &mut Identity<'a>, key: &str) -> Read<()> {
        match key {
            "username" => identity.name = self.string()?,
            "uid" => identity.uid = self.string()?,
            "groups" => identity.groups = self.part()?,
            "extra" => identity.extra = self.part()?,
            _ => {
                self.value()?;
            }
        }
        Ok(())
    }

    fn of_object(&mut self, object: &mut ObjectRef<'a>, key: &str) -> Read<()> {
        let slot = match key {
            "resource" => &mut object.resource,
            "namespace" => &mut object.namespace,
            "name" => &mut object.name,
            "uid" => &mut object.uid,
            "apiGroup" => &mut object.api_group,
            "apiVersion" => &mut object.api_version,
            "resourceVersion" => &mut object.resource_version,
            "subresource" => &mut object.subresource,
            _ => return self.value().map(|_| ()),
        };
        *slot = self.string()?;
        Ok(())
    }

    fn of_status(&mut self, event: &mut Event<'a>, key: &str) -> Read<()> {
        match key {
            "status" => event.status = self.string()?,
            "message" => event.message = self.string()?,
            "reason" => event.reason = self.string()?,
            "code" => event.code = self.integer()?,
            _ => {
                self.value()?;
            }
        }
        Ok(())
    }

    /// An object or null; calls `member` for each key. Returns whether there is an object.
    fn object(&mut self, member: &mut dyn FnMut(&mut Self, &'a str) -> Read<()>) -> Read<bool> {
        self.space();
        if self.peek() != Some(b'{') {
            return match self.value()? {
                None => Ok(false),
                Some(_) => Err(self.wrong("expected an object before here")),
            };
        }
        self.members(false, member)?;
        Ok(true)
    }

    fn identity(&mut self) -> Read<Option<Identity<'a>>> {
        let mut identity = Identity::default();
        let there = self.object(&mut |scan, key| scan.of_identity(&mut identity, key))?;
        Ok(there.then_some(identity))
    }

    /// Calls `member` for each key; it must consume the value. The cursor stands before the opening brace or, when
    /// `begun`, after a member.
    fn members(&mut self, begun: bool, member: &mut dyn FnMut(&mut Self, &'a str) -> Read<()>) -> Read<()> {
        if !begun {
            self.expect(b'{', "expected an object")?;
            self.space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
        }
        let mut first = !begun;
        loop {
            self.space();
            if !first {
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => {
                        self.at += 1;
                        return Ok(());
                    }
                    Some(_) => return Err(self.wrong("expected `,` or `}`")),
                    None => return Err(self.wrong("the text ends early")),
                }
                self.space();
            }
            first = false;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a member name"));
            }
            let (key, _) = self.quoted()?;
            self.expect(b':', "expected `:`")?;
            self.space();
            member(self, key)?;
        }
    }

    /// Passes over any value and returns its text; `None` for null.
    fn value(&mut self) -> Read<Option<&'a str>> {
        self.space();
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
        self.at += 1;
        self.inside()
    }

    /// The rest of a string whose opening quote was passed.
    #[inline]
    fn inside(&mut self) -> Read<Option<Str<'a>>> {
        self.at -= 1;
        let start = self.at;
        let (text, escaped) = self.quoted()?;
        if !escaped {
            return Ok(Some(Str(Cow::Borrowed(text))));
        }
        let unescaped = unescape(&self.text[start..self.at])
            .ok_or_else(|| self.wrong("a string with a bad escape before here"))?;
        Ok(Some(Str(unescaped)))
    }

    fn integer(&mut self) -> Read<Option<i64>> {
        self.space();
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

/// A quoted string's text. Most escapes are `\"`, as in the authorizer's reasons.
pub(super) fn unescape(quoted: &str) -> Option<Cow<'_, str>> {
    let mut out = String::with_capacity(quoted.len());
    let mut rest = quoted.get(1..quoted.len() - 1)?;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let c @ ('"' | '\\' | '/') = rest[at + 1..].chars().next()? else {
            // Lone surrogates, which Go reads as U+FFFD, among others.
            return match Json::parse(quoted) {
                Some(Json::String(text)) => Some(text),
                _ => None,
            };
        };
        out.push_str(&rest[..at]);
        out.push(c);
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
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
