//! A PostgreSQL server in a directory of its own, which listens on a socket in it and ends with the last test that uses it.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

/// A running server.
pub struct Server {
    programs: PathBuf,
    dir: TempDir,
    as_other: bool,
}

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server of this process; `None`, with a line that says so, if PostgreSQL is not installed.
    pub fn get() -> Option<Arc<Self>> {
        let mut running = RUNNING.lock().unwrap();
        if let Some(server) = running.upgrade() {
            return Some(server);
        }
        let Some(programs) = installed() else {
            println!("PostgreSQL is not installed: the test is skipped on it");
            return None;
        };
        let server = Arc::new(Self::start(programs));
        *running = Arc::downgrade(&server);
        Some(server)
    }

    /// The URL of a database in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://klio:s3cret@localhost/{database}?host={}", self.dir.path().display())
    }

    fn start(programs: PathBuf) -> Self {
        let dir = tempfile::Builder::new().prefix("klio-desk-").tempdir().unwrap();
        // PostgreSQL does not run as root; Debian's package brings a user for it.
        let as_other = rustix::process::geteuid().is_root();
        if as_other {
            let owner = Command::new("id").args(["-u", "postgres"]).output().unwrap();
            let owner: u32 = String::from_utf8(owner.stdout).unwrap().trim().parse().unwrap();
            chown(dir.path(), Some(owner), None).unwrap();
        }
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let server = Self { programs, dir, as_other };
        let word = server.dir.path().join("word");
        std::fs::write(&word, "s3cret\n").unwrap();
        std::fs::set_permissions(&word, std::fs::Permissions::from_mode(0o644)).unwrap();
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "klio",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "-E",
                "UTF8",
                "--pwfile",
                word.to_str().unwrap(),
            ],
        );
        let options = format!(
            "-c listen_addresses= -c fsync=off -c unix_socket_directories={}",
            server.dir.path().display()
        );
        let log = server.dir.path().join("log");
        server.run("pg_ctl", &["start", "-w", "-D", &data, "-l", log.to_str().unwrap(), "-o", &options]);
        server
    }

    fn data(&self) -> String {
        self.dir.path().join("data").to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, words: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if self.as_other {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // The server would hold on to pipes of ours.
        let status = command
            .args(words)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{} {words:?}", program.display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "-m", "immediate", "-D", &self.data()]);
    }
}

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
