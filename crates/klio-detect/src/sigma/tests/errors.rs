use super::*;

/// A detection whose one error stands at this line of the detection section, with these words.
#[track_caller]
fn wrong(detection: &str, line: usize, message: &str, advice: &str) {
    let (at, said, help) = error(&rule(detection));
    assert!(said.contains(message), "{said} | {help}");
    assert!(help.contains(advice), "{said} | {help}");
    assert_eq!(at, line + 7, "{said}");
}

#[test]
fn what_a_rule_asks_and_klio_cannot_do_is_an_error_with_line_and_advice() {
    let item = |item: &str, message: &str, advice: &str| {
        wrong(&format!("sel:\n  verb: get\n  {item}\ncondition: sel"), 3, message, advice);
    };
    item("objectRef.resuorce: pods", "unknown field `objectRef.resuorce`", "objectRef.resource");
    item("apigroup: apps", "unknown field `apigroup`", "apiGroup");
    item("Verb: get", "unknown field `Verb`", "verb");
    item("userAgent|contain: x", "unknown modifier `contain`", "contains");
    item("userAgent|i: x", "`i` is a flag of `re`", "re|i");
    item("userAgent|contains|base64: x", "after the modifier", "|base64|contains");
    item("userAgent|startswith|endswith: x", "more than one", "one of them");
    item("userAgent|re|cidr: x", "exclude each other", "two selections");
    item("userAgent|re: '(x'", "bad regular expression", "look-around");
    item("userAgent|re: '(?=x)'", "bad regular expression", "look-around");
    item("responseStatus.code|gt: '100'", "take a number, not a string", "modifier");
    item("sourceIPs|cidr: 10.0.0.0/40", "`10.0.0.0/40` is no network", "10.0.0.0/8");
    item("sourceIPs|cidr: 10.0.*", "is no network", "10.0.0.0/8");
    item("userAgent|exists: maybe", "`exists` takes true or false", "true");
    item("userAgent|exists: [true]", "not a list", "true");
    item("user.username|fieldref: userAgnt", "unknown field", "same event");
    item("user.username|fieldref|startswith: userAgent", "does not go with text", "equality");
    item("user.username|expand: '%x%'", "`expand` takes values", "a list");
    item("requestReceivedTimestamp|hour: 24", "24 is out of range", "0 and 23");
    item("requestReceivedTimestamp|hour: noon", "a whole number", "");
    item("verb|minute: 5", "`verb` holds no time", "requestReceivedTimestamp");
    item("responseStatus.code|hour|gte: 5", "`code` holds no time", "requestReceivedTimestamp");
    item("user.groups|year: 2026", "`groups` holds no time", "requestReceivedTimestamp");
    item("requestObject|day: 1", "`request` holds no time", "requestReceivedTimestamp");
    item("userAgent|base64: 'a*'", "a value with wildcards cannot be encoded", "contains");
    item("userAgent: {a: b}", "not a map", "dots");
    item("userAgent: []", "an empty list of values", "value");
    item("userAgent|contains: null", "null is no text", "");
}

#[test]
fn conditions_that_cannot_be_read() {
    let condition = |text: &str, message: &str, advice: &str| {
        wrong(&format!("selection:\n  verb: get\ncondition: {text}"), 3, message, advice);
    };
    condition("selction", "`selction`, which is no selection", "did you mean `selection`?");
    condition("2 of them", "`2 of` is not Sigma", "correlation");
    condition("1 of filter*", "no selection matches", "selection");
    condition("sel*", "needs a quantifier", "1 of sel*");
    condition("selection and", "ends too early", "");
    condition("selection selection", "does not follow", "and");
    condition("(selection", "`(` without `)`", "");
    condition("selection)", "`)` without `(`", "");
    condition("selection | count() by user > 5", "aggregation", "event_count");
    condition("[1]", "a condition is a string", "");
    wrong("selection:\n  verb: get", 1, "no `condition`", "condition: selection");
    wrong("selection: {}\ncondition: selection", 1, "an empty selection", "field");
    wrong("selection:\n  - ''\ncondition: selection", 2, "a word that every event contains", "");
}

