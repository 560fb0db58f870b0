//! The program as its users meet it: arguments in, stdout, stderr and exit code out.
#![allow(clippy::unwrap_used)] // helpers beside the tests

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn klio(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_klio")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'l>(lines: &'l [Value], kind: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Mallory lists the secrets of a namespace at some second.
fn listing(id: &str, second: u32, namespace: &str) -> String {
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"{id}\",\
         \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/namespaces/{namespace}/secrets\",\"verb\":\"list\",\
         \"user\":{{\"username\":\"mallory\",\"groups\":[\"system:authenticated\"]}},\"sourceIPs\":[\"10.0.0.1\"],\
         \"userAgent\":\"kubectl/v1.36.1\",\"objectRef\":{{\"resource\":\"secrets\",\"namespace\":\"{namespace}\",\
         \"apiVersion\":\"v1\"}},\"responseStatus\":{{\"metadata\":{{}},\"code\":200}},\
         \"requestReceivedTimestamp\":\"2026-07-01T10:{:02}:{:02}.000000Z\",\
         \"stageTimestamp\":\"2026-07-01T10:{:02}:{:02}.000000Z\"}}\n",
        second / 60,
        second % 60,
        second / 60,
        second % 60
    )
}

#[test]
fn every_command_shows_its_help_with_examples() {
    for words in [
        &["--help"][..],
        &["scan", "--help"],
        &["hunt", "--help"],
        &["explain", "--help"],
        &["demo", "--help"],
        &["rule", "list", "--help"],
        &["rule", "show", "--help"],
        &["rule", "lint", "--help"],
        &["rule", "test", "--help"],
        &["rule", "coverage", "--help"],
    ] {
        let output = klio(words);
        assert_eq!(code(&output), 0, "{words:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("xamples:"), "{words:?}");
    }
}

#[test]
fn a_burst_over_the_logs_of_two_api_servers_is_one_burst() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<String> = (0..8).map(|n| listing(&format!("id-{n}"), 5 * n, &format!("ns{n}"))).collect();
    let every = |n: usize| all.iter().skip(n).step_by(2).cloned().collect::<String>();
    // The second file goes on for hours, so that the first one's events lie far back when it has been read.
    let late = listing("late", 3_000, "ns1");
    let whole = file(dir.path(), "whole.log", &(all.concat() + &late));
    let (a, b) = (file(dir.path(), "a.log", &(every(0) + &late)), file(dir.path(), "b.log", &every(1)));
    let rules = |paths: &[&Path]| {
        let mut words = vec!["scan", "-o", "jsonl"];
        words.extend(paths.iter().map(|p| p.to_str().unwrap()));
        let mut found: Vec<String> = of(&lines(&klio(&words)), "finding")
            .iter()
            .map(|f| format!("{} {}", f["rule"]["title"], f["id"]))
            .collect();
        found.sort();
        found
    };
    assert!(rules(&[&whole]).iter().any(|f| f.contains("namespace by namespace")), "{:?}", rules(&[&whole]));
    assert_eq!(rules(&[&a, &b]), rules(&[&whole]));
    assert_eq!(rules(&[&b, &a]), rules(&[&whole]));
}

#[test]
fn duplicates_are_told_by_content_and_a_reused_audit_id_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let (first, other) = (listing("id", 1, "shop"), listing("id", 2, "bank"));
    let path = file(dir.path(), "a.log", &[first.clone(), first, other.clone(), other].concat());
    let output = klio(&["scan", path.to_str().unwrap(), "-o", "jsonl"]);
    let lines = lines(&output);
    let summary = of(&lines, "summary")[0];
    assert_eq!((summary["events"].as_u64(), summary["duplicates"].as_u64()), (Some(2), Some(2)));
    assert!(of(&lines, "finding").iter().any(|f| f["rule"]["title"].as_str().unwrap().contains("Audit ID")));
    // The same in each run.
    let again = klio(&["scan", path.to_str().unwrap(), "-o", "jsonl"]);
    let ids = |out: &Output| -> Vec<Value> {
        of(&self::lines(out), "finding").iter().map(|f| f["id"].clone()).collect()
    };
    assert_eq!(ids(&output), ids(&again));
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    let log = file(dir.path(), "a.log", &listing("id", 1, "shop"));
    let log = log.to_str().unwrap();
    let none = dir.path().join("none.log");
    let none = none.to_str().unwrap();
    let junk = file(dir.path(), "junk.log", "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\n");
    let junk = junk.to_str().unwrap();
    let check = |words: &[&str], want: i32| {
        let output = klio(words);
        assert_eq!(code(&output), want, "{words:?}: {}", text(&output.stderr));
    };
    check(&["scan", log], 0);
    check(&["scan", log, "--fail-on", "critical"], 0);
    let burst: String = (0..8).map(|n| listing(&format!("id-{n}"), n, &format!("ns{n}"))).collect();
    let burst = file(dir.path(), "burst.log", &burst);
    check(&["scan", burst.to_str().unwrap(), "--fail-on", "medium"], 1);
    check(&["scan", log, "--where", "verb:"], 2);
    check(&["scan", log, "--since", "2026-07-02", "--until", "2026-07-01"], 2);
    check(&["scan", log, "--no-such"], 2);
    check(&["scan", none], 3);
    check(&["scan", log, none], 3);
    check(&["scan", junk], 3);
    check(&["hunt", "verb:list", log], 0);
    check(&["hunt", "source.ip:10.0.0.0/8", log], 2);
    check(&["hunt", "verb:list", junk], 3);
    check(&["hunt", "verb:list", log, none], 3);
}

