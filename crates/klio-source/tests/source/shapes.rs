//! Every native shape, whole and damaged, is read alike however the stream is chunked.

use crate::support::*;
use klio_source::{Format, Options, Reason, SkipReason};

fn check(text: &str, ids: &[&str], lines: &[u64]) {
    let got = read_all_ways(text.as_bytes());
    assert_eq!(got.ids(), ids, "{text}");
    assert_eq!(got.lines(), lines, "{text}");
    assert!(got.rejected.is_empty(), "{:?}", got.rejected);
    assert!(got.records.iter().all(|r| r.format == Format::Native && !r.salvaged));
}

#[test]
fn json_lines() {
    let (a, b) = (event("a"), event("b"));
    check(&format!("{a}\n{b}\n"), &["a", "b"], &[1, 2]);
    check(&format!("{a}\n{b}"), &["a", "b"], &[1, 2]);
    check(&format!("\u{feff}{a}\r\n\r\n  \n{b}\r\n"), &["a", "b"], &[1, 4]);
    check(&format!("{a}  \n\t{b}\n"), &["a", "b"], &[1, 2]);
    check(&format!("{}\n{}\n", item("a"), item("b")), &["a", "b"], &[1, 2]);
    check(&a, &["a"], &[1]);
}

#[test]
fn other_printers_and_orders() {
    let spaced = event("a").replace("\":", "\": ").replace(",\"", ", \"");
    check(&format!("{spaced}\n{spaced}\n"), &["a", "a"], &[1, 2]);
    let last =
        item("a").trim_end_matches('}').to_string() + r#""}},"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#;
    check(&last.replace("\\\"\"\"}}", "\\\"\"}"), &["a"], &[1]);
}

#[test]
fn concatenated_values() {
    let (a, b) = (event("a"), event("b"));
    check(&format!("{a}{b}\n{a}\n"), &["a", "b", "a"], &[1, 1, 2]);
    let lines = pretty(&a).lines().count() as u64;
    check(&format!("{}{}", pretty(&a), pretty(&b)), &["a", "b"], &[1, lines]);
    check(&format!("{}\n{}\n", pretty(&a), pretty(&b)), &["a", "b"], &[1, lines + 1]);
    check(&format!("{a}\n{}\n{b}\n", pretty(&a)), &["a", "a", "b"], &[1, 2, lines + 2]);
    check(&format!("{a},\n{b},\n"), &["a", "b"], &[1, 2]);
}

#[test]
fn lists_and_arrays() {
    let (a, b) = (item("a"), item("b"));
    let lines = pretty(&a).lines().count() as u64;
    let list =
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{a},{b}]}}"#);
    check(&list, &["a", "b"], &[1, 1]);
    check(&format!("{list}\n{list}\n"), &["a", "b", "a", "b"], &[1, 1, 2, 2]);
    check(&pretty(&list), &["a", "b"], &[6, 6 + lines]);
    check(&format!("[{},{}]", event("a"), event("b")), &["a", "b"], &[1, 1]);
    check(&format!("[\n{},\n{}\n]\n", event("a"), event("b")), &["a", "b"], &[2, 3]);
    check(&format!("{{\"items\":[\n{a},\n{b}\n]}}\n"), &["a", "b"], &[2, 3]);
    check(&pretty(&format!("[{},{}]", event("a"), event("b"))), &["a", "b"], &[2, 4 + lines]);
    let kubectl = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{},{}]}}"#, event("a"), event("b"));
    check(&pretty(&kubectl), &["a", "b"], &[5, 7 + lines]);
}

#[test]
fn printers_without_indentation() {
    let flush: String = pretty(&event("a")).lines().map(|l| l.trim_start().to_string() + "\n").collect();
    check(&format!("{flush}{flush}"), &["a", "a"], &[1, 1 + flush.lines().count() as u64]);
}

#[test]
fn a_cut_line_is_rejected_alone() {
    let (a, b) = (event("a"), event("b"));
    for cut in [10, 44, 60, 120, 300, a.len() - 2] {
        let text = format!("{b}\n{}\n{b}\n{b}\n", &a[..cut]);
        let got = read_all_ways(text.as_bytes());
        assert_eq!(got.lines(), [1, 3, 4], "cut at {cut}");
        assert_eq!(got.reasons(), [(2, &Reason::Truncated)], "cut at {cut}");
    }
    let got = read_all_ways(format!("{b}\n{}", &a[..200]).as_bytes());
    assert_eq!((got.lines(), got.reasons()), (vec![1], vec![(2, &Reason::Truncated)]));
}

