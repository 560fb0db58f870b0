//! The guides in `docs/` say what the code does.

use std::fmt::Write as _;
use std::path::Path;

use klio_model::field::{FIELDS, FieldInfo, Holds};
use klio_model::filter::TextMatch;
use klio_model::{Filter, Matcher};

const HEAD: &str = "# Field guide

Every name that a [filter](filter.md) or a rule may use. This page is made from the registry
(`crates/klio-model/src/field/registry.rs`); `KLIO_BLESS=1 cargo test -p klio-model --test docs` writes it anew.

**From** is the least audit level at which a value exists. Below it, and where a managed service or a cut line
left it out, the field is *unknown*: a test of it is neither true nor false. Fields without an audit path are
computed from the event. Below a field that holds objects a path goes on, as in `request.spec.replicas`; lists
are entered at each element. Each example is a filter.

";

const PAST: &str = "What Klio remembers

These tell of the events before this one. They are known where events are judged in order, by `klio scan`, `klio ingest` and
the server, and *unknown* everywhere else: in `--where`, in hunts and in questions to the lake. They are unknown too while the memory
has no history to compare with.";

const OUTSIDE: &str = "What lists and databases say

These rest on files that the site gives with `--geo` and `--indicators`, or in `klio.yaml`, and are *unknown* without them:
see [the manual](manual.md#country-network-and-indicators).";

fn example(info: &FieldInfo) -> String {
    let path = info.example.strip_prefix(info.name).is_some_and(|rest| rest.starts_with(['.', ':']));
    if path {
        return info.example.to_owned();
    }
    if info.holds == Holds::Time {
        return format!("{} >= {}", info.name, info.example);
    }
    Filter::test(klio_model::FieldRef::of(info.field), Matcher::Text(TextMatch::literal(info.example)))
        .to_string()
}

fn guide() -> String {
    let mut out = HEAD.to_owned();
    for (level, memory, outside, title) in [
        ("Metadata", false, false, "At every level"),
        ("Request", false, false, "From level Request: the body that was sent"),
        ("RequestResponse", false, false, "At level RequestResponse: the body that was answered"),
        ("Metadata", true, false, PAST),
        ("Metadata", false, true, OUTSIDE),
    ] {
        let _ = write!(
            out,
            "## {title}\n\n| Name | Audit path | Holds | From | Meaning | Example |\n|---|---|---|---|---|---|\n"
        );
        let of = |i: &&FieldInfo| i.level == level && i.needs_memory == memory && i.needs_outside == outside;
        for info in FIELDS.iter().filter(of) {
            let holds = match info.holds {
                Holds::Text => "text",
                Holds::Number => "number",
                Holds::Bool => "true or false",
                Holds::Strings => "texts",
                Holds::Object => "objects",
                Holds::Time => "time",
            };
            let path = if info.path.is_empty() { "computed".to_owned() } else { format!("`{}`", info.path) };
            let example = example(info).replace('|', "\\|");
            let doc = info.doc.replace('|', "\\|");
            let _ = writeln!(out, "| `{}` | {path} | {holds} | {level} | {doc} | `{example}` |", info.name);
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_field_guide_is_up_to_date() {
    let (path, want) = (docs().join("fields.md"), guide());
    if std::env::var_os("KLIO_BLESS").is_some() {
        std::fs::write(&path, &want).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        is == want,
        "docs/fields.md is out of date; run: KLIO_BLESS=1 cargo test -p klio-model --test docs"
    );
}

#[test]
fn every_field_is_in_the_guide_once_with_an_example_that_is_a_filter() {
    let guide = guide();
    for info in FIELDS {
        assert_eq!(guide.matches(&format!("\n| `{}` |", info.name)).count(), 1, "{}", info.name);
        let text = example(info);
        Filter::parse(&text).unwrap_or_else(|e| panic!("{}: {}", info.name, e.render(&text)));
    }
}

#[test]
fn every_filter_in_the_filter_guide_is_one() {
    let page = std::fs::read_to_string(docs().join("filter.md")).unwrap();
    let mut inside = false;
    let mut seen = 0;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```filter";
        } else if inside && !line.trim().is_empty() {
            seen += 1;
            let filter = Filter::parse(line).unwrap_or_else(|e| panic!("{line}\n{}", e.render(line)));
            assert_eq!(Filter::parse(&filter.to_string()), Ok(filter), "{line}");
        }
    }
    assert!(seen > 30, "only {seen} examples were found");
    // The table's first column too.
    for line in page.lines().filter(|l| l.starts_with("| `")) {
        let text = line.trim_start_matches("| `").split('`').next().unwrap();
        Filter::parse(text).unwrap_or_else(|e| panic!("{line}\n{}", e.render(text)));
    }
}
