//! The server's certificate: the user's, or one that Klio makes and renews under a certification authority of its own.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::Tls;
use crate::data;
use crate::failure::Failure;

/// Days that a certificate of ours is good for, and days before its end at which it is renewed.
const DAYS: i64 = 90;
pub const RENEW: i64 = 30;
/// Days of our certification authority: clusters have it in their kubeconfig.
const CA_DAYS: i64 = 3650;
/// Days of a client's certificate.
const CLIENT_DAYS: i64 = 365;
const DAY: Duration = Duration::from_hours(24);

/// The server's side of TLS, and when its certificate ends.
pub struct Served {
    /// For the listener.
    pub config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since 1970.
    pub ends: i64,
    /// Verifies people, by `client_ca` and not by our own authority: that makes certificates of clusters.
    pub people: Option<Arc<dyn ClientCertVerifier>>,
}

impl Served {
    /// Whether the certificate that a client showed is a person's, by those that came with it. Of clusters it says nothing.
    pub fn is_person(&self, shown: &[CertificateDer<'_>]) -> bool {
        let (Some(people), Some((first, more))) = (&self.people, shown.split_first()) else { return false };
        people.verify_client_cert(first, more, UnixTime::now()).is_ok()
    }
}

/// Reads the certificates, and makes what is to be made.
pub fn load(dir: &Path, tls: &Tls) -> Result<Served, Failure> {
    if tls.certificate.is_none() {
        let _held = renew(&dir.join("tls"), tls)?;
        return read(dir, tls);
    }
    read(dir, tls)
}

/// Where the server's certificate and its key lie.
pub fn place(dir: &Path, tls: &Tls) -> (PathBuf, PathBuf) {
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => (dir.join("tls/server.pem"), dir.join("tls/server.key")),
    }
}

/// Reads the certificates as they are.
pub fn read(dir: &Path, tls: &Tls) -> Result<Served, Failure> {
    let (certificate, key) = place(dir, tls);
    let chain = certificates(&certificate)?;
    let wrong = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", key.display()));
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|e| wrong(&e))?;
    let ends = chain.first().and_then(|first| ends(first)).unwrap_or(i64::MAX);
    // Clients of our own authority are known by it, those of the user by his.
    let own = dir.join("tls/ca.pem");
    let own = own.is_file().then_some(own.as_path());
    let people = verifier(tls.client_ca.as_deref().into_iter())?;
    let clients = verifier(tls.client_ca.as_deref().into_iter().chain(own))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::world)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| wrong(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Served { config: Arc::new(config), ends, people })
}

/// Verifies clients by the authorities in these files; nothing if there are none.
fn verifier<'p>(
    paths: impl Iterator<Item = &'p Path>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Failure> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        for root in certificates(path)? {
            roots.add(root).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(Some(builder.allow_unauthenticated().build().map_err(Failure::usage)?))
}

/// The certification authority that a client must trust, as PEM: our own, unless the user has given a certificate.
pub fn authority(dir: &Path, tls: &Tls) -> Result<Option<String>, Failure> {
    if tls.certificate.is_some() {
        return Ok(None);
    }
    let own = dir.join("tls");
    renew(&own, tls)?;
    let path = own.join("ca.pem");
    fs::read_to_string(&path).map(Some).map_err(|e| Failure::world(format!("{}: {e}", path.display())))
}

