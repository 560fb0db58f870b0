//! Random texts that are secrets, and what of them is kept.

use sha2::{Digest as _, Sha256};

use crate::{DeskError, Secret};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is a little more than 2^256.
const STRONG: usize = 43;
/// 62^22 is more than 2^130: for ids that nobody guesses and no two share.
const ID: usize = 22;
/// Enough letters for 32 bits.
const CHECK: usize = 6;
const TOKEN: &str = "klio_";

/// Which secrets hash how: one can never stand in for another.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Token,
    Session,
    Csrf,
}

/// So many random letters and digits, each as likely as the others.
fn random(length: usize) -> Result<String, DeskError> {
    let mut text = String::with_capacity(length);
    let mut bytes = zeroize::Zeroizing::new([0_u8; 64]);
    while text.len() < length {
        getrandom::fill(bytes.as_mut()).map_err(|e| DeskError::Crypto(e.to_string()))?;
        for byte in bytes.iter() {
            // 248 = 4 × 62: the rest would make some letters likelier.
            if text.len() < length && *byte < 248 {
                text.push(char::from(LETTERS[usize::from(byte % 62)]));
            }
        }
    }
    Ok(text)
}

/// A public id.
pub(crate) fn id() -> Result<String, DeskError> {
    random(ID)
}

/// 256 random bits.
pub(crate) fn strong() -> Result<Secret, DeskError> {
    Ok(random(STRONG)?.into())
}

/// A password for somebody's first hour, in groups that can be read aloud: 20 characters, 119 random bits.
pub(crate) fn first_password() -> Result<Secret, DeskError> {
    let letters = zeroize::Zeroizing::new(random(20)?);
    let groups: Vec<&str> = (0..4).map(|i| &letters[i * 5..i * 5 + 5]).collect();
    Ok(groups.join("-").into())
}

/// A new API token: `klio_`, 256 random bits, and a checksum by which scanners of repositories know a real one.
pub(crate) fn token() -> Result<Secret, DeskError> {
    let body = zeroize::Zeroizing::new(random(STRONG)?);
    Ok(format!("{TOKEN}{}{}", *body, check(&body)).into())
}

/// Whether a text has the form of a token. What was mistyped or cut need not be looked up.
pub(crate) fn is_token(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(TOKEN) else { return false };
    let form = rest.len() == STRONG + CHECK && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    form && check(&rest[..STRONG]) == rest[STRONG..]
}

/// The first 32 bits of SHA-256 in base 62.
fn check(body: &str) -> String {
    let digest = Sha256::digest(body);
    let mut n = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let mut text = [b'0'; CHECK];
    for place in text.iter_mut().rev() {
        *place = LETTERS[(n % 62) as usize];
        n /= 62;
    }
    text.into_iter().map(char::from).collect()
}

/// What is kept of a secret of 256 random bits: SHA-256 in hexadecimal. There is nothing to be tried out, so no slow hash is
/// needed; and a look-up by it tells a watch nothing about the secret.
pub(crate) fn digest(purpose: Use, secret: &str) -> String {
    use std::fmt::Write as _;
    let purpose = match purpose {
        Use::Token => "klio token 1",
        Use::Session => "klio session 1",
        Use::Csrf => "klio csrf 1",
    };
    let hash = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(secret).finalize();
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_tells_its_form() {
        let token = token().unwrap();
        let text = token.expose_secret();
        assert!(is_token(text) && text.len() == 54, "{text}");
        for at in [0, 5, 20, 53] {
            let mut other = text.to_owned().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_token(std::str::from_utf8(&other).unwrap()));
        }
        assert!(!is_token("klio_") && !is_token("") && !is_token(&format!("klio_{}", "é".repeat(30))));
        assert!(!format!("{token:?}").contains(&text[5..]));
    }

    #[test]
    fn secrets_of_different_use_hash_differently() {
        let of = |purpose| digest(purpose, "x");
        assert!(of(Use::Token) != of(Use::Session) && of(Use::Session) != of(Use::Csrf));
        assert_eq!(of(Use::Token).len(), 64);
    }

    #[test]
    fn every_letter_turns_up_and_nothing_twice() {
        let text = random(10_000).unwrap();
        assert!(LETTERS.iter().all(|letter| text.contains(char::from(*letter))));
        assert_ne!(id().unwrap(), id().unwrap());
        assert_eq!(first_password().unwrap().expose_secret().len(), 23);
    }
}
