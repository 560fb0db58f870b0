//! A small JSON tree that borrows from the event's bytes, built only for parts that some rule reads.

mod patient;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// What is nested deeper is not followed: the API server itself stops at a nesting of 10,000 and no
/// Kubernetes object comes near 100, while every walk over a tree here recurses.
pub const MAX_DEPTH: usize = 160;

/// One JSON value; strings borrow from the input unless they contain escapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object in the order of the input; a repeated key stays repeated.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses a complete JSON text; `None` if it is malformed.
    ///
    /// An object or list below [`MAX_DEPTH`] others becomes a string that holds its JSON text, so that the rest
    /// can be read.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut de = sonic_rs::Deserializer::from_str(text);
        Node(MAX_DEPTH).deserialize(&mut de).ok().or_else(|| patient::parse(text))
    }

    /// The member of an object by its exact key; of repeated keys the last, as Go's decoder has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The value as a string slice, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The elements, if it is an array; otherwise none.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// The members, if it is an object; otherwise none.
    pub fn members(&self) -> &[(Cow<'a, str>, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// RFC 6901: follows a pointer such as `/spec/containers/0/image`; `~1` is `/` and `~0` is `~`.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, token| {
            let token = token.replace("~1", "/").replace("~0", "~");
            match node {
                Self::Array(items) => items.get(token.parse::<usize>().ok()?),
                other => other.get(&token),
            }
        })
    }

    /// Compact JSON text of the value.
    pub fn to_text(&self) -> String {
        sonic_rs::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_unit(),
            Self::Bool(b) => s.serialize_bool(*b),
            Self::Int(n) => s.serialize_i64(*n),
            Self::Float(n) => s.serialize_f64(*n),
            Self::String(t) => s.serialize_str(t),
            Self::Array(items) => {
                let mut seq = s.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| seq.serialize_element(item))?;
                seq.end()
            }
            Self::Object(members) => {
                let mut map = s.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(k, v)| map.serialize_entry(k, v))?;
                map.end()
            }
        }
    }
}

/// Builds a [`Json`] with as many levels of nesting left as the number says.
struct Node(usize);

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<Json<'de>, D::Error> {
        de.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, b: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(b))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(n))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(n).map_or(Json::Float(n as f64), Json::Int))
    }
    fn visit_f64<E>(self, n: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(n))
    }
    fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(s)))
    }
    fn visit_str<E>(self, s: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(s.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let depth = self.0.checked_sub(1).ok_or_else(|| A::Error::custom("nested too deeply"))?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Node(depth))? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let depth = self.0.checked_sub(1).ok_or_else(|| A::Error::custom("nested too deeply"))?;
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Str<'de>>()? {
            members.push((key.0, map.next_value_seed(Node(depth))?));
        }
        Ok(Json::Object(members))
    }
}

/// A string that borrows whenever it can (`Option<Cow<str>>` always copies under serde).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Str<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Borrowed(s)))
            }
            fn visit_str<E>(self, s: &str) -> Result<Str<'de>, E> {
                Ok(Str(Cow::Owned(s.to_owned())))
            }
        }
        de.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_of_brackets_is_not_followed() {
        let bomb = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let tree = Json::parse(&bomb).unwrap();
        let (mut node, mut depth) = (&tree, 0);
        while let [inner] = node.items() {
            (node, depth) = (inner, depth + 1);
        }
        assert_eq!(depth, MAX_DEPTH);
        assert_eq!(node.as_str(), bomb.get(MAX_DEPTH..bomb.len() - MAX_DEPTH));
        // A bomb that is cut off is no JSON.
        assert_eq!(Json::parse(&bomb[..300_000]), None);
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(Json::parse(&deep).is_some());
    }

    #[test]
    fn what_stands_beside_a_bomb_is_read() {
        let bomb = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#"{{"x":{bomb},"spec":{{"hostPID":true}}}}"#);
        let tree = Json::parse(&text).unwrap();
        assert_eq!(tree.pointer("/spec/hostPID"), Some(&Json::Bool(true)));
    }

    #[test]
    fn follows_pointers_with_escapes() {
        let tree = Json::parse(r#"{"a/b":[{"c~d":7}]}"#).unwrap();
        assert_eq!(tree.pointer("/a~1b/0/c~0d"), Some(&Json::Int(7)));
        assert_eq!(tree.pointer("/a~1b/1"), None);
    }
}
