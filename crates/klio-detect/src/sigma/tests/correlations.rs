use super::*;
use crate::correlate::{Correlation, CorrelationKind, Relation};

const BASE: &str = "title: Denied\nid: denied-id\nname: denied\nlogsource:\n  product: kubernetes\n  service: audit\nlevel: high\ndetection:\n  s:\n    responseStatus.code: 403\n  condition: s\n";
const OTHER: &str = "title: Exec\nid: exec-id\nname: exec\nlogsource:\n  product: kubernetes\n  service: audit\ndetection:\n  s:\n    objectRef.subresource: exec\n  condition: s\n";

/// A correlation document with this section; the base rules stand before it.
fn document(section: &str) -> String {
    let body = indent(section.trim());
    format!("{BASE}---\n{OTHER}---\ntitle: C\nid: c-id\nname: c\ncorrelation:\n{body}")
}

#[track_caller]
fn compiled(section: &str) -> (RuleSet, Correlation) {
    let (set, problems) = load(&document(section));
    assert!(problems.is_empty(), "{problems:?}");
    let correlation = set.correlations[0].clone();
    (set, correlation)
}

#[test]
fn a_correlation_finds_its_rules_and_says_what_they_carry() {
    let (set, c) = compiled(
        "type: value_count\nrules:\n  - denied\n  - exec-id\ngroup-by:\n  - user.username\n  - source.ip\ntimespan: 90m\ncondition:\n  field: objectRef.namespace\n  gte: 5",
    );
    assert_eq!(c.kind, CorrelationKind::ValueCount);
    assert_eq!(c.timespan, 90 * 60 * 1_000_000);
    assert_eq!(c.condition, [(Relation::Gte, 5.0)]);
    assert_eq!(c.group_by, ["user", "source.ip"]);
    assert_eq!(c.sources[0].rule, "denied-id");
    assert_eq!(c.sources[1].keys, ["user", "source.ip"]);
    assert_eq!(c.sources[1].fields, ["namespace"]);
    // Without a level it is as severe as the worst of its rules, which now report only through it.
    assert_eq!(c.severity, Severity::High);
    for rule in &set.rules {
        let carried: Vec<_> = rule.carries.iter().map(klio_model::FieldRef::name).collect();
        assert_eq!(carried, ["user", "source.ip", "namespace"]);
        assert!(!rule.reports);
    }
}

#[test]
fn generate_keeps_the_findings_of_the_rules() {
    let section =
        "type: event_count\nrules: [denied]\ngroup-by: [user.username]\ntimespan: 1m\ncondition: {gt: 3}";
    let (set, _) = compiled(section);
    assert_eq!(set.rules.iter().map(|r| r.reports).collect::<Vec<_>>(), [false, true]);
    let (set, _) = load(&document(section).replace("correlation:\n", "generate: true\ncorrelation:\n"));
    assert!(set.rules[0].reports);
    // A correlation of the user's does not silence Klio's own rule.
    let own = RuleFile { name: "own.yml".into(), text: BASE.into() };
    let text = format!("title: C\nid: c\ncorrelation:\n  {}\n", section.replace('\n', "\n  "));
    let theirs = RuleFile { name: "theirs.yml".into(), text: text.into() };
    let (set, problems) = compile_all(&[(Dialect::Sigma, &theirs), (Dialect::Klio, &own)]);
    assert!(problems.is_empty(), "{problems:?}");
    assert!(set.rules[0].reports);
    assert_eq!(set.correlations.len(), 1);
}

#[test]
fn aliases_name_different_fields_of_different_rules() {
    let section = "type: temporal\nrules: [denied, exec]\naliases:\n  who:\n    denied: user.username\n    exec: impersonatedUser.username\ngroup-by: [who]\ntimespan: 10s";
    let (set, c) = compiled(section);
    assert_eq!(c.group_by, ["who"]);
    assert_eq!(c.sources[0].keys, ["user"]);
    assert_eq!(c.sources[1].keys, ["impersonated"]);
    assert_eq!(set.rules[1].carries[0].name(), "impersonated");
    assert_eq!(c.condition, [(Relation::Gte, 2.0)]);
    let text = document(&section.replace("    exec: impersonatedUser.username\n", ""));
    let (_, message, advice) = error(&text);
    assert!(message.contains("the alias `who` has no field for `exec`"), "{message}");
    assert!(advice.contains("`exec: <field>`"));
}

