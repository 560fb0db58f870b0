//! Cases written from the specification; events are invented.

mod audit;
mod conditions;
mod correlations;
mod errors;
mod modifiers;
mod robustness;
mod sigmahq;

use klio_model::{Event, Missing, Severity, Tri};

use super::*;

/// An event with the members that the cases need.
const EXEC: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a1","stage":"ResponseComplete",
 "requestURI":"/api/v1/namespaces/shop/pods/cart/exec?command=%2Fbin%2Fsh&stdin=true","verb":"create",
 "user":{"username":"Alice@example.com","groups":["dev","system:authenticated"]},"sourceIPs":["10.1.2.3","203.0.113.7"],
 "userAgent":"kubectl/v1.36.1 (linux/amd64)","objectRef":{"resource":"pods","namespace":"shop","name":"cart","apiVersion":"v1","subresource":"exec"},
 "responseStatus":{"metadata":{},"code":101},"requestReceivedTimestamp":"2026-11-21T03:05:58.390059Z",
 "stageTimestamp":"2026-11-21T03:05:59.000000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#;

/// Each line further to the right.
pub(super) fn indent(text: &str) -> String {
    text.lines().fold(String::new(), |out, line| out + "  " + line + "\n")
}

pub(super) fn load(text: &str) -> (RuleSet, Vec<Problem>) {
    compile(&[RuleFile { name: "test.yml".into(), text: text.into() }], Dialect::Sigma)
}

/// A rule with this detection section, indented or not.
pub(super) fn rule(detection: &str) -> String {
    let body = indent(detection.trim_matches('\n'));
    format!(
        "title: T\nid: t-1\nlogsource:\n  product: kubernetes\n  service: audit\nlevel: low\ndetection:\n{body}"
    )
}

/// Whether a rule with this detection is true of the event, as the dialect reads missing values.
#[track_caller]
pub(super) fn matches(detection: &str, event: &str) -> bool {
    let (set, problems) = load(&rule(detection));
    let errors: Vec<_> = problems.iter().filter(|p| !p.warning).collect();
    assert!(errors.is_empty(), "{detection}\n{errors:?}");
    set.rules[0].filter.eval(&Event::parse(event).unwrap(), Missing::False) == Tri::True
}

/// Whether one item, such as `verb|contains: re`, is true of the event.
#[track_caller]
pub(super) fn check(item: &str, event: &str, want: bool) {
    let body = indent(item);
    assert_eq!(matches(&format!("sel:\n{body}condition: sel"), event), want, "{item}");
}

/// The one error of a text: its line, message and advice.
#[track_caller]
pub(super) fn error(text: &str) -> (usize, String, String) {
    let (_, problems) = load(text);
    let mut errors = problems.into_iter().filter(|p| !p.warning);
    let first = errors.next().unwrap_or_else(|| panic!("no error in\n{text}"));
    (first.line, first.message, first.advice.unwrap_or_default())
}

pub(super) fn warnings(text: &str) -> Vec<String> {
    load(text).1.into_iter().filter(|p| p.warning).map(|p| p.message).collect()
}
