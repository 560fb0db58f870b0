//! Ports: a running server is asked how it is; else they must be free.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::chart::Chart;
use crate::config::{Config, reached};
use crate::line::{Line, send};

const PATIENCE: Duration = Duration::from_secs(5);

/// A server that runs.
pub struct Running {
    /// What it counts.
    pub metrics: String,
}

/// Asks the server that runs, or looks whether one could.
pub fn look(runtime: &Runtime, dir: &Path, config: &Config, chart: &mut Chart) -> Option<Running> {
    let ops = reached(config.server.ops);
    let asked = runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().ok()?;
        let get = async |path: &str| {
            let answer = client.get(format!("http://{ops}{path}")).send().await.ok()?;
            answer.text().await.ok()
        };
        let version: serde_json::Value = serde_json::from_str(&get("/version").await?).ok()?;
        let is_klio = version["name"] == "klio";
        if is_klio { Some((get("/readyz?verbose").await?, get("/metrics").await?)) } else { None }
    });
    let Some((ready, metrics)) = asked else {
        free(config, chart);
        return None;
    };
    let mut is_ready = true;
    for line in ready.lines() {
        let Some((check, said)) = line.strip_prefix("[-]").and_then(|rest| rest.split_once(" failed: "))
        else {
            continue;
        };
        is_ready = false;
        chart.fail(format!("server: {check}"), said, "docs/server.md#what-happens-when");
    }
    if is_ready {
        chart.ok("server", format!("runs at {ops} and takes events"));
    }
    let listen = reached(config.server.listen);
    if let Err(e) = TcpStream::connect_timeout(&listen, PATIENCE) {
        let advice = "if server.listen was changed, start the server anew: it counts after a restart";
        chart.fail("server.listen", format!("the server does not answer at {listen}: {e}"), advice);
    }
    if config.server.tls.certificate.is_none() && is_foreign(runtime, dir, config) {
        let advice = "name the directory that the server was started with: --data or KLIO_DATA";
        chart.fail(
            "directory",
            format!("the server at {listen} keeps another one than {}", dir.display()),
            advice,
        );
    }
    Some(Running { metrics })
}

/// Whether the server's certificate is of another authority than that of this directory.
fn is_foreign(runtime: &Runtime, dir: &Path, config: &Config) -> bool {
    let ca = dir.join("tls/ca.pem");
    if !ca.exists() {
        return true;
    }
    let line = Line::new(Some(ca));
    let Ok(client) = line.client() else { return false };
    let request = client.get(format!("https://{}/livez", reached(config.server.listen)));
    let told = runtime.block_on(send(request, 1 << 16)).err();
    told.is_some_and(|said| said.contains("UnknownIssuer"))
}

fn free(config: &Config, chart: &mut Chart) {
    chart.ok("server", "does not run");
    // Both at once, since the server needs both.
    let listen = TcpListener::bind(config.server.listen);
    let ops = TcpListener::bind(config.server.ops);
    for (key, address, bound) in
        [("server.listen", config.server.listen, listen), ("server.ops", config.server.ops, ops)]
    {
        match bound {
            Ok(_) => chart.ok(key, format!("{address} is free")),
            Err(e) => {
                let advice = "`ss -ltnp` shows who is there; end it, or set another address";
                chart.fail(key, format!("cannot listen on {address}: {e}"), advice);
            }
        }
    }
}
