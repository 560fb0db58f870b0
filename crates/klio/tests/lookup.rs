//! Countries, networks and indicators, as a user meets them.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use made::{err, file, klio, ok, out, refused, with_settings};
use serde_json::Value;
use server::{PORTS, Server, body, connect};

fn fixture(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lookup");
    root.join(name).display().to_string()
}

/// An event of somebody from somewhere, with a client.
fn event(n: u32, ip: &str, agent: &str) -> String {
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"look-{n}\",\
         \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/namespaces/shop/pods\",\"verb\":\"list\",\
         \"user\":{{\"username\":\"ana@example.com\"}},\"sourceIPs\":[\"{ip}\"],\"userAgent\":\"{agent}\",\
         \"objectRef\":{{\"resource\":\"pods\",\"namespace\":\"shop\"}},\"responseStatus\":{{\"code\":200}},\
         \"requestReceivedTimestamp\":\"2026-11-21T08:00:{n:02}.000000Z\",\"stageTimestamp\":\"2026-11-21T08:00:{n:02}.000000Z\"}}\n"
    )
}

/// Somebody at home, from a watched network, with a tool from a private address, and from an address that no database holds.
fn log(dir: &Path) -> String {
    let lines = [
        event(1, "192.0.2.44", "kubectl/v1.36.1"),
        event(2, "203.0.113.9", "kubectl/v1.36.1"),
        event(3, "10.0.0.9", "kube-hunter/0.6"),
        event(4, "192.88.99.1", "kubectl/v1.36.1"),
    ];
    file(dir, "audit.log", &lines.concat())
}

/// What a scan finds about indicators.
fn met(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let told = ok(dir, &[&["scan", "-o", "jsonl"], arguments].concat());
    let all = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|row| row["rule"]["title"] == "Request meets an indicator of a list").collect()
}

#[test]
fn a_scan_names_the_indicator_and_where_the_address_lies() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    assert_eq!(met(dir.path(), &[&log]), Vec::<Value>::new());
    let (csv, country, asn) = (fixture("indicators.csv"), fixture("country.mmdb"), fixture("asn.mmdb"));
    let found = met(dir.path(), &[&log, "--indicators", &csv, "--geo", &country, "--geo", &asn]);
    assert_eq!(found.len(), 2, "{found:?}");
    let evidence = &found[0]["evidence"][0]["fields"];
    assert_eq!(evidence["indicator.list"], "watch-list");
    assert_eq!(evidence["indicator.value"], "203.0.113.0/24");
    let actor = &found[0]["actor"];
    assert_eq!((&actor["source_country"], &actor["source_asn"]), (&"BR".into(), &64498.into()), "{actor}");
    assert_eq!(actor["source_org"], "Example Transit");
    assert!(found[0]["message"].as_str().unwrap().contains("(from 203.0.113.9 [BR, AS64498] with kubectl/"));
    assert!(
        found[0]["message"]
            .as_str()
            .unwrap()
            .ends_with("It met 203.0.113.0/24 of watch-list (seen in May, and again in June).")
    );
    assert_eq!(found[1]["evidence"][0]["fields"]["indicator.value"], "kube-hunter/*");
    assert_eq!(found[1]["actor"].get("source_country"), None);
    // A rule of one's own, on a database of another maker; what its rows cannot say is told and the rest counts.
    let rule = "title: From Iceland\nlogsource: {product: kubernetes, service: audit}\n\
                detection: {s: {source.country: is, source.asn: 64496}, condition: s}\nlevel: high\n";
    let rule = file(dir.path(), "rule.yml", rule);
    let scan = ["scan", &log, "--rules", &rule, "--only-rules", "-o", "jsonl"];
    let told = ok(dir.path(), &[&scan[..], &["--geo", &fixture("both.mmdb")]].concat());
    let findings = told.lines().filter(|line| line.starts_with("{\"type\":\"finding\"")).count();
    assert!(findings == 1 && told.contains("\"look-1\""), "{told}");
    assert!(!told.contains("look-2") && !ok(dir.path(), &scan).contains("look-1"));
}

