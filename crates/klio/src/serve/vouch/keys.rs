//! A provider's keys (RFC 7517), and whether one of them signed a token.
//!
//! The key's own kind says what it can have signed (RFC 8725, 3.1): an algorithm that a token names and a key does not have is refused,
//! and there are neither symmetric algorithms nor `none` here. *ring* verifies.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{self as algorithms, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

use super::jwt::Jwt;

/// Most keys of one provider.
const MOST: usize = 100;

/// A key as it is published.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

struct Key {
    kid: Option<String>,
    alg: Option<String>,
    public: Public,
}

/// Whether a token was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signed {
    /// By one of the keys.
    Yes,
    /// By none of them.
    No,
    /// The key that it names is not among them.
    UnknownKey,
}

/// All keys of a provider that can have signed tokens.
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a set of keys. Those of kinds that are not known are passed over.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let set: Jwks = serde_json::from_slice(json).map_err(|e| format!("its keys cannot be read: {e}"))?;
        let keys = set.keys.into_iter().take(MOST);
        Ok(Self(keys.filter_map(|key| serde_json::from_value(key).ok().and_then(key_of)).collect()))
    }

    /// Whether one of them signed it.
    pub fn signed(&self, jwt: &Jwt<'_>) -> Signed {
        let named = |key: &&Key| jwt.header.kid.is_none() || key.kid == jwt.header.kid;
        let mut found = self.0.iter().filter(named).peekable();
        if found.peek().is_none() {
            return Signed::UnknownKey;
        }
        if found.any(|key| key.signed(jwt)) { Signed::Yes } else { Signed::No }
    }
}

fn key_of(jwk: Jwk) -> Option<Key> {
    let signs = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|op| op == "verify"));
    if !signs {
        return None;
    }
    let bytes = |text: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    let number = |text| {
        let bytes = bytes(text)?;
        let from = bytes.iter().position(|byte| *byte != 0)?;
        bytes.get(from..).map(<[u8]>::to_vec)
    };
    // Uncompressed, as SEC 1 (2.3.3) has it; both of exactly this length (RFC 7518, 6.2.1.2).
    let point = |length: usize| {
        let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
        (x.len() == length && y.len() == length).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
    };
    let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", None) => Public::Rsa { n: number(&jwk.n)?, e: number(&jwk.e)? },
        ("EC", Some("P-256")) => Public::P256(point(32)?),
        ("EC", Some("P-384")) => Public::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(&jwk.x)?),
        _ => return None,
    };
    Some(Key { kid: jwk.kid, alg: jwk.alg, public })
}

impl Key {
    fn signed(&self, jwt: &Jwt<'_>) -> bool {
        let alg = jwt.header.alg.as_str();
        if self.alg.as_deref().is_some_and(|own| own != alg) {
            return false;
        }
        let (signed, signature) = (jwt.signed.as_bytes(), jwt.signature.as_slice());
        let simple =
            |algorithm, key: &[u8]| UnparsedPublicKey::new(algorithm, key).verify(signed, signature).is_ok();
        match (&self.public, alg) {
            (Public::Rsa { n, e }, _) => {
                // 2048 bits at least (RFC 7518, 3.3).
                let algorithm = match alg {
                    "RS256" => &algorithms::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &algorithms::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &algorithms::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &algorithms::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &algorithms::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &algorithms::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                RsaPublicKeyComponents { n, e }.verify(algorithm, signed, signature).is_ok()
            }
            (Public::P256(key), "ES256") => simple(&algorithms::ECDSA_P256_SHA256_FIXED, key),
            (Public::P384(key), "ES384") => simple(&algorithms::ECDSA_P384_SHA384_FIXED, key),
            // The second name is RFC 9864's.
            (Public::Ed25519(key), "EdDSA" | "Ed25519") => {
                UnparsedPublicKey::new(&algorithms::ED25519, key).verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;
    use crate::serve::vouch::jwt::tests::token;

    fn encode(bytes: &[u8]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn signed(keys: &Value, token: &str) -> Signed {
        Keys::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap().signed(&Jwt::read(token).unwrap())
    }

    #[test]
    fn a_token_is_good_by_the_key_that_it_names_and_the_algorithm_of_that_key() {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "1", "x": x, "y": y });
        let with = |name: &str, value: Value| {
            let mut key = ec.clone();
            key[name] = value;
            key
        };
        let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let okp =
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": encode(ed.public_key().as_ref()) });
        let claims = json!({ "sub": "ana" });
        let sign = |header: Value| {
            let unsigned = token(&header, &claims, b"");
            let text = unsigned.strip_suffix('.').unwrap();
            format!("{text}.{}", encode(pair.sign(&random, text.as_bytes()).unwrap().as_ref()))
        };
        let good = sign(json!({ "alg": "ES256", "kid": "1" }));
        let (yes, no, unknown) = (Signed::Yes, Signed::No, Signed::UnknownKey);
        assert_eq!(signed(&json!([ec]), &good), yes);
        assert_eq!(signed(&json!([{ "kty": "new" }, "odd", okp, ec]), &good), yes);
        assert_eq!(signed(&json!([with("kid", json!("2"))]), &good), unknown);
        assert_eq!(signed(&json!([with("kid", json!("2"))]), &sign(json!({ "alg": "ES256" }))), yes);
        assert_eq!(signed(&json!([with("alg", json!("ES384"))]), &good), no);
        assert_eq!(signed(&json!([with("use", json!("enc"))]), &good), unknown);
        assert_eq!(signed(&json!([with("x", json!(y))]), &good), no);
        assert_eq!(signed(&json!([with("x", json!("AA"))]), &good), unknown);
        assert_eq!(signed(&json!([okp]), &good), no);
        for alg in ["none", "None", "", "HS256", "RS256", "ES384", "es256", "EdDSA"] {
            assert_eq!(signed(&json!([ec, okp]), &sign(json!({ "alg": alg, "kid": "1" }))), no, "{alg}");
        }
        // The public key as the secret of an HMAC (CVE-2015-9235).
        let text = token(&json!({ "alg": "HS256", "kid": "1" }), &claims, b"");
        let text = text.strip_suffix('.').unwrap();
        let hmac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, point), text.as_bytes());
        let oct = json!({ "kty": "oct", "kid": "1", "k": encode(point) });
        assert_eq!(signed(&json!([oct, ec]), &format!("{text}.{}", encode(hmac.as_ref()))), no);
        // An empty signature, one of zeros (CVE-2022-21449), and another text.
        let (text, _) = good.rsplit_once('.').unwrap();
        for bad in [vec![], vec![0; 64]] {
            assert_eq!(signed(&json!([ec]), &format!("{text}.{}", encode(&bad))), no);
        }
        let other = token(&json!({ "alg": "ES256", "kid": "1" }), &json!({ "sub": "eve" }), b"");
        let tampered = format!("{other}{}", good.rsplit_once('.').unwrap().1);
        assert_eq!(signed(&json!([ec]), &tampered), no);

        let text = token(&json!({ "alg": "EdDSA", "kid": "1" }), &claims, b"");
        let text = text.strip_suffix('.').unwrap();
        let edwards = format!("{text}.{}", encode(ed.sign(text.as_bytes()).as_ref()));
        assert_eq!((signed(&json!([okp]), &edwards), signed(&json!([ec]), &edwards)), (yes, no));
        assert!(Keys::read(b"{}").is_err());
    }
}
