use super::*;

const EVENTS: [&str; 3] = ["get", "create", "delete"];

fn event(verb: &str) -> String {
    pod("").replace(r#""verb":"create""#, &format!(r#""verb":"{verb}""#))
}

/// For which verbs the rule `r` fires.
fn fires(set: &RuleSet) -> Vec<&'static str> {
    let rule = set.rules.iter().find(|r| r.title == "r");
    EVENTS.into_iter().filter(|verb| rule.is_some_and(|r| verdict(r, &event(verb)) != Quiet)).collect()
}

fn check(files: &[&str], want: &[&str]) {
    let (set, problems) = load(files);
    let messages: Vec<_> = problems.iter().filter(|p| !p.warning).map(|p| &p.message).collect();
    assert!(messages.is_empty(), "{files:?}: {messages:?}");
    assert_eq!(fires(&set), want, "{files:?}");
}

#[test]
fn lists_expand_wherever_their_name_stands_alone() {
    let rule = rule_text("r", "ka.verb in (verbs)");
    check(&["- list: verbs\n  items: [get, create]\n", &rule], &["get", "create"]);
    check(&[&rule, "- list: verbs\n  items: [get]\n"], &["get"]);
    check(&["- list: verbs\n  items: []\n", &rule], &[]);
    check(&["- list: a\n  items: [get]\n- list: verbs\n  items: [a, create]\n", &rule], &["get", "create"]);
    let both = |c| rule_text("r", c);
    let empty = "- list: none\n  items: []\n- list: verbs\n  items: [get]\n";
    for condition in [
        "ka.verb in (verbs, none)",
        "ka.verb in (none, verbs)",
        "ka.verb in (none,verbs)",
        "ka.verb in ( verbs ,none )",
        "ka.verb=verbs",
        "ka.verb in (none, verbs, none)",
        "ka.verb in (myverbs, verbs)",
        "ka.verb = \"verbs\" or ka.verb=get",
    ] {
        check(&[empty, &both(condition)], &["get"]);
    }
    // Items with blanks are quoted; numbers and booleans stay as they are spelt.
    let items = "- list: verbs\n  items: [true, 0x10, 1.10, 'a b']\n";
    let spelt = pod("").replace("carla", "0x10");
    let (set, _) = load(&[items, &rule_text("r", "ka.user.name in (verbs)")]);
    assert_eq!(verdict(&set.rules[0], &spelt), Proven);
}

#[test]
fn macros_stand_for_whole_conditions() {
    let rule = rule_text("r", "not m and ka.verb in (get, create)");
    check(&["- macro: m\n  condition: ka.verb=delete or ka.verb=get\n", &rule], &["create"]);
    check(
        &["- macro: a\n  condition: ka.verb=get\n- macro: m\n  condition: a or ka.verb=delete\n", &rule],
        &["create"],
    );
    let (set, problems) =
        load(&["- macro: m\n  condition: later\n- macro: later\n  condition: ka.verb=get\n", &rule]);
    assert!(set.rules.is_empty());
    assert_eq!((problems[0].line, problems[0].file.as_str()), (2, "rules0.yaml"));
    assert!(
        problems[0].message.contains("rule `r` is left out: unknown macro `later`"),
        "{}",
        problems[0].message
    );
    assert!(problems[0].advice.as_deref().unwrap().contains("defined before"));
    let cycle =
        "- macro: a\n  condition: ka.verb=get\n- macro: m\n  condition: a\n- macro: a\n  condition: m\n";
    let (set, problems) = load(&[cycle, &rule]);
    assert!(set.rules.is_empty() && problems[0].message.contains("uses itself"));
    let (_, problems) = load(&["- macro: unused\n  condition: ka.verb = (\n"]);
    assert!(problems[0].message.contains("macro `unused`") && !problems[0].warning);
}

#[test]
fn macros_that_double_without_end_are_refused() {
    let doubles = (1..40).map(|i| {
        format!("- macro: m{i}\n  condition: (m{0} or ka.uri=a{i}) and (m{0} or ka.uri=b{i})\n", i - 1)
    });
    let first = "- macro: m0\n  condition: ka.verb=get and ka.uri=x\n".to_owned();
    let text = std::iter::once(first).chain(doubles).collect::<Vec<_>>().concat();
    let (set, problems) = load(&[&text, &rule_text("r", "m25"), &rule_text("s", "ka.verb=get")]);
    assert_eq!(set.rules.len(), 1);
    assert!(problems.iter().any(|p| p.message.contains("too large")), "{:?}", problems[0].message);
    let lists = (0..20)
        .map(|i| format!("- list: l{i}\n  items: [{}]\n", vec![format!("l{}", i + 1); 10].join(",")))
        .collect::<Vec<_>>()
        .concat();
    let (_, problems) = load(&[&lists, &rule_text("r", "ka.verb in (l0)")]);
    assert!(problems.iter().any(|p| p.message.contains("too much text")));
}

