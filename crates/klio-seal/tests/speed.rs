//! How fast rows are hashed: `cargo test -p klio-seal --release --test speed -- --ignored --nocapture`.

use std::{hint::black_box, time::Instant};

use klio_seal::{RowTree, leaf_hash};

#[test]
#[ignore = "a measurement"]
fn rows_per_second() {
    let rows = 1_000_000usize;
    let row = vec![b'x'; 1_500];
    let begin = Instant::now();
    let mut tree = RowTree::new();
    for _ in 0..rows {
        tree.push(leaf_hash(black_box(&row)));
    }
    black_box(tree.root());
    let seconds = begin.elapsed().as_secs_f64();
    let megabytes = (rows * row.len()) as f64 / 1e6;
    eprintln!(
        "{megabytes:.0} MB in {seconds:.2} s: {:.0} MB/s, {:.0} ns a row",
        megabytes / seconds,
        seconds * 1e9 / rows as f64
    );
}
