//! Go's `golang.org/x/mod/sumdb/{note,tlog}` verify a log that Klio wrote. Skipped, with a word, unless
//! `KLIO_INTEROP` is set and `go` is there: it may have to download a module.

use std::{path::Path, process::Command};

use klio_seal::{Log, Scheme, Signer};

#[test]
fn go_verifies_our_log() {
    let wanted = std::env::var_os("KLIO_INTEROP").is_some();
    if !wanted || Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: set KLIO_INTEROP=1 and have `go` in the path");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let signer = Signer::generate("example.org/lake", Scheme::Note).unwrap();
    let key = signer.verifier().to_string();
    let mut log = Log::create(directory.path(), signer).unwrap();
    let mut next = 0u32;
    for batch in [1, 1, 253, 1, 1, 255, 300, 65_000, 1, 90] {
        let entries: Vec<String> = (next..next + batch).map(|n| format!("entry {n}")).collect();
        log.append(&entries).unwrap();
        next += batch;
    }
    let run = Command::new("go")
        .args(["run", "."])
        .arg(directory.path())
        .arg(key)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said.trim(), format!("{next} entries 11 checkpoints"));
}
