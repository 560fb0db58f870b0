//! People who sign in by what others vouch for: a real OpenID Connect provider, clusters that answer as they like, certificates.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/browser.rs"]
mod browser;
#[path = "made/keys.rs"]
mod keys;
#[path = "made/klio.rs"]
mod made;
#[path = "made/provider.rs"]
mod provider;
#[path = "made/reviewer.rs"]
mod reviewer;
#[path = "made/server.rs"]
mod server;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use browser::{Browser, Page, between};
use keys::Authority;
use made::{number, ok};
use provider::Provider;
use reviewer::Reviewer;
use serde_json::{Value, json};
use server::Server;
use sha2::{Digest as _, Sha256};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server's directory, the provider's port, and who signed the provider's certificate.
struct House {
    _dir: tempfile::TempDir,
    data: PathBuf,
    own: String,
    issuer: String,
    port: u16,
    authority: Authority,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("lake");
        let authority = Authority::new(&dir.path().join("authority.pem"));
        std::fs::write(dir.path().join("secret"), "a secret: with+signs\n").unwrap();
        let port = free_port();
        let (own, issuer) =
            (format!("https://127.0.0.1:{}", free_port()), format!("https://127.0.0.1:{port}"));
        Self { data, own, issuer, port, authority, _dir: dir }
    }

    fn callback(&self) -> String {
        format!("{}/api/v1/sign-in/oidc/corp/callback", self.own)
    }

    /// `client` is the rest of the provider's settings.
    fn settings(&self, client: &str, role: &str) {
        let (own, issuer, ca) = (&self.own, &self.issuer, self.authority.pem.display());
        let listen = own.strip_prefix("https://").unwrap();
        let text = format!(
            "server:\n  listen: {listen}\n  ops: 127.0.0.1:0\n  url: {own}\n  flush_seconds: 1\nsign_in:\n  oidc:\n    \
             - {{name: corp, issuer: '{issuer}', {client}, audiences: [cli], ca: {ca}}}\n  mapping:\n    \
             - {{kind: oidc, by: corp, group: klio-*, role: {role}, scope: prod}}\n"
        );
        made::with_settings(&self.data, &text);
    }

    fn secret_client(&self) -> String {
        let secret = self.authority.pem.with_file_name("secret");
        format!("client_id: klio, client_secret: 'file:{}'", secret.display())
    }

    fn browser(&self) -> Browser {
        Browser::new(&[&self.data.join("tls/ca.pem"), &self.authority.pem])
    }

    /// Signs in as somebody, up to where the provider sends the browser back.
    fn walk(&self, browser: &Browser, who: &str) -> String {
        let page = browser.get(&format!("{}/api/v1/sign-in/oidc/corp?return_to=/events%3Fa%3Db", self.own));
        assert_eq!(page.status, 303, "{page:?}");
        browser.walk(&page.to.unwrap(), who, &self.callback())
    }

    fn who(&self, browser: &Browser) -> Value {
        let page = browser.get(&format!("{}/api/v1/whoami", self.own));
        assert_eq!(page.status, 200, "{page:?}");
        serde_json::from_str(&page.body).unwrap()
    }

    /// What a token gets.
    fn bearer(&self, browser: &Browser, token: &str) -> Page {
        browser.bearer(&format!("{}/api/v1/whoami", self.own), token)
    }
}

