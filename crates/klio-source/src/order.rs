//! In which order the files of one rotated log are read: oldest first, the live file last.
//! Names of lumberjack (`audit-2026-08-20T10-00-00.000.log`), logrotate (`audit.log.2.gz`, `audit.log-20260820`) and
//! the kubelet (`0.log.20260820-100004`) are understood; anything else sorts by name.

use std::path::{Path, PathBuf};

/// Sort key inside a directory: files of one set share `set`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Directory and name without the rotation mark.
    pub set: PathBuf,
    /// Age inside the set.
    pub age: Age,
}

/// Position inside a rotated set, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// `audit.log.7`: the higher the older.
    Counted(std::cmp::Reverse<u64>),
    /// Rotated at this time (digits only).
    At(String),
    /// Still being written.
    Live,
}

/// The place of `path` among its siblings.
pub(crate) fn rank(path: &Path) -> Rank {
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let packed = [".gz", ".zst", ".gzip", ".zstd"].iter().find_map(|x| name.strip_suffix(x)).unwrap_or(&name);
    let (set, age) = split(packed);
    Rank { set: dir.join(set), age }
}

fn split(name: &str) -> (String, Age) {
    // audit.log.3
    if let Some((base, tail)) = name.rsplit_once('.')
        && base.contains('.')
        && tail.len() <= 4
        && let Ok(n) = tail.parse()
    {
        return (base.to_string(), Age::Counted(std::cmp::Reverse(n)));
    }
    // A date or time anywhere behind `-` or `.`: cut it out, keep what stands around it.
    for (i, _) in name.match_indices(['-', '.']) {
        let tail = name.get(i + 1..).unwrap_or_default();
        if let Some(len) = stamp(tail) {
            let digits = tail.bytes().take(len).filter(u8::is_ascii_digit).map(char::from).collect();
            let rest = tail.get(len..).unwrap_or_default();
            return (format!("{}{rest}", name.get(..i).unwrap_or_default()), Age::At(digits));
        }
    }
    (name.to_string(), Age::Live)
}

/// Length of a time stamp at the start of `s`: 8 digits of date (dashes allowed), then whatever time follows.
fn stamp(s: &str) -> Option<usize> {
    let len = s
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | 'T' | '_' | '.' | ':' | 'Z')))
        .unwrap_or(s.len());
    let len = s.get(..len)?.trim_end_matches(['.', '-', '_', ':']).len();
    let head = s.get(..len)?;
    let digits = head.bytes().filter(u8::is_ascii_digit).count();
    (digits >= 8 && head.starts_with(['1', '2'])).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut v: Vec<_> = names.iter().map(|n| (rank(Path::new(n)), (*n).to_string())).collect();
        v.sort();
        v.into_iter().map(|(_, n)| n).collect()
    }

    #[test]
    fn rotated_sets_come_oldest_first_and_live_last() {
        for want in [
            &[
                "a/audit-2026-08-19T10-00-00.000.log.gz",
                "a/audit-2026-08-20T09-00-00.000.log.zst",
                "a/audit.log",
            ][..],
            &["audit.log.10.gz", "audit.log.2.gz", "audit.log.1", "audit.log"],
            &["audit.log-20260819.gz", "audit.log-20260820", "audit.log"],
            &["0.log.20260820-100004.gz", "0.log.20260821-100004", "0.log"],
        ] {
            let mut given = want.to_vec();
            given.reverse();
            assert_eq!(sorted(&given), want);
        }
    }

    #[test]
    fn files_of_other_sets_are_not_mixed_in() {
        assert_eq!(
            sorted(&["b.log", "a-2026-08-20T09-00-00.000.log", "a.log", "b-2026-08-19T09-00-00.000.log"]),
            ["a-2026-08-20T09-00-00.000.log", "a.log", "b-2026-08-19T09-00-00.000.log", "b.log"]
        );
    }
}
