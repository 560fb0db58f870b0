use super::*;

fn exec(item: &str, want: bool) {
    check(item, EXEC, want);
}

#[test]
fn plain_values() {
    exec("verb: create", true);
    exec("verb: CREATE", true);
    exec("verb: creat", false);
    exec("Verb: create".replace("Verb", "verb").as_str(), true);
    exec("verb: cr*te", true);
    exec("verb: creat?", true);
    exec("verb: create?", false);
    exec(r"verb: cr\*te", false);
    exec("verb:\n  - get\n  - create", true);
    exec("verb:\n  - get\n  - list", false);
    exec("verb: get\nobjectRef.resource: pods", false);
    exec("verb: create\nobjectRef.resource: pods", true);
    exec("- verb: get\n- objectRef.resource: pods", true);
    exec("- verb: get\n- objectRef.resource: secrets", false);
    exec("user.groups: dev", true);
    exec("sourceIPs: 10.1.2.3", true);
    exec("annotations.authorization.k8s.io/decision: Allow", true);
}

#[test]
fn numbers_and_booleans_compare_as_text() {
    exec("responseStatus.code: 101", true);
    exec("responseStatus.code: '101'", true);
    exec("responseStatus.code: 10?", true);
    exec("responseStatus.code|startswith: 1", true);
    exec("dryRun: false", true);
    exec("dryRun: 'FALSE'", true);
    exec("dryRun: true", false);
}

#[test]
fn null_empty_and_star() {
    exec("objectRef.apiGroup: null", true);
    exec("objectRef.apiGroup:", true);
    exec("objectRef.apiGroup: ''", true);
    exec("objectRef.name: null", false);
    exec("objectRef.name: ''", false);
    exec("objectRef.name: '*'", true);
    exec("objectRef.uid: '*'", false);
    exec("annotations: '*'", true);
    exec("objectRef.subresource: ''", false);
    exec("annotations.authorization.k8s.io/reason: ''", true);
    exec("annotations.authorization.k8s.io/nothing: ''", false);
    let volumes = r#"{"level":"Request","verb":"create","objectRef":{"resource":"pods"},
        "requestObject":{"spec":{"volumes":[{"name":"a"},{"name":"b","hostPath":{"path":"/"}}]}}}"#;
    check("hostPath: '*'", volumes, true);
    check("requestObject.spec.volumes.emptyDir: '*'", volumes, false);
    check("requestObject.spec.volumes.hostPath.path: /", volumes, true);
}

#[test]
fn positions_and_case() {
    exec("requestURI|startswith: /API/v1", true);
    exec("requestURI|endswith: TRUE", true);
    exec("requestURI|contains: '%2fbin%2fsh'", true);
    exec("requestURI|contains: 'pods/*/exec'", true);
    exec("requestURI|contains|cased: '%2fbin%2fsh'", false);
    exec("requestURI|contains|cased: '%2Fbin%2Fsh'", true);
    exec("verb|cased: Create", false);
    exec("requestURI|contains|all:\n  - shop\n  - stdin", true);
    exec("requestURI|contains|all:\n  - shop\n  - nothing", false);
    exec("requestURI|contains:\n  - nothing\n  - shop", true);
}

#[test]
fn neq_and_exists() {
    exec("verb|neq: get", true);
    exec("verb|neq: create", false);
    exec("verb|neq:\n  - get\n  - create", false);
    exec("verb|contains|neq: rea", false);
    exec("objectRef.uid|neq: x", true);
    exec("objectRef.name|exists: true", true);
    exec("objectRef.name|exists: false", false);
    exec("objectRef.uid|exists: no", true);
}

#[test]
fn regular_expressions() {
    exec("requestURI|re: 'pods/[a-z]+/exec'", true);
    exec("requestURI|re: '^pods'", false);
    exec("requestURI|re: 'PODS'", false);
    exec("requestURI|re|i: 'PODS'", true);
    let lines = "{\"level\":\"Metadata\",\"verb\":\"get\",\"userAgent\":\"one\\ntwo\"}";
    check("userAgent|re: '^two'", lines, false);
    check("userAgent|re|m: '^two'", lines, true);
    check("userAgent|re: 'one.two'", lines, false);
    check("userAgent|re|s: 'one.two'", lines, true);
    check("userAgent|re|i|m|s: '^TWO$'", lines, true);
}

