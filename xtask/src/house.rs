//! The house's habits that a machine can see: how long files are and what modules are called.

use std::path::Path;

use crate::run;

/// No file is longer, tests apart.
const LONGEST: usize = 600;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["utils", "util", "common", "core", "helpers", "manager", "misc", "types", "traits"];

/// Fails with every file that breaks a habit.
pub fn check() -> Result<(), String> {
    let mut wrong = Vec::new();
    for file in run::files("rs")? {
        let path = Path::new(&file);
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        let lines = text.lines().count();
        let test = name.ends_with("tests") || path.components().any(|part| part.as_os_str() == "tests");
        if lines > LONGEST && !test {
            wrong.push(format!("{file}: {lines} lines, {LONGEST} at most"));
        }
        if EMPTY_NAMES.contains(&name.as_str()) {
            wrong.push(format!("{file}: say what it holds"));
        }
        if name == "mod" {
            wrong.push(format!("{file}: name it after its folder, beside the folder"));
        }
        if !text.trim_start().starts_with("//!") && !test {
            wrong.push(format!("{file}: begin with its purpose (`//!`)"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
