//! Links between the documents: every relative link leads to a file, every `#part` to a heading.

use std::path::{Component, Path, PathBuf};

use crate::run;

/// Fails with every link that leads nowhere.
pub fn check() -> Result<(), String> {
    let mut broken = Vec::new();
    for file in run::files("md")? {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        for (number, line) in prose(&text) {
            for target in targets(line) {
                if let Some(why) = wrong(&file, &text, target) {
                    broken.push(format!("{file}:{number}: {target}: {why}"));
                }
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken links:\n{}", broken.join("\n"))) }
}

/// The lines outside of code fences, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// What stands in the round brackets of `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !target.is_empty())
}

/// Why a link leads nowhere; links to other sites are not followed.
fn wrong(from: &str, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, part) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() {
        PathBuf::from(from)
    } else {
        tidy(&Path::new(from).parent().unwrap_or(Path::new("")).join(path))
    };
    if !path.is_empty() && !file.exists() {
        return Some("no such file".to_owned());
    }
    if part.is_empty() || file.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let read = std::fs::read_to_string(&file).unwrap_or_default();
    let held = if path.is_empty() { text } else { &read };
    let found = prose(held).filter(|(_, line)| line.starts_with('#')).any(|(_, line)| anchor(line) == part);
    (!found).then(|| "no such heading".to_owned())
}

/// The name that a heading is linked by: lower case, hyphens for blanks, punctuation dropped.
pub fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// Without `.` and `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_linked_as_readers_expect() {
        assert_eq!(anchor("## Exit codes"), "exit-codes");
        assert_eq!(anchor("# What `klio scan` prints"), "what-klio-scan-prints");
    }

    #[test]
    fn a_link_to_nowhere_is_told() {
        assert!(wrong("README.md", "# Here", "#here").is_none());
        assert!(wrong("README.md", "# Here", "#there").is_some());
        assert!(wrong("docs/manual.md", "", "gone.md").is_some());
        assert_eq!(targets("see [a](b.md) and [c](d.md#e)").collect::<Vec<_>>(), ["b.md", "d.md#e"]);
    }
}