#[test]
fn documents_that_are_no_rules() {
    let at = |text: &str, line: usize, message: &str, advice: &str| {
        let (l, m, a) = error(text);
        assert!(m.contains(message) && a.contains(advice), "{m} | {a}");
        assert_eq!(l, line, "{m}");
    };
    at("- a\n- b\n", 1, "a rule is a map", "title");
    at("title: x\ndetections:\n  a: b\n", 1, "neither rule", "`detections` should be `detection`");
    at("title: x\naction: global\nlogsource: {}\n", 2, "`action`", "---");
    at("title: x\ndetection: {}\n", 1, "no `logsource`", "service: audit");
    at("title: 'x\n", 1, "not YAML", "quote");
    at("title: x\ntitle: y\n", 2, "duplicated key", "keep one");
    at(
        &rule("sel:\n  verb: get\ncondition: sel").replace("level: low", "level: hgih"),
        6,
        "`hgih` is no level",
        "`high`",
    );
    at(&rule("sel:\n  verb: get\ncondition: sel").replace("title: T\n", ""), 1, "no `title`", "");
}

#[test]
fn one_bad_rule_leaves_the_others() {
    let good = rule("sel:\n  verb: get\ncondition: sel");
    let bad = rule("sel:\n  vreb: get\ncondition: sel").replace("t-1", "t-2");
    let last = good.replace("t-1", "t-3");
    let text = format!("{good}---\n{bad}---\nnot: [yaml\n---\n# Größe\n{last}");
    let (set, problems) = load(&text);
    let ids: Vec<_> = set.rules.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["t-1", "t-3"]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(problems[0].line, 20);
    let span = problems[0].span;
    assert_eq!(&text[span.offset()..span.offset() + span.len()], "vreb");
    assert_eq!(set.rules[1].line, text.lines().take_while(|l| !l.contains("Größe")).count() + 2);
}

#[test]
fn rules_for_other_logs_are_skipped_with_a_warning() {
    let text = "title: W\nid: w\nlogsource:\n  product: windows\n  category: process_creation\ndetection:\n  s:\n    Image: x\n  condition: s\n";
    let (set, problems) = load(text);
    assert!(set.rules.is_empty());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].warning && problems[0].message.contains("windows"));
    let category = rule("s:\n  verb: get\ncondition: s")
        .replace("logsource:\n", "logsource:\n  category: application\n");
    assert_eq!(load(&category).0.rules.len(), 1);
}

#[test]
fn oddities_are_warnings() {
    let said = |detection: &str| warnings(&rule(detection)).join(";");
    assert!(said("a:\n  verb: get\nb:\n  verb: list\ncondition: a").contains("does not use `b`"));
    assert!(said("a:\n  verb|contains|all: get\ncondition: a").contains("only one value"));
    assert!(said("a:\n  userAgent|base64offset: get\ncondition: a").contains("whole value"));
    assert!(said("a:\n  userAgent: [x, null]\ncondition: a").contains("null in a list"));
    assert!(said("a:\n  verb: get\ntimeframe: 5m\ncondition: a").contains("`timeframe`"));
    let anonymous = rule("a:\n  verb: get\ncondition: a").replace("id: t-1\n", "");
    assert!(warnings(&anonymous).join(";").contains("no `id`"));
}

#[test]
fn an_id_that_is_taken_is_refused() {
    let one = rule("a:\n  verb: get\ncondition: a");
    let other = rule("a:\n  verb: list\ncondition: a");
    let (set, problems) = load(&format!("{one}---\n{other}"));
    assert_eq!(set.rules.len(), 1);
    assert!(!problems[0].warning && problems[0].message.contains("test.yml:1"));
    let (set, problems) = load(&format!("{one}---\n{one}"));
    assert_eq!(set.rules.len(), 1);
    assert!(problems[0].warning && problems[0].message.contains("skipped"));
}