#[test]
fn macros_that_nest_without_end_are_refused() {
    let deep = |inner: String| {
        (0..60).fold(inner, |c, i| {
            let op = if i % 2 == 0 { "and" } else { "or" };
            format!("(ka.uri=u{i} {op} {c})")
        })
    };
    let macros = (1..40).map(|i| format!("- macro: m{i}\n  condition: {}\n", deep(format!("m{}", i - 1))));
    let text = format!("- macro: m0\n  condition: ka.verb=get\n{}", macros.collect::<Vec<_>>().concat());
    let (set, problems) = load(&[&text, &rule_text("r", "m2"), &rule_text("s", "m39")]);
    assert_eq!(set.rules.len(), 1);
    assert!(problems.iter().any(|p| p.message.contains("nested too deeply")));
}

#[test]
fn later_items_replace_append_and_override() {
    let base = &format!(
        "- list: verbs\n  items: [get]\n- macro: m\n  condition: ka.verb in (verbs)\n{}",
        rule_text("r", "m")
    );
    for (later, want) in [
        ("- list: verbs\n  items: [create]\n", vec!["create"]),
        ("- list: verbs\n  append: true\n  items: [create]\n", vec!["get", "create"]),
        ("- list: verbs\n  items: [create]\n  override: {items: append}\n", vec!["get", "create"]),
        ("- list: verbs\n  items: [create]\n  override: {items: replace}\n", vec!["create"]),
        ("- macro: m\n  condition: ka.verb=delete\n", vec!["delete"]),
        ("- macro: m\n  condition: or ka.verb=delete\n  append: true\n", vec!["get", "delete"]),
        (
            "- macro: m\n  condition: or ka.verb=delete\n  override: {condition: append}\n",
            vec!["get", "delete"],
        ),
        ("- rule: r\n  condition: or ka.verb=delete\n  append: true\n", vec!["get", "delete"]),
        (
            "- rule: r\n  condition: or ka.verb=delete\n  override: {condition: append}\n",
            vec!["get", "delete"],
        ),
        ("- rule: r\n  condition: ka.verb=delete\n  override: {condition: replace}\n", vec!["delete"]),
        ("- rule: r\n  enabled: false\n", vec![]),
        ("- rule: r\n  enabled: false\n  override: {enabled: replace}\n", vec![]),
        (&rule_text("r", "ka.verb=create"), vec!["create"]),
    ] {
        check(&[base, later], &want);
    }
    let off = base.replace("source: k8s_audit\n", "source: k8s_audit\n  enabled: false\n");
    check(&[&off], &[]);
    check(&[&off, "- rule: r\n  enabled: true\n  override: {enabled: replace}\n"], &["get"]);
}

#[test]
fn overrides_change_everything_else_of_a_rule_too() {
    let later = "- rule: r\n  desc: more\n  output: \" %ka.verb\"\n  tags: [T1610]\n  priority: INFO\n  capture: true\n  capture_duration: 5\n  \
        override: {desc: append, output: append, tags: append, priority: replace, capture: replace, capture_duration: replace}\n";
    let (set, problems) = load(&[&rule_text("r", "ka.verb=get"), later]);
    assert!(problems.is_empty(), "{}", problems[0].message);
    let rule = &set.rules[0];
    assert_eq!(
        (rule.description.as_str(), rule.severity, rule.techniques.len()),
        ("d more", Severity::Informational, 1)
    );
    let event = event("get");
    assert_eq!(rule.output.as_ref().unwrap().render(&Event::parse(&event).unwrap()), "o  get");
}

#[test]
fn a_redefined_rule_keeps_its_place_in_the_order() {
    let (set, _) = load(&[
        &(rule_text("r", "ka.verb=get") + &rule_text("s", "ka.verb=get")),
        &rule_text("r", "ka.verb=create"),
    ]);
    assert_eq!(
        set.rules.iter().map(|r| (r.title.as_str(), r.file.as_str(), r.line)).collect::<Vec<_>>(),
        [("r", "rules1.yaml", 1), ("s", "rules0.yaml", 7)]
    );
}