fn until<T>(what: &str, seconds: u64, fact: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// The address with another value of a parameter, or without it.
fn with(url: &str, name: &str, value: Option<&str>) -> String {
    let mut parsed = url::Url::parse(url).unwrap();
    let pairs: Vec<(String, String)> =
        parsed.query_pairs().into_owned().filter(|(own, _)| own != name).collect();
    let more = value.map(|value| (name.to_owned(), value.to_owned()));
    parsed.query_pairs_mut().clear().extend_pairs(pairs.into_iter().chain(more));
    parsed.into()
}

fn parameter(url: &str, name: &str) -> String {
    let parsed = url::Url::parse(url).unwrap();
    parsed.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned()
}

#[test]
fn people_sign_in_at_a_real_provider() {
    let Some(package) = provider::installed() else { return };
    let house = House::new();
    house.settings(&house.secret_client(), "analyst");
    // The provider is not there yet.
    let server = Server::start(&house.data);
    let begin = format!("{}/api/v1/sign-in/oidc/corp", house.own);
    let browser = house.browser();
    let ways = browser.get(&format!("{}/api/v1/sign-in", house.own));
    assert!(ways.status == 200 && ways.body.contains("/api/v1/sign-in/oidc/corp"), "{ways:?}");
    assert!(!ways.body.contains("secret") && !ways.body.contains(&house.issuer), "{ways:?}");
    let page = browser.get(&begin);
    assert!(page.status == 503 && page.again, "{page:?}");
    let soon = jiff::Timestamp::now().as_second() + 600;
    let claims = json!({ "iss": house.issuer, "aud": "klio", "exp": soon, "sub": "x" }).to_string();
    let unsigned = format!("eyJhbGciOiJSUzI1NiJ9.{}.AA", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let page = house.bearer(&browser, &unsigned);
    assert!(page.status == 503 && page.again, "{page:?}");

    let provider = Provider::start(&package, &house.authority, house.port, &house.callback());
    until("the provider is found", 30, || (browser.get(&begin).status == 303).then_some(()));
    let back = house.walk(&browser, "ana");
    // Another browser has not begun this, whatever it began itself; and then it is used up.
    let other = house.browser();
    other.get(&begin);
    assert_eq!(other.get(&back).status, 400);
    assert_eq!(browser.get(&back).status, 400);
    let back = house.walk(&browser, "ana");
    let page = browser.get(&back);
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(page.to.as_deref(), Some(format!("{}/events?a=b", house.own).as_str()));
    let session = page.cookies.iter().find(|cookie| cookie.starts_with("__Host-klio=")).unwrap();
    for part in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(session.contains(part), "{session}");
    }
    let who = house.who(&browser);
    assert_eq!(
        [&who["name"], &who["kind"], &who["role"], &who["scope"], &who["via"]],
        ["ana@example.org", "oidc", "analyst", "prod", "session"]
    );
    assert_eq!(browser.get(&back).status, 400, "twice");

    // An address that she wrote into her profile, and no group that lets in.
    let mallory = house.browser();
    let back = house.walk(&mallory, "mallory");
    assert_eq!(mallory.get(&back).status, 401);
    let eve = house.browser();
    let back = house.walk(&eve, "eve");
    let page = eve.get(&back);
    assert!(page.status == 403 && page.body.contains("sign_in.mapping"), "{page:?}");
    // Ana's browser is made to end her sign-in with another's code: PKCE. The mix-up with another provider: `iss`.
    let (thief, ana) = (house.browser(), house.browser());
    let code = parameter(&house.walk(&thief, "ana"), "code");
    let back = house.walk(&ana, "ana");
    assert_eq!(ana.get(&with(&back, "code", Some(&code))).status, 401);
    for issuer in [Some("https://id.example.org"), None] {
        let ana = house.browser();
        let back = house.walk(&ana, "ana");
        assert_eq!(ana.get(&with(&back, "iss", issuer)).status, 401, "{issuer:?}");
        assert_eq!(ana.get(&format!("{}/api/v1/whoami", house.own)).status, 401);
    }
    let page = browser.get(&format!("{begin}?return_to=https://evil.example"));
    assert_eq!(page.status, 400, "{page:?}");

    // Other settings count without a restart: a public client that gets ES256, and what ana is worth.
    house.settings("client_id: klio-public, scopes: [openid, email, profile]", "viewer");
    server.until("the settings are read", |server| server.said("the settings were read again") == 1);
    assert_eq!(house.who(&browser)["role"], "viewer");
    let fresh = house.browser();
    let back = house.walk(&fresh, "ana");
    assert_eq!(fresh.get(&back).status, 303);
    assert_eq!(house.who(&fresh)["role"], "viewer");
    drop(provider);
    server.settled();
    server.stop();
    // The audit knows who came, and nothing with which anybody else could.
    let callbacks = "raw LIKE '%/callback?%' AND cluster = 'klio'";
    assert!(number(&house.data, &format!("SELECT count(*) FROM events WHERE {callbacks}")) >= 10);
    let entered =
        format!("SELECT count(*) FROM events WHERE {callbacks} AND user_name = 'oidc:ana@example.org'");
    assert!(number(&house.data, &entered) >= 2);
    for told in ["code=", "state=", &code] {
        let query = format!("SELECT count(*) FROM events WHERE {callbacks} AND raw LIKE '%{told}%'");
        assert_eq!(number(&house.data, &query), 0, "{told}");
    }
    ok(&house.data, &["verify"]);
}

/// An ID token of the real provider for a program, by the same flow.
fn id_token(house: &House, client: &str, who: &str) -> String {
    let browser = house.browser();
    let (verifier, back) = ("v".repeat(43), "https://127.0.0.1:9/cli");
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let query = browser::form(&[
        ("client_id", client),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("redirect_uri", back),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let code = parameter(&browser.walk(&format!("{}/auth?{query}", house.issuer), who, back), "code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", &code),
        ("redirect_uri", back),
        ("code_verifier", &verifier),
    ];
    let page = browser.post(&format!("{}/token", house.issuer), &fields);
    between(&page.body, "\"id_token\":\"", "\"").to_owned()
}

#[test]
fn an_id_token_is_a_credential_of_programs() {
    let Some(package) = provider::installed() else { return };
    let house = House::new();
    house.settings(&house.secret_client(), "analyst");
    let mut provider = Provider::start(&package, &house.authority, house.port, &house.callback());
    let server = Server::start(&house.data);
    let browser = house.browser();
    let token = id_token(&house, "cli", "ana");
    let page = house.bearer(&browser, &token);
    assert!(page.status == 200 && page.body.contains("ana@example.org"), "{page:?}");
    assert_eq!(house.bearer(&browser, &id_token(&house, "stranger", "ana")).status, 401);
    assert_eq!(house.bearer(&browser, &id_token(&house, "cli", "mallory")).status, 401);

    let now = jiff::Timestamp::now().as_second();
    let claims = |changes: Value| {
        let mut claims = json!({
            "iss": house.issuer, "aud": "klio", "sub": "ana", "iat": now, "exp": now + 600,
            "email": "ana@example.org", "email_verified": true, "groups": ["klio-ops"],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let good = provider.sign(&claims(json!({})), json!({}));
    assert_eq!(house.bearer(&browser, &good).status, 200);
    let mut bad = vec![
        ("another audience", provider.sign(&claims(json!({ "aud": "other" })), json!({}))),
        ("another issuer", provider.sign(&claims(json!({ "iss": "https://id.example.org" })), json!({}))),
        ("ended", provider.sign(&claims(json!({ "exp": now - 90 })), json!({}))),
        ("later", provider.sign(&claims(json!({ "nbf": now + 90 })), json!({}))),
        ("another key", provider.sign(&claims(json!({})), json!({ "key": "other" }))),
        ("an access token", provider.sign(&claims(json!({})), json!({ "header": { "typ": "at+jwt" } }))),
        ("no group", provider.sign(&claims(json!({ "groups": ["x"] })), json!({}))),
    ];
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let none = encode(json!({ "alg": "none" }));
    let eve = encode(claims(json!({ "email": "eve@example.org" })));
    bad.push(("nobody's", format!("{none}.{}.", parts[1])));
    bad.push(("nobody's with a signature", format!("{none}.{}.{}", parts[1], parts[2])));
    bad.push(("tampered", format!("{}.{eve}.{}", parts[0], parts[2])));
    bad.push(("cut", format!("{}.{}", parts[0], parts[1])));
    bad.push(("no token", "x".repeat(40_000)));
    for (what, token) in &bad {
        let page = house.bearer(&browser, token);
        assert_eq!(page.status, 401, "{what}: {page:?}");
        assert!(!page.body.contains("example.org"), "{what}: {page:?}");
    }
    assert_eq!(house.bearer(&browser, &good).status, 200);
    // The provider has new keys: they are read, though not with each token that names an unknown one.
    let rotated = provider.sign(&claims(json!({})), json!({ "rotate": true }));
    until("the new key is read", 90, || (house.bearer(&browser, &rotated).status == 200).then_some(()));
    assert_eq!(house.bearer(&browser, &good).status, 401, "by a key that is not published any more");
    server.stop();
}

/// A token as a cluster would sign it, for this audience.
fn cluster_token(audience: &str, n: u32) -> String {
    let encode = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({ "iss": "https://kubernetes.default.svc", "aud": [audience], "n": n });
    format!("{}.{}.AA", encode(json!({ "alg": "RS256", "kid": "x" })), encode(claims))
}

#[test]
fn a_cluster_is_asked_whose_a_token_is() {
    let house = House::new();
    let reviewer = Reviewer::start(&house.authority);
    let dir = house.authority.pem.parent().unwrap().to_owned();
    let (shown, ca) = (dir.join("shown"), house.authority.pem.display());
    std::fs::write(&shown, "what-klio-shows\n").unwrap();
    house.settings("client_id: klio", "viewer");
    let path = house.data.join("klio.yaml");
    let more = format!(
        "    - {{kind: kubernetes, user: 'system:serviceaccount:ops:*', role: responder, scope: prod}}\n  kubernetes:\n    \
         - {{name: prod, url: '{}', ca: {ca}, token: 'file:{}'}}\n",
        reviewer.url,
        shown.display()
    );
    let settings = std::fs::read_to_string(&path).unwrap() + &more;
    std::fs::write(&path, &settings).unwrap();
    let server = Server::start(&house.data);
    let browser = house.browser();
    let bearer = |token: &str| house.bearer(&browser, token);
    let good = cluster_token("klio", 1);
    reviewer.answers(
        &good,
        json!({ "authenticated": true, "audiences": ["klio"], "user": {
            "username": "system:serviceaccount:ops:bot", "uid": "u-1", "groups": ["system:serviceaccounts"] } }),
    );
    let page = bearer(&good);
    assert!(page.status == 200 && page.body.contains("serviceaccount:ops:bot"), "{page:?}");
    assert!(page.body.contains("\"kubernetes\"") && page.body.contains("responder"), "{page:?}");
    let asked = reviewer.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["authorization"], "Bearer what-klio-shows");
    assert_eq!(asked[0]["path"], "/apis/authentication.k8s.io/v1/tokenreviews");
    assert_eq!(asked[0]["body"]["spec"], json!({ "token": good, "audiences": ["klio"] }));
    // What was answered is remembered, good or bad; and many at once are one question.
    for _ in 0..5 {
        assert_eq!(bearer(&good).status, 200);
    }
    let bad = cluster_token("klio", 2);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(house.bearer(&house.browser(), &bad).status, 401));
        }
    });
    assert_eq!(reviewer.asked().len(), 2);
    // Hostile or careless answers let nobody in.
    let user = json!({ "username": "system:serviceaccount:ops:bot", "uid": "u-1" });
    for (n, status) in [
        json!({ "authenticated": true, "user": user }),
        json!({ "authenticated": true, "user": user, "audiences": [] }),
        json!({ "authenticated": true, "user": user, "audiences": ["https://kubernetes.default.svc"] }),
        json!({ "authenticated": false, "user": user, "audiences": ["klio"] }),
        json!({ "authenticated": true, "audiences": ["klio"] }),
        json!({ "authenticated": true, "user": { "username": "" }, "audiences": ["klio"] }),
        json!({ "authenticated": true, "user": { "username": "system:serviceaccount:dev:x" }, "audiences": ["klio"] }),
        json!({ "user": user, "audiences": ["klio"], "error": "no\nsuch token" }),
    ]
    .into_iter()
    .enumerate()
    {
        let token = cluster_token("klio", 10 + n as u32);
        reviewer.answers(&token, status.clone());
        assert_eq!(bearer(&token).status, 401, "{status}");
    }
    // Not shown to the cluster at all: what is for others, of the provider, or Klio's own.
    let before = reviewer.asked().len();
    assert_eq!(bearer(&cluster_token("https://kubernetes.default.svc", 1)).status, 401);
    assert_eq!(bearer("klio_0123456789").status, 401);
    let encode = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let of_provider = format!(
        "{}.{}.AA",
        encode(json!({ "alg": "RS256" })),
        encode(json!({ "iss": house.issuer, "aud": "klio" }))
    );
    assert!([401, 503].contains(&bearer(&of_provider).status));
    assert_eq!(reviewer.asked().len(), before);
    // What no JWT says the cluster alone can know.
    reviewer.answers(
        "opaque",
        json!({ "authenticated": true, "audiences": ["klio"], "user": {
        "username": "system:serviceaccount:ops:old" } }),
    );
    assert_eq!(bearer("opaque").status, 200);
    // It cannot be asked: come again, and in a moment it is asked again. The token that Klio shows is read each time.
    std::fs::write(&shown, "renewed").unwrap();
    for (n, fault) in ["500", "403", "302", "huge", "garbage", "cut"].into_iter().enumerate() {
        let token = cluster_token("klio", 100 + n as u32);
        reviewer.answers(&token, json!({ "fault": fault }));
        let asked = reviewer.asked().len();
        until(fault, 20, || {
            let page = bearer(&token);
            assert!(page.status == 503 && page.again, "{fault}: {page:?}");
            (reviewer.asked().len() > asked).then_some(())
        });
    }
    assert_eq!(reviewer.asked().last().unwrap()["authorization"], "Bearer renewed");
    let late = cluster_token("klio", 200);
    reviewer.answers(
        &late,
        json!({ "authenticated": true, "audiences": ["klio"], "user": {
        "username": "system:serviceaccount:ops:late" } }),
    );
    until("it is asked again", 20, || (bearer(&late).status == 200).then_some(()));
    assert_eq!(server.said("system:auth-delegator"), 1, "the log says what is missing");
    // Nobody is there any more.
    drop(reviewer);
    let page = bearer(&cluster_token("klio", 300));
    assert!(page.status == 503 && page.again, "{page:?}");
    assert_eq!(bearer(&good).status, 200, "what was answered holds for its minute");
    // Another rule, or none: at once.
    std::fs::write(&path, settings.replace("responder", "viewer")).unwrap();
    server.until("the settings are read", |server| server.said("the settings were read again") == 1);
    assert!(bearer(&good).body.contains("viewer"));
    server.stop();
}

