//! Where the program under test, the recorded data and other people's rules lie.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// The `klio` to measure: `KLIO_BIN`, or the one beside this program.
pub fn program() -> Result<String, Error> {
    if let Ok(path) = std::env::var("KLIO_BIN") {
        return Ok(path);
    }
    let beside = std::env::current_exe()?.with_file_name("klio");
    if beside.is_file() {
        return Ok(beside.display().to_string());
    }
    Err(Error::Open {
        path: beside,
        source: std::io::Error::other("build it first (`cargo build -p klio`), or set KLIO_BIN"),
    })
}

/// The recorded data: `fixtures/recorded` of the checkout.
pub fn recorded() -> PathBuf {
    let here = Path::new("fixtures/recorded");
    if here.is_dir() {
        return here.to_path_buf();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded")
}

/// The folder of SigmaHQ's Kubernetes audit rules, when `KLIO_TEST_SIGMA_RULES` names one.
pub fn sigma_rules() -> Option<String> {
    std::env::var("KLIO_TEST_SIGMA_RULES").ok().filter(|path| Path::new(path).exists())
}

/// Falco's `k8s_audit_rules.yaml`; `KLIO_TEST_FALCO_RULES` names it or its folder.
pub fn falco_rules() -> Option<String> {
    let path = PathBuf::from(std::env::var_os("KLIO_TEST_FALCO_RULES")?);
    let file = if path.is_dir() { path.join("k8s_audit_rules.yaml") } else { path };
    file.is_file().then(|| file.display().to_string())
}

/// The command line of a scan with Klio's pack and every third-party rule at hand.
pub fn scan(path: &str, threads: usize, output: &str) -> Result<Vec<String>, Error> {
    let mut command: Vec<String> = [program()?.as_str(), "scan", path, "-o", output].map(String::from).into();
    command.extend(["--threads".to_owned(), threads.to_string()]);
    if let Some(folder) = sigma_rules() {
        command.extend(["--rules".to_owned(), folder]);
    }
    if let Some(file) = falco_rules() {
        command.extend(["--falco-rules".to_owned(), file]);
    }
    Ok(command)
}
