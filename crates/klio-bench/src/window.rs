//! How long people wait for the window, on a lake of a corpus: a real browser beside the server, on the same cores.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::error::Error;
use crate::klio::program;
use crate::load::Server;
use crate::measure::median;

const PASSWORD: &str = "correct-horse-battery-7";

/// What was measured, milliseconds and bytes.
#[derive(Debug, Deserialize)]
pub struct Window {
    /// To the first paint of each page, each round.
    pages: BTreeMap<String, Vec<f64>>,
    /// From a press on a value to the page that it asks for.
    facet: Vec<f64>,
    /// What a browser loads beside the page, packed.
    pub assets: u64,
    /// Events in the lake.
    #[serde(skip)]
    pub events: u64,
}

impl Window {
    /// The median first paint of a page.
    pub fn page(&self, at: &str) -> f64 {
        self.pages.get(at).filter(|times| !times.is_empty()).map_or(f64::NAN, |times| median(times.clone()))
    }

    /// The median wait after a press on a value.
    pub fn facet(&self) -> f64 {
        if self.facet.is_empty() { f64::NAN } else { median(self.facet.clone()) }
    }

    /// For people and for `docs/benchmarks.md`.
    pub fn table(&self) -> String {
        let mut text = format!(
            "### The window, {} events\n\n| what | milliseconds, median |\n|---|---:|\n",
            self.events
        );
        for at in self.pages.keys() {
            text += &format!("| first paint of `{at}` | {:.0} |\n", self.page(at));
        }
        text += &format!("| a press on a value of Explore, all time | {:.0} |\n", self.facet());
        text + &format!("\nA browser loads {:.1} kB beside the page, packed.\n", self.assets as f64 / 1e3)
    }
}

fn other(said: impl std::fmt::Display) -> Error {
    Error::Io(std::io::Error::other(said.to_string()))
}

/// Keeps the corpus, serves it, and lets a browser look so many times at each page. `None` without a browser or what drives it.
pub fn measure(corpus: &Path, rounds: usize) -> Result<Option<Window>, Error> {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui");
    let browser = std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    if !Path::new(&browser).exists() || !ui.join("node_modules/playwright-core").exists() {
        return Ok(None);
    }
    let dir = tempfile::tempdir_in(corpus.parent().unwrap_or(Path::new(".")))?;
    let data = dir.path().join("lake");
    let klio = |words: &[&str]| -> Result<(), Error> {
        let mut command = Command::new(program()?);
        let status =
            command.args(words).arg("--data").arg(&data).stdout(std::process::Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(other(format!("{command:?} failed"))) }
    };
    klio(&["ingest", &corpus.display().to_string()])?;
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD)?;
    klio(&["user", "add", "ana", "--role", "admin", "--password-file", &password.display().to_string()])?;
    let count = Command::new(program()?)
        .args(["sql", "SELECT count(*) AS n FROM events", "-o", "jsonl", "--data"])
        .arg(&data)
        .output()?;
    let count: serde_json::Value = serde_json::from_slice(&count.stdout).unwrap_or_default();
    let server = Server::start(&data)?;
    let mut paint = Command::new("node");
    paint
        .arg(ui.join("tests/paint.mjs"))
        .args([&server.https, PASSWORD, &rounds.to_string()])
        .env("CHROMIUM", browser);
    let said = paint.output()?;
    if !said.status.success() {
        return Err(other(String::from_utf8_lossy(&said.stderr)));
    }
    let mut window: Window = serde_json::from_slice(&said.stdout).map_err(other)?;
    window.events = count["n"].as_u64().unwrap_or(0);
    Ok(Some(window))
}