#[test]
fn numbers_in_order() {
    exec("responseStatus.code|gt: 100", true);
    exec("responseStatus.code|gt: 101", false);
    exec("responseStatus.code|gte: 101", true);
    exec("responseStatus.code|lt: 101", false);
    exec("responseStatus.code|lte: 101", true);
    exec("responseStatus.code|lt: 101.5", true);
    exec("objectRef.name|gt: 1", false);
}

#[test]
fn parts_of_a_time() {
    exec("requestReceivedTimestamp|hour: 3", true);
    exec("requestReceivedTimestamp|hour: 4", false);
    exec("requestReceivedTimestamp|hour:\n  - 2\n  - 3", true);
    exec("requestReceivedTimestamp|minute: 5", true);
    exec("requestReceivedTimestamp|day: 21", true);
    exec("requestReceivedTimestamp|week: 47", true);
    exec("requestReceivedTimestamp|month: 11", true);
    exec("requestReceivedTimestamp|year: 2026", true);
    exec("requestReceivedTimestamp|hour|lt: 6", true);
    exec("requestReceivedTimestamp|hour|gte: 4", false);
    exec("requestReceivedTimestamp|hour|neq: 3", false);
}

#[test]
fn networks() {
    exec("sourceIPs|cidr: 203.0.113.0/24", true);
    exec("sourceIPs|cidr: 192.168.0.0/16", false);
    exec("sourceIPs|cidr:\n  - 192.168.0.0/16\n  - 10.0.0.0/8", true);
    exec("source.ip|cidr: 10.0.0.0/8", false);
    exec("sourceIPs|cidr: 203.0.113.7", true);
    exec("sourceIPs|cidr|neq: 203.0.113.0/24", false);
    let six = r#"{"level":"Metadata","verb":"get","sourceIPs":["2001:db8::7"]}"#;
    check("sourceIPs|cidr: '2001:db8::/32'", six, true);
    check("sourceIPs|cidr: 'fe80::/10'", six, false);
}

#[test]
fn encodings() {
    let agent = |text: &str| format!(r#"{{"level":"Metadata","verb":"get","userAgent":"{text}"}}"#);
    // `printf /bin/sh | base64`
    check("userAgent|base64: /bin/sh", &agent("L2Jpbi9zaA=="), true);
    check("userAgent|base64|contains: /bin/sh", &agent("x L2Jpbi9zaA== y"), true);
    // `printf '%s/bin/bash -i' '' a ab | base64`: the three offsets.
    for text in ["L2Jpbi9iYXNoIC1p", "YS9iaW4vYmFzaCAtaQ==", "YWIvYmluL2Jhc2ggLWk="] {
        check("userAgent|base64offset|contains: /bin/bash", &agent(text), true);
    }
    check("userAgent|base64offset|contains: /bin/bash", &agent("L3Vzci9iaW4vaWQ="), false);
    // `printf cmd | iconv -t UTF-16LE | base64`, big-endian, and with a byte order mark.
    check("userAgent|wide|base64: cmd", &agent("YwBtAGQA"), true);
    check("userAgent|utf16le|base64: cmd", &agent("YwBtAGQA"), true);
    check("userAgent|utf16be|base64: cmd", &agent("AGMAbQBk"), true);
    check("userAgent|utf16|base64: cmd", &agent("//5jAG0AZAA="), true);
    check("userAgent|wide|base64offset|contains: cmd", &agent("xxYwBtAGQAyy"), true);
}

#[test]
fn dashes() {
    let agent = |text: &str| format!(r#"{{"level":"Metadata","verb":"get","userAgent":"{text}"}}"#);
    for text in ["tool -enc x", "tool /enc x", "tool –enc x", "tool —enc x", "tool ―enc x"] {
        check("userAgent|windash|contains: ' -enc '", &agent(text), true);
    }
    check("userAgent|contains|windash: ' -enc '", &agent("tool /enc x"), true);
    check("userAgent|windash|contains: ' -enc '", &agent("tool +enc x"), false);
    // A dash inside a word is no option.
    check("userAgent|windash|contains: well-known", &agent("well/known"), false);
}

#[test]
fn references_to_other_fields() {
    let event = r#"{"level":"Metadata","verb":"get","user":{"username":"A"},"impersonatedUser":{"username":"a"},"userAgent":"b"}"#;
    check("user.username|fieldref: impersonatedUser.username", event, true);
    check("user.username|fieldref: userAgent", event, false);
    check("user.username|fieldref|neq: userAgent", event, true);
}

#[test]
fn a_percent_sign_is_a_percent_sign() {
    exec("requestURI|contains: '%2Fbin%'", true);
}
