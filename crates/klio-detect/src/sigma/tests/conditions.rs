use super::*;

const SELECTIONS: &str =
    "yes_a:\n  verb: create\nyes_b:\n  objectRef.resource: pods\nno_a:\n  verb: get\n_hidden:\n  verb: get\n";

fn condition(text: &str, want: bool) {
    assert_eq!(matches(&format!("{SELECTIONS}condition: {text}"), EXEC), want, "{text}");
}

#[test]
fn operators_bind_as_specified() {
    condition("yes_a", true);
    condition("no_a", false);
    condition("not no_a", true);
    condition("yes_a and not no_a", true);
    condition("no_a or yes_a and yes_b", true);
    condition("yes_a or yes_b and no_a", true);
    condition("(yes_a or yes_b) and no_a", false);
    condition("not no_a and no_a", false);
    condition("not (no_a and no_a)", true);
    condition("not not yes_a", true);
    condition("yes_a AND NOT no_a", true);
    condition("(((yes_a)))", true);
}

#[test]
fn quantifiers() {
    condition("1 of yes_*", true);
    condition("all of yes_*", true);
    condition("1 of *_a", true);
    condition("all of *_a", false);
    condition("1 of no*", false);
    condition("1 of them", true);
    condition("all of them", false);
    condition("any of them", true);
    condition("not 1 of no_*", true);
    condition("1 of yes_* and not 1 of no_*", true);
    condition("all of y*s_*", true);
    // Names that begin with an underscore are not meant by `them`, only by a pattern that has one too.
    assert!(matches("yes:\n  verb: create\n_no:\n  verb: get\ncondition: all of them", EXEC));
    condition("1 of _hid*", false);
}

#[test]
fn a_list_of_conditions_is_any_of_them() {
    assert!(matches(&format!("{SELECTIONS}condition:\n  - no_a\n  - yes_b"), EXEC));
    assert!(!matches(&format!("{SELECTIONS}condition:\n  - no_a\n  - not yes_b"), EXEC));
}

#[test]
fn words_search_the_whole_event() {
    let words = |list: &str| matches(&format!("words:\n{list}\ncondition: words"), EXEC);
    assert!(words("  - nothing\n  - KUBECTL"));
    assert!(!words("  - nothing"));
    assert!(words("  - 'pods/*/exec'"));
    assert!(words("  '|all':\n    - shop\n    - alice"));
    assert!(!words("  '|all':\n    - shop\n    - nothing"));
    assert!(!words("  '|cased': KUBECTL"));
    assert!(words("  - verb: get\n  - kubectl"));
    assert!(words("  - 101"));
    // The event is JSON: a quote or backslash in a word is looked for as JSON writes it.
    let event = r#"{"level":"Metadata","verb":"get","userAgent":"a \"b\" c:\\d \u003cx\u003e"}"#;
    for word in [r#"a "b" c"#, r"c:\d", "<x>"] {
        assert!(matches(&format!("words:\n  - '{word}'\ncondition: words"), event), "{word}");
    }
}

#[test]
fn backslashes() {
    let event = r#"{"level":"Metadata","verb":"get","userAgent":"a\\b*c\\\\d"}"#;
    check(r"userAgent|startswith: 'a\b'", event, true);
    check(r"userAgent|startswith: 'a\\b'", event, true);
    check(r"userAgent|contains: 'b\*c'", event, true);
    check(r"userAgent|contains: '\\*c'", event, true);
    check(r"userAgent|contains: 'b\?c'", event, false);
    check(r"userAgent|endswith: '\\\\d'", event, true);
}