#[test]
fn a_hunt_shows_what_met_an_indicator_in_files_and_in_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    let (log, data) = (log(dir.path()), dir.path().join("lake"));
    let (csv, country) = (fixture("indicators.csv"), fixture("country.mmdb"));
    let check = |told: &str| {
        assert!(
            told.contains("\n    met 203.0.113.0/24 of watch-list: seen in May, and again in June\n"),
            "{told}"
        );
        assert!(told.contains("\n    met kube-hunter/* of tools: scanner\n"), "{told}");
        let counts: Vec<&str> = told.lines().skip_while(|line| !line.trim().starts_with("EVENTS")).collect();
        assert_eq!(counts.len(), 3, "{told}");
        assert!(counts[2].trim().starts_with("1 ") && counts[2].contains("watch-list"), "{told}");
        assert!(!told.contains("192.0.2.44"), "{told}");
    };
    check(&ok(&data, &["hunt", "--indicators", &csv, &log]));
    let brazil = ["hunt", "source.country:BR and verb:list", "--geo", &country, "-o", "jsonl"];
    let only = |told: String| assert!(told.lines().count() == 1 && told.contains("look-2"), "{told}");
    only(ok(&data, &[&brazil[..], &[&log]].concat()));
    // jsonl holds events alone.
    let lines = klio(&data, &["hunt", "--indicators", &csv, &log, "-o", "jsonl"]);
    assert_eq!(out(&lines).lines().count(), 2);
    assert!(err(&lines).contains("watch-list"), "{lines:?}");

    ok(&data, &["ingest", &log]);
    check(&ok(&data, &["hunt", "--indicators", &csv]));
    only(ok(&data, &brazil));
    let not = klio(&data, &["hunt", "not source.country:BR", "--geo", &country, "-o", "jsonl"]);
    // Certainly not: one elsewhere, one nowhere. What no database holds is not known.
    assert_eq!(out(&not).lines().count(), 2, "{not:?}");
    assert!(err(&not).contains("2 of 4 events match"), "{not:?}");
    // Without a database nothing is known, and that is said.
    let blind = klio(&data, &["hunt", "source.country:BR"]);
    assert!(out(&blind).is_empty() && err(&blind).contains("nothing can match: no database"), "{blind:?}");
    with_settings(&data, &format!("lookup:\n  geo: [{country}]\n"));
    assert_eq!(ok(&data, &["hunt", "source.country:BR"]).lines().count(), 1);
    refused(&data, &["hunt"], 2, "<FILTER>");
}

#[test]
fn what_cannot_be_used_is_named_and_the_rest_counts() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    let scan = |more: [&str; 2]| klio(dir.path(), &["scan", &log, more[0], more[1]]);
    let csv = fixture("indicators.csv");
    let told = scan(["--indicators", &csv]);
    assert!(err(&told).contains(&format!("{csv}:12: `domain` is no type")), "{told:?}");
    assert!(out(&told).contains("meets an indicator"), "{told:?}");
    let told = scan(["--indicators", &fixture("bundle.json")]);
    assert!(err(&told).contains("bundle.json:7: ") && err(&told).contains("`domain-name:value`"), "{told:?}");
    let mut bytes = std::fs::read(fixture("country.mmdb")).unwrap();
    bytes.truncate(bytes.len() / 2);
    let cut: PathBuf = dir.path().join("cut.mmdb");
    std::fs::write(&cut, bytes).unwrap();
    for (option, path, said) in [
        ("--geo", cut.display().to_string(), "cut.mmdb: no MaxMind DB file, or a damaged one"),
        ("--geo", fixture("language.mmdb"), "without countries and networks"),
        ("--geo", fixture("none.mmdb"), "No such file"),
        ("--indicators", file(dir.path(), "x.csv", "address,203.0.113.7\n"), "x.csv: line 1: the header"),
        ("--indicators", file(dir.path(), "x.json", "{\"type\":\"report\"}"), "no STIX 2.1 bundle"),
    ] {
        refused(dir.path(), &["scan", &log, option, &path], 2, said);
    }
}

#[test]
fn coverage_calls_a_rule_blind_that_lacks_its_list() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    let verdict = |more: &[&str]| {
        let told = ok(dir.path(), &[&["rule", "coverage", &log, "-o", "json"], more].concat());
        let told: Value = serde_json::from_str(&told).unwrap();
        let rules = told["rules"].as_array().unwrap().clone();
        let one = |title: &str| rules.iter().find(|rule| rule["title"] == title).cloned().unwrap();
        [one("Request meets an indicator of a list"), one("Person comes from a country for the first time")]
    };
    let [met, country] = verdict(&[]);
    assert_eq!((&met["verdict"], &country["verdict"]), (&"blind".into(), &"blind".into()));
    assert!(met["notes"][0].as_str().unwrap().contains("--indicators FILE"), "{met}");
    assert!(country["notes"][0].as_str().unwrap().contains("--geo FILE.mmdb"), "{country}");
    let [met, country] =
        verdict(&["--indicators", &fixture("indicators.csv"), "--geo", &fixture("asn.mmdb")]);
    assert!(met["verdict"] != "blind" && country["verdict"] != "blind", "{met} {country}");
}

#[test]
fn the_server_reads_a_list_again_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let token = connect(&data, "prod");
    let list = file(dir.path(), "watched.txt", "198.51.100.7\n");
    let settings = format!("server:\n{PORTS}  flush_seconds: 1\nlookup:\n  indicators: [{list}]\n");
    with_settings(&data, &settings);
    let server = Server::start(&data);
    let found = || {
        made::number(
            &data,
            "SELECT count(*) FROM findings WHERE title = 'Request meets an indicator of a list'",
        )
    };
    let next = Cell::new(0);
    let post = |server: &Server| {
        next.set(next.get() + 1);
        let answer = server.post("/audit", &token, body(&event(next.get(), "203.0.113.9", "a/1")));
        assert_eq!(answer.status, 200);
        server.settled();
    };
    post(&server);
    assert_eq!(found(), 0);
    file(dir.path(), "watched.txt", "203.0.113.9\n");
    server.until("the rules are read again", |server| server.said("the rules were read again") > 0);
    // What comes while they are exchanged may be judged by the old ones.
    server.until("the list counts", |server| {
        post(server);
        found() > 0
    });
    server.stop();
}
