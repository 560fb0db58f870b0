//! `klio demo`

use std::io::IsTerminal;

use klio_model::{Filter, Severity, TimeRange};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::pack::Rules;
use crate::scan;

/// Logs that come with the program: one intrusion in seven phases inside ordinary traffic, recorded from a real
/// Kubernetes 1.36 control plane, and single attacks under three audit policies.
const BUNDLED: [(&str, &[u8]); 4] = [
    ("killchain.jsonl.zst", include_bytes!("../../../../fixtures/recorded/killchain/recommended.jsonl.zst")),
    (
        "anonymous-access.jsonl.zst",
        include_bytes!("../../../../fixtures/recorded/attacks/01-anonymous-access/recommended.jsonl.zst"),
    ),
    (
        "bruteforce-401.jsonl.zst",
        include_bytes!("../../../../fixtures/recorded/attacks/02-bruteforce-401/metadata.jsonl.zst"),
    ),
    (
        "node-proxy.jsonl.zst",
        include_bytes!("../../../../fixtures/recorded/attacks/22-node-proxy/metadata.jsonl.zst"),
    ),
];

/// Scan the recorded attacks that come with Klio.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio demo
  klio demo --timeline
  klio demo -o html > demo.html
  klio demo --keep ./demo-logs && klio hunt 'verb:delete' ./demo-logs")]
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
}

impl Demo {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let temporary = tempfile::tempdir()?;
        let dir = match &self.keep {
            Some(dir) => {
                std::fs::create_dir_all(dir)?;
                dir.as_path()
            }
            None => temporary.path(),
        };
        let mut paths = Vec::new();
        for (name, bytes) in BUNDLED {
            let path = dir.join(name);
            std::fs::write(&path, bytes)?;
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
