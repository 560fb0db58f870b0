//! A PostgreSQL server in a directory of its own, which listens on a socket in it and ends with the tests,
//! however they end: a shell waits for the pipe from this process to close.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A running server.
pub struct Server {
    dir: PathBuf,
    /// Its standard input is open as long as this process lives.
    _shell: Child,
}

static RUNNING: OnceLock<Option<Server>> = OnceLock::new();

impl Server {
    /// The server of this process; `None`, with a line that says so, if PostgreSQL is not installed.
    pub fn get() -> Option<&'static Self> {
        let start = || {
            let programs = installed();
            if programs.is_none() {
                println!("PostgreSQL is not installed: the tests are skipped on it");
            }
            programs.map(Self::start)
        };
        RUNNING.get_or_init(start).as_ref()
    }

    /// The URL of a database in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://klio:s3cret@localhost/{database}?host={}", self.dir.display())
    }

    fn start(programs: PathBuf) -> Self {
        let dir = tempfile::Builder::new().prefix("klio-desk-").tempdir().unwrap().keep();
        let word = dir.join("word");
        std::fs::write(&word, "s3cret\n").unwrap();
        // PostgreSQL does not run as root; Debian's package brings a user for it.
        let mut shell = if rustix::process::geteuid().is_root() {
            let id = Command::new("id").args(["-u", "postgres"]).output().unwrap();
            let id: u32 = String::from_utf8(id.stdout).unwrap().trim().parse().unwrap();
            chown(&dir, Some(id), None).unwrap();
            chown(&word, Some(id), None).unwrap();
            let mut other = Command::new("runuser");
            other.args(["-u", "postgres", "--", "sh"]);
            other
        } else {
            Command::new("sh")
        };
        shell.args(["-c", SCRIPT, "sh"]).arg(&programs).arg(&dir).current_dir(&dir);
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        assert_eq!(line, "ready\n", "{}", log());
        Self { dir, _shell: shell }
    }
}

/// Starts a server and stops it when the standard input ends.
const SCRIPT: &str = r#"
    trap "" INT
    { "$1/initdb" -D "$2/data" -U klio -A scram-sha-256 --pwfile "$2/word" -E UTF8 --no-sync &&
      "$1/pg_ctl" start -w -D "$2/data" -l "$2/log" -o "-c listen_addresses= -c fsync=off -c unix_socket_directories=$2"
    } >> "$2/log" 2>&1 && echo ready
    read -r _
    "$1/pg_ctl" stop -m immediate -D "$2/data" > /dev/null 2>&1
    cd / && rm -rf "$2"
"#;

/// Where initdb lies: Debian keeps it out of the path.
fn installed() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = debian.chain(std::env::split_paths(&path)).collect();
    all.into_iter()
        .find(|dir| ["initdb", "pg_ctl", "postgres"].iter().all(|p| Path::new(dir).join(p).is_file()))
}
