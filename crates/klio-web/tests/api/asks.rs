//! What is asked of a route or a page: with own names, with foreign names, and with none.

use serde_json::json;

use crate::room::Ask;
use crate::world::{PLACES, Place, letter};

/// Of a page, the same as JSON too.
pub fn twins(ask: Ask, is_page: bool) -> Vec<Ask> {
    let joint = if ask.uri.contains('?') { '&' } else { '?' };
    let twin = Ask { uri: format!("{}{joint}as=json", ask.uri), ..ask.clone() };
    if is_page && ask.method == "GET" { vec![ask, twin] } else { vec![ask] }
}

/// The addresses of a path in which something is named; none if nothing is.
fn named(path: &str) -> Vec<String> {
    let of_all = |make: &dyn Fn(&Place) -> String| PLACES.iter().map(make).collect::<Vec<_>>();
    let with = |name: &str, what: &str| of_all(&|p| path.replace(name, &format!("{}{what}", p.mark())));
    let last = path.strip_prefix("/api/v1").unwrap_or(path);
    match last {
        "/events/{auditId}" | "/events/{auditId}/proof" => with("{auditId}", "id1"),
        "/findings/{id}" => with("{id}", "Finding"),
        "/stories/{id}" | "/incidents/{id}" => {
            let both = path.replace("{id}", "both");
            with("{id}", "Story").into_iter().chain([both]).collect()
        }
        "/actors/{name}" => with("{name}", "user"),
        "/credentials/{id}" => with("{id}", "credential"),
        "/nodes/{name}" => with("{name}", "node"),
        "/addresses/{address}" => {
            (1..6).map(|n| path.replace("{address}", &format!("192.0.2.{n}"))).collect()
        }
        "/namespaces/{name}" => of_all(&|p| path.replace("{name}", p.namespace)),
        "/pods/{namespace}/{name}" => of_all(&|p| {
            path.replace("{namespace}", p.namespace).replace("{name}", &format!("{}pod", p.mark()))
        }),
        "/objects/{resource}/{namespace}/{name}" | "/objects/{resource}/{namespace}/{name}/history" => {
            of_all(&|p| {
                let path = path.replace("{resource}", "secrets").replace("{namespace}", p.namespace);
                path.replace("{name}", &format!("{}object", p.mark()))
            })
        }
        "/rules/{id}" | "/detections/{id}" => ["rule-1", "none"].map(|id| path.replace("{id}", id)).into(),
        "/detections/{id}/excuse" => {
            let page = path.replace("{id}", "rule-1");
            let mut all = of_all(&|p| format!("{page}?event={}id1", p.mark()));
            all.extend(of_all(&|p| format!("{page}?filter=user:{}user", p.mark())));
            all
        }
        "/hunts/{name}" => ["in-sql", "by-filter", "none"].map(|name| path.replace("{name}", name)).into(),
        "/settings/users/{name}" => ["root", "nobody"].map(|name| path.replace("{name}", name)).into(),
        p if p.contains("{number}") => {
            of_all(&|place| path.replace("{number}", &letter(*place).number.to_string()))
        }
        p if p.contains('{') => vec![path.replace("{name}", "nobody").replace("{id}", "none")],
        _ => vec![],
    }
}

