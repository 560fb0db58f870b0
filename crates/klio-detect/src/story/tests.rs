use super::*;

fn actor(user: &str, ip: &str) -> Actor {
    Actor { user: Some(user.into()), source_ip: Some(ip.into()), ..Actor::default() }
}

fn request(session: u64, n: u64, minute: i64) -> Request<'static> {
    Request {
        session,
        actor: session,
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

fn clue(number: u32, minute: i64, severity: Severity) -> Clue<'static> {
    Clue {
        number,
        id: number.into(),
        rule: number,
        severity,
        time: minute * 60_000_000,
        wrote: None,
        reached: None,
        binding: None,
        evidence: &[],
    }
}

fn finding(t: &mut Storyteller, session: u64, number: u32, minute: i64, severity: Severity, actor: &Actor) {
    found(t, session, &clue(number, minute, severity), actor);
}

fn found(t: &mut Storyteller, session: u64, clue: &Clue<'_>, actor: &Actor) {
    t.finding(session, clue, &mut || Telling {
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

#[test]
fn sessions_that_go_on_after_their_stories_are_bounded() {
    let mut t = Storyteller::new();
    let what = format!("get configmaps shop/{}", "n".repeat(240));
    for session in 0..900 {
        finding(&mut t, session, session as u32, 0, Severity::High, &actor("mallory", "10.0.0.9"));
    }
    for n in 0..160_000 {
        let one = request(n % 900, n, 20);
        t.request(&Request { what: &what, actor: 1, ..one });
    }
    assert!(t.forgotten() > 0);
    assert_eq!(t.finish().0.len(), 1);
}

#[test]
fn a_noisy_client_does_not_hide_what_another_did_before() {
    let mut t = Storyteller::new();
    let what = format!("get configmaps shop/{}", "n".repeat(240));
    (0..50).for_each(|n| t.request(&request(1, n, 1)));
    for n in 100..300_000 {
        // Each request with another client, and most with one.
        let session = if n % 3 == 0 { n } else { 2 };
        t.request(&Request { what: &what, actor: 2, ..request(session, n, 2) });
    }
    assert!(t.forgotten() > 0);
    finding(&mut t, 1, 0, 5, Severity::High, &actor("mallory", "10.0.0.9"));
    assert_eq!(t.finish().0[0].events.len(), 50);
}

#[test]
fn one_actor_with_many_clients_hides_nobody() {
    let mut t = Storyteller::new();
    let loud = actor("system:serviceaccount:web:frontend", "10.1.2.3");
    for n in 0..6_000 {
        finding(&mut t, n, n as u32, 1, Severity::High, &loud);
    }
    finding(&mut t, 7_000, 7_000, 10, Severity::High, &actor("mallory", "10.0.0.9"));
    assert_eq!(t.untold(), 0);
    let (stories, of) = t.finish();
    assert_eq!(stories.len(), 2);
    assert!(of[..6_000].iter().all(|story| *story == of[0]) && of[0].is_some());
    assert!(of[7_000].is_some() && of[7_000] != of[0]);
}

#[test]
fn beyond_the_cap_the_oldest_story_of_the_most_numerous_gives_way() {
    let mut t = Storyteller::new();
    let many = actor("many", "10.0.0.1");
    for n in 0..20 {
        finding(&mut t, n, n as u32, n as i64 * 600, Severity::High, &many);
    }
    for n in 20..5_001 {
        let one = actor(&format!("user-{n}"), "10.0.0.1");
        finding(&mut t, n, n as u32, 12_000, Severity::High, &one);
    }
    assert_eq!(t.untold(), 1);
    let (stories, of) = t.finish();
    assert_eq!(stories.len(), 5_000);
    assert_eq!(of.iter().position(Option::is_none), Some(0));
    assert!(of[1..].iter().all(Option::is_some));
}

#[test]
fn findings_without_a_time_do_no_harm() {
    let mut t = Storyteller::new();
    let who = actor("mallory", "10.0.0.9");
    let none = Clue { time: i64::MIN, rule: 1, ..clue(0, 0, Severity::Low) };
    found(&mut t, 1, &none, &who);
    found(&mut t, 1, &Clue { rule: 1, ..clue(1, 5, Severity::Low) }, &who);
    found(&mut t, 1, &Clue { number: 2, time: i64::MIN, ..clue(2, 0, Severity::High) }, &who);
    found(&mut t, 1, &clue(3, 5, Severity::High), &who);
    assert_eq!(t.finish().1.len(), 4);
}

#[test]
fn only_a_write_before_and_near_joins_whoever_rests_on_it() {
    let day = 24 * 60;
    let users = |uses: &[(&str, i64)], writes: &[(&str, i64)]| {
        let mut t = Storyteller::new();
        let object = place("clusterrolebindings", "", "devs");
        let each = uses.iter().map(|one| (one, false)).chain(writes.iter().map(|one| (one, true)));
        let mut each: Vec<_> = each.collect();
        each.sort_by_key(|((_, minute), _)| *minute);
        for (n, ((user, minute), writes)) in each.into_iter().enumerate() {
            let (wrote, binding) = if writes { (Some(object), None) } else { (None, Some(object)) };
            let clue = Clue { wrote, binding, ..clue(n as u32, *minute, Severity::High) };
            found(&mut t, xxh3_64(user.as_bytes()), &clue, &actor(user, "10.0.0.1"));
        }
        let of = |story: Story| story.actors.iter().filter_map(|a| a.user.clone()).collect::<Vec<_>>();
        let mut told: Vec<String> = t.finish().0.into_iter().map(|story| of(story).join("+")).collect();
        told.sort();
        told.join(" ")
    };
    assert_eq!(users(&[("bob", 10)], &[("mallory", 0)]), "mallory+bob");
    // Weeks before, just before, and long after.
    assert_eq!(users(&[("bob", 0), ("carol", 3 * day)], &[("mallory", 20 * day)]), "bob carol mallory");
    assert_eq!(users(&[("bob", 0)], &[("mallory", 1)]), "bob mallory");
    assert_eq!(users(&[("bob", 90)], &[("mallory", 0)]), "bob mallory");
    // The nearest writer before, and not the first or a later one.
    let writes = [("ann", 0), ("mallory", 30), ("zoe", 50)];
    assert_eq!(users(&[("bob", 40)], &writes), "ann mallory+bob zoe");
    // A first write does not hide a later one.
    assert_eq!(users(&[("bob", 20 * day)], &[("ann", 0), ("mallory", 20 * day - 5)]), "ann mallory+bob");
}

#[test]
fn what_is_listed_is_bounded_in_bytes() {
    let mut t = Storyteller::new();
    let what = format!("get /{}", "q".repeat(60_000));
    for session in 0..20 {
        let who = actor(&"u".repeat(60_000), &format!("10.0.0.{session}"));
        finding(&mut t, session, session as u32, 0, Severity::High, &who);
        for n in 0..4_900 {
            t.request(&Request { what: &what, ..request(session, session * 10_000 + n, 1) });
        }
    }
    let stories = t.finish().0;
    let bytes: usize = stories.iter().flat_map(|story| &story.events).map(|event| event.what.len()).sum();
    assert!(bytes < ALL_EVENTS_CAP, "{bytes}");
    assert!(stories.iter().map(|story| story.unlisted).sum::<u64>() > 0);
    assert!(stories.iter().flat_map(|story| &story.actors).all(|who| who.user.as_ref().unwrap().len() < 600));
}
