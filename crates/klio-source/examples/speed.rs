//! How fast do bytes become records? `cargo run --release -p klio-source --example speed -- FILE…`
#![allow(clippy::print_stdout, missing_docs)]

use klio_source::{Chunks, Item, Options, Pool, content_hash, decode, discover};
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let found = discover(&args);
    for round in 0..3 {
        let pool = Pool::default();
        let (mut bytes, mut records, mut rejected, mut skipped, mut hash) = (0u64, 0u64, 0u64, 0u64, 0u64);
        let start = Instant::now();
        let (mut decoding, mut hashing) = (0.0, 0.0);
        for input in &found.inputs {
            for chunk in Chunks::new(input, &Options::default(), &pool) {
                bytes += chunk.bytes().len() as u64;
                let at = Instant::now();
                decode(&chunk, &mut |item| match item {
                    Item::Record(r) => {
                        records += 1;
                        hash ^= r.json.len() as u64;
                    }
                    Item::Rejected(r) => {
                        rejected += r.count;
                        if round == 0 && rejected < 20 {
                            println!("rejected {r}");
                        }
                    }
                    Item::Skipped(s) => skipped += s.count,
                });
                decoding += at.elapsed().as_secs_f64();
                let at = Instant::now();
                decode(&chunk, &mut |item| {
                    if let Item::Record(r) = item {
                        hash ^= content_hash(r.json);
                    }
                });
                hashing += at.elapsed().as_secs_f64();
            }
        }
        let gb = bytes as f64 / 1e9;
        let reading = start.elapsed().as_secs_f64() - decoding - hashing;
        println!(
            "{records} records, {rejected} rejected, {skipped} skipped, {gb:.3} GB; read+split {:.2} GB/s, decode {:.2} GB/s, decode+hash {:.2} GB/s ({hash:x})",
            gb / reading,
            gb / decoding,
            gb / hashing
        );
    }
    for r in &found.rejected {
        println!("rejected {r}");
    }
}
