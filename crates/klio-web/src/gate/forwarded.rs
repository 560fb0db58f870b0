//! From where a request comes when a proxy stands between.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's address. `X-Forwarded-For` is read from its end for as long as trusted proxies wrote it: the first address from
/// there that is no trusted proxy's is the client. What stands before that the client may have written himself.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    if !trusted(&client) {
        return client;
    }
    let values: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    for part in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        // What is no address ends the chain: the proxy that wrote it is as far as is known.
        let Ok(address) = part.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let check = |peer: &str, sent: &[&str], want: &str| {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            assert_eq!(client(peer.parse().unwrap(), &headers, &proxies).to_string(), want, "{sent:?}");
        };
        check("192.0.2.1", &["203.0.113.9"], "192.0.2.1");
        check("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("fd00::1", &["2001:db8::7"], "2001:db8::7");
    }
}
