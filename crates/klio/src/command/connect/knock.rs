//! Talking to the server as an API server does, with the webhook's kubeconfig.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Certificate, Client, Identity};
use serde::Deserialize;

use crate::failure::Failure;
use crate::line::{Answer, send};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks until the server must know a new credential.
const NEW: usize = 4;

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<Named>,
    users: Vec<User>,
}

#[derive(Deserialize)]
struct Named {
    cluster: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Target {
    server: String,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
struct User {
    user: Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Secret {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// What the server knows of the cluster that asks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    cluster: String,
    last_seen: Option<String>,
}

struct Door {
    client: Client,
    url: String,
    token: Option<String>,
}

impl Door {
    fn open(kubeconfig: &Path) -> Result<Self, Failure> {
        let wrong = |said: String| Failure::usage(format!("{}: {said}", kubeconfig.display()));
        let text = std::fs::read_to_string(kubeconfig).map_err(|e| wrong(e.to_string()))?;
        let config: Kubeconfig = serde_saphyr::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let (Some(target), Some(user)) =
            (config.clusters.into_iter().next(), config.users.into_iter().next())
        else {
            return Err(wrong("there is no cluster or no user in it".into()));
        };
        let decode = |data: &str| BASE64_STANDARD.decode(data).map_err(|e| wrong(e.to_string()));
        let mut client = Client::builder().timeout(Duration::from_secs(30));
        if let Some(data) = &target.cluster.certificate_authority_data {
            let root = Certificate::from_pem(&decode(data)?).map_err(|e| wrong(e.to_string()))?;
            client = client.tls_certs_only([root]);
        }
        let user = user.user;
        if let (Some(certificate), Some(key)) = (&user.client_certificate_data, &user.client_key_data) {
            let pem = [decode(certificate)?, decode(key)?].concat();
            client = client.identity(Identity::from_pem(&pem).map_err(|e| wrong(e.to_string()))?);
        }
        let client = client.build().map_err(Failure::world)?;
        Ok(Self { client, url: target.cluster.server, token: user.token })
    }

    async fn ask(&self, body: Option<String>) -> Result<(u16, String), String> {
        let mut request = match body {
            Some(body) => self.client.post(&self.url).header("content-type", "application/json").body(body),
            None => self.client.get(&self.url),
        };
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let Answer { status, body, .. } = send(request, 1 << 20).await?;
        Ok((status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}

fn block<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::world)?.block_on(task)
}

/// Delivers one event, and says what became of it.
pub fn deliver(kubeconfig: &Path) -> Result<String, Failure> {
    let door = Door::open(kubeconfig)?;
    let now = jiff::Timestamp::now();
    let event = serde_json::json!({
        "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [{
            "level": "Metadata", "auditID": format!("klio-connect-test-{}", now.as_microsecond()), "stage": "ResponseComplete",
            "requestURI": "/version", "verb": "get", "user": { "username": "klio-connect-test", "groups": [] },
            "sourceIPs": ["127.0.0.1"], "userAgent": "klio-connect-test", "responseStatus": { "metadata": {}, "code": 200 },
            "requestReceivedTimestamp": format!("{now:.6}"), "stageTimestamp": format!("{now:.6}"),
        }],
    });
    block(async {
        let mut started = Instant::now();
        let ask = async || door.ask(Some(event.to_string())).await.map_err(|e| unreached(&door.url, &e));
        let (mut status, mut said) = ask().await?;
        // The server looks for new credentials every two seconds.
        for _ in 0..NEW {
            if status != 401 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            started = Instant::now();
            (status, said) = ask().await?;
        }
        match status {
            200 => Ok(format!(
                "{} took a test event, durable after {} ms: {said}\nIt is `klio hunt 'user:klio-connect-test'`.",
                door.url,
                started.elapsed().as_millis()
            )),
            _ => Err(refused(&door.url, status, &said)),
        }
    })
}

/// Waits until something has come since then.
pub fn wait(kubeconfig: &Path, since: jiff::Timestamp, most: Duration) -> Result<String, Failure> {
    let door = Door::open(kubeconfig)?;
    let until = Instant::now() + most;
    let mut told = String::new();
    block(async {
        loop {
            let trouble = match door.ask(None).await {
                Ok((200, said)) => {
                    let status: Status = serde_json::from_str(&said).map_err(Failure::world)?;
                    let seen = status.last_seen.as_deref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
                    if let Some(seen) = seen.filter(|seen| *seen >= since) {
                        return Ok(format!(
                            "{} is connected: the last delivery came at {seen}.",
                            status.cluster
                        ));
                    }
                    String::new()
                }
                // The server looks for new credentials every two seconds.
                Ok((401, _)) if told.is_empty() => String::new(),
                Ok((status, said)) => refused(&door.url, status, &said).message,
                Err(said) => unreached(&door.url, &said).message,
            };
            if !trouble.is_empty() && trouble != told {
                eprintln!("klio: {trouble}; still trying");
                told = trouble;
            }
            if Instant::now() >= until {
                return Err(Failure::world(format!("no event came within {} seconds", most.as_secs())).hint(
                    "is `klio serve` running, and can the API server reach it? Its log names the audit webhook when it cannot",
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn refused(url: &str, status: u16, said: &str) -> Failure {
    Failure::world(format!("{url} answered {status}: {}", said.trim()))
}

fn unreached(url: &str, said: &str) -> Failure {
    Failure::world(format!("{url} cannot be reached: {said}"))
        .hint("is `klio serve` running there? `server.listen` in klio.yaml says where it listens")
}
