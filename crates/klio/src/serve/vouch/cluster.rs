//! A Kubernetes cluster that is asked whose a token is (TokenReview, `authentication.k8s.io/v1`).
//!
//! A token counts only if the cluster says that it is for one of our audiences: one that was made for another server must not let in
//! here, and one that a pod shows to everybody is for the API server alone. Answers are remembered by the token's SHA-256, good ones for
//! a minute, so that a token that was taken back is refused soon.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use klio_desk::{Identity, Kind};
use klio_web::Unidentified;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::ANSWER;
use super::jwt::Jwt;
use crate::config::{IN_CLUSTER, Kubernetes};
use crate::line::{Answer, Line, PATIENCE, send};

/// How long an answer holds.
const GOOD: Duration = Duration::from_mins(1);
const BAD: Duration = Duration::from_secs(10);
/// A cluster that did not answer is not asked again for so long.
const PAUSE: Duration = Duration::from_secs(1);
/// So many answers of each kind are remembered, so that wrong tokens do not push out right ones.
const MOST: usize = 4096;
/// So many questions are asked at once; the same token always waits for the same turn.
const TURNS: usize = 16;
/// Where a pod finds what it needs (`client-go/rest/config.go`, `InClusterConfig`).
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: User,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize, Default)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    groups: Vec<String>,
}

type Digest = [u8; 32];

/// Answers, until when they hold.
#[derive(Default)]
struct Answers {
    good: HashMap<Digest, (Instant, Identity)>,
    bad: HashMap<Digest, Instant>,
    /// Until when it is not asked.
    silent: Option<Instant>,
}

/// A cluster.
pub struct Cluster {
    kubernetes: Kubernetes,
    line: Line,
    answers: Mutex<Answers>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

impl Cluster {
    /// One that was asked nothing yet.
    pub fn new(kubernetes: Kubernetes) -> Self {
        let mounted = (kubernetes.url == IN_CLUSTER).then(|| PathBuf::from(MOUNTED).join("ca.crt"));
        let line = Line::new(kubernetes.ca.clone().or(mounted));
        Self { kubernetes, line, answers: Mutex::default(), turns: Default::default() }
    }

    /// Whether it is the one of these settings.
    pub fn is(&self, kubernetes: &Kubernetes) -> bool {
        self.kubernetes == *kubernetes
    }

    /// Whether it is to be asked: a JWT must be for one of our audiences, of the issuer if one is set, and not have ended. Other
    /// texts only the cluster itself can read.
    pub fn may_know(&self, jwt: Option<&Jwt<'_>>) -> bool {
        let Some(jwt) = jwt else { return true };
        let own = &self.kubernetes;
        let of_issuer = own.issuer.as_deref().is_none_or(|issuer| jwt.issuer() == Some(issuer));
        let for_us = jwt.audiences().iter().any(|audience| own.audiences.iter().any(|own| own == audience));
        let now = jiff::Timestamp::now().as_second();
        of_issuer && for_us && jwt.seconds("exp").is_none_or(|ends| ends > now)
    }

    /// Whose token it is; `None` if the cluster does not know it.
    pub async fn review(&self, token: &str, jwt: Option<&Jwt<'_>>) -> Result<Option<Identity>, Unidentified> {
        let key: Digest = Sha256::digest(token.as_bytes()).into();
        if let Some(answer) = self.remembered(&key) {
            return answer;
        }
        let unavailable = |why: String| {
            Unidentified::Unavailable(format!("TokenReview of {}: {why}", self.kubernetes.name))
        };
        let turn = &self.turns[usize::from(key[0]) % TURNS];
        let turn = tokio::time::timeout(PATIENCE, turn.lock()).await;
        let _turn = turn.map_err(|_| unavailable("too many wait for its answers".to_owned()))?;
        // Somebody else may have asked the same meanwhile.
        if let Some(answer) = self.remembered(&key) {
            return answer;
        }
        let asked = self.ask(token).await;
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(Some(identity)) => {
                let left = jwt.and_then(|jwt| jwt.seconds("exp"));
                let left = left.map(|ends| ends.saturating_sub(jiff::Timestamp::now().as_second()).max(0));
                let until = now + left.map_or(GOOD, |left| GOOD.min(Duration::from_secs(left as u64)));
                make_room(&mut answers.good, |(until, _)| *until > now);
                answers.good.insert(key, (until, identity.clone()));
                Ok(Some(identity))
            }
            Ok(None) => {
                make_room(&mut answers.bad, |until| *until > now);
                answers.bad.insert(key, now + BAD);
                Ok(None)
            }
            Err(why) => {
                answers.silent = Some(now + PAUSE);
                Err(unavailable(why))
            }
        }
    }

