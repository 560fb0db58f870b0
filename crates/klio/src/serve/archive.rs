//! The lake as the API asks it ([`klio_web::Archive`]).

mod dead;
mod integrity;
mod place;
mod tail;
mod verdicts;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use klio_model::{Field, FieldRef, Filter, Matcher, People, TextMatch, TimeRange, Timestamp};
use klio_store::keys::Cipher;
use klio_store::{
    Cancel, ExportColumns, Format, Kept, Lake, Limits, Part, Settings, Sight as Seen, Steps, StoreError,
};
use klio_web::archive::{
    ExportFormat, Followed, Page, Patience, Position, Question, Record, Slice, SqlPart, Survey, Surveyed,
    Verdict, VerdictKind, Wanted,
};
use klio_web::view::{Bar, DeadLetterView, IntegrityView, ReplayView, RuleHits, SourceView, Top};
use klio_web::{Archive, ArchiveError, OWN_CLUSTER, Sight};

use crate::pipeline::Pipeline;
use crate::traces::SPANS;
use integrity::Integrity;
use place::{List, Place};

/// Lakes that stay open for the next question.
const OPEN: usize = 4;
/// Memory of one question in SQL, bytes.
const SQL_MEMORY: usize = 256 << 20;

/// Records of a page of events, bytes: a page of larger ones ends early.
const PAGE_BYTES: usize = 64 << 20;

/// The lake of a server.
pub struct Memory {
    dir: PathBuf,
    settings: Settings,
    secret: [u8; 32],
    /// Seals places in a tail.
    places: Cipher,
    pipeline: Arc<Pipeline>,
    lakes: Mutex<Vec<Lake>>,
    integrity: Arc<Integrity>,
    sources: Box<dyn Fn() -> Vec<SourceView> + Send + Sync>,
}

impl Memory {
    /// The lake in `dir`, of which `pipeline` is the writer; `sources` says how its sources are.
    pub fn new(
        dir: PathBuf,
        settings: Settings,
        secret: [u8; 32],
        pipeline: Arc<Pipeline>,
        sources: impl Fn() -> Vec<SourceView> + Send + Sync + 'static,
    ) -> Option<Self> {
        let (lakes, integrity) = (Mutex::default(), Arc::new(Integrity::default()));
        let places = tail::key(secret)?;
        Some(Self { dir, settings, secret, places, pipeline, lakes, integrity, sources: Box::new(sources) })
    }

    /// Asks a lake that shows nothing but what of the question's clusters may be seen.
    fn ask<T>(
        &self,
        seen: Seen,
        patience: &Patience,
        ask: impl FnOnce(&mut Lake) -> Result<T, StoreError>,
    ) -> Result<T, ArchiveError> {
        let _span = tracing::info_span!(target: SPANS, "question").entered();
        let open = self.lakes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lake = open.map_or_else(|| Lake::open(&self.dir, &self.settings), Ok).map_err(wrong)?;
        let patience = patience.clone();
        lake.show_to(Some(Arc::new(seen)));
        lake.stop_when(Some(Arc::new(move || patience.is_over())));
        let answer = ask(&mut lake);
        lake.show_to(None);
        lake.stop_when(None);
        let mut lakes = self.lakes.lock().unwrap_or_else(PoisonError::into_inner);
        // A lake that refused is not asked again.
        if answer.is_ok() && lakes.len() < OPEN {
            lakes.push(lake);
        }
        answer.map_err(wrong)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let lakes = std::mem::take(&mut *self.lakes.lock().unwrap_or_else(PoisonError::into_inner));
        // Each has a runtime of its own, which may not end on a thread of another.
        std::thread::spawn(move || drop(lakes));
    }
}

/// What of each cluster may be seen, of those that are asked for.
fn seen(sight: &Sight, clusters: &[String]) -> Seen {
    let (sight, clusters) = (sight.clone(), clusters.to_owned());
    let question = Question { clusters, filter: Filter::All, range: TimeRange::default() };
    Seen::new(move |cluster| question.for_cluster(&sight, cluster))
}

