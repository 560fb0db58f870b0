//! An archive in memory. About events, findings and stories it keeps the archive's law; sources, dead letters and the state of the seal it
//! tells to everybody, so that the tests show that the API itself holds those back.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use klio_model::{Event, FieldRef, TimeRange, Timestamp};
use klio_web::archive::{
    Archive, ArchiveError, ExportFormat, Followed, Page, Patience, Position, Question, Record, Slice,
    SqlPart, Survey, Surveyed, Verdict, VerdictKind, Wanted,
};
use klio_web::view::{
    Bar, Completeness, DeadLetterView, IntegrityView, ReplayView, RuleHits, SourceView, Top, Verification,
};
use klio_web::{OWN_CLUSTER, Sight};

type Answer<T> = Result<T, ArchiveError>;

/// A finding or story, and the audit ids of the events that prove it.
#[derive(Clone)]
pub struct Kept {
    pub kind: VerdictKind,
    pub id: String,
    pub rule: String,
    pub verdict: Verdict,
    pub proof: Vec<String>,
}

#[derive(Default)]
pub struct Memory {
    pub records: Mutex<Vec<Record>>,
    pub verdicts: Mutex<Vec<Kept>>,
    pub letters: Mutex<Vec<DeadLetterView>>,
    pub sources: Mutex<Vec<SourceView>>,
    /// Lines that an export makes up, each of so many bytes.
    pub made_up: Option<(u64, usize)>,
    /// After so many of them the export fails.
    pub breaks_after: Option<u64>,
    /// Bytes that exports have written.
    pub written: AtomicU64,
    /// Forgets who asks.
    pub careless: AtomicBool,
    /// Questions that began.
    pub begun: AtomicU64,
    /// Exports and questions that ended.
    pub ended: AtomicU64,
    /// Counting waits until its asker has no patience any more.
    pub slow: AtomicBool,
    /// Events are refused if this stands in the filter.
    pub refuses: Mutex<Option<&'static str>>,
    /// Told when an event comes.
    pub came: (Mutex<()>, Condvar),
}

fn event(record: &Record) -> Event<'_> {
    let mut event = Event::parse(&record.raw).unwrap();
    event.salvaged = record.salvaged;
    event
}

impl Memory {
    pub fn push(&self, record: Record) {
        self.records.lock().unwrap().push(record);
        self.came.1.notify_all();
    }

    /// As long as it is slow.
    fn wait(&self, patience: &Patience) -> Answer<()> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let lock = self.came.0.lock().unwrap();
        let mut waiting = Some(lock);
        while self.slow.load(Ordering::Relaxed) {
            let (lock, _) =
                self.came.1.wait_timeout(waiting.take().unwrap(), Duration::from_millis(10)).unwrap();
            waiting = Some(lock);
            if let Err(e) = patience.check() {
                self.ended.fetch_add(1, Ordering::Relaxed);
                return Err(e);
            }
        }
        Ok(())
    }

    fn seen(&self, sight: &Sight, question: &Question) -> Vec<Record> {
        let records = self.records.lock().unwrap();
        let fits = |record: &&Record| {
            let event = event(record);
            if self.careless.load(Ordering::Relaxed) {
                return question.filter.matches(&event);
            }
            let Some(filter) = question.for_cluster(sight, &record.cluster) else { return false };
            question.range.holds(event.time()) && filter.matches(&event)
        };
        let mut found: Vec<Record> = records.iter().filter(fits).cloned().collect();
        found.sort_by_key(|record| {
            let event = event(record);
            (std::cmp::Reverse(event.time()), record.cluster.clone(), record.raw.clone())
        });
        found
    }

    fn all(&self, sight: &Sight, filter: &str) -> Vec<Record> {
        let filter = klio_model::Filter::parse(filter).unwrap();
        let range = TimeRange::default();
        let mut found = self.seen(sight, &Question { clusters: vec![], filter: filter.clone(), range });
        found.extend(self.seen(sight, &Question { clusters: vec![OWN_CLUSTER.into()], filter, range }));
        found.sort_by_key(|record| event(record).time());
        found
    }

    fn proven(&self, sight: &Sight, kept: &Kept) -> bool {
        kept.proof.iter().all(|id| !self.all(sight, &format!("audit.id:\"{id}\"")).is_empty())
    }
}

