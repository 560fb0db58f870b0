//! Stands for a file by its begin, so that it is recognised when it was renamed, packed or copied.

use xxhash_rust::xxh3::xxh3_64;

/// No event is shorter than this; and bytes of a document in which there is its first event.
const LINE: usize = 64;
const DOCUMENT: usize = 4096;

/// Stands for the begin of a file: its first line, which holds an event, or of a document what is around its first event.
///
/// NULs before it are passed over: they lie there when a file was truncated under a writer that does not append.
pub fn head(bytes: &[u8]) -> u64 {
    let from = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let bytes = bytes.get(from..).unwrap_or_default();
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    // All documents begin with the same bracket.
    xxh3_64(if line.len() < LINE { bytes.get(..DOCUMENT).unwrap_or(bytes) } else { line })
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn a_file_that_grows_keeps_its_head() {
        let line = format!("{{\"kind\":\"Event\",\"a\":\"{}\"}}", "x".repeat(64));
        let grown = format!("{line}\n{{}}\n");
        assert_eq!(head(line.as_bytes()), head(grown.as_bytes()));
        assert_eq!(head(format!("\0\0\0{grown}").as_bytes()), head(grown.as_bytes()));
        assert_ne!(head(b"{\n 1"), head(b"{\n 2"));
    }
}