#[test]
fn people_are_known_by_their_certificates_and_clusters_are_no_people() {
    let house = House::new();
    let dir = house.authority.pem.parent().unwrap();
    let settings = |on: bool| {
        let text = format!(
            "server:\n  listen: 127.0.0.1:0\n  ops: 127.0.0.1:0\n  flush_seconds: 1\n  tls:\n    client_ca: {}\n\
             clusters:\n  edge:\n    certificate: edge-apiserver\nsign_in:\n  certificates: {on}\n  mapping:\n    \
             - {{kind: certificate, group: ops, role: responder, scope: prod}}\n",
            house.authority.pem.display()
        );
        made::with_settings(&house.data, &text);
    };
    settings(true);
    let out = dir.join("own");
    let arguments =
        ["connect", "cluster", "own", "--mtls", "--no-wait", "--url", "https://127.0.0.1:8443", "--out"];
    ok(&house.data, &[&arguments[..], &[&out.display().to_string()]].concat());
    let server = Server::start(&house.data);
    let client = |pem: &str| {
        server.client().identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()).build().unwrap()
    };
    let who = |client: &reqwest::Client, path: &str| {
        server::runtime().block_on(server::send(client.get(format!("{}{path}", server.https)))).unwrap()
    };
    let ana = house.authority.person("ana", &["dev", "ops"]);
    let connection = client(&ana);
    for _ in 0..5 {
        let answer = who(&connection, "/api/v1/whoami");
        assert_eq!(answer.status, 200, "{answer:?}");
        let view = answer.json();
        assert_eq!([&view["name"], &view["kind"], &view["role"]], ["ana", "certificate", "responder"]);
    }
    // Another group; a cluster's, by its name or by Klio's own authority; one of somebody else's authority.
    for stranger in
        [house.authority.person("eve", &["dev"]), house.authority.person("edge-apiserver", &["ops"])]
    {
        assert_eq!(who(&client(&stranger), "/api/v1/whoami").status, 401);
    }
    let kubeconfig = std::fs::read_to_string(out.join("klio-webhook.yaml")).unwrap();
    let own = ["client-certificate-data: ", "client-key-data: "].map(|key| between(&kubeconfig, key, "\n"));
    let own = own.map(|text| String::from_utf8(BASE64_STANDARD.decode(text.trim()).unwrap()).unwrap());
    assert_eq!(who(&client(&own.concat()), "/api/v1/whoami").status, 401);
    let foreign = Authority::new(&dir.join("foreign.pem")).person("ana", &["ops"]);
    let refused = client(&foreign).get(format!("{}/api/v1/whoami", server.https));
    assert!(server::runtime().block_on(server::send(refused)).is_err(), "no handshake");
    // Without the switch nobody is known by one.
    settings(false);
    server.until("the settings are read", |server| server.said("the settings were read again") == 1);
    assert_eq!(who(&connection, "/api/v1/whoami").status, 401);
    server.settled();
    server.stop();
    let used = "raw LIKE '%use-identity%' AND cluster = 'klio'";
    let of =
        |more: &str| number(&house.data, &format!("SELECT count(*) FROM events WHERE {used} AND {more}"));
    assert_eq!(of("user_name = 'certificate:ana'"), 1, "one entry, not one for each request");
    assert_eq!((of("user_name = 'certificate:eve'"), of("user_name LIKE '%edge%'")), (1, 0));
}

#[test]
fn settings_that_cannot_be_meant_so_are_told_with_place_and_advice() {
    let dir = tempfile::tempdir().unwrap();
    let check = |settings: &str, words: &[&str]| {
        let file = made::file(dir.path(), "klio.yaml", settings);
        let output = made::klio(dir.path(), &["config", "check", &file]);
        let told = made::err(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    };
    let corp = "server:\n  url: https://klio.example.org\nsign_in:\n  oidc:\n    - {name: corp, issuer: https://id, client_id: klio";
    check("sign_in:\n  certificates: true\n", &["sign_in.certificates", "server.tls.client_ca"]);
    check(&format!("{corp}, client_secret: 'file:/no/such'}}\n"), &["/no/such", "env:NAME"]);
    check(&format!("{corp}, ca: /no/such.pem}}\n"), &["/no/such.pem"]);
    check(&format!("{corp}, issuerr: x}}\n"), &["issuerr"]);
    check(
        &format!("{corp}}}\n  mapping: [{{kind: oidc, role: viewer, scope: prod}}]\n"),
        &["fits everybody"],
    );
}
