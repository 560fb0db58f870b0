use super::*;

fn actor(user: &str, ip: &str) -> Actor {
    Actor { user: Some(user.into()), source_ip: Some(ip.into()), ..Actor::default() }
}

fn request(session: u64, n: u64, minute: i64) -> Request<'static> {
    Request {
        session,
        request: n,
        time: minute * 60_000_000,
        stranger: 0,
        quiet: false,
        audit_id: "id",
        stage: "ResponseComplete",
        what: "get pods",
        ending: Ending::default(),
    }
}

fn finding(t: &mut Storyteller, session: u64, number: u32, minute: i64, severity: Severity, actor: &Actor) {
    let clue = Clue {
        number,
        id: number.into(),
        rule: number,
        severity,
        time: minute * 60_000_000,
        wrote: None,
        reached: None,
        binding: None,
        evidence: &[],
    };
    t.finding(session, &clue, &mut || Telling {
        actor: actor.clone(),
        message: "m".into(),
        attribution: None,
    });
}

#[test]
fn a_story_holds_what_the_actor_did_around_the_finding() {
    let mut t = Storyteller::new();
    let alice = actor("alice", "10.0.0.1");
    t.request(&request(1, 1, 0)); // too long before
    t.request(&request(1, 2, 25));
    t.request(&request(2, 3, 26)); // somebody else
    t.request(&request(1, 4, 30));
    finding(&mut t, 1, 0, 30, Severity::High, &alice);
    t.request(&request(1, 5, 35));
    t.request(&request(1, 6, 90)); // too long after
    let (stories, of) = t.finish();
    assert_eq!(stories.len(), 1);
    assert_eq!(stories[0].events.len(), 3);
    assert_eq!(of, [Some(0)]);
}

#[test]
fn low_findings_join_a_story_and_open_none() {
    let mut t = Storyteller::new();
    let alice = actor("alice", "10.0.0.1");
    finding(&mut t, 1, 0, 1, Severity::Low, &alice);
    finding(&mut t, 2, 1, 1, Severity::Low, &alice);
    finding(&mut t, 1, 2, 2, Severity::Medium, &alice);
    let (stories, of) = t.finish();
    assert_eq!((stories.len(), of), (1, vec![Some(0), None, Some(0)]));
    assert_eq!(stories[0].findings, ["0000000000000000", "0000000000000002"]);
}

#[test]
fn one_public_address_is_one_intruder_and_a_private_one_is_not() {
    let mut t = Storyteller::new();
    finding(&mut t, 1, 0, 1, Severity::High, &actor("a", "203.0.113.7"));
    finding(&mut t, 2, 1, 2, Severity::High, &actor("b", "203.0.113.7"));
    finding(&mut t, 3, 2, 1, Severity::High, &actor("c", "10.0.0.7"));
    finding(&mut t, 4, 3, 2, Severity::High, &actor("d", "10.0.0.7"));
    assert_eq!(t.finish().0.len(), 3);
}

#[test]
fn accounts_of_one_person_are_one_actor() {
    let of = |user: &str, person: &str| {
        let person = klio_model::Person { name: person.into(), team: Some("platform".into()) };
        Actor { person: Some(person), ..actor(user, "10.0.0.1") }
    };
    let mut t = Storyteller::new();
    finding(&mut t, 1, 0, 1, Severity::High, &of("oidc:7f3c", "Alice"));
    finding(&mut t, 2, 1, 30, Severity::High, &of("aws:alice", "Alice"));
    // Another person of the team, nobody that is known, and she herself long after.
    finding(&mut t, 3, 2, 31, Severity::High, &of("oidc:9999", "Bob"));
    finding(&mut t, 4, 3, 32, Severity::High, &actor("oidc:0000", "10.0.0.1"));
    finding(&mut t, 5, 4, 300, Severity::High, &of("kubernetes-admin", "Alice"));
    let of = |story: &Story| story.actors.iter().filter_map(|actor| actor.user.clone()).collect::<Vec<_>>();
    let mut users: Vec<Vec<String>> = t.finish().0.iter().map(of).collect();
    users.sort();
    let one = ["oidc:7f3c", "aws:alice"];
    assert_eq!(users, [&["kubernetes-admin"][..], &["oidc:0000"], &one, &["oidc:9999"]]);
}

#[test]
fn whoever_uses_a_token_belongs_to_whoever_had_it_issued() {
    let mut t = Storyteller::new();
    t.credential_issued(1, xxh3_64(b"JTI=x"));
    finding(&mut t, 1, 0, 1, Severity::High, &actor("a", "10.0.0.1"));
    let thief = Actor { credential: Some("JTI=x".into()), ..actor("sa", "10.0.0.2") };
    finding(&mut t, 2, 1, 500, Severity::High, &thief);
    assert_eq!(t.finish().0.len(), 1);
}

#[test]
fn the_control_plane_belongs_to_whoever_had_its_token_issued_and_to_nobody_else() {
    let controller = "system:serviceaccount:kube-system:generic-garbage-collector";
    let mut t = Storyteller::new();
    t.credential_issued(1, xxh3_64(b"JTI=x"));
    finding(&mut t, 1, 0, 1, Severity::High, &actor("a", "10.0.0.1"));
    let stolen = Actor { credential: Some("JTI=x".into()), ..actor(controller, "203.0.113.7") };
    finding(&mut t, 2, 1, 2, Severity::High, &stolen);
    finding(&mut t, 3, 2, 3, Severity::High, &actor("b", "203.0.113.7"));
    finding(&mut t, 4, 3, 3, Severity::High, &actor(controller, "10.0.0.1"));
    let sizes: Vec<usize> = t.finish().0.iter().map(|story| story.actors.len()).collect();
    assert_eq!(sizes, [3, 1]);
}

#[test]
fn an_intruder_is_told_with_all_his_clients_and_with_what_he_did_before_he_had_a_name() {
    let mut t = Storyteller::new();
    let (alice, thief) = (actor("alice", "198.51.100.21"), actor("alice", "203.0.113.7"));
    let there =
        |session, n, who: &str| Request { stranger: stranger(who, "203.0.113.7"), ..request(session, n, 5) };
    t.request(&request(1, 1, 5)); // alice herself
    t.request(&there(2, 2, "")); // without credentials, with a small finding
    finding(&mut t, 2, 0, 5, Severity::Low, &actor("system:anonymous", "203.0.113.7"));
    t.request(&there(3, 3, "alice")); // with another client, quietly
    t.request(&there(4, 4, "alice"));
    finding(&mut t, 4, 1, 6, Severity::Medium, &thief);
    t.request(&there(5, 5, "bob"));
    let told = t.stories();
    let (stories, of) = t.finish();
    for stories in [&stories, &told] {
        assert_eq!(stories.len(), 1);
        assert_eq!(stories[0].events.len(), 3);
        assert!(!stories[0].actors.contains(&alice));
    }
    assert_eq!(of, [Some(0), Some(0)]);
}
