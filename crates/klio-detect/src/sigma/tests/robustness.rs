use proptest::prelude::*;

use super::*;

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("title: x\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs = format!("{laughs}a{i}: &a{i} [{list}]\n");
    }
    assert!(error(&laughs).1.contains("alias"));
    assert!(error(&"[".repeat(100_000)).1.contains("too deeply"));
    assert!(error(&"- ".repeat(100_000)).1.contains("too deeply"));
    let stairs = (0..500).fold(String::new(), |out, i| out + &" ".repeat(i) + "a:\n");
    assert!(error(&stairs).1.contains("too deeply"));
    let huge = format!("title: {}\n", "x".repeat(2 << 20));
    assert!(error(&huge).1.contains("bytes long"));
    let deep = format!("selection:\n  verb: get\ncondition: {}selection{}", "(".repeat(500), ")".repeat(500));
    assert!(error(&rule(&deep)).1.contains("nests too deeply"));
    let nots = format!("selection:\n  verb: get\ncondition: {}selection", "not ".repeat(5_000));
    assert!(error(&rule(&nots)).1.contains("nests too deeply"));
    let windash =
        format!("selection:\n  userAgent|windash|contains: '{}'\ncondition: selection", " -a".repeat(40));
    assert!(error(&rule(&windash)).1.contains("too many values"));
}

#[test]
fn aliases_of_yaml_work_in_reason() {
    let text = rule("a:\n  verb: &verbs\n    - get\n    - list\nb:\n  verb: *verbs\ncondition: a and b");
    let (set, problems) = load(&text);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(set.rules.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_compiles_or_is_refused(text in "\\PC{0,200}") {
        fuzz(&text);
    }

    #[test]
    fn any_selection_compiles_or_is_refused(
        key in "[a-zA-Z.|_]{0,20}|(verb|userAgent|requestURI|sourceIPs|)(\\|(all|contains|startswith|endswith|re|i|m|s|base64|base64offset|wide|utf16|utf16be|windash|cidr|exists|gt|lte|hour|week|expand|fieldref|neq|cased)){0,4}",
        value in "\\PC{0,30}|[0-9.*?\\\\/-]{0,12}",
        condition in "((sel|not|and|or|1|all|of|them|s\\*|\\(|\\)|\\|)( |)){0,10}",
    ) {
        let value = value.replace('\'', "''");
        fuzz(&rule(&format!("sel:\n  '{key}': '{value}'\ncondition: {condition}")));
        fuzz(&rule(&format!("sel:\n  '{key}': {value}\ncondition: {condition}")));
        fuzz(&rule(&format!("sel:\n  '{key}': ['{value}', 1, null, true, 1.5]\ncondition: {condition}")));
    }

    #[test]
    fn any_yaml_punctuation_is_survived(text in "[a-c\\[\\]{}:,&*!|>'\"%@`#?\\- \\n\t]{0,120}") {
        fuzz(&text);
        fuzz(&format!("title: x\ncorrelation:\n  {text}\n"));
    }
}
