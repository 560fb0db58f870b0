#![allow(clippy::print_stdout, missing_docs, clippy::unwrap_used)]
use std::time::Instant;
fn joined(b: &[u8]) -> bool { 
    let next = b.get(1..).unwrap_or_default();
    let mut acc = 0u8;
    for (&c, &n) in b.iter().zip(next) { acc |= u8::from(c == b'}') & u8::from(n == b'{'); }
    acc != 0 }
fn canon1(b: &[u8]) -> u8 {
    let next = b.get(1..).unwrap_or_default();
    let (mut raw, mut escape) = (0u8, 0u8);
    for (&c, &n) in b.iter().zip(next) {
        raw |= u8::from(c == b'&') | u8::from(c == b'<') | u8::from(c == b'>') | u8::from(c == 0xe2);
        raw |= u8::from(c == b'\\') & u8::from(n == b'/');
        escape |= u8::from(c == b'\\') & u8::from(n == b'u');
    }
    raw | escape }
fn canon2(b: &[u8]) -> u8 {
    const W: usize = 64;
    if b.is_empty() {return 0;} let n = b.len().saturating_sub(1) / W * W;
    let (mut raw, mut esc) = ([0u8; W], [0u8; W]);
    for (c, d) in b[..n].chunks_exact(W).zip(b[1..].chunks_exact(W)) {
        for i in 0..W {
            let (c, n) = (c[i], d[i]);
            raw[i] |= u8::from(c == b'&') | u8::from(c == b'<') | u8::from(c == b'>') | u8::from(c == 0xe2) | (u8::from(c == b'\\') & u8::from(n == b'/'));
            esc[i] |= u8::from(c == b'\\') & u8::from(n == b'u');
        }
    }
    let mut r = 0; let mut e = 0;
    for i in 0..W { r |= raw[i]; e |= esc[i]; }
    r | (e << 1) }
fn canon3(b: &[u8]) -> u8 { u8::from(memchr::memchr3(b'&', b'<', b'>', b).is_some()) | u8::from(memchr::memchr(0xe2, b).is_some()) }
fn main() {
    let p = std::env::args().nth(1).unwrap();
    let b = std::fs::read(&p).unwrap();
    let all: Vec<&[u8]> = b.split(|c| *c == b'\n').collect();
    let mut lines = vec![]; for w in all.chunks(200).step_by(10) { for _ in 0..10 { lines.extend_from_slice(w); } }
    let total: usize = lines.iter().map(|l| l.len()).sum();
    let best = |name: &str, f: &mut dyn FnMut() -> u64| {
        let mut m = f64::MAX; let mut x = 0;
        for _ in 0..7 { let t = Instant::now(); x ^= f(); m = m.min(t.elapsed().as_secs_f64()); }
        println!("{name}: {:.2} GB/s {x}", total as f64 / 1e9 / m);
    };
    best("joined", &mut || b.chunks(1<<18).map(|c| u64::from(joined(c))).sum());
    best("hash  ", &mut || lines.iter().map(|l| klio_source::content_hash(l)).fold(0, |a, b| a ^ b));
    best("len  ", &mut || lines.iter().map(|l| l.len() as u64).fold(0, |a, b| a ^ b));
    best("utf8 ", &mut || lines.iter().map(|l| u64::from(simdutf8::basic::from_utf8(l).is_ok())).sum());
    best("joinl ", &mut || lines.iter().map(|l| u64::from(joined(l))).sum());
    best("memml ", &mut || {let f = memchr::memmem::Finder::new(b"}{\""); lines.iter().map(|l| u64::from(f.find(l).is_some())).sum()});
    best("xxh3  ", &mut || lines.iter().map(|l| xxhash_rust::xxh3::xxh3_64(l)).fold(0, |a, b| a ^ b));
    best("canon1", &mut || lines.iter().map(|l| canon1(l) as u64).sum());
    best("canon2", &mut || lines.iter().map(|l| canon2(l) as u64).sum());
    best("canon3", &mut || lines.iter().map(|l| canon3(l) as u64).sum());
}