#[test]
fn exceptions() {
    let rule = |exceptions: &str| {
        format!(
            "{}  exceptions:\n{exceptions}",
            rule_text("r", "ka.verb=get or ka.verb=create or ka.verb=delete")
        )
    };
    for (exceptions, want) in [
        ("    - {name: e, fields: ka.verb, values: [get, create]}\n", vec!["delete"]),
        ("    - {name: e, fields: ka.verb}\n", vec!["get", "create", "delete"]),
        ("    - {name: e, fields: ka.verb, comps: in, values: [get]}\n", vec!["create", "delete"]),
        ("    - {name: e, fields: ka.uri, comps: pmatch, values: [/api/v1]}\n", vec![]),
        (
            "    - {name: e, fields: [ka.verb, ka.user.name], values: [[get, carla], [create, dave]]}\n",
            vec!["create", "delete"],
        ),
        ("    - {name: e, fields: [ka.verb], comps: [startswith], values: [[g], [\"c\"]]}\n", vec!["delete"]),
        (
            "    - {name: e, fields: [ka.verb, ka.user.name], comps: [in, =], values: [[[get, delete], carla]]}\n",
            vec!["create"],
        ),
        (
            "    - {name: e, fields: [ka.verb, ka.user.name], comps: [in, =], values: [[get, carla]]}\n",
            vec!["create", "delete"],
        ),
        (
            "    - {name: e, fields: [ka.verb, ka.target.name], values: [[get, x]]}\n",
            vec!["get", "create", "delete"],
        ),
        ("    - {name: e, fields: ka.verb, comps: startswith anyof, values: [g, d]}\n", vec!["create"]),
        (
            "    - {name: e, fields: [ka.verb], values: [[get]]}\n    - {name: f, fields: ka.verb, values: [delete]}\n",
            vec!["create"],
        ),
    ] {
        check(&[&rule(exceptions)], &want);
    }
    let base = rule("    - {name: e, fields: [ka.verb], values: [[get]]}\n");
    check(
        &[
            &base,
            "- rule: r\n  exceptions: [{name: e, values: [[create]]}]\n  override: {exceptions: append}\n",
        ],
        &["delete"],
    );
    check(
        &[&base, "- rule: r\n  exceptions: [{name: e, values: [[create]]}]\n  append: true\n"],
        &["delete"],
    );
    check(
        &[&base, "- rule: r\n  exceptions: [{name: f, fields: ka.verb, values: [delete]}]\n  append: true\n"],
        &["create"],
    );
    check(
        &[
            &base,
            "- rule: r\n  exceptions: [{name: f, fields: ka.verb, values: [delete]}]\n  override: {exceptions: replace}\n",
        ],
        &["get", "create"],
    );
    for (exceptions, message) in [
        ("    - {fields: ka.verb, values: [get]}\n", "has a `name`"),
        ("    - {name: e, values: [get]}\n", "has no `fields`"),
        ("    - {name: e, fields: [ka.verb, ka.uri], values: [[get]]}\n", "as many items"),
        ("    - {name: e, fields: [ka.verb], comps: [is], values: [[get]]}\n", "no operator"),
        ("    - {name: e, fields: ka.verb, comps: startswith, values: [get]}\n", "takes a list"),
        ("    - {name: e, fields: [ka.vreb], values: [[get]]}\n", "unknown field `ka.vreb`"),
    ] {
        let (set, problems) = load(&[&rule(exceptions)]);
        assert!(
            set.rules.is_empty() && problems.iter().any(|p| p.message.contains(message) && p.line >= 7),
            "{exceptions}"
        );
    }
}

#[test]
fn what_belongs_to_other_sources_is_left_out_with_one_warning() {
    let other = "- macro: spawned\n  condition: evt.type=execve\n- rule: shell\n  desc: d\n  condition: spawned and proc.name=sh\n  output: o\n  priority: NOTICE\n\
        - rule: shell2\n  desc: d\n  condition: spawned\n  output: o\n  priority: NOTICE\n  source: syscall\n";
    let (set, problems) = load(&[
        "- required_engine_version: 0.40.0\n- required_plugin_versions:\n  - {name: k8saudit, version: 0.1.0}\n",
        other,
        &rule_text("r", "ka.verb=get"),
    ]);
    assert_eq!(set.rules.len(), 1);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].warning && problems[0].message.contains("2 rules (first `shell`) of source `syscall`"),
        "{}",
        problems[0].message
    );
}

#[test]
fn a_rule_may_allow_unknown_fields() {
    let rule = rule_text("r", "ka.newfield = x") + "  skip-if-unknown-filter: true\n  warn_evttypes: false\n";
    let (set, problems) = load(&[&rule]);
    assert!(set.rules.is_empty() && problems[0].warning);
}

