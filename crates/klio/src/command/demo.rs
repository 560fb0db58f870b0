//! `klio demo`

mod lesson;
#[cfg(feature = "lake")]
mod window;

use std::io::IsTerminal;

use klio_model::{Filter, Severity, TimeRange};

use crate::failure::Failure;
use crate::lab::recording;
use crate::output::{self, Format};
use crate::pack::Rules;
use crate::scan;

/// What is scanned: one intrusion in seven phases inside ordinary traffic, recorded from a real Kubernetes 1.36 control plane, and
/// single attacks under two audit policies.
const BUNDLED: [(&str, &str); 4] = [
    ("killchain.jsonl.zst", "killchain/recommended.jsonl.zst"),
    ("anonymous-access.jsonl.zst", "attacks/01-anonymous-access/recommended.jsonl.zst"),
    ("bruteforce-401.jsonl.zst", "attacks/02-bruteforce-401/metadata.jsonl.zst"),
    ("node-proxy.jsonl.zst", "attacks/22-node-proxy/metadata.jsonl.zst"),
];

/// Scan the recorded attacks that come with Klio, or learn to find them yourself.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio demo
  klio demo --timeline
  klio demo -o html > demo.html
  klio demo --keep ./demo-logs && klio hunt 'verb:delete' ./demo-logs
  klio demo --serve                         the same in a browser, until Ctrl-C
  klio demo --lab                           the lessons of the training lab
  klio demo --lab 1                         the first: unpack its log, ask its questions
  klio demo --lab --answers > lab.md        all of them with their answers, to read")]
pub struct Demo {
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Show the requests of each story as a chronological table.
    #[arg(long)]
    timeline: bool,
    /// Write the logs to this directory and keep them.
    #[arg(long, value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
    /// Keep the logs in a lake of their own, and open the window on it: an address for a browser is printed. What was kept is
    /// removed at the end.
    #[cfg(feature = "lake")]
    #[arg(long)]
    serve: bool,
    /// End the server after so many minutes.
    #[cfg(feature = "lake")]
    #[arg(long, value_name = "MINUTES", requires = "serve")]
    minutes: Option<u64>,
    #[command(flatten)]
    lab: lesson::Lab,
}

impl Demo {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        if self.lab.is_wanted() {
            return self.lab.run();
        }
        #[cfg(feature = "lake")]
        if self.serve {
            let minutes =
                self.minutes.map(|minutes| std::time::Duration::from_secs(minutes.saturating_mul(60)));
            return window::serve(minutes);
        }
        let temporary = tempfile::tempdir()?;
        let dir = match &self.keep {
            Some(dir) => {
                std::fs::create_dir_all(dir)?;
                dir.as_path()
            }
            None => temporary.path(),
        };
        let mut paths = Vec::new();
        for (name, from) in BUNDLED {
            let path = dir.join(name);
            std::fs::write(&path, recording(from).unwrap_or_default())?;
            paths.push(path);
        }
        eprintln!(
            "Scanning logs recorded from a real Kubernetes 1.36 cluster: one intrusion and three single attacks."
        );
        let (set, _) = Rules::default().load()?.told();
        let options = scan::Options {
            paths,
            filter: Filter::All,
            range: TimeRange::default(),
            threads: 0,
            matching: klio_detect::engine::FalcoMatching::First,
            listing: self.output.lists_findings(),
            progress: std::io::stderr().is_terminal(),
        };
        let mut report = scan::run(&options, &set)?;
        let view = output::View { min_severity: Some(Severity::Low), timeline: self.timeline, rules: &set };
        output::print(self.output, &mut report, &view)
    }
}
