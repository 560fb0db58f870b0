use std::path::Path;
use std::time::Instant;

use klio_model::Tri;
use klio_model::{Indicator, Missing};

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lookup").join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}

fn atlas(names: &[&str]) -> Atlas {
    let mut atlas = Atlas::default();
    for name in names {
        atlas.add(fixture(name)).unwrap();
    }
    atlas
}

/// Country, number and name of the network, or `nowhere`.
fn said(place: &Place) -> String {
    if place.nowhere {
        return "nowhere".to_owned();
    }
    let asn = place.asn.map_or_else(|| "?".to_owned(), |asn| asn.to_string());
    let or = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("?").to_owned();
    format!("{} {asn} {}", or(&place.country), or(&place.org))
}

#[test]
fn each_makers_layout_says_country_and_network() {
    let check = |names: &[&str], ip: &str, want: &str| {
        assert_eq!(said(&atlas(names).find(ip.parse().unwrap())), want, "{ip} by {names:?}");
    };
    check(&["country.mmdb"], "198.51.100.7", "DE ? ?");
    check(&["asn.mmdb"], "198.51.100.7", "? 64497 Example Cloud");
    check(&["country.mmdb", "asn.mmdb"], "2001:db8:b::1", "DE 64497 Example Cloud");
    check(&["both.mmdb"], "203.0.113.9", "IS 64498 Example Transit");
    // The first that knows counts.
    check(&["asn.mmdb", "both.mmdb"], "203.0.113.9", "IS 64498 Example Transit");
    check(&["country.mmdb", "both.mmdb"], "::ffff:203.0.113.9", "BR 64498 Example Transit");
    check(&["country.mmdb", "asn.mmdb"], "8.8.8.8", "? ? ?");
    for ip in ["10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:192.168.0.1"] {
        check(&["country.mmdb"], ip, "nowhere");
    }
}

#[test]
fn a_damaged_database_is_refused_or_says_nothing() {
    let mut atlas = Atlas::default();
    assert!(atlas.add(b"no database".to_vec()).unwrap_err().to_string().contains("damaged"));
    let other = atlas.add(fixture("language.mmdb")).unwrap_err().to_string();
    assert!(other.contains("`Test-Language` without countries"), "{other}");
    let whole = fixture("country.mmdb");
    let ips = ["198.51.100.7", "2001:db8:b::1", "8.8.8.8"].map(|ip| ip.parse().unwrap());
    for at in 0..whole.len() {
        // Cut, and with one byte that is wrong: never a panic, and no country that is none.
        let mut wrong = whole.clone();
        wrong[at] ^= 0x55;
        for bytes in [whole[..at].to_vec(), wrong] {
            let mut atlas = Atlas::default();
            if atlas.add(bytes).is_ok() {
                for place in ips.map(|ip| atlas.find(ip)) {
                    assert!(place.country.is_none_or(|code| code.len() == 2), "{at}");
                }
            }
        }
    }
}

fn read(name: &str) -> (Indicators, Imported) {
    let mut import = Import::default();
    let told = import.file("own", &text(name)).unwrap();
    (import.finish().unwrap(), told)
}

/// An event with these members.
fn event(members: &str) -> String {
    format!(
        r#"{{"level":"Request","stage":"ResponseComplete","verb":"get","requestReceivedTimestamp":"2026-11-21T08:00:00Z",{members}}}"#
    )
}

fn meets(indicators: &Indicators, json: &str) -> Vec<String> {
    let event = Event::parse(json).unwrap();
    let met = indicators.meet(&event);
    met.all.iter().map(|Indicator { list, value, note }| format!("{list}|{value}|{note}")).collect()
}