#[test]
fn what_only_a_parser_sees_can_be_named_afterwards() {
    let a = event("a");
    let cut = &a[..a.len() - 1];
    assert_eq!(read(cut).records.len(), 1);
    assert_eq!(klio_source::diagnose(cut), Some(Reason::Truncated));
    assert_eq!(klio_source::diagnose(&a), None);
    let two = format!("{}{a}", &a[..200]);
    assert_eq!(klio_source::diagnose(&two), Some(Reason::Truncated));
    assert_eq!(klio_source::recover(&two), Some(a.as_str()));
    // A body that looks like an event does not end its line.
    let body = format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":{a}}}"#);
    assert_eq!(klio_source::recover(&body), None);
}

#[test]
fn a_cut_pretty_record_ends_at_the_next() {
    let (a, b) = (pretty(&event("a")), pretty(&event("b")));
    let cut: String = a.lines().take(9).map(|l| format!("{l}\n")).collect();
    let got = read_all_ways(format!("{cut}{b}\n").as_bytes());
    assert_eq!((got.ids(), got.reasons()), (vec!["b".to_string()], vec![(1, &Reason::Truncated)]));
    assert_eq!(got.lines(), [10]);
    // In the middle of a string.
    let got = read_all_ways(format!("{}\n{b}\n", &a[..60]).as_bytes());
    assert_eq!((got.ids(), got.reasons()), (vec!["b".to_string()], vec![(1, &Reason::Truncated)]));
}

#[test]
fn a_cut_item_does_not_take_its_list_with_it() {
    let (a, b, c) = (event("a"), event("b"), event("c"));
    let got = read_all_ways(format!("[\n{a},\n{},\n{c}\n]\n", &b[..200]).as_bytes());
    assert_eq!((got.lines(), got.reasons()), (vec![2, 4], vec![(3, &Reason::Truncated)]));
    let got = read_all_ways(format!("[\n{a},\n{b},\n{}", &c[..100]).as_bytes());
    assert_eq!((got.lines(), got.reasons()), (vec![2, 3], vec![(4, &Reason::Truncated)]));
}

#[test]
fn mixed_lines_each_get_their_due() {
    let a = event("a");
    let text = format!(
        "{a}\nI0820 10:00:04.001002    1234 file.go:123] \"msg\" key=\"v\"\n{}\n<html>\n{{\"x\":1}}\n{a}\n",
        r#"{"kind":"Event","apiVersion":"v1","metadata":{"name":"x"}}"#
    );
    let got = read_all_ways(text.as_bytes());
    assert_eq!(got.lines(), [1, 6]);
    assert_eq!((got.skips(SkipReason::ComponentLog), got.skips(SkipReason::KubernetesEvent)), (1, 1));
    assert!(matches!(got.reasons()[..], [(4, Reason::NotJson { .. }), (5, Reason::NotAudit { .. })]));
}

#[test]
fn text_between_does_not_vanish_into_a_cut_record() {
    let (a, b) = (event("a"), event("b"));
    let text = format!("{}\nI0820 10:00:04.001002 1 f.go:1] x\n{b}\n", &a[..a.len() - 2]);
    let got = read_all_ways(text.as_bytes());
    assert_eq!((got.lines(), got.reasons()), (vec![3], vec![(1, &Reason::Truncated)]));
    assert_eq!(got.skips(SkipReason::ComponentLog), 1);
}

#[test]
fn invalid_utf8_is_named_and_kept() {
    let (a, b) = (event("a"), event("b"));
    let mut text = format!("{a}\n{b}\n{a}\n").into_bytes();
    let at = a.len() + 1 + 250;
    text[at] = 0xff;
    let got = read_all_ways(&text);
    assert_eq!(got.lines(), [1, 2, 3]);
    assert!(got.records[1].json.contains('\u{fffd}'));
    assert_eq!(got.records[1].raw, &text[a.len() + 1..a.len() + 1 + b.len()]);
    assert_eq!(got.reasons(), [(2, &Reason::InvalidUtf8 { at: 250, repaired: true })]);
}

#[test]
fn long_lines_are_rejected_without_being_held() {
    let options = Options { record_cap: 4 << 20, chunk: 1 << 18, ..Options::default() };
    let (a, b) = (event("a"), event("b"));
    let long = |head: &str| {
        let size = if head.is_empty() || head.starts_with("{\"a") { 100 << 20 } else { 20 << 20 };
        format!("{a}\n{head}{}\n{b}\n", "x".repeat(size))
    };
    for head in ["", "{\"a\":\"", "[[[", "{\"items\":[{\"a\":\"", "{"] {
        let got = read_with(long(head), &options);
        assert_eq!(got.ids(), ["a", "b"], "{head}");
        assert_eq!(got.lines(), [1, 3], "{head}");
        assert_eq!(got.reasons(), [(2, &Reason::TooLong { cap: 4 << 20 })], "{head}");
        assert!(got.widest < 6 << 20);
    }
}

