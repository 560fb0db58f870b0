//! lab
use klio_model::{Event, Timestamp};
use klio_store::*;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0 }
fn main() {
    let seg: usize = std::env::args().nth(1).map_or(64 << 20, |s| s.parse::<usize>().unwrap() << 20);
    let text = std::fs::read_to_string("/work/main/corpus/mixed-1500m.jsonl").unwrap();
    let (mut rows, mut push, mut pack, mut bytes, mut n, mut flush) = (Rows::new(), 0.0, 0.0, 0usize, 0, 0);
    let mut t = cpu();
    let mut parse = 0.0;
    let a = cpu();
    for line in text.lines() { std::hint::black_box(Event::parse(line).unwrap().code); }
    parse += cpu() - a;
    t = cpu();
    let _ = std::fs::create_dir("/tmp/lab/seg");
    let mut done = |rows: &mut Rows, flush: &mut u64| {
        let p = cpu();
        for (r, _, file) in lab(rows).unwrap() { n += r; bytes += file.len(); std::fs::write(format!("/tmp/lab/seg/{flush}-{r}.parquet"), &file).unwrap(); }
        *rows = Rows::new(); *flush += 1;
        cpu() - p
    };
    for line in text.lines() {
        let e = Event::parse(line).unwrap();
        rows.push(&e, Custody { cluster: "prod", source: "file:/var/log/audit.log", received: Timestamp(1_790_000_000_000_000 + flush as i64) }, "default", None, flush);
        if rows.bytes() > seg { push += cpu() - t; pack += done(&mut rows, &mut flush); t = cpu(); }
    }
    push += cpu() - t; pack += done(&mut rows, &mut flush);
    println!("parse {parse:.2} parse+push {push:.2} pack {pack:.2} s; {n} rows {bytes} bytes {:.1} B/row, {flush} flushes", bytes as f64 / n as f64);
}
