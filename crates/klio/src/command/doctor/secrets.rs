//! Secrets: those that the settings name can be read, and nobody else can read them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::chart::Chart;
use crate::config::Config;
use crate::data::refused;

/// Files of the data directory that hold secrets.
const OWN: [&str; 5] = ["redaction.key", "seal.key", "desk.db", "tls/ca.key", "tls/server.key"];

/// Looks at them.
pub fn look(dir: &Path, config: &Config, chart: &mut Chart) {
    for (key, reference) in config.references() {
        match (reference.read(), reference.file().and_then(|file| open_to_all(&file))) {
            (Err(failure), _) if key.contains(".apiservers ") => {
                chart.failed(key, &failure, "klio.yaml names it; without it completeness is unproven");
            }
            (Err(failure), _) => {
                chart.failed(key, &failure, "klio.yaml names it, and the server does not start without it");
            }
            (Ok(_), Some(mode)) => chart.warn(
                key,
                format!("{reference:?} can be read by everybody (mode {mode:o})"),
                "chmod o= it; for a mounted Secret set defaultMode: 0440",
            ),
            (Ok(_), None) => chart.ok(key, format!("{reference:?} can be read")),
        }
    }
    if let Some(encryption) = &config.lake.encryption {
        match encryption.provider().map_err(refused) {
            Ok(_) => chart.ok("lake.encryption", "the key can be read"),
            Err(failure) => chart.failed("lake.encryption", &failure, "without it nobody can read the lake"),
        }
    }
    let named = config.server.tls.key.clone().into_iter();
    let own = OWN.iter().map(|name| dir.join(name));
    let open: Vec<String> = own
        .chain(named)
        .filter(|path| open_to_all(path).is_some())
        .map(|path| path.display().to_string())
        .collect();
    if !open.is_empty() {
        chart.warn("keys", format!("can be read by everybody: {}", open.join(", ")), "chmod 600 them");
    }
}

/// The mode of a file that everybody may read.
fn open_to_all(path: &Path) -> Option<u32> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then_some(mode)
}