fn page<T: Clone>(all: &[T], slice: &Slice, key: impl Fn(&T) -> String) -> Answer<Page<T>> {
    let start = match &slice.after {
        None => 0,
        Some(Position(after)) => {
            1 + all.iter().position(|item| key(item) == *after).ok_or(ArchiveError::BadPosition)?
        }
    };
    let items: Vec<T> = all[start..].iter().take(slice.most).cloned().collect();
    let more = start + items.len() < all.len();
    let next = items.last().filter(|_| more).map(|item| Position(key(item)));
    Ok(Page { items, next })
}

fn id(record: &Record) -> String {
    event(record).audit_id.as_ref().map(|id| id.0.to_string()).unwrap_or_default()
}

impl Archive for Memory {
    fn events(
        &self,
        sight: &Sight,
        _: &Patience,
        question: &Question,
        slice: &Slice,
    ) -> Answer<Page<Record>> {
        if let Some(part) = *self.refuses.lock().unwrap()
            && question.filter.to_string().contains(part)
        {
            return Err(ArchiveError::BadQuestion("it is too large".into()));
        }
        page(&self.seen(sight, question), slice, |r| format!("{}|{}", r.received, id(r)))
    }

    fn count(&self, sight: &Sight, patience: &Patience, question: &Question) -> Answer<u64> {
        self.wait(patience)?;
        Ok(self.seen(sight, question).len() as u64)
    }

    fn top(
        &self,
        sight: &Sight,
        _: &Patience,
        question: &Question,
        field: &FieldRef,
        most: usize,
    ) -> Answer<Top> {
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        let mut top = Top::default();
        for record in self.seen(sight, question) {
            let values = field.values(&event(&record));
            if values.is_empty() {
                top.missing += 1;
            }
            for value in values {
                *counts.entry(value).or_default() += 1;
            }
        }
        let mut values: Vec<_> = counts.into_iter().collect();
        values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        top.other = values.iter().skip(most).map(|(_, count)| count).sum();
        values.truncate(most);
        top.values = values;
        Ok(top)
    }

    fn survey(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        survey: &Survey,
    ) -> Answer<Surveyed> {
        self.wait(patience)?;
        let records = self.seen(sight, question);
        let tops = survey.tops.iter().map(|(field, most)| self.top(sight, patience, question, field, *most));
        let one = |fields: &[FieldRef], record: &Record| -> Vec<Option<String>> {
            fields.iter().map(|field| field.values(&event(record)).into_iter().next()).collect()
        };
        let mut combinations = Vec::new();
        for (fields, most) in &survey.combinations {
            let mut counts = std::collections::BTreeMap::<Vec<Option<String>>, u64>::new();
            for record in &records {
                *counts.entry(one(fields, record)).or_default() += 1;
            }
            let mut rows: Vec<_> = counts.into_iter().collect();
            rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            rows.truncate(*most);
            combinations.push(rows);
        }
        let mut steps = Vec::new();
        if let Some((field, step)) = &survey.steps {
            let mut values = std::collections::BTreeMap::<Option<String>, Vec<Record>>::new();
            for record in &records {
                values
                    .entry(field.values(&event(record)).into_iter().next())
                    .or_default()
                    .push(record.clone());
            }
            let mut sorted: Vec<_> = values.into_iter().collect();
            sorted.sort_by_key(|(_, records)| std::cmp::Reverse(records.len()));
            for (value, records) in sorted {
                let mut bars = std::collections::BTreeMap::<i64, u64>::new();
                for time in records.iter().filter_map(|record| event(record).time()) {
                    *bars.entry(time.micros().div_euclid(*step) * step).or_default() += 1;
                }
                let bars = bars.into_iter().map(|(start, count)| Bar { start: Timestamp(start), count });
                steps.push((value, bars.collect()));
            }
        }
        Ok(Surveyed { count: records.len() as u64, tops: tops.collect::<Answer<_>>()?, combinations, steps })
    }

