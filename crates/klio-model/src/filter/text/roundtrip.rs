//! Every filter prints to a text that reads back to it, and no text panics.

use ipnet::IpNet;
use proptest::prelude::*;

use crate::field::{FIELDS, FieldRef};
use crate::filter::sense::objection;
use crate::filter::{
    Case, Comparison, Filter, Matcher, Piece, Quantifier, RegexMatch, Test, TextMatch, TimePart,
};
use crate::time::Timestamp;

/// Characters that mean something, look like nothing, or turn the line around.
const ODD: &[&str] = &[
    "*",
    "?",
    "\\",
    "\"",
    "`",
    "(",
    ")",
    "[",
    "]",
    ":",
    "/",
    "<",
    ">",
    "=",
    "!",
    ",",
    " ",
    "\n",
    "\t",
    "\r",
    "\0",
    "\u{7f}",
    "\u{202e}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    "é",
    "日本",
    "😀",
    "İ",
    "and",
    "or",
    "not",
    "to",
    "every",
    "a",
    "B",
    "0",
    ".",
    "-",
    "_",
    "{",
    "}",
    "'",
    "|",
    "%",
    "kube-system",
    "inf",
    "u{41}",
];

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(ODD), 0..6).prop_map(|v| v.concat()),
        any::<String>(),
        Just(String::new()),
        prop::sample::select(vec![
            "and",
            "OR",
            "Not",
            "*",
            "**",
            "?",
            "/x/",
            "cidr(1)",
            "every",
            "system:masters"
        ])
        .prop_map(str::to_owned),
    ]
}

fn text_match() -> impl Strategy<Value = TextMatch> {
    let piece =
        prop_oneof![3 => odd_text().prop_map(Piece::Literal), 1 => Just(Piece::One), 1 => Just(Piece::Many)];
    (prop::collection::vec(piece, 0..4), any::<bool>())
        .prop_map(|(p, cased)| TextMatch::new(p, if cased { Case::Sensitive } else { Case::Insensitive }))
}

fn field() -> impl Strategy<Value = FieldRef> {
    let known = prop::sample::select(FIELDS.iter().map(|i| i.field).collect::<Vec<_>>());
    let path = prop_oneof![
        odd_text(),
        Just("authorization.k8s.io/decision".to_owned()),
        Just("spec.containers.0.image".to_owned()),
        Just("a".repeat(700)),
    ];
    prop_oneof![
        known.clone().prop_map(FieldRef::of),
        (known, path).prop_map(|(field, path)| FieldRef::below(field, &path)),
        Just(FieldRef::parse("requestObject.metadata.labels.app.kubernetes.io/name").unwrap()),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![Comparison::Less, Comparison::AtMost, Comparison::Greater, Comparison::AtLeast])
}

fn number() -> impl Strategy<Value = f64> {
    let odd = vec![
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        1e15,
        0.1,
        -400.0,
    ];
    prop_oneof![prop::sample::select(odd), any::<f64>().prop_filter("NaN equals nothing", |n| !n.is_nan())]
}

fn regex() -> impl Strategy<Value = RegexMatch> {
    let known = vec![
        "^/api/v1/.*$",
        r"a\/b",
        r"\\",
        r"[/\]]+",
        "",
        "(?x)a # \\",
        "\"`(",
        "x\ny",
        r"\d{1,3}",
        "a b",
        "/",
        "//i",
        "é+",
    ];
    let source = prop_oneof![prop::sample::select(known).prop_map(str::to_owned), odd_text()];
    (source, prop::sample::select(vec!["", "i", "m", "s", "im", "ims", "si"]))
        .prop_filter_map("not a regular expression", |(source, flags)| RegexMatch::new(&source, flags).ok())
}

fn net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<std::net::Ipv4Addr>(), 0..=32u8).prop_map(|(ip, n)| IpNet::new(ip.into(), n).unwrap()),
        (any::<std::net::Ipv6Addr>(), 0..=128u8).prop_map(|(ip, n)| IpNet::new(ip.into(), n).unwrap()),
    ]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    prop_oneof![
        Just(Matcher::Present),
        text_match().prop_map(Matcher::Text),
        prop::collection::vec(text_match(), 0..4).prop_map(|texts| Matcher::OneOf(texts.into())),
        regex().prop_map(Matcher::Regex),
        net().prop_map(Matcher::Cidr),
        (comparison(), number()).prop_map(|(how, n)| Matcher::Compare(how, n)),
        (comparison(), any::<i64>()).prop_map(|(how, t)| Matcher::When(how, Timestamp(t))),
        (comparison(), 0..4_000_000_000_000_000i64).prop_map(|(how, t)| Matcher::When(how, Timestamp(t))),
        field().prop_map(Matcher::Same),
        (prop::sample::select(TimePart::ALL.to_vec()), any::<i64>())
            .prop_map(|((part, _), n)| Matcher::TimePart(part, n)),
    ]
}

fn leaf() -> impl Strategy<Value = Filter> {
    let test = (field(), any::<bool>(), matcher())
        .prop_map(|(field, every, matcher)| Test {
            field,
            quantifier: if every { Quantifier::Every } else { Quantifier::Any },
            matcher,
        })
        .prop_filter("can never be true, which the parser refuses", |test| objection(test).is_none())
        .prop_map(Filter::Test);
    prop_oneof![8 => test, 3 => text_match().prop_map(Filter::Keyword), 1 => Just(Filter::All), 1 => Just(Filter::Nothing)]
}

/// Filters as the constructors make them.
fn filter() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::or),
            inner.prop_map(Filter::not),
        ]
    })
}

/// Trees put together by hand: empty and nested groups too.
fn raw_tree() -> impl Strategy<Value = Filter> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
            inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_what_was_printed_gives_the_same_filter(f in filter()) {
        let text = f.to_string();
        let back = Filter::parse(&text).map_err(|e| TestCaseError::fail(e.render(&text)))?;
        prop_assert_eq!(&back, &f, "{}", text);
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn hand_made_trees_print_to_a_stable_text(f in raw_tree()) {
        let text = f.to_string();
        let back = Filter::parse(&text).map_err(|e| TestCaseError::fail(e.render(&text)))?;
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn printed_texts_hold_nothing_that_fools_a_terminal(f in filter()) {
        prop_assert!(!f.to_string().chars().any(super::is_unprintable));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        if let Err(e) = Filter::parse(&text) {
            prop_assert!(e.position <= text.len() && e.position + e.length <= text.len());
            e.render(&text);
        }
    }

    #[test]
    fn no_near_filter_panics_and_what_is_read_prints_stably(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(ODD), prop::sample::select(vec![
                "verb:", "user", "code >= ", "time>=", "(", ")", " or ", " and ", "not ", "every(", "cased(", "name:cidr(",
                "[1 to ", "request.`", "\\u{", "/a", "name:(", "same(", "regex(\"", "2026-11-21", "400",
            ])], 0..14)
    ) {
        let text = parts.concat();
        match Filter::parse(&text) {
            Ok(f) => {
                let printed = f.to_string();
                prop_assert_eq!(Filter::parse(&printed).unwrap(), f, "{} -> {}", text, printed);
            }
            Err(e) => {
                prop_assert!(text.is_char_boundary(e.position) && text.is_char_boundary(e.position + e.length), "{:?}", e);
                e.render(&text);
            }
        }
    }
}
