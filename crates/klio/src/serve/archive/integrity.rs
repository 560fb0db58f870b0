//! The seal's state, and a verification at a time.

use std::sync::{Mutex, PoisonError};

use klio_model::Timestamp;
use klio_store::seal::LogReader;
use klio_store::{Depth, Trusted, verify};
use klio_web::view::{IntegrityView, Verdict, Verification};
use klio_web::{ArchiveError, Sight};

use super::Memory;

/// Problems that are told one by one.
const MOST: usize = 100;

/// What is known of verifications.
#[derive(Default)]
pub(super) struct Integrity(Mutex<Known>);

#[derive(Default)]
struct Known {
    last: Option<Verification>,
    running: Option<Timestamp>,
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

impl Memory {
    pub(super) fn state(&self, sight: &Sight) -> Result<IntegrityView, ArchiveError> {
        let known = self.integrity.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut last, running_since) = (known.last.clone(), known.running);
        drop(known);
        if let Some(last) = last.as_mut().filter(|_| !(sight.is_all() && sight.sees_audit())) {
            last.problems.clear();
        }
        let log = LogReader::open(&self.dir.join("seal"));
        let log = log.map_err(|e| ArchiveError::Unavailable(e.to_string()))?;
        let all = sight.is_all();
        Ok(IntegrityView {
            log_size: all.then(|| log.size()),
            checkpoint: all.then(|| log.checkpoint().to_owned()),
            last,
            running_since,
        })
    }

    /// Verifies everything on a thread of its own, unless that is under way.
    pub(super) fn begin_to_verify(&self) {
        let mut known = self.integrity.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.running.is_some() {
            return;
        }
        known.running = Some(now());
        drop(known);
        let (dir, settings, integrity) = (self.dir.clone(), self.settings.clone(), self.integrity.clone());
        std::thread::spawn(move || {
            let (verdict, problems) = match verify(&dir, &settings, &Trusted::default(), Depth::Rows) {
                Ok(report) if report.problems.is_empty() => (Verdict::Intact, Vec::new()),
                Ok(report) => {
                    let told = report.problems.iter().take(MOST);
                    let told = told.map(|problem| format!("{}: {}", problem.place, problem.what)).collect();
                    (Verdict::Damaged, told)
                }
                Err(e) => (Verdict::Failed, vec![e.to_string()]),
            };
            let mut known = integrity.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.last = Some(Verification { time: now(), verdict, problems });
            known.running = None;
        });
    }
}
