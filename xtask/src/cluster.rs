//! `e2e`: a real API server, built from the published Go modules of Kubernetes, against the Klio of this checkout.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::run;

/// Where the Go module lies.
const MODULE: &str = "e2e/cluster";
/// The programs that are built of it.
const PROGRAMS: [&str; 4] = ["cluster", "etcd", "kube-apiserver", "traffic"];

/// Builds the cluster unless it is there, and runs the tests that need it.
pub fn e2e(arguments: &[String]) -> Result<(), String> {
    let Some(bin) = build()? else {
        println!("skipped: there is no Go here, and without it no API server");
        return Ok(());
    };
    run::run(tests(&bin, arguments))
}

/// The tests that need the cluster, in the profile in which all tests run.
pub fn tests(bin: &Path, arguments: &[String]) -> Command {
    let mut command = run::cargo(&["test", "--quiet", "--workspace", "--locked", "--test", "e2e", "--"]);
    command
        .args(["--ignored", "--nocapture", "--test-threads", "1"])
        .args(arguments)
        .env("KLIO_E2E_BIN", bin);
    command
}

/// The directory of the programs; nothing where there is no Go.
pub fn build() -> Result<Option<PathBuf>, String> {
    let has_go = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has_go.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let bin = run::target().join("e2e");
    std::fs::create_dir_all(&bin).map_err(|e| format!("{}: {e}", bin.display()))?;
    let newest = sources()?;
    let is_old = |name: &str| {
        let built = std::fs::metadata(bin.join(name)).and_then(|meta| meta.modified());
        built.map_or(true, |built| built < newest)
    };
    if !PROGRAMS.iter().any(|name| is_old(name)) {
        return Ok(Some(bin));
    }
    println!(
        "building kube-apiserver and etcd from their modules; the first time this takes some ten minutes"
    );
    let version = kubernetes()?;
    let mut go = Command::new("go");
    go.current_dir(MODULE)
        .arg("build")
        .arg("-trimpath")
        .arg("-ldflags")
        .arg(stamp(&version))
        .arg("-o")
        .arg(&bin);
    go.args(PROGRAMS.map(|name| format!("./cmd/{name}")));
    go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
    run::run(go)?;
    Ok(Some(bin))
}

/// When a source changed last.
fn sources() -> Result<SystemTime, String> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut open = vec![PathBuf::from(MODULE)];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))? {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(time) = std::fs::metadata(&path).and_then(|meta| meta.modified()) {
                newest = newest.max(time);
            }
        }
    }
    Ok(newest)
}

/// The version of `k8s.io/kubernetes` that go.mod requires.
fn kubernetes() -> Result<String, String> {
    let text = std::fs::read_to_string(Path::new(MODULE).join("go.mod")).map_err(|e| e.to_string())?;
    let line = text
        .lines()
        .find_map(|line| line.trim().trim_start_matches("require ").strip_prefix("k8s.io/kubernetes "));
    line.and_then(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .ok_or_else(|| format!("{MODULE}/go.mod does not require k8s.io/kubernetes"))
}

/// The API server says which version it is, and refuses to run without one
/// (kubernetes `staging/src/k8s.io/component-base/version`).
fn stamp(version: &str) -> String {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    )
}