    fn histogram(&self, sight: &Sight, _: &Patience, question: &Question, step: i64) -> Answer<Vec<Bar>> {
        let mut bars = std::collections::BTreeMap::<i64, u64>::new();
        for record in self.seen(sight, question) {
            if let Some(time) = event(&record).time() {
                *bars.entry(time.micros().div_euclid(step) * step).or_default() += 1;
            }
        }
        Ok(bars.into_iter().map(|(start, count)| Bar { start: Timestamp(start), count }).collect())
    }

    fn span(
        &self,
        sight: &Sight,
        _: &Patience,
        question: &Question,
    ) -> Answer<Option<(Timestamp, Timestamp)>> {
        let seen = self.seen(sight, question);
        let times: Vec<Timestamp> = seen.iter().filter_map(|record| event(record).time()).collect();
        Ok(times.iter().min().copied().zip(times.iter().max().copied()))
    }

    fn event(&self, sight: &Sight, _: &Patience, audit_id: &str, most: usize) -> Answer<Vec<Record>> {
        let mut found = self.all(sight, "*");
        found.retain(|record| id(record) == audit_id);
        found.truncate(most);
        Ok(found)
    }

    fn proofs(&self, sight: &Sight, patience: &Patience, audit_id: &str) -> Answer<Vec<String>> {
        let found = self.event(sight, patience, audit_id, 10)?;
        let size = self.records.lock().unwrap().len();
        Ok(found.iter().map(|r| format!("{{\"event\":{},\"rows\":{size}}}", r.raw)).collect())
    }

    fn export(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        _: ExportFormat,
        out: &mut (dyn Write + Send),
    ) -> Answer<u64> {
        let mut count = 0;
        let mut line = |text: &str| {
            patience.check()?;
            writeln!(out, "{text}").map_err(|_| ArchiveError::ReaderGone)?;
            self.written.fetch_add(text.len() as u64 + 1, Ordering::Relaxed);
            count += 1;
            Ok(())
        };
        let done = match self.made_up {
            Some((lines, bytes)) => {
                let text = "x".repeat(bytes);
                (0..lines).try_for_each(|n| {
                    if self.breaks_after == Some(n) {
                        return Err(ArchiveError::Unavailable("a disk at /secret/place".into()));
                    }
                    line(&text)
                })
            }
            None => self.seen(sight, question).iter().try_for_each(|record| line(&record.raw)),
        };
        self.ended.fetch_add(1, Ordering::Relaxed);
        done.map(|()| count)
    }

    fn follow(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        after: Option<&Position>,
        most: usize,
    ) -> Answer<Followed> {
        let from = match after {
            Some(Position(text)) => Some(text.parse::<i64>().map_err(|_| ArchiveError::BadPosition)?),
            None => None,
        };
        loop {
            let mut seen = self.seen(sight, question);
            seen.sort_by_key(|record| record.received);
            let last = seen.last().map_or(0, |record| record.received.micros());
            let Some(from) = from else {
                return Ok(Followed { items: vec![], next: Position(last.to_string()), lost: 0 });
            };
            seen.retain(|record| record.received.micros() > from);
            seen.truncate(most);
            let position = |record: &Record| Position(record.received.micros().to_string());
            let next = seen.last().map_or(Position(from.to_string()), position);
            let items: Vec<_> = seen.into_iter().map(|record| (position(&record), record)).collect();
            if !items.is_empty() || patience.is_over() {
                return Ok(Followed { items, next, lost: 0 });
            }
            let lock = self.came.0.lock().unwrap();
            drop(self.came.1.wait_timeout(lock, Duration::from_millis(5)).unwrap());
        }
    }