#[test]
fn json_lines_keep_their_contract() {
    let output = klio(&["demo", "-o", "jsonl"]);
    let lines = lines(&output);
    let high = of(&lines, "finding").iter().any(|f| f["severity"] == "high");
    assert!(code(&output) == 0 && high);
    for finding in of(&lines, "finding") {
        for key in
            ["id", "time", "rule", "severity", "proof", "tactics", "techniques", "actor", "object", "message"]
        {
            assert!(!finding[key].is_null(), "{key}: {finding}");
        }
        let evidence = &finding["evidence"][0];
        assert!(evidence["audit_id"].is_string() && evidence["fields"].is_object(), "{finding}");
    }
    for story in of(&lines, "story") {
        assert!(!story["events"].as_array().unwrap().is_empty() && story["summary"].is_string());
    }
}

#[test]
fn what_a_log_says_is_not_obeyed_by_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let evil = listing("a\\u001b[2Jb", 1, "shop")
        .replace("kubectl/v1.36.1", "x\\u001b]0;owned\\u0007\\u202e")
        .replace("10.0.0.1", "\\u001b[31m");
    let path = file(dir.path(), "a.log", &evil);
    let path = path.to_str().unwrap();
    for words in [
        &["hunt", "verb:list", path, "-o", "wide"][..],
        &["hunt", "verb:list", path],
        &["scan", path, "--timeline", "-o", "wide"],
        &["scan", path, "-o", "md"],
        &["scan", path, "-o", "csv"],
        &["scan", path, "-o", "html"],
        &["explain", path],
    ] {
        let shown = text(&klio(words).stdout);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{words:?}: {shown:?}");
    }
}