/// What an error says to whom.
fn wrong(error: StoreError) -> ArchiveError {
    match error {
        StoreError::Query(said) => ArchiveError::BadQuestion(said),
        StoreError::Stopped(said) if said.contains("memory") => ArchiveError::BadQuestion(said),
        StoreError::Stopped(_) => ArchiveError::TooSlow,
        error => ArchiveError::Unavailable(error.to_string()),
    }
}

fn record(kept: Kept) -> Record {
    let Kept { raw, cluster, source, received, salvaged, .. } = kept;
    Record { raw, cluster, source, received, salvaged }
}

/// A page of what stands in order, the newest first, each with its time: what comes after a place; and the place behind it, if
/// there is more.
fn page<T>(all: Vec<(Option<Timestamp>, T)>, after: Option<Place>, most: usize) -> (Vec<T>, Option<Place>) {
    let after = after.map(|Place { time, told }| (time, told));
    let mut skip = after.map_or(0, |(_, told)| told);
    let mut items = Vec::new();
    let mut last: Option<(Option<Timestamp>, usize)> = None;
    let mut more = false;
    for (time, item) in all {
        let micros = time.map(Timestamp::micros);
        if let Some((at, _)) = after {
            // Later than the place; without a time is last of all.
            if micros.unwrap_or(i64::MIN) > at.unwrap_or(i64::MIN) {
                continue;
            }
            if micros == at && skip > 0 {
                skip -= 1;
                continue;
            }
        }
        if items.len() == most {
            more = true;
            break;
        }
        let before = match (&last, after) {
            (Some((same, told)), _) if *same == time => *told,
            (None, Some((at, told))) if at == micros => told,
            _ => 0,
        };
        last = Some((time, before + 1));
        items.push(item);
    }
    (items, last.filter(|_| more).map(|(time, told)| Place::new(time, told)))
}

/// The most frequent of values.
fn most_of(rows: Vec<(Option<String>, u64)>, most: usize) -> Top {
    let mut top = Top::default();
    for (value, count) in rows {
        match value {
            None => top.missing += count,
            Some(value) if top.values.len() < most => top.values.push((value, count)),
            Some(_) => top.other += count,
        }
    }
    top
}

/// Steps of each value; those of accounts as those of who uses them, if the field is about people.
fn steps_of(people: &People, field: &FieldRef, steps: Vec<Steps>) -> Vec<(Option<String>, Vec<Bar>)> {
    let bars = |steps: BTreeMap<Timestamp, u64>| -> Vec<Bar> {
        steps.into_iter().map(|(start, count)| Bar { start, count }).collect()
    };
    if !crate::people::is_of_people(field) {
        return steps.into_iter().map(|(value, steps)| (value, bars(steps.into_iter().collect()))).collect();
    }
    let mut of: BTreeMap<Option<String>, BTreeMap<Timestamp, u64>> = BTreeMap::new();
    for (account, steps) in steps {
        let own = of.entry(account.and_then(|name| crate::people::name(people, field, &name))).or_default();
        for (start, count) in steps {
            *own.entry(start).or_default() += count;
        }
    }
    let mut sorted: Vec<_> = of.into_iter().map(|(value, steps)| (value, bars(steps))).collect();
    sorted.sort_by_key(|(_, bars)| std::cmp::Reverse(bars.iter().map(|bar| bar.count).sum::<u64>()));
    sorted
}

impl Archive for Memory {
    fn people(&self) -> Arc<People> {
        self.pipeline.orders.rules().people.clone()
    }

