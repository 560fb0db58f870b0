//! The lake: reachable, readable, whole; how much waits for it, and whether its newest event is of the future.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use klio_model::Timestamp;
use klio_store::{Check, DeadLetters, Info, Lake, StoreError, reach};

use super::chart::{Chart, size};
use crate::config::Config;
use crate::data::{redaction_key, refused};
use crate::failure::Failure;
use crate::serve::ops;

/// How long an object store may take for a first answer, and a lake for all of them.
const STORE: Duration = Duration::from_secs(15);
const LAKE: Duration = Duration::from_mins(2);
/// Part of the spool that may be in use before somebody should know.
const MUCH: f64 = 0.5;
/// An event may be dated so far in the future: clocks differ.
const AHEAD: i64 = 5 * 60 * 1_000_000;

/// Looks at it.
pub fn look(dir: &Path, config: &Config, chart: &mut Chart) -> Option<Lake> {
    let (own, settings) = (dir.to_owned(), config.lake.clone());
    if let Some(url) = &config.lake.url {
        let advice = "lake.url and lake.options of klio.yaml say where and how; options are taken from there only, not from the environment";
        match within(STORE, move || reach(&own, &settings)) {
            Ok(()) => chart.ok("object store", format!("{url} answers")),
            Err(failure) => {
                chart.failed("object store", &failure, advice);
                return None;
            }
        }
    }
    if !dir.join("lake.json").exists() {
        chart.ok("lake", "there is none yet: it is made with the first start");
        return None;
    }
    dead_letters(dir, config, chart);
    let (own, settings) = (dir.to_owned(), config.lake.clone());
    let opened = within(LAKE, move || {
        let lake = Lake::open(&own, &settings)?;
        let (info, check) = (lake.info()?, lake.check()?);
        Ok((lake, info, check))
    });
    match opened {
        Ok((lake, info, check)) => {
            whole(&info, &check, chart);
            spool(&info, config.lake.spool_bytes, chart);
            Some(lake)
        }
        Err(failure) => {
            chart.failed(
                "lake",
                &failure,
                "`klio verify` says what is damaged; what is lost comes from a backup",
            );
            None
        }
    }
}

fn whole(info: &Info, check: &Check, chart: &mut Chart) {
    let events = info.tables.first();
    let rows = events.map_or(0, |table| table.rows);
    match check.problems.first() {
        Some(first) => {
            let said = format!("{} problems, the first: {first}", check.problems.len());
            chart.fail("lake", said, "`klio lake check` lists them, `klio verify` says what was altered");
        }
        None => chart.ok("lake", format!("{rows} events in {} files, all there", check.files)),
    }
    let sealed = format!("the signed log has {} entries", info.sealed);
    chart.ok("seal", format!("{sealed}; `klio verify` says whether anything was altered"));
    let newest = events.and_then(|table| table.newest.as_deref()?.parse::<jiff::Timestamp>().ok());
    let now = jiff::Timestamp::now().as_microsecond();
    if let Some(newest) = newest.filter(|newest| newest.as_microsecond() > now + AHEAD) {
        let advice = "is the clock of this machine right, and that of the API servers? `timedatectl`, `chronyc tracking`";
        chart.warn("clock", format!("it is {}, and the newest event says {newest}", Timestamp(now)), advice);
    }
}

fn spool(info: &Info, most: u64, chart: &mut Chart) {
    let found = format!("{} batches wait; {} of {}", info.spooled, size(info.spool_bytes), size(most));
    let advice = "the lake is not written, or too slowly: the server's log says why";
    let part = info.spool_bytes as f64 / most as f64;
    if part > ops::FULL {
        chart.fail("spool", found, advice);
    } else if part > MUCH {
        chart.warn("spool", found, advice);
    } else {
        chart.ok("spool", found);
    }
}

fn dead_letters(dir: &Path, config: &Config, chart: &mut Chart) {
    if !dir.join("dead").is_dir() || !dir.join("redaction.key").is_file() {
        return;
    }
    let read = redaction_key(dir).and_then(|secret| {
        let letters = DeadLetters::read(dir, &config.lake, secret, 0).map_err(refused)?;
        letters.map(|letter| letter.map(drop)).collect::<Result<Vec<()>, _>>().map_err(refused)
    });
    let advice = "`klio dead-letters list` shows what was delivered as an event and is none";
    match read {
        Ok(all) if all.is_empty() => chart.ok("dead letters", "none"),
        Ok(all) => chart.warn("dead letters", format!("{} wait for somebody", all.len()), advice),
        Err(failure) => chart.failed("dead letters", &failure, ""),
    }
}

/// What a call says, if it says it in time. It is not waited for any longer: it ends with the program.
fn within<T: Send + 'static>(
    most: Duration,
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || told.send(call()));
    match heard.recv_timeout(most) {
        Ok(said) => said.map_err(refused),
        Err(_) => Err(Failure::world(format!("it does not answer within {} seconds", most.as_secs()))),
    }
}
