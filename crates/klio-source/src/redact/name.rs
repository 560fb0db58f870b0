//! Which names promise a secret.

use std::borrow::Cow;

use super::view::View;

/// A key as Go's `encoding/json` compares it: without escapes, without case, and with the two letters beyond ASCII
/// that fold into it (`encoding/json/fold.go`).
pub(super) fn fold(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') && raw.is_ascii() {
        return lower(Cow::Borrowed(raw));
    }
    let plain = View::json(raw).text;
    lower(if plain.is_ascii() {
        plain
    } else {
        Cow::Owned(plain.replace('\u{17f}', "s").replace('\u{212a}', "k"))
    })
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { text }
}

/// Parts of the name of an environment variable or a flag that holds a secret.
const PARTS: [&str; 8] = ["pass", "secret", "token", "key", "cred", "auth", "dsn", "conn"];

/// Ends of names that say where a secret is, not what it is.
const PLACES: [&str; 18] = [
    "file",
    "path",
    "dir",
    "name",
    "ref",
    "mode",
    "type",
    "enabled",
    "ttl",
    "expiry",
    "timeout",
    "interval",
    "duration",
    "bytes",
    "count",
    "audience",
    "issuer",
    "algorithm",
];

/// Whether a variable of this name, in lower case, holds a secret. Names that say where one lies do not.
pub(super) fn of_variable(name: &str) -> bool {
    PARTS.iter().any(|part| name.contains(part)) && !PLACES.iter().any(|place| name.ends_with(place))
}

/// Ends of names that leave no doubt, without `-`, `_` and `.`.
const STRICT: [&str; 27] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "clientsecret",
    "secretkey",
    "secretaccesskey",
    "sharedsecret",
    "apisecret",
    "appsecret",
    "signingsecret",
    "webhooksecret",
    "cookiesecret",
    "apikey",
    "apitoken",
    "accesstoken",
    "accesskey",
    "authtoken",
    "bearertoken",
    "refreshtoken",
    "idtoken",
    "privatekey",
    "accountkey",
    "connectionstring",
    "dsn",
    "encryptionkey",
];

/// Whether a member of this name, in lower case, holds a secret itself.
pub(super) fn of_member(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect();
    let plain = plain.strip_suffix('s').filter(|p| !p.ends_with('s')).unwrap_or(&plain);
    matches!(plain, "token" | "pass" | "secretdata") || STRICT.iter().any(|end| plain.ends_with(end))
}

/// Whether a query parameter of this name, in lower case, holds a secret.
pub(super) fn of_parameter(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect();
    of_member(&plain)
        || matches!(
            plain.as_str(),
            "sig" | "key" | "auth" | "authorization" | "credential" | "jwt" | "secret"
        )
        || ["token", "secret", "signature", "xamzcredential", "xgoogcredential"]
            .iter()
            .any(|end| plain.ends_with(end))
}

/// Values that are no secret whatever they are called: switches, references to variables, paths, templates.
pub(super) fn is_harmless(value: &str) -> bool {
    let value = value.trim();
    let path = value.starts_with('/')
        && value.matches('/').count() > 1
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    let reference = (value.starts_with("$(") && value.ends_with(')'))
        || (value.starts_with("${") && value.ends_with('}'))
        || (value.starts_with("{{") && value.ends_with("}}"));
    value.is_empty()
        || path
        || (reference && !value.contains(":-"))
        || matches!(
            value,
            "true" | "false" | "null" | "none" | "nil" | "True" | "False" | "disabled" | "enabled"
        )
        || super::cut::is_marker(value)
}

/// Whether an option is named so; those that say where a secret lies are not.
pub(super) fn of_variable_or_strict(name: &str) -> bool {
    of_variable(name) || of_parameter(name)
}
