//! The server, run as a program of its own, and a client that does as API servers do.

#![allow(dead_code)] // each test uses a part
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are not tests to the lint

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::made::{command, file, ok};

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// Settings with ports that the system chooses.
pub const PORTS: &str = "  listen: 127.0.0.1:0\n  ops: 127.0.0.1:0\n";

pub struct Server {
    pub child: Child,
    pub https: String,
    pub ops: String,
    pub data: PathBuf,
    pub log: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub again: Option<u64>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    /// Starts it on a lake; writes settings if there are none.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, arguments: &[&str]) -> Self {
        Self::start_in(data, arguments, &[])
    }

    /// Starts it with these variables in its environment.
    pub fn start_in(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(data).unwrap();
        if !data.join("klio.yaml").exists() {
            std::fs::write(data.join("klio.yaml"), format!("server:\n{PORTS}  flush_seconds: 1\n")).unwrap();
        }
        let all = [&["serve", "--log-format", "json"], arguments].concat();
        let variables = variables.iter().copied();
        let mut child = command(data, &all).envs(variables).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (mut https, mut ops) = (None, None);
        while https.is_none() {
            let Some(line) = lines.next() else {
                panic!("klio serve ended: {:?} {:?}", child.wait().unwrap(), log.lock().unwrap());
            };
            let line = line.unwrap();
            if let Ok(line) = serde_json::from_str::<Value>(&line) {
                https = line["listen"].as_str().map(str::to_owned);
                ops = line["ops"].as_str().map(str::to_owned);
            }
            log.lock().unwrap().push(line);
        }
        let own = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                own.lock().unwrap().push(line);
            }
        });
        Self { child, https: https.unwrap(), ops: ops.unwrap(), data: data.to_owned(), log }
    }

    /// Lines that it logged and that hold this.
    pub fn said(&self, what: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(what)).count()
    }

    /// A client that trusts the server.
    pub fn client(&self) -> reqwest::ClientBuilder {
        let pem = std::fs::read(self.data.join("tls/ca.pem")).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .timeout(Duration::from_secs(40))
    }

    /// Posts a body with a token, and says what came back.
    pub fn post(&self, path: &str, token: &str, body: impl Into<Vec<u8>>) -> Answer {
        let client = self.client().build().unwrap();
        let request = client.post(format!("{}{path}", self.https)).header("content-type", "application/json");
        runtime().block_on(send(request.bearer_auth(token).body(body.into()))).unwrap()
    }

    /// Gets a page of the plain port.
    pub fn get(&self, path: &str) -> Answer {
        let request = reqwest::Client::new().get(format!("{}{path}", self.ops));
        runtime().block_on(send(request)).unwrap()
    }

    /// A number of `/metrics`, summed over labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits for a fact.
    pub fn until(&self, what: &str, fact: impl Fn(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !fact(self) {
            assert!(Instant::now() < until, "{what}: {:?}", self.log.lock().unwrap());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits until all that is durable is in the lake.
    pub fn settled(&self) {
        self.until("the spool is flushed", |server| server.metric("klio_spool_waiting_batches") < 0.5);
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in peace; says how long that took.
    pub fn stop(mut self) -> Duration {
        let started = Instant::now();
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status:?} {:?}", self.log.lock().unwrap());
        started.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let answer = request.send().await?;
    let again = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
    Ok(Answer { status: answer.status().as_u16(), again, body: answer.text().await? })
}

/// Connects a cluster and returns its token.
pub fn connect(data: &Path, cluster: &str) -> String {
    let out = data.join(format!("../{cluster}-files")).display().to_string();
    ok(data, &["connect", "cluster", cluster, "--no-wait", "--url", "https://127.0.0.1:8443", "--out", &out]);
    let kubeconfig = std::fs::read_to_string(format!("{out}/klio-webhook.yaml")).unwrap();
    let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    token.to_owned()
}

/// Lines of events as the body of an audit webhook.
pub fn body(lines: &str) -> String {
    let items: Vec<&str> = lines.lines().collect();
    format!(
        "{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{{}},\"items\":[{}]}}",
        items.join(",")
    )
}

/// A certificate with its key as files, good from and to so many days from now, signed by itself.
pub fn certificate(dir: &Path, name: &str, from: i64, to: i64) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let day = |days: i64| {
        let seconds = Duration::from_secs(days.unsigned_abs() * 86_400);
        let now = std::time::SystemTime::now();
        if days < 0 { now - seconds } else { now + seconds }
    };
    (params.not_before, params.not_after) = (day(from).into(), day(to).into());
    let text = params.self_signed(&key).unwrap().pem();
    (file(dir, &format!("{name}.pem"), &text), file(dir, &format!("{name}.key"), &key.serialize_pem()))
}
