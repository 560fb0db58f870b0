mod recorded;

use klio_model::Event;

use super::*;

fn redactor() -> Redactor {
    Redactor::new([7; 32], Policy::default()).unwrap()
}

#[track_caller]
fn redact(json: &str) -> String {
    let event = Event::parse(json).unwrap();
    let mut out = String::new();
    match redactor().redact(json, &event, &mut out) {
        Some(_) => out,
        None => json.to_owned(),
    }
}

#[test]
fn first() {
    let e = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","verb":"create","requestURI":"/api/v1/x?token=abcdef","objectRef":{"resource":"secrets"},"requestObject":{"kind":"Secret","data":{"a":"aHVudGVyMg=="},"stringData":{"b":"hunter2"}}}"#;
    println!("{}", redact(e));
}
