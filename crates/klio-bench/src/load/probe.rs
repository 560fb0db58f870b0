//! How long an attack stays unseen: an event is posted beside the load, and the API is asked until it shows the finding.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::other;
use crate::error::Error;
use crate::klio::program;

/// Between two questions for one finding: what the measurement is exact to.
const ASK: Duration = Duration::from_millis(20);
/// Between two attacks.
const PAUSE: Duration = Duration::from_millis(250);
/// After which a finding counts as missed.
const MISSED: Duration = Duration::from_secs(30);

/// Who attacks and asks.
pub struct Probe {
    /// Trusts the server.
    pub client: reqwest::Client,
    /// The server's address.
    pub https: String,
    /// The cluster's token.
    pub token: String,
    /// A viewer's API token.
    pub viewer: String,
}

/// Makes a viewer, and a token of his.
pub fn viewer(data: &Path) -> Result<String, Error> {
    let said = |words: &[&str]| -> Result<String, Error> {
        let output = Command::new(program()?)
            .arg("user")
            .args(words)
            .arg("--data")
            .arg(data)
            .stderr(Stdio::null())
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    said(&["add", "probe"])?;
    let token = said(&["token", "probe", "--name", "probe"])?;
    if token.starts_with("klio_") { Ok(token) } else { Err(other("klio user token failed")) }
}

impl Probe {
    /// Attacks until the load is over; seconds that each finding took.
    pub async fn run(self, over: Arc<AtomicBool>) -> Result<Vec<f64>, Error> {
        let mut took = Vec::new();
        while !over.load(Ordering::Relaxed) {
            took.push(self.one(took.len()).await?.as_secs_f64());
            tokio::time::sleep(PAUSE).await;
        }
        Ok(took)
    }

    async fn one(&self, number: usize) -> Result<Duration, Error> {
        let actor = format!("probe-{number}");
        let started = Instant::now();
        loop {
            let post = self
                .client
                .post(format!("{}/audit", self.https))
                .bearer_auth(&self.token)
                .body(attack(&actor));
            if post.send().await.map_err(other)?.status().as_u16() == 200 {
                break;
            }
            tokio::time::sleep(ASK).await;
        }
        let question = format!("{}/api/v1/findings?actor={actor}&limit=1", self.https);
        loop {
            let answer = self.client.get(&question).bearer_auth(&self.viewer).send().await.map_err(other)?;
            let status = answer.status().as_u16();
            let page: serde_json::Value = answer.json().await.map_err(other)?;
            match status {
                200 if page["items"].as_array().is_some_and(|items| !items.is_empty()) => {
                    return Ok(started.elapsed());
                }
                200 | 429 => {}
                _ => return Err(other(format!("the API answered {status}: {page}"))),
            }
            if started.elapsed() > MISSED {
                return Err(other("a finding was not shown"));
            }
            tokio::time::sleep(ASK).await;
        }
    }
}

/// A shell in somebody's container.
fn attack(actor: &str) -> String {
    let now = jiff::Timestamp::now();
    serde_json::json!({
        "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {},
        "items": [{
            "level": "Metadata", "auditID": format!("{actor}-{}", now.as_microsecond()), "stage": "ResponseComplete",
            "requestURI": "/api/v1/namespaces/kube-system/pods/etcd-0/exec?command=sh&stdin=true&tty=true", "verb": "create",
            "user": { "username": actor, "groups": ["system:authenticated"] },
            "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.36.0",
            "objectRef": { "resource": "pods", "namespace": "kube-system", "name": "etcd-0", "apiVersion": "v1", "subresource": "exec" },
            "responseStatus": { "metadata": {}, "code": 101 },
            "requestReceivedTimestamp": format!("{now:.6}"), "stageTimestamp": format!("{now:.6}"),
        }],
    })
    .to_string()
}