    fn sql(
        &self,
        sight: &Sight,
        _: &Patience,
        query: &str,
        most: u64,
        take: &mut dyn FnMut(SqlPart) -> ControlFlow<()>,
    ) -> Answer<bool> {
        assert!(sight.is_all(), "only asked for whom everything is visible");
        if !query.starts_with("SELECT") {
            return Err(ArchiveError::BadQuestion("only SELECT".into()));
        }
        let all = self.records.lock().unwrap().clone();
        let rows: Vec<String> = all
            .iter()
            .filter(|record| record.cluster != OWN_CLUSTER || sight.sees_audit())
            .map(|record| record.raw.clone())
            .collect();
        let cut = rows.len() as u64 > most;
        let _ = take(SqlPart::Columns(vec!["raw".into()]));
        let _ = take(SqlPart::Rows(rows.into_iter().take(most as usize).collect()));
        Ok(cut)
    }

    fn verdicts(
        &self,
        sight: &Sight,
        _: &Patience,
        kind: VerdictKind,
        wanted: &Wanted,
        slice: &Slice,
    ) -> Answer<Page<Verdict>> {
        let mut all = self.verdicts.lock().unwrap().clone();
        all.retain(|kept| kept.kind == kind && self.proven(sight, kept));
        all.retain(|kept| wanted.rule.as_ref().is_none_or(|rule| *rule == kept.rule));
        let page = page(&all, slice, |kept| kept.id.clone())?;
        Ok(Page { items: page.items.into_iter().map(|kept| kept.verdict).collect(), next: page.next })
    }

    fn verdict(&self, sight: &Sight, _: &Patience, kind: VerdictKind, id: &str) -> Answer<Verdict> {
        let all = self.verdicts.lock().unwrap().clone();
        let found =
            all.into_iter().find(|kept| kept.kind == kind && kept.id == id && self.proven(sight, kept));
        found.map(|kept| kept.verdict).ok_or(ArchiveError::NotFound)
    }

    fn rule_hits(&self, sight: &Sight, _: &Patience, _: TimeRange) -> Answer<Vec<RuleHits>> {
        let mut all = self.verdicts.lock().unwrap().clone();
        all.retain(|kept| kept.kind == VerdictKind::Finding && self.proven(sight, kept));
        let hits = all.len() as u64;
        Ok(vec![RuleHits { rule: "rule-1".into(), hits, last: None }])
    }

    fn sources(&self, _: &Sight) -> Answer<Vec<SourceView>> {
        Ok(self.sources.lock().unwrap().clone())
    }

    fn integrity(&self, _: &Sight) -> Answer<IntegrityView> {
        let size = self.records.lock().unwrap().len() as u64;
        Ok(IntegrityView {
            log_size: Some(size),
            checkpoint: Some(format!("klio\n{size}\n")),
            last: Some(Verification {
                time: Timestamp(0),
                verdict: klio_web::view::Verdict::Damaged,
                problems: self.records.lock().unwrap().iter().map(|r| r.raw.clone()).collect(),
            }),
            running_since: None,
        })
    }

    fn verify(&self, sight: &Sight) -> Answer<IntegrityView> {
        self.integrity(sight)
    }

    fn dead_letters(&self, _: &Sight, slice: &Slice) -> Answer<Page<DeadLetterView>> {
        page(&self.letters.lock().unwrap(), slice, |letter| letter.number.to_string())
    }

    fn dead_letter(&self, _: &Sight, number: u64) -> Answer<DeadLetterView> {
        let letters = self.letters.lock().unwrap();
        letters.iter().find(|letter| letter.number == number).cloned().ok_or(ArchiveError::NotFound)
    }

    fn replay_dead_letter(&self, _: &Sight, _: u64) -> Answer<ReplayView> {
        Ok(ReplayView { events: 0, reason: Some("still none".into()) })
    }

    fn remove_dead_letter(&self, _: &Sight, number: u64) -> Answer<()> {
        self.letters.lock().unwrap().retain(|letter| letter.number != number);
        Ok(())
    }
}

/// A source of a cluster, marked.
pub fn source(cluster: &str, mark: &str) -> SourceView {
    SourceView {
        cluster: cluster.into(),
        source: format!("file:{mark}"),
        last_seen: None,
        events: 1,
        rate: Some(0.5),
        lag_seconds: None,
        errors: 0,
        dead_letters: 1,
        completeness: Completeness::Unproven,
        trouble: None,
        gaps: Vec::new(),
    }
}

pub type Shared = Arc<Memory>;
