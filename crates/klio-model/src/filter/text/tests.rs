use crate::filter::Filter;

#[track_caller]
fn prints_as(text: &str, want: &str) {
    let filter = Filter::parse(text).unwrap_or_else(|e| panic!("{}", e.render(text)));
    assert_eq!(filter.to_string(), want, "{text}");
    assert_eq!(Filter::parse(want).unwrap(), filter, "{want}");
}

#[test]
fn what_people_write() {
    let same = |text: &str| prints_as(text, text);
    same("verb:create and resource:(secrets or configmaps) and not user:system:*");
    same("code >= 400");
    same("source.ip:cidr(10.0.0.0/8)");
    same("time:hour(3)");
    same("name:cased(Foo*)");
    same("user:same(impersonated)");
    same("every(container.image:registry.example/*)");
    same("agent:/^curl\\/\\d/i");
    same("name:*");
    same("\"two words\" or word");
    same("request.metadata.labels.app.kubernetes.io/name:*admin*");
    prints_as("annotations.authorization.k8s.io/reason:*admin*", "decision.reason:*admin*");
    same("*");
    same("not *");
    same("time >= 2026-11-21T01:00:00.000000Z");
    prints_as(r"user.username:system\:*", "user:system:*");
    prints_as("VERB OR Verb AND NOT x", "VERB or (Verb and not x)");
    prints_as("code:[400 to 499]", "code >= 400 and code <= 499");
    prints_as("code:[400 TO *]", "code >= 400");
    prints_as("every(code:[400 to 499])", "every(code >= 400) and every(code <= 499)");
    prints_as("code:>=5", "code >= 5");
    prints_as("code>=5", "code >= 5");
    prints_as("time < 2026-11-21", "time < 2026-11-21T00:00:00.000000Z");
    prints_as("time >= 2026", "time >= 2026-01-01T00:00:00.000000Z");
    prints_as("time >= 2026-07", "time >= 2026-07-01T00:00:00.000000Z");
    prints_as("stage.time < 2026-07-01T10:30", "stage.time < 2026-07-01T10:30:00.000000Z");
    let day = "time >= 2026-07-01T00:00:00.000000Z and time < 2026-07-02T00:00:00.000000Z";
    prints_as("time:2026-07-01", day);
    prints_as("requestReceivedTimestamp:\"2026-07-01\"", day);
    prints_as("time:(2026-07-01)", day);
    prints_as("not time:2026-07-01", &format!("not ({day})"));
    prints_as(
        "every(time:2025)",
        "every(time >= 2025-01-01T00:00:00.000000Z) and every(time < 2026-01-01T00:00:00.000000Z)",
    );
    prints_as(
        "time:(2025-12 or 2026-07-01*)",
        "(time >= 2025-12-01T00:00:00.000000Z and time < 2026-01-01T00:00:00.000000Z) or time:2026-07-01*",
    );
    prints_as("time:2026-11-21T01:01:58.390059Z", "time:2026-11-21T01:01:58.390059Z");
    prints_as("request.spec.replicas >= 2026", "request.spec.replicas >= 2026");
    prints_as("request.metadata.x >= 2026-07", "request.metadata.x >= 2026-07-01T00:00:00.000000Z");
    prints_as("object.version >= 5", "object.version >= 5");
    prints_as("code:4*", "code:4*");
    prints_as("verb : create", "verb:create");
    prints_as("verb:(get, list)", "verb:(get or list)");
    prints_as("all(groups:a)", "every(groups:a)");
    prints_as("not not (not verb:get)", "not verb:get");
    prints_as("`request.metadata.labels.a b`:x", "request.`metadata.labels.a b`:x");
    prints_as("uri:\"/healthz\"", "uri:\"/healthz\"");
    prints_as(r"uri:\/api/*", r"uri:\/api/*");
    prints_as("source.ip:cidr(10.0.0.7)", "source.ip:cidr(10.0.0.7/32)");
}

#[track_caller]
fn fails(text: &str, at: &str, message: &str, help: &str) {
    let error = Filter::parse(text).expect_err(text);
    let part = &text[error.position..error.position + error.length];
    assert_eq!(part, at, "{text}: {error:?}");
    assert!(error.message.contains(message), "{text}: {error:?}");
    assert!(error.help.as_deref().unwrap_or_default().contains(help), "{text}: {error:?}");
}

