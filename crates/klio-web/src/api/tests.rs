use std::collections::BTreeSet;

use super::*;

fn in_document() -> BTreeSet<(String, String)> {
    let json = serde_json::to_value(description()).unwrap();
    let mut found = BTreeSet::new();
    for (path, methods) in json["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            found.insert((method.to_uppercase(), path.clone()));
        }
    }
    found
}

#[test]
fn the_document_has_all_routes_and_no_others() {
    // The document is made from what the router is made from; the table says what gets past the gate.
    let table: BTreeSet<_> = ROUTES.iter().map(|e| (e.method.to_owned(), e.path.to_owned())).collect();
    assert_eq!(in_document(), table);
    assert_eq!(table.len(), ROUTES.len(), "no entry twice");
}

#[test]
fn the_document_names_no_schema_that_it_does_not_have() {
    let json = serde_json::to_value(description()).unwrap();
    let text = json.to_string();
    let schemas = json["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert!(schemas.contains_key("EventView") && schemas.contains_key("Problem"));
    let list = &json["paths"]["/api/v1/events"]["get"];
    assert!(list["responses"]["default"].is_object() && list["security"].is_array(), "{list}");
    assert!(json["paths"]["/api/v1/session"]["post"]["security"].is_null());
}

#[tokio::test]
async fn what_has_no_entry_in_the_table_cannot_be_reached() {
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use tower::ServiceExt as _;

    let web = crate::web::for_tests().await;
    let forgotten = described().split_for_parts().0.route("/api/v1/forgotten", get(async || "secret"));
    let app = behind_the_gate(forgotten.route("/else/where", any(async || "secret")), web);
    for (method, path) in [
        ("GET", "/api/v1/forgotten"),
        ("GET", "/else/where"),
        ("PUT", "/api/v1/events"),
        ("HEAD", "/api/v1/events"),
    ] {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(crate::Peer { address: [192, 0, 2, 1].into(), certificate: None });
        let answer = app.clone().oneshot(request).await.unwrap();
        assert!([404, 405].contains(&answer.status().as_u16()), "{method} {path}: {}", answer.status());
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}
