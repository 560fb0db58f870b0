//! Certificates: of the server, and of those who vouch for clients.

use std::path::Path;

use super::chart::Chart;
use crate::config::Config;
use crate::serve::tls;

const DAY: i64 = 86_400;

/// Looks at them.
pub fn look(dir: &Path, config: &Config, chart: &mut Chart) {
    let tls = config.tls();
    let (certificate, _) = tls::place(dir, &tls);
    let is_own = tls.certificate.is_none();
    let check = "certificate";
    if is_own && !certificate.exists() {
        chart.ok(check, "Klio makes one with the first start");
    } else {
        let advice = "give a PEM certificate and the key that belongs to it: server.tls";
        match tls::read(dir, &tls).and_then(|_| tls::validities(&certificate)) {
            Err(failure) => chart.failed(check, &failure, advice),
            Ok(all) => {
                let advice = if is_own {
                    "the running server renews it: its log says why it did not"
                } else {
                    "renew it: the server reads it again by itself"
                };
                validity(check, &certificate, all.first().copied(), advice, chart);
                if !is_own {
                    names(&certificate, &tls.names, chart);
                }
            }
        }
    }
    if let Some(path) = &tls.client_ca {
        match tls::validities(path) {
            Ok(all) => {
                let first = all.into_iter().min_by_key(|one| one.1);
                validity(
                    "client authority",
                    path,
                    first,
                    "give one that is good: client certificates are refused",
                    chart,
                );
            }
            Err(failure) => {
                chart.failed("client authority", &failure, "server.tls.client_ca names a PEM file")
            }
        }
    }
}

fn validity(check: &str, path: &Path, span: Option<(i64, i64)>, advice: &str, chart: &mut Chart) {
    let Some((begins, ends)) = span else { return };
    let now = jiff::Timestamp::now().as_second();
    let told =
        |at: i64| jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string());
    let path = path.display();
    if ends <= now {
        chart.fail(check, format!("{path} has expired at {}", told(ends)), advice);
    } else if begins > now {
        chart.fail(check, format!("{path} is not good before {}", told(begins)), "is the clock right?");
    } else if ends - now < tls::RENEW * DAY {
        chart.warn(check, format!("{path} ends at {}", told(ends)), advice);
    } else {
        chart.ok(check, format!("{path} is good until {}", told(ends)));
    }
}

/// Names that clients are told to reach the server under, and that stand in no certificate.
fn names(certificate: &Path, names: &[String], chart: &mut Chart) {
    let wrong: Vec<&str> = names
        .iter()
        .filter(|name| !tls::is_for(certificate, name).unwrap_or(true))
        .map(String::as_str)
        .collect();
    if !wrong.is_empty() {
        let said = format!("{} is not for {}", certificate.display(), wrong.join(", "));
        chart.fail(
            "certificate's names",
            said,
            "API servers refuse it: have it made for the host of server.url too",
        );
    }
}
