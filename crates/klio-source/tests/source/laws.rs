//! What holds for all bytes: nothing panics, no line goes unaccounted, one content has one identity.

use crate::support::*;
use klio_source::{Options, content_hash, fuzz};
use proptest::prelude::*;

/// Lines of all sorts.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,8}".prop_map(|id| event(&id)),
        1 => (1usize..600).prop_map(|n| event("cut")[..n].to_string()),
        1 => Just("I0820 10:00:04.001002 1 a.go:1] x".to_string()),
        1 => Just("<html>".to_string()),
        1 => Just("{\"x\":1}".to_string()),
        1 => Just(r#"{"kind":"Event","apiVersion":"v1"}"#.to_string()),
        1 => "[!#-+./0-9<-Z^-z~|][ -~]{0,40}",
    ]
}

fn is_json(s: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(s).is_ok()
}

fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("\\"),
        Just(","),
        Just(":"),
        Just("\n"),
        Just(" "),
        Just("\r\n"),
        Just("\"items\""),
        Just("\"logEvents\""),
        Just("\"message\""),
        Just("\"kind\":\"Event\""),
        Just("\"records\""),
        Just("\"data\""),
        Just("{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\""),
        Just("\"auditID\":\"a\""),
        Just("\"verb\":\"get\""),
        Just("\u{feff}"),
        Just("\n2026-08-20T10:00:04Z stdout P "),
        Just("\n2026-08-20T10:00:04Z stdout F "),
        Just("\n2026-08-20T10:00:04Z stderr P {"),
        Just("\n{\"log\":\""),
        Just("\",\"stream\":\"stdout\"}\n"),
        Just("\\n"),
        Just("\0"),
        Just("1"),
        Just("é"),
        Just("\\u00e9"),
        Just("\"protoPayload\":{"),
        Just("\"properties\":{\"log\":"),
        Just("\"Level\":\"x\",\"AuditId\":\"y\""),
    ];
    prop_oneof![
        proptest::collection::vec(part, 0..60).prop_map(|p| p.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..400),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in tricky()) {
        fuzz::stream(&bytes);
        fuzz::body(&bytes);
        fuzz::eks(&bytes);
        fuzz::aks(&bytes);
        fuzz::gke(&bytes);
        fuzz::salvage(&bytes);
        fuzz::identity(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        klio_source::diagnose(&text);
        klio_source::recover(&text);
    }

    #[test]
    fn seams_do_not_show(bytes in tricky(), chunk in 1usize..40) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = read(bytes.clone());
        let parts = read_with(bytes, &Options { chunk, ..Options::default() });
        // A line that only its parser can refuse may be refused earlier when it came in parts.
        if whole.records.iter().all(|r| is_json(&r.json)) {
            let good: Vec<_> = parts.records.into_iter().filter(|r| is_json(&r.json)).map(|r| (r.line, r.json)).collect();
            let whole: Vec<_> = whole.records.into_iter().map(|r| (r.line, r.json)).collect();
            prop_assert!(whole.iter().all(|r| good.contains(r)), "{:?} {:?} {:?}", text, whole, good);
        }
    }

    #[test]
    fn events_after_any_line_survive_and_lines_are_accounted(lines in proptest::collection::vec(line(), 0..12), chunk in 1usize..3000) {
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let got = read_with(text, &Options { chunk, ..Options::default() });
        let whole = |l: &String| l.starts_with("{\"kind\":\"Event\",\"apiVersion\":\"audit") && is_json(l);
        let want: Vec<u64> = lines.iter().zip(1u64..).filter(|(l, _)| whole(l)).map(|(_, n)| n).collect();
        let parsed: Vec<u64> = got.records.iter().filter(|r| is_json(&r.json)).map(|r| r.line).collect();
        prop_assert_eq!(parsed, want);
        if !lines.is_empty() && !lines.iter().any(|l| l.trim_start_matches([',', ' ']).starts_with(['{', '[']) && !whole(l)) {
            prop_assert_eq!(got.told(), lines.len() as u64);
        }
    }

    #[test]
    fn one_event_has_one_identity(agent in "\\PC{0,20}", other in "[&<>\"\\\\/\u{2028}\u{7f}\n\t\u{1}é😀]{0,12}", n in 0usize..1000) {
        // As Go writes it.
        let text = |s: &str| {
            serde_json::to_string(s).unwrap().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
                .replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
        };
        let body = format!(r#""level":"Metadata","auditID":{},"verb":"get","userAgent":{},"n":{n},"requestObject":{{"kind":"Pod","a":[1,{{"b":[]}}]}}}}"#, text(&other), text(&agent));
        let native = format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1",{body}"#);
        let item = format!("{{{body}");
        let value = json(&native);
        let ascii: String = serde_json::to_string(&value).unwrap().chars().map(|c| match c {
            c if c.is_ascii() => c.to_string(),
            c => c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect(),
        }).collect();
        let spaced = serde_json::to_string_pretty(&value).unwrap();
        let slashes = native.replace('/', "\\/");
        let hash = content_hash(&native);
        for other in [item, serde_json::to_string(&value).unwrap(), ascii, spaced, slashes, format!(" {native}\n")] {
            prop_assert_eq!(content_hash(&other), hash, "{}", other);
        }
    }

    #[test]
    fn other_content_has_another_identity(at in 47usize..600, byte in 0x20u8..0x7f) {
        let a = event("abc");
        let mut b = a.clone().into_bytes();
        let at = at.min(b.len() - 1);
        prop_assume!(b[at] != byte && byte != b' ' && b[at] != b' ');
        b[at] = byte;
        prop_assert_ne!(content_hash(&a), content_hash(&String::from_utf8(b).unwrap()));
    }
}