#[test]
fn priorities_and_tags() {
    for (priority, severity) in [
        ("EMERGENCY", Severity::Critical),
        ("alert", Severity::Critical),
        ("Critical", Severity::Critical),
        ("ERROR", Severity::High),
        ("WARNING", Severity::Medium),
        ("Notice", Severity::Low),
        ("INFO", Severity::Informational),
        ("informational", Severity::Informational),
        ("DEBUG", Severity::Informational),
    ] {
        let text = rule_text("r", "ka.verb=get").replace("WARNING", priority)
            + "  tags: [k8s, mitre_execution, T1610, mitre_T1611, discovery]\n";
        let (set, problems) = load(&[&text]);
        assert!(problems.is_empty());
        let rule = &set.rules[0];
        assert_eq!(rule.severity, severity, "{priority}");
        assert_eq!(rule.tactics, [Tactic::Execution]);
        assert_eq!(rule.techniques.iter().map(ToString::to_string).collect::<Vec<_>>(), ["T1610", "T1611"]);
        assert!(rule.every_stage && rule.reports && rule.dialect == Dialect::Falco && rule.id == "r");
    }
}

#[test]
fn broken_items_are_named_and_the_others_go_on() {
    let good = rule_text("r", "ka.verb=get");
    for (text, line, message) in [
        ("- rule: x\n  condition: ka.verb=get\n", 1, "`output` is missing"),
        ("- rule: x\n", 1, "there is no earlier rule"),
        ("- rule: x\n  desc: d\n  condition: a\n  output: o\n  priority: LOUD\n", 5, "no priority"),
        ("- list: l\n", 1, "no `items`"),
        ("- list: l\n  items: [{a: b}]\n", 2, "single values"),
        ("- macro: m\n", 1, "`condition` is missing"),
        ("- macro: m\n  condition: or x\n  append: true\n", 1, "no macro `m` to append"),
        ("- list: m\n  items: []\n  append: true\n", 1, "no list `m` to append"),
        ("- rlue: x\n", 1, "no rule, macro or list"),
        ("- rule: x\n  tags: [a]\n  override: {tags: add}\n", 3, "`append` or `replace`"),
        ("- rule: r\n  priority: INFO\n  override: {priority: append}\n", 3, "cannot be overridden so"),
        (
            "- rule: r\n  priority: INFO\n  desc: d\n  override: {priority: replace}\n",
            3,
            "not named under `override`",
        ),
        (
            "- rule: r\n  priority: INFO\n  append: true\n  override: {priority: replace}\n",
            4,
            "exclude each other",
        ),
        ("- rule: r\n  override: {priority: replace}\n", 2, "overridden but not given"),
        ("hello\n", 1, "not a list of rules"),
        ("- a: [\n", 1, "not YAML"),
        ("- {list: l, items: [1], itmes: 2}\n", 1, "no meaning here"),
    ] {
        let (set, problems) = load(&[&good, text]);
        assert_eq!(set.rules.len(), 1, "{text}");
        let problem = problems.first().unwrap_or_else(|| panic!("{text}: no problem"));
        assert!(problem.message.contains(message), "{text}: {}", problem.message);
        assert_eq!(problem.file, "rules1.yaml");
        assert!(problem.line == line || message == "not YAML", "{text}: line {}", problem.line);
    }
}

#[test]
fn a_problem_is_found_in_folded_text_after_lists_and_umlauts() {
    let text = "# Prüfung: ä\n- list: l\n  items: [a, b, c]\n- rule: r\n  desc: ü\n  condition: >\n    ka.verb in (l) and\n    ka.uri = ka.name and\n    ka.name = x\n  \
        output: o\n  priority: INFO\n  source: k8s_audit\n";
    let (_, problems) = load(&[text]);
    let problem = &problems[0];
    assert_eq!(problem.line, 9, "{}", problem.message);
    let at = problem.span.offset();
    assert_eq!(&text[at..at + problem.span.len()], "ka.name");
}

#[test]
fn yaml_bombs_are_refused() {
    let deep = "[".repeat(100_000);
    let laughs = (1..12)
        .map(|i| format!("- list: l{i}\n  items: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")))
        .collect::<Vec<_>>()
        .concat();
    for text in [deep.as_str(), &"- ".repeat(100_000), &format!("- list: l0\n  items: &a0 [x]\n{laughs}")] {
        let (_, problems) = load(&[text]);
        assert!(problems[0].message.contains("not YAML"), "{}", problems[0].message);
    }
}
