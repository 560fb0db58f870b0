use super::*;

fn mapping(person: &str, accounts: &[&str], filter: &str) -> Mapping {
    Mapping {
        person: Person { name: person.into(), team: Some(format!("team of {person}")) },
        accounts: accounts.iter().map(|&account| account.into()).collect(),
        filter: if filter.is_empty() { Filter::All } else { Filter::parse(filter).unwrap() },
    }
}

fn people() -> People {
    People::new(vec![
        mapping("Alice", &["oidc:7f3c", "aws:arn/Admin/alice*"], ""),
        mapping("Bob", &["kubernetes-admin"], "source.ip:10.8.0.1"),
        mapping("Carol", &["kubernetes-admin"], "source.ip:10.8.0.*"),
        mapping("Pipeline", &[r"system:serviceaccount:ci:\*", "system:serviceaccount:ci:d*"], ""),
    ])
    .unwrap()
}

fn event(user: &str, ip: &str) -> String {
    format!(
        r#"{{"verb":"get","user":{{"username":"{user}"}},"sourceIPs":["{ip}"],"impersonatedUser":{{"username":"oidc:7f3c"}}}}"#
    )
}

const CASES: [(&str, &str, Option<&str>); 9] = [
    ("oidc:7f3c", "10.0.0.1", Some("Alice")),
    ("OIDC:7f3c", "10.0.0.1", None),
    ("aws:arn/Admin/alice.2", "10.0.0.1", Some("Alice")),
    ("kubernetes-admin", "10.8.0.1", Some("Bob")),
    ("kubernetes-admin", "10.8.0.2", Some("Carol")),
    ("kubernetes-admin", "10.9.0.2", None),
    ("system:serviceaccount:ci:*", "10.9.0.2", Some("Pipeline")),
    ("system:serviceaccount:ci:x", "10.9.0.2", None),
    // Of the one who authenticated, never of the one whom he acts as.
    ("mallory", "10.9.0.2", None),
];

#[test]
fn accounts_are_persons() {
    let people = people();
    for (user, ip, want) in CASES {
        let json = event(user, ip);
        let mut event = Event::parse(&json).unwrap();
        assert_eq!(event.text_of(Field::Person), None);
        event.people = Some(&people);
        assert_eq!(event.text_of(Field::Person), want, "{user} {ip}");
        assert_eq!(event.text_of(Field::Team), want.map(|name| format!("team of {name}")).as_deref());
    }
    // Without a request there is no telling whose the shared one is.
    assert_eq!(people.of_name("kubernetes-admin"), None);
    assert_eq!(people.of_name("oidc:7f3c").map(|p| p.name.as_str()), Some("Alice"));
}

#[test]
fn a_filter_by_person_is_one_by_his_accounts() {
    let people = people();
    for filter in [
        "user.person:alice",
        "user.person:*",
        "not user.person:*",
        "user.person:(bob or carol)",
        "user.person:carol",
        "user.team:\"team of Carol\" and verb:get",
        "not (user.person:/^B/ or user:mallory)",
        "user.person:nobody",
    ] {
        let asked = Filter::parse(filter).unwrap();
        let resolved = people.resolve(asked.clone());
        resolved
            .each_field(&mut |at| assert!(!matches!(at.field(), Field::Person | Field::Team), "{resolved}"));
        for (user, ip, _) in CASES {
            let json = event(user, ip);
            let mut event = Event::parse(&json).unwrap();
            let plain = resolved.eval(&event, Missing::Unknown);
            event.people = Some(&people);
            assert_eq!(asked.eval(&event, Missing::Unknown), plain, "{filter} {resolved} {user} {ip}");
        }
    }
}

#[test]
fn no_account_is_of_two_persons() {
    let check = |a: Mapping, b: Mapping| People::new(vec![a, b]).err();
    let twice = |first, second| Some(Wrong::Twice { first, second });
    let alice = |accounts: &[&str]| mapping("Alice", accounts, "");
    let bob = |accounts: &[&str]| mapping("Bob", accounts, "");
    assert_eq!(check(alice(&["a", "b"]), bob(&["c", "b"])), twice((0, 1), (1, 1)));
    assert_eq!(check(alice(&["x", "adm*"]), bob(&["admin"])), twice((0, 1), (1, 0)));
    assert_eq!(check(alice(&["admin"]), bob(&["y", "?dmin"])), twice((0, 0), (1, 1)));
    assert_eq!(check(alice(&["adm*n"]), bob(&["*dmin"])), twice((0, 0), (1, 0)));
    assert_eq!(check(alice(&["a*c*e"]), bob(&["a?d*e"])), twice((0, 0), (1, 0)));
    assert_eq!(check(alice(&["a*b"]), bob(&["a*c"])), None);
    assert_eq!(check(alice(&["a?b"]), bob(&["?b"])), None);
    assert_eq!(check(alice(&["a*"]), bob(&["A*"])), None);
    // The same person may be told twice; filters tell persons apart, one filter alone does not.
    assert_eq!(check(alice(&["a"]), alice(&["a*"])), None);
    assert_eq!(check(mapping("Bob", &["a"], "verb:get"), mapping("Alice", &["a"], "verb:list")), None);
    assert_eq!(check(mapping("Bob", &["a"], "verb:get"), alice(&["a"])), twice((0, 0), (1, 0)));
    assert_eq!(check(alice(&["**"]), bob(&["b"])), Some(Wrong::Everybody { at: (0, 0) }));
    assert_eq!(check(alice(&["a"]), bob(&["b", "?*"])), Some(Wrong::Everybody { at: (1, 1) }));
    for odd in ["user.person:Alice", "new.actor:true"] {
        assert_eq!(check(alice(&["a"]), mapping("Bob", &["b"], odd)), Some(Wrong::Filter { entry: 1 }));
    }
}
