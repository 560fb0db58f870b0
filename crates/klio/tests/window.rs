//! The window in a real browser: what people do with it. The journeys are in `ui/tests/journeys.mjs`.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;
#[path = "made/server.rs"]
mod server;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use made::{err, events, file, ok, recorded};
use server::{Server, body, connect};

const PASSWORD: &str = "correct-horse-battery-7";

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from("/usr/bin/chromium"))).filter(|path| path.exists())
}

/// What a page says to type, in a shell; what follows is stopped.
fn run(data: &Path, url: &str, token: &str, said: &str) -> Output {
    let own = Path::new(env!("CARGO_BIN_EXE_klio")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("timeout");
    shell.args(["10", "bash", "-c", said]).env("PATH", format!("{}:{path}", own.display()));
    shell
        .env("KLIO_DATA", data)
        .env("KLIO_URL", url)
        .env("KLIO_TOKEN", token)
        .current_dir(data)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn people_find_their_way() {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui");
    let Some(chromium) = chromium() else {
        println!("skipped: there is no Chromium; install it, or name it with CHROMIUM");
        return;
    };
    assert!(
        ui.join("node_modules/playwright-core").exists(),
        "`cargo xtask ui` fetches what drives the browser"
    );

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    std::fs::create_dir_all(&data).unwrap();
    for (cluster, log) in [
        ("prod", "killchain/recommended.jsonl.zst"),
        ("staging", "attacks/01-anonymous-access/recommended.jsonl.zst"),
        ("test", "attacks/14-impersonate-masters/requestresponse.jsonl.zst"),
    ] {
        ok(&data, &["ingest", &recorded(log), "--cluster", cluster]);
    }
    let password = file(dir.path(), "password", PASSWORD);
    for (name, role) in [("ana", "admin"), ("vic", "viewer")] {
        ok(&data, &["user", "add", name, "--role", role, "--password-file", &password]);
    }
    let server = Server::start(&data);
    // Kept for who looks at them: `target/tmp/window` unless KLIO_SHOTS names another place.
    let usual = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("window");
    let shots = std::env::var_os("KLIO_SHOTS").map_or_else(usual, PathBuf::from);
    let _ = std::fs::remove_dir_all(&shots);
    std::fs::create_dir_all(&shots).unwrap();

    let mut journeys = Command::new("node");
    journeys.arg(ui.join("tests/journeys.mjs")).args([&server.https, PASSWORD]).arg(&shots);
    let mut journeys = journeys.env("CHROMIUM", chromium).spawn().unwrap();
    // While the tail is open, events come.
    let open = shots.join("tail-is-open");
    let token = connect(&data, "live");
    let begun = Instant::now();
    let mut number = 0;
    let ended = loop {
        if let Some(status) = journeys.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_mins(8), "the journeys do not end");
        if open.exists() && number < 400 {
            let sent = server.post("/audit/live", &token, body(&events(number..number + 10)));
            assert_eq!(sent.status, 200, "{}", sent.body);
            number += 10;
        }
        std::thread::park_timeout(Duration::from_millis(200));
    };
    assert!(ended.success(), "a journey failed; its screenshot is in {}", shots.display());
    let token = ok(&data, &["user", "token", "ana", "--name", "cli"]);
    let commands = std::fs::read_to_string(shots.join("commands")).unwrap();
    assert!(commands.lines().count() > 20, "{commands}");
    // `PATH` stands for what the reader has.
    let said = commands.lines().filter(|said| !said.contains(" PATH"));
    let wrong = said.filter_map(|said| {
        let output = run(&data, &server.https, token.trim(), said);
        let code = output.status.code();
        (!matches!(code, Some(0 | 1 | 124))).then(|| format!("`{said}`: {code:?} {}", err(&output)))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "pages say what does not run:\n{}", wrong.join("\n"));
}

#[test]
fn the_demo_opens_a_window_with_the_recorded_attacks_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = made::command(place.path(), &["demo", "--serve"]);
    let mut demo = demo.env("TMPDIR", place.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = |what: &str| {
        let line = lines.find(|line| line.contains(what)).unwrap_or_else(|| panic!("nothing says {what}"));
        line.split(what).nth(1).unwrap().trim().to_owned()
    };
    let address = format!("https://{}", said("https://").split('/').next().unwrap());
    let (user, password) = (said("user "), said("password "));
    let stories = server::runtime().block_on(async {
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        let json = serde_json::json!({ "name": user, "password": password }).to_string();
        let session =
            client.post(format!("{address}/api/v1/session")).header("content-type", "application/json");
        let session = session.body(json).send().await.unwrap();
        let cookie = session.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let stories = client.get(format!("{address}/api/v1/stories")).header("cookie", cookie);
        stories.send().await.unwrap().text().await.unwrap()
    });
    let stories: serde_json::Value = serde_json::from_str(&stories).unwrap();
    let prod = stories["items"].as_array().unwrap().iter().filter(|story| story["cluster"] == "prod");
    assert!(prod.count() >= 1 && stories["items"].as_array().unwrap().len() >= 4, "{stories}");
    assert!(Command::new("kill").arg(demo.id().to_string()).status().unwrap().success());
    assert!(demo.wait().unwrap().success());
    let left: Vec<_> = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "the demo leaves {left:?}");
}
