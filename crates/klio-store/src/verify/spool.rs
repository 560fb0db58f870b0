//! What was acknowledged and is not in the tables yet.

use std::path::Path;
use std::time::Duration;

use super::tables::Found;
use super::{Kind, Report};
use crate::lake::Lake;
use crate::ledger::Ledger;
use crate::settings::Settings;
use crate::spool::survey;

/// Times that the spool is looked at anew while a writer is at work.
const TRIES: usize = 64;
/// How long a writer gets between two of them to come to an end with what it is at.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) fn check(dir: &Path, settings: &Settings, found: &Found, ledger: &Ledger, report: &mut Report) {
    for (lost, time) in &ledger.lost {
        report.problem(Kind::Spool, "spool", lost.clone(), Some(*time));
    }
    // Without the table nobody knows from where on.
    let Some(mut upto) = found.upto() else { return };
    let mut trial = Report::default();
    let mut events = None;
    for n in 0..TRIES {
        if n > 1 {
            std::thread::park_timeout(PAUSE);
        }
        trial = Report::default();
        look(dir, upto, ledger, &mut trial);
        if trial.ok() {
            break;
        }
        // A writer may have flushed meanwhile, and may be at it while the lake is opened.
        if events.is_none() && found.opened() {
            events = Lake::open(dir, settings).ok().map(|lake| lake.events);
        }
        if let Some(events) = &mut events {
            let newer = events.refresh().and_then(|()| events.upto());
            upto = newer.unwrap_or(upto);
        }
    }
    report.problems.append(&mut trial.problems);
    report.spooled = trial.spooled;
}

fn look(dir: &Path, upto: u64, ledger: &Ledger, report: &mut Report) {
    let seen = match survey(&dir.join("spool"), upto) {
        Ok(seen) => seen,
        Err(error) => return report.problem(Kind::Spool, "spool", error.to_string(), None),
    };
    for damage in &seen.damage {
        report.problem(Kind::Spool, "spool", damage.to_string(), None);
    }
    if !seen.intact {
        report.problem(Kind::Spool, "spool/cut", "it is missing or is not as it was written".into(), None);
    }
    if seen.cut > upto {
        let said = format!("batches {} to {} were cut and are not in the lake", upto + 1, seen.cut);
        report.problem(Kind::Spool, "spool/cut", said, None);
    }
    // Without a file the numbers that come next are not known; with an old one they come again.
    let last = if seen.files == 0 { 0 } else { seen.last };
    if last < upto {
        let said =
            format!("its numbers end at {last}, and the lake has batches up to {upto}: it is an old one");
        report.problem(Kind::Spool, "spool", said, None);
    }
    if let Some((acknowledged, time)) = ledger.acknowledged.filter(|(all, _)| *all > last.max(upto)) {
        let said = format!("batches {} to {acknowledged} were acknowledged and are gone", last.max(upto) + 1);
        report.problem(Kind::Spool, "spool", said, Some(time));
    }
    report.spooled = last.saturating_sub(upto);
}
