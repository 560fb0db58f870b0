//! A certification authority, and certificates of it.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};

pub struct Authority {
    pub pem: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one; its certificate is written there.
    pub fn new(pem: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, pem.file_stem().unwrap().to_str().unwrap());
        std::fs::write(pem, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { pem: pem.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for 127.0.0.1, and its key, as PEM.
    pub fn server(&self) -> (String, String) {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        self.sign(params)
    }

    /// A certificate of somebody in organizations with its key, as PEM.
    pub fn person(&self, name: &str, organizations: &[&str]) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        for organization in organizations {
            params.distinguished_name.push(DnType::OrganizationName, *organization);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = self.sign(params);
        format!("{certificate}{key}")
    }

    fn sign(&self, params: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}
