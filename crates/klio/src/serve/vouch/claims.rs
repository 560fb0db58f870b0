//! What an ID token must say (OpenID Connect Core 1.0, 3.1.3.7), and whom it is about.

use klio_desk::{Identity, Kind};
use serde_json::Value;

use super::jwt::{Jwt, texts};
use crate::config::Oidc;

/// Clocks differ by so many seconds.
const SKEW: i64 = 60;

/// What a token must be for.
pub enum For<'s> {
    /// This sign-in of a browser, by its nonce.
    SignIn(&'s str),
    /// Any request, as a bearer token.
    Bearer,
}

/// Refuses a token whose signature is good and which is not for us, or not now. `now` in seconds since 1970.
pub fn check(oidc: &Oidc, jwt: &Jwt<'_>, wanted: &For<'_>, now: i64) -> Result<(), String> {
    let header = &jwt.header;
    // An access token (at+jwt) or a logout token is none (RFC 8725, 3.11).
    if header.typ.as_ref().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
        return Err(format!("it is no ID token, but {:?}", header.typ));
    }
    if jwt.claims.contains_key("events") {
        return Err("it is a logout token".to_owned());
    }
    if jwt.issuer() != Some(oidc.issuer.as_str()) {
        return Err(format!("it is of another issuer: {:?}", jwt.issuer()));
    }
    let is_ours = |audience: &str| match wanted {
        For::SignIn(_) => audience == oidc.client_id,
        For::Bearer => audience == oidc.client_id || oidc.audiences.iter().any(|own| own == audience),
    };
    let audiences = jwt.audiences();
    if !audiences.iter().any(|audience| is_ours(audience)) {
        return Err(format!("it is for somebody else: {audiences:?}"));
    }
    match jwt.claims.get("azp") {
        None if audiences.len() > 1 && matches!(wanted, For::SignIn(_)) => {
            return Err("it is for several, and does not say who asked for it (azp)".to_owned());
        }
        Some(azp) if !azp.as_str().is_some_and(is_ours) => {
            return Err(format!("somebody else asked for it (azp): {azp}"));
        }
        _ => {}
    }
    let ends = jwt.seconds("exp").ok_or("it does not say when it ends")?;
    if ends <= now.saturating_sub(SKEW) {
        return Err(format!("it ended {} seconds ago", now.saturating_sub(ends)));
    }
    for claim in ["iat", "nbf"] {
        let is_there = jwt.claims.contains_key(claim);
        if is_there && jwt.seconds(claim).is_none_or(|from| from > now.saturating_add(SKEW)) {
            return Err(format!("it is good only later ({claim}), or a clock is wrong"));
        }
    }
    match wanted {
        For::SignIn(nonce) if jwt.text("nonce") != Some(*nonce) => {
            Err("it was not made for this sign-in (nonce)".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whom a token is about that was checked.
pub fn identity(oidc: &Oidc, jwt: &Jwt<'_>) -> Result<Identity, String> {
    let subject = jwt.text("sub").filter(|sub| !sub.is_empty() && sub.len() <= 255);
    let subject = subject.ok_or("it does not say whom it is about (sub)")?;
    let name = jwt.text(&oidc.name_claim).filter(|name| !name.is_empty()).ok_or_else(|| {
        format!(
            "it has no {}: sign_in.oidc.name_claim and scopes say which claim is the name",
            oidc.name_claim
        )
    })?;
    // Whoever may write any address into his profile would be anybody.
    let verified = jwt.claims.get("email_verified");
    let is_verified = verified.is_some_and(|is| *is == Value::Bool(true) || *is == "true");
    if oidc.name_claim == "email" && !is_verified {
        return Err("the provider did not verify the address (email_verified)".to_owned());
    }
    Ok(Identity {
        kind: Kind::Oidc,
        by: oidc.name.clone(),
        // An issuer has no fragment, so that no two of them make the same of two subjects.
        subject: format!("{}#{subject}", oidc.issuer),
        name: name.to_owned(),
        groups: texts(jwt.claims.get(&oidc.groups_claim)).into_iter().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::serve::vouch::jwt::tests::token;

    const NOW: i64 = 1_800_000_000;

    fn oidc() -> Oidc {
        let yaml = "{name: corp, issuer: https://id, client_id: klio, audiences: [cli]}";
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn only_what_is_for_us_and_now_is_good() {
        let told = |header: Value, changes: Value, wanted: For<'_>| {
            let mut claims = json!({ "iss": "https://id", "aud": "klio", "sub": "7", "iat": NOW - 9, "exp": NOW + 9, "nonce": "n" });
            for (name, value) in changes.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let mut all = json!({ "alg": "RS256" });
            for (name, value) in header.as_object().unwrap() {
                all[name] = value.clone();
            }
            let token = token(&all, &claims, b"x");
            check(&oidc(), &Jwt::read(&token).unwrap(), &wanted, NOW)
        };
        let sign_in = |changes: Value| told(json!({ "typ": "JWT" }), changes, For::SignIn("n")).is_ok();
        let bearer = |changes: Value| told(json!({}), changes, For::Bearer).is_ok();
        for good in [
            json!({}),
            json!({ "aud": ["klio"] }),
            json!({ "aud": ["klio", "x"], "azp": "klio" }),
            json!({ "exp": NOW - 30 }),
            json!({ "iat": NOW + 30, "nbf": NOW + 30 }),
        ] {
            assert!(sign_in(good.clone()) && bearer(good.clone()), "{good}");
        }
        for bad in [
            json!({ "iss": "https://id/" }),
            json!({ "iss": null }),
            json!({ "aud": "klio2" }),
            json!({ "aud": [] }),
            json!({ "aud": null }),
            json!({ "aud": { "klio": 1 } }),
            json!({ "aud": ["klio", "x"], "azp": "x" }),
            json!({ "azp": ["klio"] }),
            json!({ "exp": NOW - 61 }),
            json!({ "exp": null }),
            json!({ "exp": "never" }),
            json!({ "iat": NOW + 61 }),
            json!({ "nbf": "x" }),
            json!({ "nbf": NOW + 61 }),
            json!({ "events": {} }),
        ] {
            assert!(!sign_in(bad.clone()) && !bearer(bad.clone()), "{bad}");
        }
        for (changes, as_bearer) in [
            (json!({ "nonce": "m" }), true),
            (json!({ "nonce": null }), true),
            (json!({ "aud": "cli" }), true),
            (json!({ "aud": ["klio", "x"] }), true),
        ] {
            assert!(!sign_in(changes.clone()), "{changes}");
            assert_eq!(bearer(changes.clone()), as_bearer, "{changes}");
        }
        for typ in ["at+jwt", "logout+jwt", "application/at+jwt", ""] {
            assert!(told(json!({ "typ": typ }), json!({}), For::Bearer).is_err(), "{typ}");
        }
    }

    #[test]
    fn an_address_that_nobody_verified_is_no_name() {
        let of = |claims: Value, oidc: &Oidc| {
            let token = token(&json!({ "alg": "RS256" }), &claims, b"");
            identity(oidc, &Jwt::read(&token).unwrap())
        };
        let ana = |verified: Value| json!({ "sub": "7", "email": "ana@x", "email_verified": verified, "groups": ["a", 1, "b"] });
        let good = of(ana(json!(true)), &oidc()).unwrap();
        assert_eq!(
            (good.name.as_str(), good.subject.as_str(), good.by.as_str()),
            ("ana@x", "https://id#7", "corp")
        );
        assert_eq!(good.groups, ["a", "b"]);
        for bad in [
            ana(json!(false)),
            ana(json!(null)),
            ana(json!(1)),
            json!({ "sub": "7" }),
            json!({ "email": "ana@x", "email_verified": true }),
        ] {
            assert!(of(bad.clone(), &oidc()).is_err(), "{bad}");
        }
        let by_name = Oidc { name_claim: "preferred_username".into(), ..oidc() };
        let good = of(json!({ "sub": "7", "preferred_username": "ana", "groups": "ops" }), &by_name).unwrap();
        assert_eq!((good.name.as_str(), good.groups), ("ana", vec!["ops".to_owned()]));
    }
}