#[test]
fn chains_hand_on_the_fields_that_the_upper_one_needs() {
    let text = document(
        "type: event_count\nrules: [denied]\ngroup-by: [source.ip]\ntimespan: 1m\ncondition: {gte: 3}",
    ) + "---\ntitle: Chain\nid: chain\nlevel: critical\ncorrelation:\n  type: temporal_ordered\n  rules: [c, exec]\n  group-by: [user.username]\n  timespan: 1h\n";
    let (set, problems) = load(&text);
    assert!(problems.is_empty(), "{problems:?}");
    let inner = set.correlations.iter().find(|c| c.id == "c-id").unwrap();
    let outer = set.correlations.iter().find(|c| c.id == "chain").unwrap();
    assert_eq!(inner.carries[0].name(), "user");
    assert!(!inner.reports && outer.reports);
    assert_eq!(outer.sources[0].rule, "c-id");
    assert_eq!(set.rules[0].carries.len(), 2);
}

#[test]
fn what_cannot_be_correlated_is_an_error() {
    let wrong = |section: &str, message: &str, advice: &str| {
        let problems = load(&document(section)).1;
        let found = problems.iter().any(|p| {
            !p.warning
                && p.message.contains(message)
                && p.advice.as_deref().is_some_and(|a| a.contains(advice))
        });
        assert!(found, "{message}: {problems:?}");
    };
    let count =
        "type: event_count\nrules: [denied]\ngroup-by: [user.username]\ntimespan: 1m\ncondition: {gte: 3}";
    wrong(&count.replace("[denied]", "[denide]"), "there is no rule `denide`", "`denied`");
    wrong(&count.replace("event_count", "event_cuont"), "unknown correlation type", "`event_count`");
    wrong(&count.replace("1m", "1 m"), "is no timespan", "90m");
    wrong(&count.replace("1m", "0s"), "no window", "1s");
    wrong(&count.replace("user.username", "user.usrname"), "unknown field `user.usrname`", "user.username");
    wrong(&count.replace("gte: 3", "gte: many"), "takes a whole number", "quotes");
    wrong(&count.replace("gte: 3", "min: 3"), "unknown key `min`", "gte");
    wrong(&count.replace("{gte: 3}", "count > 3"), "a condition is a map", "gte: 10");
    wrong(&count.replace("gte: 3", "eq: 0"), "no number of events", "absence");
    wrong(&count.replace("gte: 3", "lt: 1"), "no number of events", "absence");
    wrong(&count.replace("gte: 3", "gte: 1000000"), "no number of events", "65,536");
    wrong(&count.replace("gte: 3", "gt: 10, lt: 5"), "no number of events", "");
    wrong(&count.replace("event_count", "value_count"), "names no `field`", "field:");
    wrong(&count.replace("gte: 3", "gte: 3, field: verb"), "`field` has no meaning", "value_count");
    wrong(&count.replace("timespan: 1m\n", ""), "no `timespan`", "10m");
    wrong(&count.replace("timespan", "timeframe"), "unknown key `timeframe`", "timespan");
    wrong(&count.replace("rules: [denied]", "rules: [denied, denied-id]"), "named twice", "");
    wrong(&count.replace("rules: [denied]", "rules: [c]"), "watches itself", "one direction");
    let ordered =
        "type: temporal_ordered\nrules: [denied, exec]\ngroup-by: [user]\ntimespan: 1m\ncondition: {gte: 1}";
    assert!(load(&document(ordered)).1.is_empty());
    wrong(&ordered.replace("gte: 1", "lte: 1"), "needs all its rules", "");
}

#[test]
fn a_correlation_of_a_broken_rule_says_so() {
    let text =
        document("type: event_count\nrules: [denied]\ngroup-by: [user]\ntimespan: 1m\ncondition: {gte: 3}")
            .replace("responseStatus.code: 403", "responseStatus.cod: 403");
    let (set, problems) = load(&text);
    assert!(set.correlations.is_empty());
    assert!(problems.iter().any(|p| p.message == "the rule `denied` does not run"), "{problems:?}");
    assert_eq!(set.rules.len(), 1);
}