#[test]
fn standard_input_and_every_output_work() {
    let log: String = (0..8).map(|n| listing(&format!("id-{n}"), n, &format!("ns{n}"))).collect();
    for format in ["table", "wide", "json", "jsonl", "yaml", "csv", "md", "sarif", "html"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_klio"))
            .args(["scan", "-", "-o", format, "--timeline"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{format}");
        assert!(text(&output.stdout).contains("mallory"), "{format}");
    }
}

#[test]
fn wide_names_the_event_behind_each_rule_and_json_is_one_document() {
    let dir = tempfile::tempdir().unwrap();
    let log: String = (0..8).map(|n| listing(&format!("id-{n}"), n, &format!("ns{n}"))).collect();
    let path = file(dir.path(), "a.log", &log);
    let path = path.to_str().unwrap();
    let wide = text(&klio(&["scan", path, "-o", "wide"]).stdout);
    assert!(wide.contains(&format!("id-0  {path}:1 and 3 more")), "{wide}");
    let all: Value = serde_json::from_slice(&klio(&["scan", path, "-o", "json"]).stdout).unwrap();
    let grave: Value =
        serde_json::from_slice(&klio(&["scan", path, "-o", "json", "--min-severity", "critical"]).stdout)
            .unwrap();
    assert!(
        !all["findings"].as_array().unwrap().is_empty() && !all["stories"].as_array().unwrap().is_empty()
    );
    assert_eq!((&grave["findings"], &grave["stories"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!(grave["summary"]["type"], "summary");
}

#[test]
fn a_rule_is_shown_by_its_name_and_tested_with_its_page() {
    let shown = text(&klio(&["rule", "show", "kubelet-command-through-node-proxy"]).stdout);
    assert!(shown.contains("filter ") && shown.contains("T1609"), "{shown}");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/execution");
    let output = klio(&["rule", "test", rules.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
}

/// Mallory does something at some second; `object` is the `objectRef`.
fn deed(second: u32, verb: &str, uri: &str, object: &Value, code: u16) -> String {
    let mut event: Value = serde_json::from_str(&listing(&format!("id-{second}"), second, "shop")).unwrap();
    event["verb"] = verb.into();
    event["requestURI"] = uri.into();
    event["objectRef"] = object.clone();
    event["responseStatus"]["code"] = code.into();
    format!("{event}\n")
}

#[test]
fn a_story_tells_what_was_done_and_proves_it_by_what_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let long = "n".repeat(250);
    let core = |resource: &str, name: &str| serde_json::json!({"resource": resource, "namespace": "shop", "name": name});
    let (bindings, apps) = (
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/apps/v1/namespaces/shop/deployments",
    );
    let binding = |name: &str| serde_json::json!({"resource": "clusterrolebindings", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    let log = [
        deed(1, "create", apps, &core("deployments", &long), 201),
        deed(2, "get", "/api/v1/namespaces/shop/secrets/a", &core("secrets", "a"), 200),
        deed(3, "get", "/api/v1/namespaces/shop/configmaps/api", &core("configmaps", "api"), 200),
        deed(4, "list", "/api/v1/secrets", &serde_json::json!({"resource": "secrets"}), 200),
        deed(5, "create", &format!("{bindings}?dryRun=All"), &binding("dry"), 201),
        deed(6, "patch", &format!("{bindings}/applied?fieldManager=x"), &binding("applied"), 201),
        deed(7, "create", bindings, &binding("-lapp!=x"), 201),
        deed(8, "create", bindings, &binding("odd 403"), 201),
    ];
    let log = file(dir.path(), "log.jsonl", &log.concat());
    let lines = lines(&klio(&["scan", &log.to_string_lossy(), "-o", "jsonl"]));
    let stories = of(&lines, "story");
    assert_eq!(stories.len(), 1);
    let story = stories[0];
    let words = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
    };
    let written: Vec<&str> =
        story["reach"]["written"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let deployment = format!("deployments shop/{long}");
    let want = [
        "clusterrolebindings -lapp!=x",
        "clusterrolebindings applied",
        "clusterrolebindings odd 403",
        &deployment,
    ];
    assert_eq!(written, want);
    assert_eq!(story["reach"]["refused"], 0);
    let told = story["narrative"].as_array().unwrap();
    let read = told
        .iter()
        .find(|told| told["text"].as_str().unwrap().starts_with("Secrets that were read"))
        .unwrap();
    assert_eq!(read["evidence"], serde_json::json!(["id-2", "id-4"]));
    let dry = story["events"].as_array().unwrap().iter().find(|event| event["audit_id"] == "id-5").unwrap();
    assert_eq!(
        (dry["what"].as_str(), &dry["dry_run"]),
        (Some("create clusterrolebindings dry 201 (dry run)"), &true.into())
    );
    let commands = words(&story["containment"], "command");
    let deletes =
        |object: &str| commands.iter().any(|command| command.ends_with(&format!(" delete {object}")));
    assert!(
        deletes("'clusterrolebindings/-lapp!=x'") && deletes("'clusterrolebindings/odd 403'"),
        "{commands:#?}"
    );
    assert!(
        deletes("clusterrolebindings/applied") && deletes(&format!("deployments/{long}")),
        "{commands:#?}"
    );
    assert!(!commands.iter().any(|command| command.contains("/dry")), "{commands:#?}");
}

#[test]
fn containment_has_one_step_for_an_object_and_none_for_what_the_intruder_deleted() {
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/recorded/killchain/recommended.jsonl.zst");
    let told = lines(&klio(&["scan", log, "-o", "jsonl"]));
    let stories = of(&told, "story");
    let commands: Vec<&str> = stories
        .iter()
        .flat_map(|story| story["containment"].as_array().unwrap())
        .map(|step| step["command"].as_str().unwrap())
        .collect();
    assert!(commands.iter().any(|command| command.contains("delete ")), "{commands:#?}");
    let deleted: Vec<&str> = stories
        .iter()
        .flat_map(|story| story["reach"]["deleted"].as_array().unwrap())
        .filter_map(|object| object.as_str()?.strip_prefix("pods ")?.split_once('/'))
        .map(|(_, name)| name)
        .collect();
    assert!(!deleted.is_empty());
    for name in deleted {
        assert!(
            !commands.iter().any(|command| command.contains(&format!("/{name}"))),
            "{name}: {commands:#?}"
        );
    }
    let removes = |command: &&str| command.split("delete ").nth(1).map(str::to_owned);
    let mut removed: Vec<String> = commands.iter().filter_map(removes).collect();
    let all = removed.len();
    removed.sort();
    removed.dedup();
    assert_eq!(removed.len(), all, "{commands:#?}");
}

#[test]
fn a_reader_of_the_talk_who_goes_is_no_bug() {
    let mut klio = Command::new(env!("CARGO_BIN_EXE_klio"))
        .args(["scan", "nosuch.log"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(klio.stderr.take());
    let status = klio.wait().unwrap();
    assert_ne!(status.code(), Some(70));
}

#[test]
fn a_hunt_says_why_nothing_comes() {
    let dir = tempfile::tempdir().unwrap();
    let log = file(dir.path(), "audit.log", &listing("a", 1, "shop"));
    let forgotten = klio(&["hunt", log.to_str().unwrap()]);
    assert_eq!(code(&forgotten), 2);
    assert!(text(&forgotten.stderr).contains("the filter is missing"), "{forgotten:?}");
    let people = file(dir.path(), "people.yaml", "- person: Mallory\n  accounts: [mallory]\n");
    let settings = file(dir.path(), "klio.yaml", &format!("people: {}\n", people.display()));
    let nobody = Command::new(env!("CARGO_BIN_EXE_klio"))
        .args(["hunt", "user.person:Nobody", log.to_str().unwrap(), "--config", settings.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!((code(&nobody), text(&nobody.stdout).as_str()), (0, ""));
    assert!(!text(&nobody.stderr).contains("database"), "{nobody:?}");
}