#[test]
fn a_list_larger_than_memory_streams() {
    let options = Options { record_cap: 1 << 20, chunk: 1 << 16, ..Options::default() };
    let items: Vec<String> = (0..4000).map(|i| item(&format!("id-{i}"))).collect();
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#,
        items.join(",")
    );
    for text in [list.clone(), pretty(&list), format!("{}\n{list}\n", event("x"))] {
        let got = read_with(text.clone(), &options);
        assert_eq!(got.records.len(), 4000 + usize::from(text.starts_with("{\"kind\":\"Event\",")));
        assert!(got.rejected.is_empty(), "{:?}", got.rejected);
        assert!(got.widest < 1 << 19, "{}", got.widest);
        assert_eq!(got.records.last().map(|r| field(&r.json, "auditID")).as_deref(), Some("id-3999"));
    }
    let got = read_with(pretty(&list), &options);
    assert_eq!(got.lines(), read(pretty(&list)).lines());
}

#[test]
fn bombs_of_brackets_end() {
    let a = event("a");
    for bomb in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"items\":{}", "[".repeat(100_000)),
        "[{\"items\":".repeat(50_000),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let got = read_all_ways(format!("{bomb}\n{a}\n").as_bytes());
        assert_eq!(got.ids(), ["a"], "{}", &bomb[..20]);
        assert!(got.rejected.iter().all(|r| r.line == 1) && !got.rejected.is_empty());
    }
    let deep = format!("{{\"log\":{}1{}}}", "{\"log\":".repeat(50_000), "}".repeat(50_000));
    assert_eq!(read(deep).told(), 1);
}

#[test]
fn values_without_line_feeds_are_read_at_once() {
    let a = event("a");
    // Millions of values on a line were once searched for its end again and again: minutes.
    let start = std::time::Instant::now();
    for text in ["{}".repeat(4 << 20), "[]".repeat(4 << 20), "{} ".repeat(1 << 20), "{}[]\n".repeat(1 << 20)]
    {
        let got = read(format!("{text}\n{a}\n"));
        assert_eq!(got.ids(), ["a"]);
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    // As Firehose writes to S3.
    let got = read(a.repeat(4000));
    assert_eq!((got.records.len(), got.rejected.len()), (4000, 0));
    assert!(got.records.iter().all(|r| r.json == a && r.line == 1) && got.widest < 1 << 20);
    read_all_ways(format!("{a}{a}{a} {a}[{a}]\n{a}{}\n{a}", pretty(&a)).as_bytes());
    let cut = format!("{a}{a}{}\n{a}\n", &a[..300]);
    assert_eq!(read_all_ways(cut.as_bytes()).reasons(), [(1, &Reason::Truncated)]);
}

#[test]
fn nothing_is_named_as_nothing() {
    for text in ["", "\n\n", " \r\n"] {
        let got = read(text);
        assert_eq!(got.skips(SkipReason::Empty), 1);
        assert_eq!(got.told(), 1);
    }
}

#[test]
fn nul_bytes_are_named_and_the_records_around_them_read() {
    let a = event("a");
    let nuls = "\0".repeat(300);
    for (text, lines, at) in [
        (format!("{a}\n{nuls}\n{a}\n"), vec![1, 3], 2),
        (format!("{a}\n{nuls}{a}\n"), vec![1, 2], 2),
        (format!("{a}{nuls}\n{a}"), vec![1, 2], 1),
        (format!("{a}\n{nuls}"), vec![1], 2),
    ] {
        let got = read_all_ways(text.as_bytes());
        assert_eq!(got.lines(), lines);
        assert_eq!(got.reasons(), [(at, &Reason::Nul { bytes: 300 })]);
    }
}

#[test]
fn partial_and_older_events_are_events() {
    for text in [
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#,
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1","timestamp":"2019-01-01T00:00:00Z","verb":"get"}"#,
        r#"{"kind":"Event","auditID":"5e8b5a5e"}"#,
        r#"{"auditID":"x","verb":"get"}"#,
    ] {
        assert_eq!(read(text).records.len(), 1, "{text}");
    }
}