#[test]
fn filters_take_events_from_the_rules_they_name() {
    let filter = |rules: &str, condition: &str| {
        format!(
            "{BASE}---\n{OTHER}---\ntitle: Known scanner\nid: f\nlogsource:\n  product: kubernetes\n  service: audit\nfilter:\n  rules: {rules}\n  selection:\n    user.username|startswith: 'scan'\n  condition: {condition}\n"
        )
    };
    let fires = |text: &str, user: &str| {
        let (set, problems) = load(text);
        assert!(problems.iter().all(|p| p.warning && p.message.contains("without `not`")), "{problems:?}");
        let json = format!(
            r#"{{"level":"Metadata","stage":"ResponseComplete","verb":"create","user":{{"username":"{user}"}},"objectRef":{{"resource":"pods","subresource":"exec"}},"responseStatus":{{"code":403}}}}"#
        );
        let event = Event::parse(&json).unwrap();
        set.rules.iter().map(|r| r.filter.eval(&event, Missing::False) == Tri::True).collect::<Vec<_>>()
    };
    for condition in ["selection", "not selection", "1 of sel*"] {
        let text = filter("[denied-id]", condition);
        assert_eq!(fires(&text, "scanner"), [false, true], "{condition}");
        assert_eq!(fires(&text, "alice"), [true, true], "{condition}");
    }
    assert_eq!(fires(&filter("any", "selection"), "scanner"), [false, false]);
    assert_eq!(fires(&filter("[denied, exec]", "selection"), "scanner"), [false, false]);
    let (line, message, advice) = error(&filter("[denide]", "selection"));
    assert_eq!((line, message.as_str()), (30, "there is no rule `denide`"));
    assert!(advice.contains("`denied`"));
    assert!(
        error(&filter("[denied]", "selection").replace("  rules: [denied]\n", ""))
            .1
            .contains("names no rules")
    );
}

#[test]
fn the_condition_of_a_filter_is_read_as_written() {
    let filter = |condition: &str| {
        format!(
            "{BASE}---\ntitle: F\nid: f\nlogsource:\n  product: kubernetes\n  service: audit\nfilter:\n  rules: any\n  x:\n    user.username: admin\n  y:\n    user.username: backup\n  none:\n    user.uid: null\n  condition: {condition}\n"
        )
    };
    // Which of admin, backup and mallory the rule still finds, and what is said about it.
    let check = |condition: &str, want: [bool; 3], warning: &str| {
        let (set, problems) = load(&filter(condition));
        let about: Vec<_> = problems.iter().filter(|p| !p.message.contains("does not use")).collect();
        match warning {
            "" => assert!(about.is_empty(), "{condition}: {about:?}"),
            _ => assert!(
                about.len() == 1 && about[0].warning && about[0].message.contains(warning),
                "{about:?}"
            ),
        }
        let fires = ["admin", "backup", "mallory"].map(|user| {
            let json = format!(
                r#"{{"level":"Metadata","stage":"ResponseComplete","verb":"create","user":{{"username":"{user}"}},"objectRef":{{"resource":"pods","subresource":"exec"}},"responseStatus":{{"code":403}}}}"#
            );
            set.rules[0].filter.eval(&Event::parse(&json).unwrap(), Missing::False) == Tri::True
        });
        assert_eq!(fires, want, "{condition}");
    };
    check("not x and not y", [false, false, true], "");
    check("not (x or y)", [false, false, true], "");
    check("(not x)", [false, true, true], "");
    check("NOT 1 of x*", [false, true, true], "");
    check("not x or not y", [true, true, true], "");
    check("x or y", [false, false, true], "without `not`");
    check("x and not y", [true, false, false], "and only these");
    check("not (not x)", [true, false, false], "and only these");
    // That a selection asks for something missing makes the condition no negation.
    check("none", [false, false, false], "without `not`");
    check("not none", [false, false, false], "");
    check("[not x, not y]", [true, true, true], "");
}