    fn remembered(&self, key: &Digest) -> Option<Result<Option<Identity>, Unidentified>> {
        let now = Instant::now();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identity)) = answers.good.get(key).filter(|(until, _)| *until > now) {
            return Some(Ok(Some(identity.clone())));
        }
        if answers.bad.get(key).is_some_and(|until| *until > now) {
            return Some(Ok(None));
        }
        answers.silent.filter(|until| *until > now).map(|_| {
            let name = &self.kubernetes.name;
            Err(Unidentified::Unavailable(format!("TokenReview of {name}: it did not answer a moment ago")))
        })
    }

    async fn ask(&self, token: &str) -> Result<Option<Identity>, String> {
        let own = &self.kubernetes;
        let (url, shown) = self.place()?;
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": { "token": token, "audiences": own.audiences },
        });
        let url = format!("{}/apis/authentication.k8s.io/v1/tokenreviews", url.trim_end_matches('/'));
        let request = self.line.client()?.post(url).bearer_auth(shown).json(&body);
        let Answer { status, body, .. } = send(request, ANSWER).await?;
        if status == 401 || status == 403 {
            return Err(format!(
                "it answers {status}: the token that Klio shows it needs the ClusterRole system:auth-delegator"
            ));
        }
        if !status.is_success() {
            return Err(format!("it answers {status}"));
        }
        // What it answers may hold the token.
        let review: Review =
            serde_json::from_slice(&body).map_err(|_| "its answer cannot be read".to_owned())?;
        let Status { authenticated, user, audiences, error } = review.status;
        let for_us = audiences.iter().any(|audience| own.audiences.contains(audience));
        if !authenticated || !for_us || user.username.is_empty() {
            let error: String = error.chars().filter(|c| !c.is_control()).take(200).collect();
            tracing::info!(cluster = own.name, authenticated, for_us, %error, "a cluster does not vouch for a token");
            return Ok(None);
        }
        // A name is no UID, whatever it looks like.
        let subject = match user.uid.as_str() {
            "" => format!("{}/name:{}", own.name, user.username),
            uid => format!("{}/{uid}", own.name),
        };
        Ok(Some(Identity {
            kind: Kind::Kubernetes,
            by: own.name.clone(),
            subject,
            name: user.username,
            groups: user.groups,
        }))
    }

    /// The API server, and the token that it is shown; read each time, since it is renewed in its file.
    fn place(&self) -> Result<(String, String), String> {
        let own = &self.kubernetes;
        let token = if let Some(token) = &own.token {
            token.read().map_err(|failure| failure.message)?
        } else {
            let path = PathBuf::from(MOUNTED).join("token");
            let token = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            token.trim().to_owned()
        };
        if own.url != IN_CLUSTER {
            return Ok((own.url.clone(), token));
        }
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set: is this a pod?"));
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok((format!("https://{host}:{port}"), token))
    }
}

/// Forgets what does not hold any more; all of it, if there is still too much.
fn make_room<V>(all: &mut HashMap<Digest, V>, holds: impl Fn(&V) -> bool) {
    if all.len() >= MOST {
        all.retain(|_, value| holds(value));
        if all.len() >= MOST {
            all.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::serve::vouch::jwt::tests::token;

    #[test]
    fn a_cluster_is_shown_only_what_is_for_it() {
        let of = |more: &str| {
            let yaml = format!("{{name: prod, url: in-cluster, audiences: [klio, k2]{more}}}");
            Cluster::new(serde_saphyr::from_str(&yaml).unwrap())
        };
        let (any, one) = (of(""), of(", issuer: https://k8s"));
        let asks = |cluster: &Cluster, claims: Value| {
            let token = token(&json!({ "alg": "RS256" }), &claims, b"");
            cluster.may_know(Some(&Jwt::read(&token).unwrap()))
        };
        assert!(any.may_know(None) && one.may_know(None), "what is no JWT only the cluster can read");
        let future = jiff::Timestamp::now().as_second() + 60;
        for (claims, of_any, of_one) in [
            (json!({ "iss": "https://k8s", "aud": ["klio"] }), true, true),
            (json!({ "iss": "https://k8s", "aud": ["x", "k2"], "exp": future }), true, true),
            (json!({ "iss": "https://other", "aud": ["klio"] }), true, false),
            (json!({ "iss": "https://k8s", "aud": ["https://k8s"] }), false, false),
            (json!({ "iss": "https://k8s", "aud": ["klio"], "exp": future - 120 }), false, false),
            (json!({ "iss": "https://k8s" }), false, false),
        ] {
            assert_eq!(
                (asks(&any, claims.clone()), asks(&one, claims.clone())),
                (of_any, of_one),
                "{claims}"
            );
        }
    }
}
