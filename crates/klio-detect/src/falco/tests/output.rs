use super::*;

fn render(template: &str, json: &str) -> String {
    let rule = rule_text("r", "ka.verb exists").replace("output: o", &format!("output: {template:?}"));
    let (set, problems) = load(&[&rule]);
    assert!(problems.is_empty(), "{template}: {}", problems[0].message);
    set.rules[0].output.as_ref().unwrap().render(&Event::parse(json).unwrap())
}

#[test]
fn templates_print_values_lists_and_what_is_missing() {
    let event = pod(r#""containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y"}]"#);
    for (template, want) in [
        ("user=%ka.user.name pod=%ka.resp.name", "user=carla pod=cart-1"),
        ("%ka.target.resource/%ka.target.name.", "pods/<NA>."),
        (
            "images=%ka.req.pod.containers.image init=%ka.req.pod.initContainers.image",
            "images=(x:1,y) init=<NA>",
        ),
        ("first %ka.req.pod.containers.image[0])", "first (x:1))"),
        ("%evt.time %ka.verb", "10:20:30.123456000 create"),
        (
            "%evt.time.s|%evt.datetime|%evt.time.iso8601",
            "10:20:30|2026-03-01 10:20:30.123456000|2026-03-01T10:20:30.123456000+0000",
        ),
        ("%jevt.value[/responseStatus] %evt.num", r#"{"metadata":{},"code":201} <NA>"#),
        ("%8ka.verb|%3ka.verb|", "create  |cre|"),
        ("*%toupper(ka.verb)%ka.response.code", "CREATE201"),
        (
            "groups %ka.user.groups %evt.rawtime.s ips %ka.sourceips",
            "groups (devs,system:authenticated) 1772360430 ips <NA>",
        ),
        ("no field", "no field"),
    ] {
        assert_eq!(render(template, &event), want, "{template}");
    }
    assert_eq!(
        render("%ka.verb %jevt.value[/verb]", &event.replace(r#""auditID":"a1","#, "")),
        "<NA> create"
    );
    assert_eq!(
        render("%jevt.obj", r#"{"a":[1,{"b":"x, {y}"}],"c":{}, "d":[ ]}"#),
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x, {y}\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}"
    );
}

#[test]
fn an_unknown_name_in_a_template_is_a_warning_and_the_rule_runs() {
    let rule = rule_text("r", "ka.verb exists").replace("output: o", "output: a %ka.usr.name b 100%");
    let (set, problems) = load(&[&rule]);
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|p| p.warning && p.line == 4));
    assert!(
        problems[0].message.contains("ka.usr.name")
            && problems[0].advice.as_deref().unwrap().contains("ka.user.name")
    );
    assert_eq!(set.rules[0].output.as_ref().unwrap().render(&Event::parse("{}").unwrap()), "a <NA> b 100%");
}

#[test]
fn fields_of_a_template_are_named_once() {
    let rule = rule_text("r", "ka.verb exists")
        .replace("output: o", "output: '%ka.verb %ka.verb %ka.target.name %ka.uri.param[x]'");
    let (set, _) = load(&[&rule]);
    let event = pod("").replace("shop/pods\"", "shop/pods?x=a%20b&x=c\"");
    let fields = set.rules[0].output.as_ref().unwrap().fields(&Event::parse(&event).unwrap());
    assert_eq!(
        fields,
        [("ka.verb".to_owned(), "create".to_owned()), ("ka.uri.param[x]".to_owned(), "a b".to_owned())]
    );
}