    fn events(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        slice: &Slice,
    ) -> Result<Page<Record>, ArchiveError> {
        let after = Place::read(&self.places, List::Events, slice.after.as_ref())?;
        let (mut range, mut filter) = (question.range, question.filter.clone());
        match after {
            Some(Place { time: Some(at), .. }) => {
                let end = Timestamp(at.saturating_add(1));
                range.end = Some(range.end.map_or(end, |own| own.min(end)));
            }
            // Those without a time are the last.
            Some(Place { time: None, .. }) => {
                let timed = Filter::test(FieldRef::of(Field::Time), Matcher::Present);
                filter = Filter::and([filter, Filter::not(timed)]);
            }
            None => {}
        }
        let skip = after.map_or(0, |after| after.told);
        let part = Part { skip, most: slice.most, bytes: PAGE_BYTES };
        let (found, more) = self
            .ask(seen(sight, &question.clusters), patience, |lake| lake.newest_part(&filter, range, part))?;
        let last = found.last().filter(|_| more).map(|last| {
            let alike = found.iter().rev().take_while(|kept| kept.time == last.time).count();
            let place = Place::new(last.time, alike);
            let before = after.filter(|after| after.time == place.time).map_or(0, |after| after.told);
            Place { told: alike + before, ..place }
        });
        let next = last.and_then(|last| last.position(&self.places, List::Events));
        Ok(Page { items: found.into_iter().map(record).collect(), next })
    }

    fn count(&self, sight: &Sight, patience: &Patience, question: &Question) -> Result<u64, ArchiveError> {
        self.ask(seen(sight, &question.clusters), patience, |lake| {
            Ok(lake.count(&question.filter, question.range)?.matched)
        })
    }

    fn top(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        field: &FieldRef,
        most: usize,
    ) -> Result<Top, ArchiveError> {
        let people = self.people();
        let top = self.ask(seen(sight, &question.clusters), patience, |lake| {
            crate::people::top(lake, &people, field, (&question.filter, question.range), most)
        })?;
        Ok(Top { values: top.values, other: top.other, missing: top.missing })
    }

    fn survey(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        survey: &Survey,
    ) -> Result<Surveyed, ArchiveError> {
        let people = self.people();
        let counts = self.ask(seen(sight, &question.clusters), patience, |lake| {
            let account = |field: &FieldRef| match field.field() {
                Field::Person | Field::Team => FieldRef::of(Field::User),
                _ => field.clone(),
            };
            let tops = survey.tops.iter().map(|(field, _)| vec![account(field)]);
            let lists: Vec<Vec<FieldRef>> =
                tops.chain(survey.combinations.iter().map(|(fields, _)| fields.clone())).collect();
            let by = survey.steps.as_ref().map(|(field, step)| (account(field), *step));
            let by = by.as_ref().map(|(field, step)| (field, *step));
            lake.counts(&lists, by, &question.filter, question.range)
        })?;
        let mut values = counts.values.into_iter();
        let tops =
            survey.tops.iter().zip(&mut values).zip(&counts.other).map(|(((field, most), rows), other)| {
                let rows = rows.into_iter().map(|(mut value, count)| (value.pop().flatten(), count));
                let mut top = most_of(crate::people::named(&people, field, rows), *most);
                top.other += other;
                top
            });
        let tops = tops.collect();
        let combinations = survey.combinations.iter().zip(values).map(|((_, most), mut rows)| {
            rows.truncate(*most);
            rows
        });
        let mut steps = counts.steps;
        // Those that were let go belong to no value that is named.
        if !counts.other_steps.is_empty() {
            let mut none = steps.iter().position(|(value, _)| value.is_none()).map(|at| steps.remove(at));
            let mut all: BTreeMap<Timestamp, u64> =
                none.take().into_iter().flat_map(|(_, own)| own).collect();
            for (start, count) in counts.other_steps {
                *all.entry(start).or_default() += count;
            }
            steps.push((None, all.into_iter().collect()));
        }
        let steps = survey.steps.as_ref().map(|(field, _)| steps_of(&people, field, steps));
        Ok(Surveyed {
            count: counts.scanned.matched,
            tops,
            combinations: combinations.collect(),
            steps: steps.unwrap_or_default(),
        })
    }

    fn histogram(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        step: i64,
    ) -> Result<Vec<Bar>, ArchiveError> {
        let histogram = self.ask(seen(sight, &question.clusters), patience, |lake| {
            lake.histogram(&question.filter, question.range, step)
        })?;
        let bars = histogram.steps.into_iter().filter(|(_, count)| *count > 0);
        Ok(bars.map(|(start, count)| Bar { start, count }).collect())
    }

