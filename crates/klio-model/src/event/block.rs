//! Finding the end of a string or container, 32 and 64 bytes at a time.
//!
//! This is the hottest code of a scan: it touches every byte of every event. The method is that of simdjson
//! (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 2019, sections 3.1.1 and
//! 3.1.2): one bit per byte for quotes, backslashes and brackets, and a prefix xor that marks what lies
//! inside strings. Without AVX2 the same masks come from a plain loop.

/// A bit for each of 32 bytes that equals `byte`, after `fold` was or-ed into it.
///
/// The only unsafe code of the crate: the compiler does not turn a loop over bytes into `vpmovmskb`.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[inline(always)]
#[allow(unsafe_code)]
fn mask32(bytes: &[u8; 32], fold: u8, byte: u8) -> u32 {
    use std::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    };
    // SAFETY: this function exists only where the whole program is compiled for AVX2, which is all that the
    // intrinsics ask; the load is unaligned and reads exactly the 32 bytes behind the reference.
    unsafe {
        let v = _mm256_loadu_si256(bytes.as_ptr().cast());
        let v = if fold == 0 { v } else { _mm256_or_si256(v, _mm256_set1_epi8(fold as i8)) };
        _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(byte as i8))) as u32
    }
}

/// The same without vector instructions.
#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
#[inline(always)]
fn mask32(bytes: &[u8; 32], fold: u8, byte: u8) -> u32 {
    bytes.iter().enumerate().fold(0, |m, (i, b)| m | (u32::from(b | fold == byte) << i))
}

fn mask64(bytes: &[u8; 64], fold: u8, byte: u8) -> u64 {
    let (low, high) = halves(bytes);
    u64::from(mask32(low, fold, byte)) | u64::from(mask32(high, fold, byte)) << 32
}

#[inline(always)]
fn halves(bytes: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    match bytes.as_chunks::<32>().0 {
        [low, high] => (low, high),
        _ => (&[0; 32], &[0; 32]),
    }
}

/// The index of the quote that closes the string beginning at `from`, and whether a backslash comes before
/// it; `None` if the text ends first.
#[inline]
pub(super) fn end_of_string(text: &[u8], from: usize) -> Option<(usize, bool)> {
    let mut at = from;
    let mut escaped = false;
    loop {
        let rest = text.get(at..)?;
        let Some(block) = rest.first_chunk::<32>() else {
            return tail_of_string(text, at, escaped);
        };
        let quotes = mask32(block, 0, b'"');
        let slashes = mask32(block, 0, b'\\');
        if slashes == 0 || (quotes != 0 && quotes.trailing_zeros() < slashes.trailing_zeros()) {
            if quotes != 0 {
                return Some((at + quotes.trailing_zeros() as usize, escaped));
            }
            at += 32;
        } else {
            // The byte after the backslash belongs to it.
            escaped = true;
            at += slashes.trailing_zeros() as usize + 2;
        }
    }
}

#[cold]
fn tail_of_string(text: &[u8], mut at: usize, mut escaped: bool) -> Option<(usize, bool)> {
    loop {
        match text.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// The index after the bracket that closes the object or list which opens at `from`; `None` if the text
/// ends first. Brackets of both kinds count alike.
pub(super) fn end_of_container(text: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_string = 0u64; // all ones while a string goes on from the block before
    let mut carry = 0u64; // 1 when the block before ended with an open backslash
    let mut at = from;
    let mut last = [b' '; 64];
    loop {
        let rest = text.get(at..).filter(|r| !r.is_empty())?;
        let block = rest.first_chunk::<64>().unwrap_or_else(|| {
            last[..rest.len()].copy_from_slice(rest);
            &last
        });
        let escaped = escaped_bits(mask64(block, 0, b'\\'), &mut carry);
        let quotes = mask64(block, 0, b'"') & !escaped;
        let strings = prefix_xor(quotes) ^ in_string;
        in_string = ((strings as i64) >> 63) as u64;
        // `[` is `{` without bit 0x20, and so are the closing ones.
        let opens = mask64(block, 0x20, b'{') & !strings;
        let mut closes = mask64(block, 0x20, b'}') & !strings;
        if (closes.count_ones() as usize) < depth {
            depth = depth + opens.count_ones() as usize - closes.count_ones() as usize;
        } else {
            let mut closed = 0;
            while closes != 0 {
                let bit = closes.trailing_zeros();
                let opened = (opens & ((1u64 << bit) - 1)).count_ones() as usize;
                closed += 1;
                if closed == depth + opened {
                    let end = at + bit as usize + 1;
                    return (end <= text.len()).then_some(end);
                }
                closes &= closes - 1;
            }
            depth = (depth + opens.count_ones() as usize).saturating_sub(closed);
        }
        at += 64;
    }
}

/// Marks the bytes that a backslash before them escapes. `carry` goes from block to block.
#[inline(always)]
fn escaped_bits(mut slashes: u64, carry: &mut u64) -> u64 {
    if slashes == 0 {
        return std::mem::take(carry);
    }
    // A slash that is itself escaped escapes nothing: walk the runs, which are rare and short.
    let mut escaped = std::mem::take(carry);
    slashes &= !escaped;
    while slashes != 0 {
        let bit = slashes.trailing_zeros();
        if bit == 63 {
            *carry = 1;
            break;
        }
        let next = 1u64 << (bit + 1);
        escaped |= next;
        slashes &= !(next | (1u64 << bit));
    }
    escaped
}

/// Bit i of the result is the parity of the bits up to i: ones from each opening quote to before its
/// closing one.
#[inline(always)]
fn prefix_xor(mut m: u64) -> u64 {
    m ^= m << 1;
    m ^= m << 2;
    m ^= m << 4;
    m ^= m << 8;
    m ^= m << 16;
    m ^ (m << 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow_container(text: &[u8], from: usize) -> Option<usize> {
        let (mut depth, mut string, mut at) = (0usize, false, from);
        while at < text.len() {
            match (string, text[at]) {
                (true, b'\\') => at += 1,
                (true, b'"') => string = false,
                (false, b'"') => string = true,
                (false, b'{' | b'[') => depth += 1,
                (false, b'}' | b']') => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    proptest! {
        // Outside of strings a backslash is not legal JSON: only strings hold one, and the last may be open.
        #[test]
        fn containers_end_where_a_slow_walk_ends(
            head in r"[\[{]{1,70}",
            inner in r#"([\[\]{},:a ]|"([a{}\[\]]|\\["\\a]){0,40}"){0,100}"#,
            tail in r#"("([a{}\[\]]|\\["\\a]){0,70}\\?)?"#,
        ) {
            let text = format!("{head}{inner}{tail}");
            prop_assert_eq!(end_of_container(text.as_bytes(), 0), slow_container(text.as_bytes(), 0));
            let closed = format!("{head}{inner}{}", "]".repeat(text.len()));
            prop_assert_eq!(end_of_container(closed.as_bytes(), 0), slow_container(closed.as_bytes(), 0));
        }

        #[test]
        fn strings_end_where_a_slow_walk_ends(inner in r#"([a"\\]|[a-z]{0,50}){0,40}"#) {
            let text = inner.as_bytes();
            prop_assert_eq!(end_of_string(text, 0), tail_of_string(text, 0, false));
        }
    }
}
