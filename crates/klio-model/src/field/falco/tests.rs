use super::*;
use crate::event::Event;

fn read(event: &str, name: &str) -> (Seen, Vec<String>) {
    let event = Event::parse(event).unwrap();
    let field = FieldRef::parse(&format!("falco.{name}")).unwrap();
    let mut out = Vec::new();
    let seen = event.visit(&field, &mut |v| {
        out.push(v.to_text().into_owned());
        false
    });
    (seen, out)
}

#[test]
fn the_plugins_hundred_fields_and_those_of_every_source_are_known() {
    let names: Vec<_> = names().collect();
    assert_eq!(names.iter().filter(|n| n.starts_with("ka.")).count(), 100);
    for name in &names {
        let spelt = Expr::Field(name.clone(), None).field_ref();
        assert_eq!(FieldRef::parse(spelt.name()).unwrap(), spelt);
        // Reading any field of an empty event gives no value and no panic.
        let (seen, _) = read("{}", name);
        assert!(
            seen != Seen::Present
                || name.starts_with("evt.")
                || name.ends_with("jevt.obj")
                || name.contains("json.")
                || name.contains("jevt.")
                || name.contains("has_name")
        );
    }
    assert_eq!(lookup("ka.req.pod.ephemeralContainers.host_port"), None);
    assert!(FieldRef::parse("falco.ka.nothing").is_err());
    assert!(FieldRef::parse("falco.tolower~oka.verb").is_err());
}

#[test]
fn every_expression_is_a_field_name_that_parses_back() {
    let field = |name: &str, arg: Option<&str>| Expr::Field(name.to_owned(), arg.map(str::to_owned));
    let text = |t: &str| Expr::Literal(t.to_owned());
    for expr in [
        field("jevt.value", Some("/a.b//c~1d~0/é \"x\"")),
        field("ka.uri.param", Some("")),
        field("ka.req.pod.containers.image", Some("0")),
        Expr::Call(Function::ToLower, vec![field("ka.verb", None)]),
        Expr::Call(Function::Join, vec![text(", ("), field("ka.user.groups", None)]),
        Expr::Call(Function::Concat, vec![text(""), Expr::Call(Function::List, vec![]), text("~o~q")]),
        Expr::Call(Function::Less, vec![field("ka.uri.param", Some("~z")), text("5")]),
    ] {
        let spelt = expr.field_ref();
        assert_eq!(FieldRef::parse(spelt.name()).unwrap(), spelt);
        assert_eq!(Expr::unspell(spelt.path()), Some(expr), "{spelt}");
        assert!(spelt.name().bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./~".contains(&b)));
    }
}

#[test]
fn a_lack_is_certain_only_if_the_level_would_show_the_value() {
    let event = |level: &str, more: &str| {
        format!(
            r#"{{"auditID":"a","level":"{level}","verb":"create","objectRef":{{"resource":"pods"}}{more}}}"#
        )
    };
    for (json, name, want) in [
        (event("Metadata", ""), "ka.req.pod.volumes.hostpath", Seen::Unknown),
        (event("Request", ""), "ka.req.pod.volumes.hostpath", Seen::Absent),
        (event("Request", r#","requestObject":{"spec":{}}"#), "ka.req.pod.volumes.hostpath", Seen::Absent),
        (event("Request", r#","requestObject":[{"op":"add"}]"#), "ka.req.pod.volumes.hostpath", Seen::Absent),
        (event("Request", ""), "ka.target.pod.name", Seen::Unknown),
        (event("Metadata", ""), "jevt.value/requestObject/spec/tls", Seen::Unknown),
        (event("Request", ""), "jevt.value/requestObject/spec/tls", Seen::Absent),
        (event("Metadata", ""), "jevt.value/user/username", Seen::Absent),
        (event("Metadata", r#","stage":"RequestReceived""#), "jevt.value/responseStatus/code", Seen::Unknown),
        (event("Metadata", ""), "len~oka.req.pod.containers.image~z", Seen::Unknown),
        (
            event("Metadata", r#","requestObject":{"spec":{"volumes":[{"name":"x"}]}}"#),
            "ka.req.pod.volumes.hostpath",
            Seen::Absent,
        ),
    ] {
        assert_eq!(read(&json, name), (want, vec![]), "{name} of {json}");
    }
}

#[test]
fn null_is_a_text_as_in_falco() {
    let json = r#"{"auditID":"a","requestObject":{"spec":{"x":null}}}"#;
    assert_eq!(read(json, "jevt.value/requestObject/spec/x"), (Seen::Present, vec!["null".to_owned()]));
}

#[test]
fn command_lines_are_read_as_getopt_reads_them() {
    let words =
        |w: &[&str]| Expr::Call(Function::List, w.iter().map(|w| Expr::Literal((*w).to_owned())).collect());
    let check = |argv: &[&str], letters: &str, wanted: Option<&str>, want: &[&str]| {
        let mut args = vec![words(argv), Expr::Literal(letters.to_owned())];
        args.extend(wanted.map(|w| Expr::Literal(w.to_owned())));
        let got = match get(&Event::parse("{}").unwrap(), &Expr::Call(Function::GetOpt, args)) {
            Ok(Got::List(items)) => items.into_iter().map(String::from).collect(),
            Ok(Got::Text(text)) => vec![text.into_owned()],
            _ => vec![],
        };
        assert_eq!(got, want, "{argv:?} {letters}");
    };
    check(&["-a", "-b", "v", "x", "-cw"], "ab:c:", None, &["a", "b", "v", "c", "w"]);
    check(&["-ab", "v"], "ab:", Some("b"), &["v"]);
    check(&["-ab", "v"], "ab:", Some("a"), &["a"]);
    check(&["-x", "-b"], "ab:", None, &["?", "?"]);
    check(&["-b"], ":b:", None, &[":"]);
    check(&["-a", "--", "-b"], "ab", None, &["a"]);
    check(&["a"], "a", None, &[]);
}