    fn span(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
    ) -> Result<Option<(Timestamp, Timestamp)>, ArchiveError> {
        self.ask(seen(sight, &question.clusters), patience, |lake| {
            let mut first = None;
            lake.find(&question.filter, question.range, &mut |kept| {
                first = kept.time;
                if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let last = lake.newest(&question.filter, question.range, 1)?;
            let last = last.into_iter().next().and_then(|kept| kept.time);
            Ok(first.zip(last))
        })
    }

    fn event(
        &self,
        sight: &Sight,
        patience: &Patience,
        audit_id: &str,
        most: usize,
    ) -> Result<Vec<Record>, ArchiveError> {
        let filter = with_id(audit_id);
        let all = |sight: &Sight| {
            let sight = sight.clone();
            Seen::new(move |cluster| sight.filter_for(cluster))
        };
        self.ask(all(sight), patience, |lake| {
            let (mut found, mut bytes) = (Vec::new(), 0);
            lake.find(&filter, TimeRange::default(), &mut |kept| {
                bytes += kept.raw.len();
                found.push(record(kept));
                let has_room = found.len() < most && bytes < PAGE_BYTES;
                if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(found)
        })
    }

    fn proofs(
        &self,
        sight: &Sight,
        patience: &Patience,
        audit_id: &str,
    ) -> Result<Vec<String>, ArchiveError> {
        let sight = sight.clone();
        let seen = Seen::new(move |cluster| sight.filter_for(cluster));
        let proofs =
            self.ask(seen, patience, |lake| lake.prove_all(&with_id(audit_id), TimeRange::default(), 1000))?;
        let text =
            |proof| serde_json::to_string(&proof).map_err(|e| ArchiveError::Unavailable(e.to_string()));
        proofs.into_iter().map(text).collect()
    }

    fn export(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        format: ExportFormat,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, ArchiveError> {
        let columns = ExportColumns::default();
        let format = match format {
            ExportFormat::Jsonl => Format::Jsonl,
            ExportFormat::Csv => Format::Csv { columns, guarded: true },
            ExportFormat::Parquet => Format::Parquet { columns },
        };
        let mut out = Guarded { out, patience, gone: false };
        let done = self.ask(seen(sight, &question.clusters), patience, |lake| {
            lake.export(&question.filter, question.range, &format, &mut out)
        });
        match done {
            Err(_) if out.gone => Err(ArchiveError::ReaderGone),
            Err(_) if patience.is_over() => Err(ArchiveError::TooSlow),
            done => Ok(done?.matched),
        }
    }

    fn follow(
        &self,
        sight: &Sight,
        patience: &Patience,
        question: &Question,
        after: Option<&Position>,
        most: usize,
    ) -> Result<Followed, ArchiveError> {
        self.tail(sight, patience, question, after, most)
    }

    fn sql(
        &self,
        sight: &Sight,
        patience: &Patience,
        query: &str,
        most: u64,
        take: &mut dyn FnMut(SqlPart) -> ControlFlow<()>,
    ) -> Result<bool, ArchiveError> {
        if !sight.is_all() {
            return Err(ArchiveError::BadQuestion("SQL is for those who see everything".into()));
        }
        let hidden = if sight.sees_audit() { Vec::new() } else { vec![OWN_CLUSTER.to_owned()] };
        let own = sight.clone();
        let seen = Seen::new(move |cluster| own.filter_for(cluster)).with_sql_but_for(hidden);
        let time = patience.until().saturating_duration_since(Instant::now());
        let limits = Limits { time, memory_bytes: SQL_MEMORY, rows: Some(most) };
        let cancel = Cancel::default();
        let mut told = false;
        let answered = self.ask(seen, patience, |lake| {
            lake.sql(query, &limits, &cancel, &mut |page| {
                if patience.is_over() {
                    return ControlFlow::Break(());
                }
                if !told {
                    told = true;
                    if take(SqlPart::Columns(page.columns().to_vec())).is_break() {
                        return ControlFlow::Break(());
                    }
                }
                let rows = (0..page.rows()).map(|row| {
                    let cells = page.columns().iter().enumerate();
                    let object: serde_json::Map<String, serde_json::Value> =
                        cells.map(|(column, name)| (name.clone(), page.json(row, column))).collect();
                    serde_json::Value::Object(object).to_string()
                });
                take(SqlPart::Rows(rows.collect()))
            })
        })?;
        Ok(answered.cut)
    }

    fn verdicts(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        wanted: &Wanted,
        slice: &Slice,
    ) -> Result<Page<Verdict>, ArchiveError> {
        let after = Place::read(&self.places, List::Verdicts, slice.after.as_ref())?;
        let found = self.all_verdicts(sight, patience, kind, wanted)?;
        let (items, last) = page(found, after, slice.most);
        Ok(Page { items, next: last.and_then(|last| last.position(&self.places, List::Verdicts)) })
    }

    fn verdict(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        id: &str,
    ) -> Result<Verdict, ArchiveError> {
        self.one_verdict(sight, patience, kind, id)
    }

    fn rule_hits(
        &self,
        sight: &Sight,
        patience: &Patience,
        range: TimeRange,
    ) -> Result<Vec<RuleHits>, ArchiveError> {
        let mut hits: BTreeMap<String, RuleHits> = BTreeMap::new();
        self.each_verdict(
            sight,
            patience,
            VerdictKind::Finding,
            &Wanted { range, ..Wanted::default() },
            &mut |v| {
                let of = hits.entry(v.rule.clone()).or_insert_with(|| RuleHits {
                    rule: v.rule.clone(),
                    hits: 0,
                    last: None,
                });
                of.hits += 1;
                of.last = of.last.max(v.time);
            },
        )?;
        Ok(hits.into_values().collect())
    }

    fn sources(&self, sight: &Sight) -> Result<Vec<SourceView>, ArchiveError> {
        let mut all = (self.sources)();
        all.retain(|source| sight.sees_whole(&source.cluster));
        Ok(all)
    }

    fn integrity(&self, sight: &Sight) -> Result<IntegrityView, ArchiveError> {
        self.state(sight)
    }

    fn verify(&self, sight: &Sight) -> Result<IntegrityView, ArchiveError> {
        self.begin_to_verify();
        self.state(sight)
    }

    fn dead_letters(&self, sight: &Sight, slice: &Slice) -> Result<Page<DeadLetterView>, ArchiveError> {
        self.letters(sight, slice)
    }

    fn dead_letter(&self, sight: &Sight, number: u64) -> Result<DeadLetterView, ArchiveError> {
        self.letter(sight, number)
    }

    fn replay_dead_letter(&self, sight: &Sight, number: u64) -> Result<ReplayView, ArchiveError> {
        self.replay(sight, number)
    }

    fn remove_dead_letter(&self, sight: &Sight, number: u64) -> Result<(), ArchiveError> {
        self.letter(sight, number)?;
        self.pipeline.intake.dead().forget(number).map_err(wrong)
    }
}

fn with_id(audit_id: &str) -> Filter {
    Filter::test(FieldRef::of(Field::AuditId), Matcher::Text(TextMatch::literal(audit_id)))
}

/// An output that ends when nobody waits any more.
struct Guarded<'g> {
    out: &'g mut (dyn Write + Send),
    patience: &'g Patience,
    gone: bool,
}

impl Write for Guarded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.patience.is_over() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        self.out.write(bytes).inspect_err(|_| self.gone = true)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush().inspect_err(|_| self.gone = true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gaps_or_repeats() {
        let times = [9, 8, 8, 8, 8, 7, 3].map(|t| Some(Timestamp(t)));
        let all: Vec<_> = times.into_iter().chain([None, None]).enumerate().map(|(n, t)| (t, n)).collect();
        for most in 1..=all.len() {
            let (mut after, mut told) = (None, Vec::new());
            loop {
                let (items, last) = page(all.clone(), after, most);
                told.extend(items);
                let Some(last) = last else { break };
                after = Some(last);
            }
            assert_eq!(told, (0..all.len()).collect::<Vec<_>>(), "{most}");
        }
    }
}
