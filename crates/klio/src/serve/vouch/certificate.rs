//! People by client certificate. That `server.tls.client_ca` verified it, the listener has seen to.

use klio_desk::{Identity, Kind};
use klio_seal::Hash;
use klio_web::Unidentified;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Whose certificate it is: the common name, in the organizations. What stays the same when it is renewed is its key.
pub fn identity(der: &[u8]) -> Result<Identity, Unidentified> {
    let refused = |why: &str| Unidentified::Refused(format!("a client certificate: {why}"));
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| refused("it cannot be read"))?;
    // A connection may outlive it.
    if !certificate.validity().is_valid() {
        return Err(refused("it has ended"));
    }
    let subject = certificate.subject();
    let mut names = subject.iter_common_name().filter_map(|name| name.as_str().ok());
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(refused("it has no common name, or several"));
    };
    let groups = subject.iter_organization().filter_map(|group| Some(group.as_str().ok()?.to_owned()));
    Ok(Identity {
        kind: Kind::Certificate,
        by: String::new(),
        subject: format!("sha256:{}", Hash::of(certificate.public_key().raw)),
        name: name.to_owned(),
        groups: groups.collect(),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_person_is_his_key_and_is_called_by_the_common_name() {
        let key = KeyPair::generate().unwrap();
        let of = |names: &[(DnType, &str)], days: i64| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (kind, name) in names {
                params.distinguished_name.push(kind.clone(), *name);
            }
            let now = std::time::SystemTime::now();
            let day = std::time::Duration::from_hours(24);
            params.not_before = (now - 9 * day).into();
            params.not_after = (now - 5 * day + day * u32::try_from(days).unwrap()).into();
            identity(params.self_signed(&key).unwrap().der())
        };
        let ana = [(DnType::CommonName, "ana"), (DnType::OrganizationName, "ops")];
        let (first, renewed) = (of(&ana, 10).unwrap(), of(&ana[..1], 20).unwrap());
        assert_eq!((first.name.as_str(), first.groups.as_slice()), ("ana", ["ops".to_owned()].as_slice()));
        assert_eq!(first.subject, renewed.subject);
        assert_eq!(first.subject.len(), 7 + 64);
        assert!(of(&ana, 0).is_err(), "ended");
        assert!(of(&ana[1..], 10).is_err(), "no name");
        assert!(identity(b"no certificate").is_err());
    }
}
