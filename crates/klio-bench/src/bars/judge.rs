//! The bars of the judgement: the recorded attacks, ordinary traffic, and that the same gives the same.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use klio_model::{Filter, MemoryArchive, TimeRange};

use super::{Bar, bar, percent, tested};
use crate::error::Error;
use crate::eval::{Attack, Evaluation};
use crate::klio;

/// What the comparison with the labels gives, and the replays.
pub fn bars(found: &Evaluation) -> Result<Vec<Bar>, Error> {
    let all = found.attacks.len();
    let count = |name: &str, required: &str, holds: &dyn Fn(&Attack) -> bool, of: &[Attack]| {
        let mut told = format!("{} of {}", of.iter().filter(|a| holds(a)).count(), of.len());
        for not in of.iter().filter(|a| !holds(a)) {
            let _ = write!(told, "; not {} {}", not.name, not.policy);
        }
        bar(name, required, told, !of.is_empty() && of.iter().all(holds))
    };
    let mut bars =
        vec![count("Recorded attacks found (≥ medium, own events)", "all", &|a| a.found > 0, &found.attacks)];
    bars.push(count(
        "Each attack is one incident of medium or above, and there is no other",
        "all",
        &|a| a.incidents.own == 1 && a.incidents.stray == 0,
        &found.attacks,
    ));
    let (recall, precision) = (found.mean(Attack::recall), found.mean(Attack::precision));
    bars.push(bar("Labelled events held by incidents, mean", "≥ 90 %", percent(recall), recall >= 0.9));
    bars.push(bar(
        "Of what those hold, labelled or its consequence",
        "≥ 90 %",
        percent(precision),
        precision >= 0.9,
    ));
    bars.push(count(
        "Narratives name the actor, the technique and the objects",
        "all",
        &|a| a.incidents.actor && a.incidents.technique && a.incidents.objects_named == a.incidents.objects,
        &found.attacks,
    ));
    bars.push(count(
        "The kill chain amid ordinary traffic is one incident, its seven phases in order",
        "both policies",
        &|a| a.incidents.own == 1 && a.incidents.stray == 0 && a.incidents.phases == [1, 2, 3, 4, 5, 6, 7],
        &found.chains,
    ));
    let (events, grave, any) = found.benign();
    let per = |count: u64| {
        let each = events.checked_div(count).map_or_else(String::new, |n| format!(" (1 per {n})"));
        format!("{count} of {events}{each}")
    };
    let alarms: u64 = found.benign.iter().map(|log| log.alarms).sum();
    bars.push(bar(
        "Benign findings of medium or above",
        "≤ 1 per 20,000",
        per(grave),
        grave * 20_000 <= events,
    ));
    bars.push(bar("Benign findings of any severity", "≤ 1 per 300", per(any), any * 300 <= events));
    bars.push(bar("Benign incidents above medium", "none", alarms.to_string(), alarms == 0 && all > 0));
    bars.push(replay()?);
    bars.push(tested(
        "State for 5,000 pods, 500 identities, 30 days",
        "≤ 256 MB",
        &["memory_recorded", "--", "a_month_of_a_large_cluster_fits_its_budget", "--nocapture"],
        &[],
    )?);
    Ok(bars)
}

/// The kill chain out of a `MemoryArchive`, twice, with one thread and with two.
fn replay() -> Result<Bar, Error> {
    let log = klio::recorded().join("killchain/recommended.jsonl.zst");
    let archive = archive(&log)?;
    let all = Filter::parse("*").map_err(std::io::Error::other)?;
    let mut said = Vec::new();
    for threads in ["1", "2", "2"] {
        let mut child = Command::new(klio::program()?)
            .args(["scan", "-", "-o", "jsonl", "--threads", threads])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut pipe = child.stdin.take().ok_or_else(|| std::io::Error::other("no pipe"))?;
        let mut text = archive.find(&all, TimeRange::default()).collect::<Vec<_>>().join("\n");
        text.push('\n');
        let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        writer.join().map_err(|_| std::io::Error::other("the writer ended"))??;
        // The summary tells how long it took.
        let lines = output.stdout.split(|b| *b == b'\n').filter(|l| !l.starts_with(b"{\"type\":\"summary\""));
        said.push(lines.collect::<Vec<_>>().join(&b'\n'));
    }
    let same = said.windows(2).all(|two| two[0] == two[1]) && said[0].len() > 1_000;
    let told = format!(
        "{} events, {} bytes, {}",
        archive.len(),
        said[0].len(),
        if same { "the same" } else { "not the same" }
    );
    Ok(bar("Replay out of a `MemoryArchive`, three times", "byte-identical", told, same))
}

fn archive(log: &Path) -> Result<MemoryArchive, Error> {
    let text = zstd::decode_all(std::fs::File::open(log)?)?;
    let mut archive = MemoryArchive::new();
    for line in String::from_utf8_lossy(&text).lines() {
        archive.keep(line, false).map_err(std::io::Error::other)?;
    }
    Ok(archive)
}
