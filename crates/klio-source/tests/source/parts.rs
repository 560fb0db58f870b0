//! Lines that container runtimes cut into parts of 16 KiB are read as the lines they were.

use crate::support::*;
use klio_source::{Format, Options, Reason, SkipReason};

const TIME: &str = "2026-08-20T10:00:04.001002003Z";

/// An event with a body of about `size` bytes.
fn large(id: &str, size: usize) -> String {
    let body = format!(
        r#""requestObject":{{"spec":{{"hostPID":true}},"data":"{}é"}},"requestReceived"#,
        "a ".repeat(size / 2)
    );
    event(id).replace(r#""requestReceived"#, &body)
}

/// As containerd writes it: parts are cut at bytes.
fn cri(stream: &str, line: &str, size: usize) -> Vec<Vec<u8>> {
    let parts: Vec<_> = line.as_bytes().chunks(size).collect();
    let tag = |i: usize| if i + 1 == parts.len() { "F" } else { "P" };
    let line =
        |(i, p): (usize, &&[u8])| [format!("{TIME} {stream} {} ", tag(i)).as_bytes(), p, b"\n"].concat();
    parts.iter().enumerate().map(line).collect()
}

/// As Docker's json-file driver writes it.
fn docker(stream: &str, line: &str, size: usize) -> Vec<Vec<u8>> {
    let text: Vec<char> = format!("{line}\n").chars().collect();
    let quoted = |part: &[char]| serde_json::to_string(&part.iter().collect::<String>()).unwrap();
    text.chunks(size)
        .map(|p| {
            format!("{{\"log\":{},\"stream\":\"{stream}\",\"time\":\"{TIME}\"}}\n", quoted(p)).into_bytes()
        })
        .collect()
}

fn check(text: &[u8], want: &[&String]) -> Got {
    let got = read_all_ways(text);
    assert_eq!(got.records.iter().map(|r| &r.json).collect::<Vec<_>>(), want);
    assert!(got.records.iter().all(|r| r.format == Format::Shipped && !r.salvaged));
    got
}

#[test]
fn parts_are_joined_whatever_stands_between() {
    let (a, b, c) = (large("a", 40_000), large("b", 5000), event("c"));
    for (cut, size) in
        [(cri as fn(&str, &str, usize) -> _, 16 << 10), (docker, 16 << 10), (cri, 100), (docker, 100)]
    {
        let text = [
            cut("stderr", &c, 9999),
            cut("stdout", &a, size),
            cut("stdout", &b, size),
            cut("stdout", &c, 9999),
        ];
        let got = check(&text.concat().concat(), &[&c, &a, &b, &c]);
        assert!(got.rejected.is_empty() && got.skipped.is_empty());
        assert_eq!(got.lines()[..3], [1, 2, 2 + cut("stdout", &a, size).len() as u64]);
        // Two streams at once, and a log line between.
        let (one, other) = (cut("stdout", &a, size), cut("stderr", &b, size));
        let note = cut("stderr", "I0820 10:00:04.001002 1 a.go:1] x", 9999);
        let mut mixed = one[..1].to_vec();
        mixed.extend(note);
        mixed.extend(other);
        mixed.extend_from_slice(&one[1..]);
        let got = check(&mixed.concat(), &[&b, &a]);
        assert_eq!((got.skips(SkipReason::ComponentLog), got.told()), (1, 3));
        // Each begins before the other ends.
        let (one, other) = (cut("stdout", &a, size), cut("stderr", &b, 80));
        let text = [&one[..1], &other[..1], &one[1..], &one[..1], &other[1..], &one[1..]].concat().concat();
        check(&text, &[&a, &b, &a]);
    }
}

#[test]
fn large_inputs_of_parts_stay_in_small_chunks() {
    let text: Vec<u8> =
        (0..400).flat_map(|i| cri("stdout", &large(&i.to_string(), 40_000), 16 << 10).concat()).collect();
    let got = read(text);
    assert_eq!((got.records.len(), got.told()), (400, 400));
    assert!(got.records.iter().all(|r| r.json.ends_with("}}")) && got.widest < 1 << 20);
}

#[test]
fn a_rest_without_its_beginning_is_rejected_and_named() {
    let (a, c) = (large("a", 40_000), event("c"));
    for cut in [cri, docker] {
        let text = [&cut("stdout", &a, 16 << 10)[1..], &cut("stdout", &c, 9999)].concat().concat();
        let got = read_all_ways(&text);
        assert_eq!(got.ids(), ["c"]);
        assert!(got.rejected.iter().any(|r| r.reason == Reason::NoBeginning), "{:?}", got.rejected);
        assert!(got.rejected[0].to_string().starts_with("t.log:"), "{:?}", got.rejected);
    }
    // Other programs' lines are none.
    for line in ["}", "  \"a\": {", "done {\"a\":1}", "I0820 10:00:04.001002 1 a.go:1] \"x\":1}}", "{", "]}"]
    {
        for cut in [cri, docker] {
            let got = read(cut("stdout", line, 9999).concat());
            assert!(
                !got.rejected.iter().any(|r| r.reason == Reason::NoBeginning),
                "{line}: {:?}",
                got.rejected
            );
        }
    }
}

#[test]
fn an_end_that_did_not_come_leaves_a_salvaged_event() {
    let (a, c) = (large("a", 40_000), event("c"));
    for cut in [cri, docker] {
        let got = read_all_ways(&cut("stdout", &a, 16 << 10)[..2].concat());
        assert_eq!((got.ids(), got.records[0].salvaged), (vec!["a".to_string()], true));
        assert!(json(&got.records[0].json)["annotations"]["audit.k8s.io/truncated"] == "true");
        // Something else than a container's log follows.
        let text =
            [cut("stdout", &a, 16 << 10)[..2].concat(), c.clone().into_bytes(), b"\n".to_vec()].concat();
        assert_eq!(read_all_ways(&text).ids(), ["a", "c"]);
    }
    // A runtime was killed and went on with the next event.
    let text = [&cri("stdout", &a, 16 << 10)[..2], &cri("stdout", &c, 9999)].concat().concat();
    let got = read_all_ways(&text);
    assert_eq!(got.ids(), ["a", "c"]);
    assert!(got.records[0].salvaged && got.records[1].json == c);
}

#[test]
fn shippers_that_take_the_line_feed_off_are_not_joined() {
    let (a, c) = (large("a", 40_000), event("c"));
    let shipped = |s: &str| {
        format!(
            "{{\"log\":{},\"stream\":\"stdout\",\"time\":\"{TIME}\"}}\n",
            serde_json::to_string(s).unwrap()
        )
    };
    let text = [shipped(&a), shipped(&c), shipped(&c[..300]), shipped(&c), shipped("some text"), shipped(&c)]
        .concat();
    let got = read_all_ways(text.as_bytes());
    assert_eq!(got.ids(), ["a", "c", "c", "c", "c"]);
    assert_eq!(got.lines(), [1, 2, 3, 4, 6]);
}

#[test]
fn a_line_of_endless_parts_is_rejected_alone() {
    let options = Options { record_cap: 1 << 20, chunk: 1 << 16, ..Options::default() };
    let (a, c) = (large("a", 5 << 20), event("c"));
    for cut in [cri, docker] {
        let text =
            [cut("stdout", &c, 9999), cut("stdout", &a, 16 << 10), cut("stdout", &c, 9999)].concat().concat();
        let got = read_with(text, &options);
        assert_eq!(got.ids(), ["c", "c"]);
        assert_eq!(got.reasons(), [(2, &Reason::TooLong { cap: 1 << 20 })]);
        assert!(got.widest < 2 << 20);
    }
}
