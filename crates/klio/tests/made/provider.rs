//! The npm package oidc-provider, run as a program of its own (`provider.mjs`).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are not tests to the lint

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::keys::Authority;

/// Exactly this one.
const PACKAGE: &str = "oidc-provider@9.13.3";

/// The directory in which the package lies, installed once; `None` where that cannot be.
pub fn installed() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    if !dir.join("node_modules/oidc-provider").is_dir() {
        let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        let output = command.arg(new.path()).arg(PACKAGE).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: there is no OpenID Connect provider: npm install {PACKAGE}: {output:?}");
            return None;
        }
        // Another test may have been faster.
        let _ = std::fs::rename(new.keep(), &dir);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/made/provider.mjs");
    std::fs::copy(script, dir.join("provider.mjs")).unwrap();
    Some(dir)
}

pub struct Provider {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Provider {
    /// Starts it on a port; it sends browsers back there.
    pub fn start(dir: &Path, authority: &Authority, port: u16, callback: &str) -> Self {
        let (certificate, key) = authority.server();
        let own = authority.pem.parent().unwrap();
        let write = |name: &str, text: String| {
            let path = own.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = (write("provider.crt", certificate), write("provider.key", key));
        let settings = json!({ "port": port, "cert": certificate, "key": key, "callback": callback });
        let mut command = Command::new("node");
        command.current_dir(dir).arg("provider.mjs").arg(settings.to_string());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Its warnings come on both.
        assert!(lines.any(|line| line.unwrap().contains("\"ready\"")));
        Self { child, stdin, lines }
    }

    /// A token with these claims, signed as `asked` says otherwise.
    pub fn sign(&mut self, claims: &Value, asked: Value) -> String {
        let mut asked = asked;
        asked["claims"] = claims.clone();
        writeln!(self.stdin, "{asked}").unwrap();
        self.lines.find_map(|line| line.ok().filter(|line| line.starts_with("eyJ"))).unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
