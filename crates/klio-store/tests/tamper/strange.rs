//! What lies in the place of a file and is none, or is far too long.

use super::*;

#[test]
fn what_is_no_file_or_too_long_is_named_at_once() {
    let lake = honest().lake();
    let all = files(&lake);
    let of = |part: &str, end: &str| {
        let found = all.iter().filter(|p| {
            let name = p.strip_prefix(&lake).unwrap().to_str().unwrap();
            name.starts_with(part) && name.ends_with(end)
        });
        // The newest: what a newer tile stands in for is not missed.
        let number = |p: &&PathBuf| p.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap_or(0);
        found.max_by_key(number).unwrap().strip_prefix(&lake).unwrap().to_owned()
    };
    for name in [
        of("events/class", ".parquet"),
        of("events/_delta_log", "0001.json"),
        of("seal/checkpoint", "checkpoint"),
        of("seal/checkpoints", ""),
        of("seal/tile/entries", ""),
        of("seal/tile/0", ""),
        of("spool", ".spool"),
        of("spool/cut", ""),
        of("lake.json", ""),
        of("seal.pub", ""),
    ] {
        let named_after = |what: &str, tamper: &dyn Fn(&Path)| {
            let began = std::time::Instant::now();
            let found = after(|dir| {
                let path = dir.join(&name);
                fs::remove_file(&path).unwrap();
                tamper(&path);
            });
            assert!(!found.is_empty(), "{what} in place of {} was not named", name.display());
            let took = began.elapsed();
            assert!(took < Duration::from_mins(1), "{what} in place of {} took {took:?}", name.display());
        };
        named_after("a directory", &|path| fs::create_dir(path).unwrap());
        named_after("a pipe", &|path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        });
        named_after("an endless device", &|path| {
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        });
        named_after("a link to nothing", &|path| {
            std::os::unix::fs::symlink("nothing", path).unwrap();
        });
        named_after("3 GB", &|path| fs::File::create(path).unwrap().set_len(3 << 30).unwrap());
    }
}