/// The addresses of a path that takes a query.
fn questions(path: &str) -> Vec<String> {
    let of_all = |make: &dyn Fn(&Place) -> String| PLACES.iter().map(make).collect::<Vec<_>>();
    let with = |queries: &[&str]| queries.iter().map(|query| format!("{path}{query}")).collect::<Vec<_>>();
    let mut all = match path {
        "/api/v1/events" | "/explore" | "/tail" => {
            let mut all = of_all(&|p| format!("{path}?cluster={}", p.cluster));
            all.extend(of_all(&|p| format!("{path}?filter=name:{}object", p.mark())));
            all.extend(with(&["?filter=verb:(", "?filter=request.data.password:BODY*"]));
            if path != "/tail" {
                all.extend(of_all(&|p| format!("{path}?filter=not%20name:{}object&limit=2", p.mark())));
                all.extend(with(&["?limit=3"]));
            }
            all
        }
        "/api/v1/events/count" => of_all(&|p| format!("{path}?filter=user:{}user", p.mark())),
        "/api/v1/complete" => {
            let mut all = of_all(&|p| format!("{path}?text=user:{}", p.mark()));
            all.extend(with(&["?text=name:", "?text=cluster:", "?text=request.data.password:", "?text="]));
            all
        }
        "/api/v1/events/top" => {
            let fields =
                ["user", "name", "audit.id", "namespace", "request.data.password", "uri", "event.auditID"];
            fields.map(|field| format!("{path}?field={field}")).into()
        }
        "/api/v1/events/histogram" => with(&["?interval=1m", "?field=user&interval=1h"]),
        "/api/v1/events/export" => with(&["?format=csv", "?format=parquet", "?cluster=klio"]),
        "/api/v1/findings" | "/api/v1/stories" => {
            let mut all = of_all(&|p| format!("{path}?cluster={}", p.cluster));
            all.extend(with(&["?limit=1"]));
            all
        }
        "/incidents" => of_all(&|p| format!("{path}?cluster={}", p.cluster)),
        "/trends" => with(&["?from=1970", "?from=1970&by=user"]),
        "/own-audit" => with(&["?from=1970"]),
        "/sources/connect" => with(&["?name=prod&platform=k3s", "?name=test"]),
        _ => vec![],
    };
    if path == "/explore" {
        all.extend(of_all(&|p| format!("{path}?event={}id1&from=1970", p.mark())));
        all.extend(with(&["?from=1970&by=user", "?from=1970&facet=user&columns=name,request.data.password"]));
    }
    // Followed in a test of its own; and without a text nothing is completed.
    if !["/api/v1/events/tail", "/api/v1/complete"].contains(&path) {
        all.insert(0, path.to_owned());
    }
    all
}

/// All that is asked.
pub fn asked(method: &str, path: &str) -> Vec<Ask> {
    let ask = |uri: String| Ask::new(method, &uri);
    let given = |body: &serde_json::Value| ask(path.into()).json(body);
    let of_all =
        |make: &dyn Fn(&Place) -> serde_json::Value| PLACES.iter().map(|p| given(&make(p))).collect();
    match (method, path) {
        ("POST", "/api/v1/sql") => {
            let sql = |format: &str| given(&json!({ "query": "SELECT 1", "format": format }));
            vec![sql("json"), sql("jsonl"), given(&json!({ "query": "DROP" }))]
        }
        ("POST", "/api/v1/allow/replay") => {
            let mut all: Vec<Ask> = of_all(&|p| json!({ "filter": format!("user:{}user", p.mark()) }));
            let wide = "verb:get or verb:create";
            all.push(given(&json!({ "filter": wide })));
            all.push(given(&json!({ "filter": wide, "rule": "rule-1" })));
            all.push(given(&json!({ "filter": "name:x", "rule": "none" })));
            all
        }
        ("POST", "/api/v1/allow") => {
            let body = json!({ "filter": "name:x", "owner": "x", "reason": "y", "until": "2999-01-01" });
            vec![given(&body), ask(path.into())]
        }
        ("POST", "/api/v1/hunts") => {
            vec![
                given(&json!({ "title": "t", "filter": "verb:get" })),
                given(&json!({ "title": "", "filter": "x:(" })),
            ]
        }
        // Those of others too are removed by who manages people: in a test of its own.
        ("DELETE", "/api/v1/hunts/{name}") => vec![ask("/api/v1/hunts/none".into())],
        // The desk's: who sees whom there is the desk's to test.
        ("POST", "/api/v1/session") => vec![given(&json!({ "name": "x", "password": "y" }))],
        ("PUT", "/api/v1/password") => vec![given(&json!({ "current": "x", "new": "y" }))],
        ("POST", "/api/v1/users") => vec![given(&json!({ "name": "-", "role": "viewer", "scope": "" }))],
        ("PATCH", _) => vec![ask("/api/v1/users/nobody".into()).json(&json!({ "disabled": true }))],
        ("POST", "/api/v1/tokens") => vec![given(&json!({ "name": "" }))],
        (_, "/hunts/{name}") => {
            let asked = named(path).into_iter().chain(["/hunts/in-sql?ask=yes".to_owned()]);
            asked.map(ask).collect()
        }
        (_, path) if path.contains('{') => named(path).into_iter().map(ask).collect(),
        ("GET", path) => questions(path).into_iter().map(ask).collect(),
        _ => vec![ask(path.into())],
    }
}
