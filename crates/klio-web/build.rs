//! Packs what browsers load (`ui/`): our own files as they are, the libraries as npm left them. `cargo xtask ui` fetches those.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use sha2::{Digest as _, Sha256};

/// Name in the address, file below `ui/`, media type.
const FILES: [(&str, &str, &str); 4] = [
    ("klio.css", "klio.css", "text/css; charset=utf-8"),
    ("klio.js", "klio.js", "text/javascript; charset=utf-8"),
    ("klio.svg", "klio.svg", "image/svg+xml"),
    ("htmx.js", "node_modules/htmx.org/dist/htmx.min.js", "text/javascript; charset=utf-8"),
];

fn main() -> Result<(), String> {
    let variable =
        |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("{name} is not set"));
    let ui = variable("CARGO_MANIFEST_DIR")?.join("../../ui");
    let out = variable("OUT_DIR")?;
    println!("cargo::rerun-if-changed=build.rs");
    let mut all = Sha256::new();
    let mut table = String::from("const ASSETS: &[Asset] = &[\n");
    for (name, file, kind) in FILES {
        let path = ui.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let bytes = fs::read(&path).map_err(|e| {
            let help = "`cargo xtask ui` fetches the browser's libraries; it takes npm";
            format!("{}: {e}. {help}", path.display())
        })?;
        all.update(&bytes);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let packed = gzip.write_all(&bytes).and_then(|()| gzip.finish());
        let packed = packed.map_err(|e| format!("{}: {e}", path.display()))?;
        for (suffix, bytes) in [("", &bytes), (".gz", &packed)] {
            let to = out.join(format!("{name}{suffix}"));
            fs::write(&to, bytes).map_err(|e| format!("{}: {e}", to.display()))?;
        }
        let embed = |suffix| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}{suffix}\"))");
        let (plain, packed) = (embed(""), embed(".gz"));
        let _ = writeln!(
            table,
            "    Asset {{ name: {name:?}, kind: {kind:?}, plain: {plain}, packed: {packed} }},"
        );
    }
    let hash = all.finalize();
    let tag = hash.iter().take(6).fold(String::new(), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    });
    let _ =
        writeln!(table, "];\n/// Changes with what the files hold.\npub(crate) const TAG: &str = {tag:?};");
    let to = out.join("assets.rs");
    fs::write(&to, table).map_err(|e| format!("{}: {e}", to.display()))
}