#[test]
fn mistakes_are_named_with_place_and_advice() {
    fails("", "", "empty", "`*`");
    fails("objectRef.resuorce:secrets", "objectRef.resuorce", "no field", "objectRef.resource");
    fails("verb:\"create", "\"", "closing \"", "");
    fails("verb:create and (code >= 400", "(", "not closed", "add a `)`");
    fails("verb:(get or list", "(", "not closed", "add a `)`");
    fails("verb:create)", ")", "closes nothing", "");
    fails("verb:", "", "value of verb", "verb:*");
    fails("verb: and code:1", "and", "value of verb", "verb:*");
    fails("source.ip:cdir(10.0.0.0/8)", "cdir", "no function", "cidr");
    fails("evry(name:a)", "evry", "no function", "every");
    fails("user:Jane Doe", "Doe", "`and` or `or`", "quotes");
    fails("user:a and", "", "at the end", "");
    fails("and user:a", "and", "nothing before", "");
    fails("user = a", "=", "not an operator", "user:value");
    fails("user != a", "!", "not an operator", "not user:value");
    fails("user!=a", "=", "not an operator", "not user:value");
    fails("code >= many", "many", "neither a number", "400");
    fails("uri:/api/v1/x", "v1/x", "no flag", "\\/");
    fails("uri:/healthz", "/", "closing `/`", "\"/");
    fails("name:/(/", "/(/", "not a regular expression", "");
    fails("source.ip:cidr(10.0.0)", "10.0.0", "not a network", "10.0.0.0/8");
    fails(r"user:CORP\dave", r"\d", "no escape", r"\\");
    fails("verb:(get and list)", "and", "joined by `or`", "verb:a and verb:b");
    fails("http://example.com", "http", "no field", "quote");
    fails("()", "()", "nothing between", "");
    fails("every(verb:a or verb:b)", "or", "missing", "");
    fails("every(word)", "every(word)", "one test", "");
}

#[test]
fn what_can_never_be_true_is_refused_with_advice() {
    let cidr = "source.ip:cidr(203.0.113.0/24)";
    fails("source.ip:203.0.113.0/24", "203.0.113.0/24", "is a network", cidr);
    fails("not source.ip:\"203.0.113.0/24\"", "\"203.0.113.0/24\"", "is a network", cidr);
    fails("source.ips:(10.0.0.1 or fd00::/8)", "(10.0.0.1 or fd00::/8)", "is a network", "cidr(fd00::/8)");
    fails("time > 5", "> 5", "holds a time", "time > 2026-11-21");
    fails("time:[5 to 6]", "[5 to 6]", "holds a time", "2026");
    fails("time:yesterday", "yesterday", "holds a time", "time:2026-11-21");
    fails("time:\"\"", "\"\"", "holds a time", "time:2026-11-21");
    fails("time:2026-7-1", "2026-7-1", "holds a time", "time:2026-11-21");
    fails("time:(2026-07-01 or today)", "(2026-07-01 or today)", "holds a time", "time:2026-11-21");
    fails("code >= 2026-07-01", ">= 2026-07-01", "holds a number", "time >=");
    fails("user >= 2026-07", ">= 2026-07", "no time", "time >=");
    fails("groups:hour(3)", "hour(3)", "no time", "time:hour(3)");
    fails("code:cidr(10.0.0.0/8)", "cidr(10.0.0.0/8)", "no address", "source.ip");
    fails("code:forbidden", "forbidden", "holds a number", "code:403");
    fails("dryRun:yes", "yes", "true or false", "dryRun:true");
    fails("dryRun > 0", "> 0", "true or false", "dryRun:true");
}

#[test]
fn a_day_holds_its_events() {
    let at = |time: &str| format!(r#"{{"requestReceivedTimestamp":"{time}"}}"#);
    let filter = Filter::parse("time:2026-07-01").unwrap();
    for (time, want) in [
        ("2026-06-30T23:59:59.999999Z", false),
        ("2026-07-01T00:00:00.000000Z", true),
        ("2026-07-01T23:59:59.999999Z", true),
        ("2026-07-02T00:00:00.000000Z", false),
    ] {
        assert_eq!(filter.matches(&crate::Event::parse(&at(time)).unwrap()), want, "{time}");
    }
}

#[test]
fn bombs_are_refused() {
    for text in ["(".repeat(60_000), "every(".repeat(10_000), "not ".repeat(16_000), "a".repeat(70_000)] {
        assert!(Filter::parse(&text).is_err());
    }
    assert!(Filter::parse(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_ok());
    assert!(Filter::parse(&vec!["name:/a/"; 300].join(" or ")).is_err());
    assert!(Filter::parse(&format!("{}:x", "v".repeat(60_000))).is_err());
    assert_eq!(Filter::parse(&format!("{}a", "not ".repeat(16_000))), Filter::parse("a"));
}

#[test]
fn an_error_shows_its_place() {
    let text = "verb:create and objectRef.resuorce:secrets";
    let want = "there is no field `objectRef.resuorce`\n  | verb:create and objectRef.resuorce:secrets\n  |                 \
                ^^^^^^^^^^^^^^^^^^\n  = did you mean `objectRef.resource`?\n";
    assert_eq!(Filter::parse(text).unwrap_err().render(text), want);
    let hostile = "a\u{1b}[31m b";
    assert!(!Filter::parse(hostile).unwrap_err().render(hostile).contains('\u{1b}'));
}
