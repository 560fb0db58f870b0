//! JSON Web Tokens (RFC 7519) in the compact form (RFC 7515, 3.1), taken apart and not yet believed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What is said about the signature.
#[derive(Deserialize, Debug)]
pub struct Header {
    /// The algorithm.
    pub alg: String,
    /// Which key.
    #[serde(default)]
    pub kid: Option<String>,
    /// What it is.
    #[serde(default)]
    pub typ: Option<String>,
    /// What must be understood; nothing is (RFC 7515, 4.1.11).
    #[serde(default)]
    pub crit: Option<Value>,
}

/// A token that was taken apart.
#[derive(Debug)]
pub struct Jwt<'t> {
    /// What is said about the signature.
    pub header: Header,
    /// What is said about somebody.
    pub claims: Map<String, Value>,
    /// What is signed.
    pub signed: &'t str,
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'t> Jwt<'t> {
    /// Takes a token apart; `None` if it is none.
    pub fn read(token: &'t str) -> Option<Self> {
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims = serde_json::from_slice(&decode(claims)?).ok()?;
        Some(Self { header, claims, signed, signature: decode(signature)? })
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// Who is said to have issued it.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// For whom it is; nothing if it does not say, or not as RFC 7519 (4.1.3) has it.
    pub fn audiences(&self) -> Vec<&str> {
        texts(self.claims.get("aud"))
    }

    /// A claim that is a time, in seconds since 1970.
    pub fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
    }
}

/// The texts of a list, or the one.
pub fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A token with these parts and this signature.
    pub fn token(header: &Value, claims: &Value, signature: &[u8]) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (header, claims) = (header.to_string(), claims.to_string());
        format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(signature))
    }

    #[test]
    fn only_tokens_are_taken_apart() {
        let header = json!({ "alg": "RS256", "kid": "1" });
        let good = token(&header, &json!({ "iss": "a", "aud": ["b", 1, "c"], "exp": 1.5e9 }), b"x");
        let jwt = Jwt::read(&good).unwrap();
        assert_eq!((jwt.issuer(), jwt.audiences()), (Some("a"), vec!["b", "c"]));
        assert_eq!((jwt.seconds("exp"), jwt.seconds("iat")), (Some(1_500_000_000), None));
        assert!(good.starts_with(jwt.signed) && jwt.signature == b"x");
        assert_eq!(Jwt::read(&token(&header, &json!({ "iss": 1 }), b"")).unwrap().issuer(), None);
        for none in [
            String::new(),
            "klio_x".into(),
            "a.b".into(),
            "..".into(),
            good.replace('.', ""),
            format!("{good}=="),
            format!("{good}.x"),
            format!("{good}\n"),
            token(&json!({ "kid": "1" }), &json!({}), b""),
            token(&json!({ "alg": ["RS256"] }), &json!({}), b""),
            token(&header, &json!(["iss"]), b""),
        ] {
            assert!(Jwt::read(&none).is_none(), "{none}");
        }
    }
}
