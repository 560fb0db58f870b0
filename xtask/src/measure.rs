//! Measurements: build in the release profile, then let `klio-bench` do the work.

use std::path::PathBuf;
use std::process::Command;

use crate::{run, tested};

/// The corpus unless another size is asked for: 1 GiB.
const SIZE: &str = "1g";
/// The corpus that the lake's bars are for: a million events.
const LAKE_SIZE: &str = "1500m";

/// `corpus [SIZE] [SEED]`: makes the corpus unless it is there, and says where it lies.
pub fn corpus(words: &[String]) -> Result<PathBuf, String> {
    let size = words.first().map_or(SIZE, String::as_str).to_lowercase();
    let bytes = bytes(&size).ok_or_else(|| format!("`{size}` is no size: write 500m, 1g, 10g"))?;
    let seed = words.get(1).map_or("1", String::as_str);
    let name =
        if seed == "1" { format!("mixed-{size}.jsonl") } else { format!("mixed-{size}-seed{seed}.jsonl") };
    let path = run::root().join("corpus").join(name);
    if !path.is_file() {
        let mut make = bench_program()?;
        make.arg("corpus").arg(&path).args(["--bytes", &bytes.to_string(), "--seed", seed]);
        run::run(make)?;
    }
    println!("{}", path.display());
    Ok(path)
}

/// `bench scan|lake [SIZE] [--record]`, `bench load [EVENTS A SECOND]`, `bench window`.
pub fn bench(words: &[String]) -> Result<(), String> {
    if words.first().is_some_and(|what| what == "load") {
        let path = corpus(&[LAKE_SIZE.to_owned()])?;
        let mut load = bench_program()?;
        load.arg("load").arg(path);
        load.args(words.get(1).map(|rate| format!("--rate={rate}")));
        return run::run(load);
    }
    if words.first().is_some_and(|what| what == "window") {
        let path = corpus(&[LAKE_SIZE.to_owned()])?;
        let mut window = bench_program()?;
        window.arg("window").arg(path);
        return run::run(window);
    }
    let Some(what @ ("scan" | "lake")) = words.first().map(String::as_str) else {
        return Err("there are `bench scan`, `bench lake`, `bench load` and `bench window`".to_owned());
    };
    let record = words.iter().any(|word| word == "--record");
    let size: Vec<String> = words[1..].iter().filter(|word| !word.starts_with("--")).cloned().collect();
    let path = corpus(&size)?;
    let mut scan = bench_program()?;
    scan.arg(what).arg(path);
    if record {
        scan.args(["--record", "docs/benchmarks.md"]);
    }
    run::run(scan)
}

/// `bars [--runs N]`.
pub fn bars(words: &[String]) -> Result<(), String> {
    let path = corpus(&[])?;
    let lake = corpus(&[LAKE_SIZE.to_owned()])?;
    let rows = run::target().join("bars.json");
    tested::write(&rows)?;
    let mut bars = bench_program()?;
    bars.arg("bars").arg("--corpus").arg(path).arg("--lake").arg(lake).arg("--tested").arg(rows).args(words);
    run::run(bars)
}

/// `eval`.
pub fn eval(words: &[String]) -> Result<(), String> {
    let mut eval = bench_program()?;
    eval.arg("eval").args(words);
    run::run(eval)
}

/// `fuzz [SECONDS]`.
pub fn fuzz(words: &[String]) -> Result<(), String> {
    let mut fuzz = bench_program()?;
    fuzz.args(["fuzz", "--seconds", words.first().map_or("30", String::as_str)]);
    run::run(fuzz)
}

/// Always both packages: one alone would be built with other features, and all of DataFusion with it.
fn bench_program() -> Result<Command, String> {
    run::run(run::cargo(&["build", "--quiet", "--release", "--package", "klio", "--package", "klio-bench"]))?;
    let mut command = Command::new(run::built("release", "klio-bench"));
    command.env("KLIO_BIN", run::built("release", "klio"));
    Ok(command)
}

/// `500m` and `1g` in bytes.
fn bytes(size: &str) -> Option<u64> {
    let (number, unit) = size.split_at_checked(size.len().checked_sub(1)?)?;
    let unit: u64 = match unit {
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
