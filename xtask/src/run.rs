//! Running other programs, and where things lie.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The checkout. Cargo tells it to whatever it runs; two checkouts that share a target directory share this program.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The cargo that started us. What it tells us of our own package is not passed on: build scripts look at it, and most of what
/// was built without us would be built again.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.args(arguments);
    command
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A program that cargo built in `profile` (`debug` or `release`).
pub fn built(profile: &str, name: &str) -> PathBuf {
    target().join(profile).join(name)
}

/// Runs to the end, passing output on.
pub fn run(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

/// Runs to the end and returns what it printed.
pub fn output(mut command: Command) -> Result<String, String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?} ended with {}", output.status))
    }
}

/// Runs to the end, passing output on line by line and showing each line to `see`; says whether it succeeded.
pub fn watched(mut command: Command, mut see: impl FnMut(&str)) -> Result<bool, String> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            see(&line);
        }
    }
    child.wait().map(|status| status.success()).map_err(|error| error.to_string())
}

/// The files git knows or would add, by extension.
pub fn files(extension: &str) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "--", &format!("*.{extension}")]);
    let listed = output(git)?;
    Ok(listed.lines().filter(|path| Path::new(path).is_file()).map(str::to_owned).collect())
}
