//! Reads the counters of API servers, so that what has come can be compared with what they wrote.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::config::Apiserver;
use crate::line::{Line, send};
use crate::pipeline::Reading;

/// How often they are read. An API server takes about 100 ms of one core to write its metrics.
const EVERY: Duration = Duration::from_secs(30);
/// Bytes of metrics that are read.
const MOST: usize = 64 << 20;

/// Reads for ever.
pub async fn read(shared: Arc<Shared>) {
    let mut lines: HashMap<(String, Option<PathBuf>), Line> = HashMap::new();
    loop {
        let config = shared.config.load_full();
        for (name, cluster) in config.clusters.iter().filter(|(_, cluster)| !cluster.apiservers.is_empty()) {
            let (mut sum, mut trouble) = (Reading { at: i64::MAX, events: 0, errors: 0 }, None);
            for apiserver in &cluster.apiservers {
                let key = (apiserver.url.clone(), apiserver.ca.clone());
                let line = lines.entry(key).or_insert_with(|| Line::new(apiserver.ca.clone()));
                match one(line, apiserver).await {
                    Ok(reading) => {
                        sum.at = sum.at.min(reading.at);
                        sum.events += reading.events;
                        sum.errors += reading.errors;
                    }
                    Err(said) => trouble = Some(format!("{}: {said}", apiserver.url)),
                }
            }
            if trouble.is_none() {
                shared.pipeline.accounts.read(name, sum);
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
    one(&Line::new(apiserver.ca.clone()), apiserver).await.map(|reading| reading.at)
}

async fn one(line: &Line, apiserver: &Apiserver) -> Result<Reading, String> {
    let mut request = line.client()?.get(format!("{}/metrics", apiserver.url.trim_end_matches('/')));
    if let Some(token) = &apiserver.token {
        // Read each time: tokens of service accounts are renewed in their file.
        request = request.bearer_auth(token.read().map_err(|failure| failure.message)?);
    }
    let answer = send(request, MOST).await?;
    if !answer.status.is_success() {
        return Err(format!("answered {}", answer.status));
    }
    let date = answer.headers.get("date").and_then(|date| date.to_str().ok());
    let at =
        date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp().as_second());
    let at = at.unwrap_or_else(|| jiff::Timestamp::now().as_second());
    let reading = counters(&String::from_utf8_lossy(&answer.body), at);
    reading.ok_or_else(|| "it has no apiserver_audit_event_total: does it audit?".into())
}

/// Reads the counters from the text format of Prometheus; nothing if the first of them is not there. Errors are those of all plugins:
/// events that a backend lost.
fn counters(text: &str, at: i64) -> Option<Reading> {
    let sum = |name: &str| {
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let rest = rest.strip_prefix('{').map_or(Some(rest), |rest| Some(rest.rsplit_once('}')?.1))?;
            rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
        });
        values.fold(None, |sum: Option<u64>, value| Some(sum.unwrap_or(0) + value as u64))
    };
    let events = sum("apiserver_audit_event_total")?;
    Some(Reading { at, events, errors: sum("apiserver_audit_error_total").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_text() {
        let text = "# HELP apiserver_audit_event_total x\n# TYPE apiserver_audit_event_total counter\n\
                    apiserver_audit_event_total 12345\napiserver_audit_error_total{plugin=\"webhook\"} 7\n\
                    apiserver_audit_error_total{plugin=\"buffered\"} 1 1700000000\napiserver_audit_event_total_other 9\n";
        assert_eq!(counters(text, 5), Some(Reading { at: 5, events: 12345, errors: 8 }));
        assert_eq!(counters("apiserver_request_total 1\n", 5), None);
    }
}