/// A certificate for a client of that name, with its key, both as PEM.
pub fn client(dir: &Path, tls: &Tls, name: &str) -> Result<(String, String), Failure> {
    let own = dir.join("tls");
    renew(&own, tls)?;
    let issuer = issuer(&own)?;
    let key = KeyPair::generate().map_err(Failure::world)?;
    let mut params = params(name, CLIENT_DAYS)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &issuer).map_err(Failure::world)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// The common name of a client's certificate.
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    parsed.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// Makes the authority and the server's certificate, or renews the certificate. A server and a command may do so at once: while what
/// is returned is held, nobody else does.
fn renew(own: &Path, tls: &Tls) -> Result<fs::File, Failure> {
    let (ca, pem) = (own.join("ca.pem"), own.join("server.pem"));
    let place = own.join("lock");
    let held = fs::create_dir_all(own)
        .and_then(|()| fs::File::create(&place))
        .map_err(|e| data::failed(&place, &e))?;
    held.lock().map_err(|e| data::failed(&place, &e))?;
    if !ca.is_file() {
        let key = KeyPair::generate().map_err(Failure::world)?;
        let mut params = params("Klio", CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(Failure::world)?;
        // The key first: a certificate without its key would be there for ever.
        data::write(&own.join("ca.key"), &key.serialize_pem())?;
        data::write(&ca, &certificate.pem())?;
    }
    let names = names(tls);
    let is_good = || {
        let chain = certificates(&pem).ok()?;
        let first = chain.first()?;
        let now = jiff::Timestamp::now().as_second();
        let listed = fs::read_to_string(own.join("server.names")).ok()?;
        Some(ends(first)? - now > RENEW * 86_400 && listed == names.join("\n"))
    };
    if is_good() == Some(true) {
        return Ok(held);
    }
    let key = KeyPair::generate().map_err(Failure::world)?;
    let mut params = params("Klio server", DAYS)?;
    for name in &names {
        let alt = CertificateParams::new(vec![name.clone()])
            .map_err(|e| Failure::usage(format!("server.tls.names: {name}: {e}")))?;
        params.subject_alt_names.extend(alt.subject_alt_names);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer(own)?).map_err(Failure::world)?;
    data::write(&own.join("server.key"), &key.serialize_pem())?;
    data::write(&pem, &certificate.pem())?;
    data::write(&own.join("server.names"), &names.join("\n"))?;
    Ok(held)
}

fn params(name: &str, days: i64) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(Vec::new()).map_err(Failure::world)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = std::time::SystemTime::now();
    // Clocks differ.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * u32::try_from(days).unwrap_or(1)).into();
    Ok(params)
}

fn issuer(own: &Path) -> Result<Issuer<'static, KeyPair>, Failure> {
    let read = |name: &str| {
        let path = own.join(name);
        fs::read_to_string(&path).map_err(|e| Failure::world(format!("{}: {e}", path.display())))
    };
    let wrong = |e: rcgen::Error| {
        Failure::world(format!("{}: {e}", own.display()))
            .hint("put `ca.pem` and `ca.key` back from a backup, or remove the directory: clusters are to be connected again then")
    };
    let key = KeyPair::from_pem(&read("ca.key")?).map_err(wrong)?;
    Issuer::from_ca_cert_pem(&read("ca.pem")?, key).map_err(wrong)
}

/// The names that the server is reached under.
fn names(tls: &Tls) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if !host.is_empty() && (host.parse::<IpAddr>().is_ok() || host.is_ascii()) {
        names.push(host.to_owned());
    }
    names.extend(tls.names.iter().cloned());
    let mut told = std::collections::HashSet::new();
    names.retain(|name| told.insert(name.clone()));
    names
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let all = CertificateDer::pem_file_iter(path).map_err(|e| wrong(&e))?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(&e))?;
    if all.is_empty() { Err(wrong(&"there is no certificate in it")) } else { Ok(all) }
}

/// From when to when each certificate of a file is good, in seconds since 1970.
pub fn validities(path: &Path) -> Result<Vec<(i64, i64)>, Failure> {
    let spans = certificates(path)?.into_iter().map(|der| {
        let (_, parsed) = X509Certificate::from_der(&der)
            .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        let span = parsed.validity();
        Ok((span.not_before.timestamp(), span.not_after.timestamp()))
    });
    spans.collect()
}

/// Whether the first certificate of a file is for a name or address.
pub fn is_for(path: &Path, name: &str) -> Result<bool, Failure> {
    let chain = certificates(path)?;
    let wrong = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", path.display()));
    let first = chain.first().ok_or_else(|| wrong(&"there is no certificate in it"))?;
    let parsed = ParsedCertificate::try_from(first).map_err(|e| wrong(&e))?;
    let name = ServerName::try_from(name).map_err(|e| wrong(&e))?;
    Ok(verify_server_name(&parsed, &name).is_ok())
}

fn ends(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
