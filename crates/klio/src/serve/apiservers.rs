//! Reads the counters of API servers, so that what has come can be compared with what they wrote.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client};

use super::Shared;
use crate::config::Apiserver;
use crate::pipeline::Reading;

/// How often they are read. An API server takes about 100 ms of one core to write its metrics.
const EVERY: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of metrics that are read.
const MOST: usize = 64 << 20;

/// What one API server counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    /// `apiserver_audit_event_total`
    events: u64,
    /// `apiserver_audit_error_total`, over all plugins: events that a backend lost.
    errors: u64,
    /// `apiserver_audit_requests_rejected_total`: requests that were refused since they could not be audited.
    rejected: u64,
}

/// Reads for ever.
pub async fn read(shared: Arc<Shared>) {
    let mut clients: HashMap<String, Client> = HashMap::new();
    loop {
        let config = shared.config.load_full();
        for (name, cluster) in config.clusters.iter().filter(|(_, cluster)| !cluster.apiservers.is_empty()) {
            let (mut sum, mut at, mut trouble) = (Counters::default(), i64::MAX, None);
            for apiserver in &cluster.apiservers {
                match one(&mut clients, apiserver).await {
                    Ok((counters, when)) => {
                        sum.events += counters.events;
                        sum.errors += counters.errors;
                        sum.rejected += counters.rejected;
                        at = at.min(when);
                    }
                    Err(said) => {
                        clients.remove(&apiserver.url);
                        trouble = Some(format!("{}: {said}", apiserver.url));
                    }
                }
            }
            if trouble.is_none() {
                let reading = Reading { at, events: sum.events, errors: sum.errors };
                shared.pipeline.accounts.read(name, reading);
            } else if shared.says("apiservers") {
                tracing::warn!(cluster = name, error = trouble, "an API server's metrics cannot be read");
            }
            shared.pipeline.live.unproven(name, trouble);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks one, and returns the time that its clock tells, in seconds since 1970.
pub async fn ask(apiserver: &Apiserver) -> Result<i64, String> {
    one(&mut HashMap::new(), apiserver).await.map(|(_, at)| at)
}

async fn one(
    clients: &mut HashMap<String, Client>,
    apiserver: &Apiserver,
) -> Result<(Counters, i64), String> {
    let told = |e: reqwest::Error| e.without_url().to_string();
    let client = if let Some(client) = clients.get(&apiserver.url) {
        client.clone()
    } else {
        let mut builder = Client::builder().timeout(PATIENCE);
        if let Some(ca) = &apiserver.ca {
            let pem = std::fs::read(ca).map_err(|e| format!("{}: {e}", ca.display()))?;
            let roots = Certificate::from_pem_bundle(&pem).map_err(|e| format!("{}: {e}", ca.display()))?;
            builder = builder.tls_certs_only(roots);
        }
        let client = builder.build().map_err(told)?;
        clients.insert(apiserver.url.clone(), client.clone());
        client
    };
    let mut request = client.get(format!("{}/metrics", apiserver.url.trim_end_matches('/')));
    if let Some(token) = &apiserver.token {
        // Read each time: tokens of service accounts are renewed in their file.
        request = request.bearer_auth(token.read().map_err(|failure| failure.message)?);
    }
    let mut answer = request.send().await.map_err(told)?;
    if !answer.status().is_success() {
        return Err(format!("answered {}", answer.status()));
    }
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let at =
        date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp().as_second());
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(told)? {
        if text.len() + part.len() > MOST {
            return Err(format!("its metrics are larger than {} MB", MOST >> 20));
        }
        text.extend_from_slice(&part);
    }
    let counters = counters(&String::from_utf8_lossy(&text));
    let counters = counters.ok_or("it has no apiserver_audit_event_total: does it audit?")?;
    Ok((counters, at.unwrap_or_else(|| jiff::Timestamp::now().as_second())))
}

/// Reads the counters from the text format of Prometheus; nothing if the first of them is not there.
fn counters(text: &str) -> Option<Counters> {
    let sum = |name: &str| {
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let rest = rest.strip_prefix('{').map_or(Some(rest), |rest| Some(rest.rsplit_once('}')?.1))?;
            rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
        });
        values.fold(None, |sum: Option<u64>, value| Some(sum.unwrap_or(0) + value as u64))
    };
    Some(Counters {
        events: sum("apiserver_audit_event_total")?,
        errors: sum("apiserver_audit_error_total").unwrap_or(0),
        rejected: sum("apiserver_audit_requests_rejected_total").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_text() {
        let text = "# HELP apiserver_audit_event_total x\n# TYPE apiserver_audit_event_total counter\n\
                    apiserver_audit_event_total 12345\napiserver_audit_error_total{plugin=\"webhook\"} 7\n\
                    apiserver_audit_error_total{plugin=\"buffered\"} 1\napiserver_audit_event_total_other 9\n\
                    apiserver_audit_requests_rejected_total 2 1700000000\n";
        assert_eq!(counters(text), Some(Counters { events: 12345, errors: 8, rejected: 2 }));
        assert_eq!(counters("apiserver_request_total 1\n"), None);
    }
}
