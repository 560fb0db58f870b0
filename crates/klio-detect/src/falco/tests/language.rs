use super::*;

fn check(condition: &str, json: &str, want: Verdict) {
    assert_eq!(verdict(&only_rule(condition), json), want, "{condition}");
}

#[test]
fn operators_on_texts_that_are_there() {
    let event = pod("");
    for (condition, want) in [
        ("ka.user.name = carla", Proven),
        ("ka.user.name == carla", Proven),
        ("ka.user.name=Carla", Quiet),
        ("ka.user.name != dave", Proven),
        ("ka.user.name != carla", Quiet),
        ("ka.user.name exists", Proven),
        ("ka.target.name exists", Quiet),
        ("ka.user.name contains arl", Proven),
        ("ka.user.name contains ARL", Quiet),
        ("ka.user.name icontains ARL", Proven),
        ("ka.user.name startswith car", Proven),
        ("ka.user.name startswith \"\"", Proven),
        ("ka.user.name startswith arla", Quiet),
        ("ka.user.name endswith la", Proven),
        ("ka.user.name glob c*a", Proven),
        ("ka.user.name glob C*A", Quiet),
        ("ka.user.name iglob C*A", Proven),
        ("ka.user.name glob c?r?a", Proven),
        ("ka.user.name glob [a-d]arl[!b]", Proven),
        ("ka.user.name glob [!a-d]arla", Quiet),
        (r#"ka.user.name glob "c\\*a""#, Quiet),
        ("ka.user.name regex c.*", Proven),
        ("ka.user.name regex arl", Quiet),
        ("ka.user.name regex a|carla", Proven),
        ("ka.user.name in (alice, carla)", Proven),
        ("ka.user.name in (alice)", Quiet),
        ("ka.user.name in ()", Quiet),
        ("not ka.user.name in ()", Proven),
        ("ka.user.name intersects (carla)", Proven),
        ("ka.uri pmatch (/api/v1)", Proven),
        ("ka.uri pmatch (/api/v)", Quiet),
        ("ka.uri pmatch (/apis, /api/v1/namespaces/shop/pods)", Proven),
        ("ka.uri pmatch (/api/*/namespaces)", Proven),
        ("ka.uri pmatch (/)", Proven),
        ("ka.user.name startswith oneof (c, a)", Proven),
        ("ka.user.name startswith oneof (c, ca)", Quiet),
        ("ka.user.name startswith anyof (c, ca)", Proven),
        ("ka.user.name contains allof (c, ar, la)", Proven),
        ("ka.user.name contains allof (c, zz)", Quiet),
        ("ka.user.name != allof (alice, bob)", Proven),
        ("ka.user.name != allof (alice, carla)", Quiet),
        ("ka.user.name = anyof ()", Quiet),
        ("ka.user.name = oneof", Quiet),
        ("ka.response.code startswith 2", Proven),
        ("ka.response.code = 201", Proven),
        ("ka.response.code >= 200", Proven),
        ("ka.response.code > 201", Quiet),
        ("ka.response.code < 3", Proven),
        ("ka.user.name < 5", Quiet),
        ("ka.user.name > 5", Proven),
    ] {
        check(condition, &event, want);
    }
}

#[test]
fn a_missing_value_makes_every_comparison_false() {
    let event = pod("");
    for condition in [
        "ka.target.name = x",
        "ka.target.name != x",
        "ka.target.name in (x)",
        "ka.target.name != allof (x)",
        "ka.target.name startswith \"\"",
        "ka.target.name < 5",
        "ka.target.name = val(ka.target.subresource)",
        "ka.target.name != val(ka.user.name)",
        "ka.user.name != val(ka.target.name)",
    ] {
        check(condition, &event, Quiet);
        check(&format!("not {condition}"), &event, Proven);
        check(&format!("not({condition})"), &event, Proven);
    }
}

#[test]
fn what_the_level_did_not_record_is_not_proven() {
    let event = bare_pod();
    for (condition, want) in [
        ("ka.verb = create and not ka.req.pod.containers.image.repository in (good)", Unproven),
        ("ka.verb = create and not jevt.value[/requestObject/spec/tls] exists", Unproven),
        ("not ka.req.pod.host_network = true", Unproven),
        ("not ka.resp.name exists", Unproven),
        ("ka.req.pod.host_network != true", Quiet),
        ("ka.req.pod.volumes.hostpath intersects (/etc)", Quiet),
        ("not len(ka.req.pod.containers.image) = 2", Unproven),
        ("not ka.req.pod.containers.image in ()", Proven),
        ("not jevt.value[/objectRef/name] exists", Proven),
    ] {
        check(condition, &event, want);
    }
}

#[test]
fn lists_are_compared_as_a_whole_or_by_any_of_their_values() {
    let two = pod(r#""containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y@sha256:0"}]"#);
    for (condition, want) in [
        ("ka.req.pod.containers.image.repository in (x, y, z)", Proven),
        ("ka.req.pod.containers.image.repository in (x)", Quiet),
        ("ka.req.pod.containers.image.repository intersects (y, z)", Proven),
        ("ka.req.pod.containers.image.repository intersects (z)", Quiet),
        ("ka.req.pod.containers.image[1] in (y@sha256:0)", Proven),
        ("ka.req.pod.containers.image[2] exists", Quiet),
        ("ka.user.groups in (devs, system:authenticated)", Proven),
        ("ka.user.groups in (devs)", Quiet),
        ("ka.user.groups intersects (devs)", Proven),
    ] {
        check(condition, &two, want);
    }
}

#[test]
fn transformers_bend_values_before_they_are_compared() {
    let event = pod(r#""containers":[{"name":"a","image":"QUJD","command":["/bin/SH","-c"]}]"#);
    for (condition, want) in [
        ("toupper(ka.user.name) = CARLA", Proven),
        ("tolower( ka.useragent ) startswith kubectl", Proven),
        ("tolower(toupper(ka.user.name)) = carla", Proven),
        ("basename(ka.uri) = pods", Proven),
        ("len(ka.user.name) = 5", Proven),
        ("len(ka.user.name) >= 0x6", Quiet),
        ("len(ka.user.groups) = 2", Proven),
        ("len(ka.user.groups) in (1, 2)", Proven),
        ("b64(ka.req.pod.containers.image) intersects (ABC)", Proven),
        ("tolower(ka.req.pod.containers.command) in (\"/bin/sh -c\")", Proven),
        ("join(\",\", ka.user.groups) = \"devs,system:authenticated\"", Proven),
        ("concat(ka.verb, \"-\", ka.target.resource) = create-pods", Proven),
        ("concat(ka.verb, ka.target.name) exists", Quiet),
        ("ka.user.name = tolower(ka.user.name)", Proven),
        ("ka.uri endswith val(ka.target.resource)", Proven),
        ("ka.uri contains val(ka.target.namespace)", Proven),
        ("jevt.value[/objectRef/namespace] = val(ka.target.namespace)", Proven),
        ("ka.user.groups intersects val(ka.user.groups)", Proven),
        ("join(\"\", (ka.verb, \"x\")) = createx", Proven),
        ("getopt(ka.user.groups, \"ab:\") exists", Quiet),
    ] {
        check(condition, &event, want);
    }
}

#[test]
fn grammar() {
    let event = pod("");
    for (condition, want) in [
        ("ka.verb=get or ka.verb=create and ka.user.name=nobody", Quiet),
        ("(ka.verb=get or ka.verb=create) and ka.user.name=carla", Proven),
        ("not ka.verb=get and ka.verb=create", Proven),
        ("not not ka.verb=create", Proven),
        ("not (ka.verb=get)and(ka.verb=create)", Proven),
        ("  ka.verb  =  \"create\"  ", Proven),
        ("ka.verb\n    =\n    create\n    and\n    ka.user.name exists", Proven),
        ("ka.verb in ( \"create\" , 'x y' )", Proven),
        ("ka.uri startswith /api/v1", Proven),
        ("ka.target.resource=pods and not ka.target.subresource exists", Proven),
        ("json.value[objectRef/resource] = pods", Proven),
        ("jevt.value[\"/objectRef/resource\"] = pods", Proven),
        ("evt.source = k8s_audit and evt.rawtime > 5", Proven),
    ] {
        check(condition, &event, want);
    }
    let quoted = pod("").replace("kubectl/v1.36.1", r#"a \"b\"\tc\\d"#);
    check(r#"ka.useragent = "a \"b\"\tc\\d""#, &quoted, Proven);
    check(r#"ka.useragent startswith "\x61 ""#, &quoted, Proven);
}

#[test]
fn what_is_wrong_is_an_error_with_a_place_and_advice() {
    for (condition, word, message, advice) in [
        ("ka.verb = get and ka.usr.name = x", "ka.usr.name", "unknown field", Some("ka.user.name")),
        ("ka.verb = get and evt.typ = x", "evt.typ", "unknown field", Some("evt.type")),
        ("ka.verb = get and proc.name = x", "proc.name", "unknown field", None),
        ("ka.verb = get and always", "always", "unknown macro", None),
        ("ka.verb startwith x", "startwith", "expected an operator", Some("startswith")),
        ("ka.verb", "", "expected an operator", None),
        ("ka.verb = ", "", "expected a value", None),
        ("(ka.verb = a", "", "expected `)`", None),
        ("ka.verb = a)", ")", "expected `and`, `or` or the end", None),
        ("ka.verb = a b", "b", "expected `and`, `or` or the end", None),
        ("ka.verb = \"a", "", "does not end", None),
        ("ka.verb = \"\\q\"", "", "is no escape", None),
        ("ka.verb in (a b)", "b", "expected `,` or `)`", Some("quotes")),
        ("ka.user.groups = a", "ka.user.groups", "does not compare lists", Some("intersects")),
        ("ka.user.groups = val(ka.user.groups)", "ka.user.groups", "does not compare lists", None),
        ("ka.verb = val(ka.user.groups)", "", "different kinds", None),
        ("ka.verb bcontains 00", "ka.verb", "raw bytes", Some("contains")),
        ("ka.verb regex \"(?=a)\"", "", "look-around", None),
        ("ka.verb > abc", "abc", "expected a number", None),
        ("jevt.value = x", "jevt.value", "needs an argument", Some("jevt.value[/objectRef/name]")),
        ("ka.verb[1] = x", "ka.verb", "takes no argument", None),
        ("ka.req.pod.containers.image[x] exists", "ka.req.pod.containers.image", "is an index", None),
        ("ka.req.pod.ephemeralContainers.host_port exists", "", "unknown field", None),
        ("len(ka.verb, ka.uri) = 1", "", "takes one value", None),
        ("len(len(ka.verb)) = 1", "", "works on text", None),
        ("len(ka.verb) contains 1", "", "does not compare numbers", None),
        ("ka.verb glob val(ka.uri)", "", "takes no field on its right", None),
        ("   ", "", "empty", None),
    ] {
        let (set, problems) =
            load(&[&rule_text("r", condition), &rule_text("other", "ka.verb exists")].map(String::as_str));
        assert_eq!(set.rules.len(), 1, "{condition}");
        let [problem] = problems.as_slice() else { panic!("{condition}: {} problems", problems.len()) };
        assert!(problem.message.contains(message), "{condition}: {}", problem.message);
        assert!(
            !problem.warning && problem.file == "rules0.yaml" && problem.line == 3,
            "{condition}: {}",
            problem.line
        );
        let text = rule_text("r", condition);
        let start = problem.span.offset();
        let spanned = &text[start..start + problem.span.len()];
        assert!(spanned.starts_with(word), "{condition}: span is `{spanned}`");
        if let Some(advice) = advice {
            assert!(
                problem.advice.as_deref().is_some_and(|a| a.contains(advice)),
                "{condition}: {:?}",
                problem.advice
            );
        }
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |n: usize| format!("{}ka.verb=create{}", "(".repeat(n), ")".repeat(n));
    check(&deep(50), &pod(""), Proven);
    let (set, problems) = load(&[&rule_text("r", &deep(100_000))]);
    assert!(set.rules.is_empty() && problems[0].message.contains("nested too deeply"));
    let nots = format!("{}ka.verb=create", "not ".repeat(100_000));
    check(&nots, &pod(""), Proven);
}

#[test]
fn without_an_audit_id_there_is_no_audit_field() {
    let event = pod("").replace(r#""auditID":"a1","#, "");
    check("ka.verb = create", &event, Quiet);
    check("ka.verb exists", &event, Quiet);
    check("not ka.verb = get", &event, Proven);
    check("not ka.verb = create", &event, Proven);
    check("jevt.value[/verb] = create", &event, Proven);
    check("jevt.value[/stage] = ResponseComplete and not ka.user.name startswith c", &event, Proven);
    check("not tolower(ka.verb) = create", &event, Proven);
}

#[test]
fn the_time_of_an_event_stands_for_always_and_never() {
    for event in [pod(""), bare_pod()] {
        check("jevt.rawtime exists", &event, Proven);
        check("jevt.rawtime=0", &event, Quiet);
        check("jevt.rawtime != 0", &event, Proven);
        check("jevt.rawtime = 1772360430123456000", &event, Proven);
        check("json.rawtime startswith 17723604301", &event, Proven);
    }
    assert_eq!(only_rule("ka.verb=get and jevt.rawtime=0").filter, klio_model::Filter::Nothing);
}

#[test]
fn a_compiled_rule_can_be_written_as_a_filter() {
    for condition in [
        "ka.verb in (get, create) and not ka.target.subresource exists",
        "ka.user.groups in (a, b) and ka.user.groups intersects (c)",
        "jevt.value[/requestObject/a.b/c~1d] startswith \"x y\" and ka.uri != /x",
        "tolower(ka.useragent) contains \"a*b?\" or len(ka.user.groups) > 3",
        "ka.uri.param[command] regex \"a/b.*\" and ka.uri pmatch (/api/*/x)",
        "ka.uri glob [a-c]* and ka.response.code >= 400 and ka.user.name = val(ka.target.name)",
    ] {
        let filter = only_rule(condition).filter;
        let text = filter.to_string();
        let back = klio_model::Filter::parse(&text);
        assert_eq!(back.as_ref().map(ToString::to_string), Ok(text.clone()), "{condition}");
        assert_eq!(back, Ok(filter), "{text}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]
    #[test]
    fn no_text_makes_the_compiler_panic(text in ".{0,200}", condition in "[a-z.\\[\\]()=<>!,\" '\\\\n/é*]{0,80}") {
        load(&[&text]);
        load(&[&rule_text("r", &condition)]);
        load(&[&format!("- list: a\n  items: [{text}]\n"), &rule_text("r", "ka.verb in (a)")]);
    }

    #[test]
    fn pieces_of_the_language_in_any_order_do_not_panic(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "ka.verb", "ka.user.groups", "jevt.value[/a~1b]", "=", "!=", "in", "intersects", "(", ")", ",", "and", "or", "not",
            "not(", "exists", "startswith ", "oneof ", "val(", "tolower(", "len(", "join(", "\"x\"", "'", "m", "l", "5", ">=", " ", "glob [",
        ]), 0..24)
    ) {
        let macros = "- macro: m\n  condition: ka.verb exists\n- list: l\n  items: [a, 'b c']\n";
        load(&[macros, &rule_text("r", &words.concat()), &rule_text("s", &words.join(" "))]);
    }
}
