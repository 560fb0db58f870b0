//! The browser's libraries: fetched by npm into `ui/node_modules`, as `ui/package-lock.json` pins them, and embedded by klio-web.

use std::path::Path;
use std::process::Command;

use crate::run;

/// Fetches them unless they are there.
pub fn fetch() -> Result<(), String> {
    let ui = run::root().join("ui");
    // npm writes down there what it installed.
    if is_newer(&ui.join("node_modules/.package-lock.json"), &ui.join("package-lock.json")) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent"]).current_dir(&ui);
    run::run(npm).map_err(|said| {
        format!("{said}\n       the window's libraries are fetched by npm: install Node.js 20 or newer with npm (Debian: apt install npm)")
    })
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    time(file).zip(time(than)).is_some_and(|(file, than)| file >= than)
}
