//! Cuts the next whole lines out of a file.

use memchr::{memchr, memrchr};

use super::tape::Tape;
use crate::{Reason, parts};

/// Bytes looked through at once for the end of a line that is too long.
const BLOCK: usize = 1 << 20;

/// How much is cut at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of a piece, unless one line is larger.
    pub most: usize,
    /// Largest line.
    pub cap: usize,
}

/// What was cut.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Where the lines begin and end.
    pub from: u64,
    pub to: u64,
    pub bytes: Vec<u8>,
    /// What was passed over instead.
    pub passed: Option<Reason>,
}

/// The next whole lines from `at` on, if they are there. `sought` is kept between calls for the same `at`: up to where
/// no line feed was found.
pub(crate) fn cut(tape: &mut Tape, at: u64, sought: &mut u64, sizes: Sizes) -> Result<Option<Cut>, Reason> {
    let (mut from, mut want) = (at, sizes.most.max(1));
    let mut bytes = Vec::new();
    loop {
        tape.read(from, want, &mut bytes)?;
        // Holes that a writer left which does not append.
        let nuls = bytes.iter().take_while(|b| **b == 0).count();
        if nuls > 0 {
            from += nuls as u64;
            continue;
        }
        let is_all = bytes.len() < want;
        let is_last = is_all && tape.is_end(from + bytes.len() as u64);
        let mut end = if is_last { bytes.len() } else { whole(&bytes, want > sizes.most) };
        if end == 0 && want > sizes.cap {
            end = memrchr(b'\n', &bytes).map_or(0, |n| n + 1);
        }
        if end > 0 {
            bytes.truncate(end);
            bytes.shrink_to_fit();
            return Ok(Some(Cut { from, to: from + end as u64, bytes, passed: None }));
        }
        if is_all {
            return Ok(None);
        }
        if want > sizes.cap {
            return pass(tape, from, (from + bytes.len() as u64).max(*sought), sought, sizes.cap);
        }
        want = want.saturating_mul(4).min(sizes.cap + 1);
    }
}

/// Passes over a line that is too long, once its end is there.
fn pass(
    tape: &mut Tape,
    from: u64,
    mut at: u64,
    sought: &mut u64,
    cap: usize,
) -> Result<Option<Cut>, Reason> {
    let mut bytes = Vec::new();
    loop {
        tape.read(at, BLOCK, &mut bytes)?;
        let feed = memchr(b'\n', &bytes).map(|n| at + n as u64 + 1);
        at += bytes.len() as u64;
        let end = feed.or_else(|| (bytes.len() < BLOCK && tape.is_end(at)).then_some(at));
        if let Some(to) = end {
            let passed = Some(Reason::TooLong { cap: cap as u64 });
            return Ok(Some(Cut { from, to, bytes: Vec::new(), passed }));
        }
        if bytes.len() < BLOCK {
            *sought = at;
            return Ok(None);
        }
    }
}

/// Where the last whole line ends, or the first if one is enough. Parts of one line of a container's log stay together.
fn whole(bytes: &[u8], one: bool) -> usize {
    let first = memchr(b'\n', bytes).map_or(0, |n| n + 1);
    let part = |line: &[u8]| parts::cri(line).or_else(|| parts::docker(line)).map(|p| (p.stream, p.more));
    if part(bytes.get(..first.saturating_sub(1)).unwrap_or_default()).is_none() {
        return if one { first } else { memrchr(b'\n', bytes).map_or(0, |n| n + 1) };
    }
    let mut open = [false; parts::STREAMS];
    let (mut at, mut end) = (0, 0);
    while let Some(n) = memchr(b'\n', bytes.get(at..).unwrap_or_default()) {
        if let Some((stream, more)) = part(bytes.get(at..at + n).unwrap_or_default())
            && let Some(slot) = open.get_mut(usize::from(stream))
        {
            *slot = more;
        }
        at += n + 1;
        if !open.contains(&true) {
            end = at;
            if one {
                break;
            }
        }
    }
    end
}