#[test]
fn each_type_of_a_table_is_met_and_wrong_rows_are_named() {
    let (indicators, told) = read("indicators.csv");
    let refused: Vec<_> = told.refused.iter().map(|r| (r.place, r.why.as_str())).collect();
    assert_eq!((told.taken, told.refusals, refused.len()), (9, 2, 2));
    assert!(refused[0].0 == 12 && refused[0].1.contains("`domain` is no type; there are address, agent"));
    assert!(refused[1].0 == 13 && refused[1].1.contains("`203.0.113` is neither an address"));
    let miner = |image: &str| {
        event(&format!(
            r#""verb":"create","objectRef":{{"resource":"pods","namespace":"shop","name":"x"}},"requestObject":{{"spec":{{"containers":[{{"image":"{image}"}}]}}}}"#
        ))
        .replacen(r#""verb":"get","#, "", 1)
    };
    let digest = format!("sha256:{}", "1".repeat(64));
    let check = |json: String, want: &[&str]| assert_eq!(meets(&indicators, &json), want, "{json}");
    check(
        event(r#""sourceIPs":["203.0.113.9"]"#),
        &["watch-list|203.0.113.0/24|seen in May, and again in June"],
    );
    // Only the last hop: the others are the client's word.
    check(event(r#""sourceIPs":["203.0.113.9","192.0.2.1"]"#), &[]);
    check(event(r#""sourceIPs":["::ffff:198.51.100.7"]"#), &["own|198.51.100.7|single address"]);
    check(event(r#""userAgent":"kube-hunter/0.6""#), &["tools|kube-hunter/*|scanner"]);
    check(event(r#""userAgent":"my-kube-hunter/0.6""#), &[]);
    check(event(r#""userAgent":"evil-client/2.0""#), &["own|evil-client/2.0|"]);
    check(event(r#""impersonatedUser":{"username":"mallory@example.com"}"#), &["own|mallory@example.com|"]);
    check(
        event(r#""objectRef":{"resource":"daemonsets","namespace":"kube-system","name":"kube-controller"}"#),
        &["own|kube-system/kube-controller|named like the control plane"],
    );
    check(event(r#""objectRef":{"resource":"daemonsets","namespace":"shop","name":"kube-controller"}"#), &[]);
    check(miner("docker.io/example/miner:6.2"), &["own|docker.io/example/miner:6.2|miner"]);
    check(miner("example/miner:6.3"), &[]);
    check(miner(&format!("example/web@{digest}")), &[&*format!("own|{}|", "1".repeat(64))]);
    let credential = |id: &str| {
        event(&format!(
            r#""user":{{"username":"a","extra":{{"authentication.kubernetes.io/credential-id":["{id}"]}}}}"#
        ))
    };
    check(
        credential("JTI=90f3b7c9-7945-4e0b-8ecc-00126100fce8"),
        &["own|JTI=90f3b7c9-7945-4e0b-8ecc-00126100fce8|stolen token"],
    );
    check(credential(&format!("X509SHA256={}", "1".repeat(64))), &[&*format!("own|{}|", "1".repeat(64))]);
}

#[test]
fn an_indicator_that_has_ended_is_still_met_by_what_was_before() {
    let (indicators, _) = read("indicators.csv");
    let at = |time: &str| event(r#""sourceIPs":["198.51.100.7"]"#).replace("2026-11-21T08:00:00Z", time);
    assert_eq!(meets(&indicators, &at("2027-03-30T23:59:59Z")).len(), 1);
    assert_eq!(meets(&indicators, &at("2027-03-31T00:00:00Z")).len(), 0);
}

#[test]
fn a_bundle_gives_what_is_understood_and_names_the_rest() {
    let (indicators, told) = read("bundle.json");
    let refused: Vec<_> = told.refused.iter().map(|r| (r.place, r.why.as_str())).collect();
    assert_eq!((told.taken, told.refusals), (5, 2));
    assert!(
        refused[0].0 == 7 && refused[0].1.contains("`domain-name:value` is not understood"),
        "{refused:?}"
    );
    assert!(refused[1].0 == 8 && refused[1].1.contains("`AND` is not understood"), "{refused:?}");
    let from = |ip: &str| meets(&indicators, &event(&format!(r#""sourceIPs":["{ip}"]"#)));
    assert_eq!(from("203.0.113.7"), ["own|203.0.113.7|Addresses of a scanner"]);
    assert_eq!(from("2001:db8:c::7").len(), 1);
    assert_eq!((from("192.0.2.44"), from("192.0.2.45")), (vec![], vec![]));
    let mut import = Import::default();
    assert!(matches!(import.file("x", "{\"type\": \"report\"}"), Err(ListError::Bundle(_))));
    assert!(import.file("x", "{\"type\": \"bundle\", ").unwrap_err().to_string().contains("line 1"));
}

#[test]
fn a_list_of_values_needs_no_header_and_a_table_does() {
    let (indicators, told) = read("addresses.txt");
    assert_eq!((told.taken, told.refusals, told.refused[0].place), (3, 1, 5));
    assert!(told.refused[0].why.contains("`miner` is cannot be guessed"));
    assert_eq!(meets(&indicators, &event(r#""sourceIPs":["198.51.100.200"]"#)), ["own|198.51.100.0/24|"]);
    let wrong = Import::default().file("x", "# feed\naddress,203.0.113.7\n").unwrap_err();
    assert!(wrong.to_string().starts_with("line 2: the header must name"), "{wrong}");
    let (mut import, twice) =
        (Import::default(), "type,value,list\nip,192.0.2.1,a\nip,192.0.2.1/32,a\nip,192.0.2.1,b\n");
    let told = import.file("x", twice).unwrap();
    assert_eq!((told.taken, told.repeated), (2, 1));
    let mut lists = meets(&import.finish().unwrap(), &event(r#""sourceIPs":["192.0.2.1"]"#));
    lists.sort();
    assert_eq!(lists, ["a|192.0.2.1|", "b|192.0.2.1|"]);
}

#[test]
fn a_body_that_was_not_recorded_leaves_images_open() {
    let (indicators, _) = read("indicators.csv");
    let lookup = Lookup { atlas: None, indicators: Some(indicators) };
    let answer = |level: &str, verb: &str| {
        let json = format!(
            r#"{{"level":"{level}","stage":"ResponseComplete","verb":"{verb}","objectRef":{{"resource":"pods","namespace":"shop"}},"sourceIPs":["10.0.0.1"]}}"#
        );
        let mut event = Event::parse(&json).unwrap();
        lookup.fill(&mut event, &mut Places::default());
        Filter::parse("indicator.list:*").unwrap().eval(&event, Missing::Unknown)
    };
    assert_eq!(answer("Metadata", "create"), Tri::Unknown);
    assert_eq!(answer("Metadata", "list"), Tri::False);
}

#[test]
fn a_rule_that_needs_a_list_sleeps_without_it() {
    let none = Lookup::default();
    let geo = Lookup { atlas: Some(atlas(&["country.mmdb"])), indicators: None };
    let check = |filter: &str, lacks: Option<Lack>, with_geo: Option<Lack>| {
        let filter = Filter::parse(filter).unwrap();
        assert_eq!((none.lacks(&filter), geo.lacks(&filter)), (lacks, with_geo), "{filter}");
    };
    check("verb:get", None, None);
    check("verb:get and source.country:RU", Some(Lack::Atlas), None);
    check("user.kind:human and new.country:true", Some(Lack::Atlas), None);
    check("indicator.list:*", Some(Lack::Indicators), Some(Lack::Indicators));
    check("verb:get or indicator.list:*", None, None);
    // As a dialect reads it, what is missing is no value: the rule can say yes, unproven.
    check("verb:get and not source.country:DE", None, None);
}

#[test]
fn the_wider_filter_leaves_out_nothing() {
    let check = |filter: &str, want: &str| {
        let filter = Filter::parse(filter).unwrap();
        assert_eq!(wider(&filter).to_string(), want, "{filter}");
    };
    check("verb:create and source.country:RU", "verb:create");
    check("verb:create or source.country:RU", "*");
    check("verb:create and not (source.country:DE and user:a)", "verb:create");
    check("verb:create and not (source.country:DE or user:a)", "verb:create and not user:a");
}

#[test]
fn a_million_indicators_take_little_room_and_time() {
    let mut csv = String::from("type,value,list,note\n");
    for n in 0..1_000_000u32 {
        use std::fmt::Write as _;
        let [a, b, c] = [n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff];
        let _ = match n % 4 {
            0..3 => writeln!(csv, "ip,{}.{a}.{b}.{c},feed,seen lately", 20 + n % 3),
            _ => writeln!(csv, "image,registry{}.example/app-{n}:1.0,feed,", n % 7),
        };
    }
    csv.push_str("ip,203.0.113.0/24,feed,\nip,2001:db8::/32,feed,\nagent,*evil*,feed,\n");
    let started = Instant::now();
    let mut import = Import::default();
    let told = import.file("feed", &csv).unwrap();
    let (read, indicators) = (started.elapsed(), import.finish().unwrap());
    assert_eq!((told.taken, told.refusals), (1_000_003, 0));
    assert!(indicators.bytes() < 120 << 20, "{} bytes", indicators.bytes());
    let json = event(
        r#""user":{"username":"ana"},"sourceIPs":["192.0.2.9"],"userAgent":"kubectl/v1.36.1 (linux/amd64) kubernetes/8f94681","objectRef":{"resource":"pods","namespace":"shop","name":"cart"}"#,
    );
    let event = Event::parse(&json).unwrap();
    let started = Instant::now();
    let met: usize = (0..200_000).map(|_| indicators.meet(&event).all.len()).sum();
    let each = started.elapsed() / 200_000;
    eprintln!("read in {read:?}, {} MiB, {each:?} for each event", indicators.bytes() >> 20);
    assert_eq!(met, 0);
    assert!(each.as_micros() < 20, "{each:?}");
    assert_eq!(meets(&indicators, &json.replace("192.0.2.9", "203.0.113.9")), ["feed|203.0.113.0/24|"]);
}
