//! Who somebody is who shows what others gave him: an ID token, a token of a Kubernetes cluster, a client certificate.
//!
//! A bearer token goes where it says that it is from (`iss`), unverified: that only chooses who verifies it. What an OpenID Connect
//! provider is said to have issued is shown to no cluster, and what neither is from a provider nor for one of a cluster's audiences is
//! shown to nobody.

mod certificate;
mod claims;
mod cluster;
mod jwt;
mod keys;
mod provider;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use klio_desk::{Desk, Identity};
use klio_web::{Back, Identify, Leave, Providers, Shown, Unidentified, Web};
use rustls::pki_types::CertificateDer;

use super::Shared;
use crate::config::SignIn;
use cluster::Cluster;
use jwt::Jwt;
use provider::Provider;

/// Most bytes of a token that is looked at.
const LONGEST: usize = 32 << 10;
/// Most bytes of an answer.
const ANSWER: usize = 512 << 10;

/// All who vouch.
pub struct Vouch {
    shared: Arc<Shared>,
    all: ArcSwap<All>,
}

#[derive(Default)]
struct All {
    providers: Vec<Arc<Provider>>,
    clusters: Vec<Arc<Cluster>>,
    certificates: bool,
}

impl All {
    /// As the settings say; whose settings stayed the same keeps what it has learned.
    fn of(sign_in: &SignIn, before: &Self) -> Self {
        let provider = |oidc| {
            let same = before.providers.iter().find(|provider| provider.is(oidc));
            same.cloned().unwrap_or_else(|| Arc::new(Provider::new(oidc.clone())))
        };
        let cluster = |kubernetes| {
            let same = before.clusters.iter().find(|cluster| cluster.is(kubernetes));
            same.cloned().unwrap_or_else(|| Arc::new(Cluster::new(kubernetes.clone())))
        };
        Self {
            providers: sign_in.oidc.iter().map(provider).collect(),
            clusters: sign_in.kubernetes.iter().map(cluster).collect(),
            certificates: sign_in.certificates,
        }
    }
}

impl Vouch {
    /// Those whom the settings name.
    pub fn new(shared: Arc<Shared>) -> Self {
        let all = All::of(&shared.config.load().sign_in, &All::default());
        Self { shared, all: ArcSwap::from_pointee(all) }
    }

    fn provider(&self, name: &str) -> Result<Arc<Provider>, Unidentified> {
        let all = self.all.load();
        let found = all.providers.iter().find(|provider| provider.name() == name);
        found.cloned().ok_or_else(|| Unidentified::Refused(format!("there is no provider {name}")))
    }

    async fn bearer(&self, token: &str) -> Result<Option<Identity>, Unidentified> {
        if token.len() > LONGEST {
            return Ok(None);
        }
        let all = self.all.load_full();
        let jwt = Jwt::read(token);
        let issuer = jwt.as_ref().and_then(Jwt::issuer);
        if let (Some(jwt), Some(issuer)) = (&jwt, issuer)
            && let Some(provider) = all.providers.iter().find(|provider| provider.issuer() == issuer)
        {
            return provider.bearer(jwt).await.map(Some);
        }
        // A JWT that cannot be read, or an encrypted one: for whom it is cannot be told. All begin with a brace in base64url.
        if jwt.is_none() && token.starts_with("eyJ") {
            return Ok(None);
        }
        let mut silent = Ok(None);
        for cluster in all.clusters.iter().filter(|cluster| cluster.may_know(jwt.as_ref())) {
            match cluster.review(token, jwt.as_ref()).await {
                Ok(None) => {}
                Ok(known) => return Ok(known),
                Err(e) => silent = Err(e),
            }
        }
        silent
    }

    fn certificate(&self, der: &[u8]) -> Result<Option<Identity>, Unidentified> {
        let is_cluster = || {
            let shown = CertificateDer::from(der);
            self.shared.credentials.load().cluster(None, Some(&shown)).is_some()
        };
        if !self.all.load().certificates || is_cluster() {
            return Ok(None);
        }
        certificate::identity(der).map(Some)
    }
}

#[async_trait]
impl Identify for Vouch {
    async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, Unidentified> {
        match shown {
            Shown::Bearer(token) => self.bearer(token).await,
            Shown::Certificate(der) => self.certificate(der),
        }
    }
}

#[async_trait]
impl Providers for Vouch {
    fn names(&self) -> Vec<String> {
        self.all.load().providers.iter().map(|provider| provider.name().to_owned()).collect()
    }

    async fn leave(&self, name: &str, leave: Leave<'_>) -> Result<String, Unidentified> {
        self.provider(name)?.leave(leave).await
    }

    async fn back(&self, name: &str, back: Back<'_>) -> Result<Identity, Unidentified> {
        self.provider(name)?.back(back).await
    }
}

/// All that other settings of `sign_in` change.
#[derive(Clone)]
pub struct People {
    /// Who vouches.
    pub vouch: Arc<Vouch>,
    /// What he becomes for whom is vouched.
    pub desk: Desk,
    /// Who was let in a short while ago.
    pub web: Web,
}

impl People {
    /// Puts other settings in force.
    pub fn set(&self, sign_in: &SignIn) {
        let all = All::of(sign_in, &self.vouch.all.load());
        self.vouch.all.store(Arc::new(all));
        self.desk.set_mapping(sign_in.mapping.clone());
        self.web.forget();
    }
}
