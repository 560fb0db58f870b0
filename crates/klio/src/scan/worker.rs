//! One thread's part: decodes a chunk, asks the rules, and writes down what the sequence needs.

use std::sync::Arc;

use klio_detect::engine::{Bench, Sight, Verdict};
use klio_detect::lookup::{Lookup, Places};
use klio_detect::memory::Trace;
use klio_detect::story::{Ending, ID_CAP, WORDS_CAP, cut};
use klio_detect::{AllowList, Engine, RuleSet};
use klio_model::event::Level;
use klio_model::{Event, Field, Filter, People, Stage, TimeRange, event::UserKind};
use klio_source::{
    Format, Item, Reason, Record, Rejected, content_hash, decode, diagnose, keyed_content_hash, recover,
};
use xxhash_rust::xxh3::xxh3_64;

use super::Options;
use super::feed::Next;
use super::judged::{Hit, Judged, Seen};
use super::keys::{actor, is_long, mix, place_of, request_key, salt, session};
use super::telling::{Maker, Yes, describe, scene, severity};
use crate::keep::{Spooled, Terms, cluster_of, head, source};

/// One thread's state.
pub(super) struct Worker<'e> {
    engine: &'e Engine,
    secret: &'e [u8; 192],
    bench: Bench,
    filter: Option<&'e Filter>,
    range: TimeRange,
    maker: Maker,
    allow: AllowList,
    lookup: Arc<Lookup>,
    places: Places,
    people: &'e People,
    /// What stands for each rule in the ids of its findings.
    ids: Vec<u64>,
    /// How events are kept, if they are.
    terms: Option<&'e Terms>,
    source: String,
    /// Of the cluster whose records are judged.
    salt: u64,
    users: hashbrown::HashMap<Box<str>, u32, foldhash::fast::RandomState>,
}

impl<'e> Worker<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        secret: &'e [u8; 192],
        rules: &'e RuleSet,
        options: &'e Options,
        terms: Option<&'e Terms>,
    ) -> Self {
        Self {
            engine,
            secret,
            bench: engine.bench(),
            filter: (options.filter != Filter::All).then_some(&options.filter),
            range: options.range,
            maker: Maker::new(engine, rules, options.listing),
            allow: AllowList::new(rules),
            lookup: rules.lookup.clone(),
            places: Places::default(),
            people: &rules.people,
            ids: engine.rules().iter().map(|r| xxh3_64(r.id.as_bytes())).collect(),
            terms,
            source: String::new(),
            salt: salt(cluster_of(None, terms).as_deref()),
            users: hashbrown::HashMap::default(),
        }
    }

    pub(super) fn into_sight(self) -> Vec<Sight> {
        self.bench.sight
    }

    /// Decodes and judges a chunk.
    pub(super) fn judge(&mut self, next: &Next, room: Judged) -> Judged {
        let chunk = &next.chunk;
        let mut out = room.renewed(chunk.file.clone(), chunk.bytes().len() as u64, next.begins);
        self.users.clear();
        self.salt = salt(cluster_of(None, self.terms).as_deref());
        self.source = source(&chunk.file);
        if chunk.begins {
            out.head = Some(head(chunk.bytes()));
        }
        decode(chunk, &mut |item: Item<'_>| match item {
            Item::Record(record) => self.record(&record, &mut out),
            Item::Rejected(rejected) => out.rejected.push(rejected),
            Item::Skipped(skipped) => out.skipped.push(skipped),
        });
        out
    }

    /// Judges the records of a batch that was spooled by an earlier run.
    pub(super) fn spooled(&mut self, batch: &Spooled, room: Judged) -> Judged {
        let mut out = room.renewed(batch.source().into(), 0, None);
        out.spooled = Some((batch.seq(), batch.origin().clone()));
        self.salt = salt(cluster_of(Some(batch.origin()), None).as_deref());
        self.users.clear();
        batch.source().clone_into(&mut self.source);
        for (number, (json, salvaged)) in batch.entries().enumerate() {
            let (raw, line) = (json.as_bytes(), number as u64 + 1);
            self.record(&Record { json, raw, line, salvaged, format: Format::Native }, &mut out);
        }
        out
    }

    fn record(&mut self, record: &Record<'_>, out: &mut Judged) {
        let mut parsed = Event::parse(record.json);
        let event = match &mut parsed {
            Ok(event) => event,
            Err(why) => {
                let reason = diagnose(record.json).unwrap_or_else(|| Reason::NotAnEvent(why.to_string()));
                out.rejected.push(Rejected { file: out.file.clone(), line: record.line, count: 1, reason });
                // A line that was cut may have swallowed the whole event after it.
                if let Some(whole) = recover(record.json).filter(|w| w.len() < record.json.len()) {
                    self.record(&Record { json: whole, raw: whole.as_bytes(), ..*record }, out);
                }
                return;
            }
        };
        (event.salvaged, event.people) = (record.salvaged, Some(self.people));
        if let (Some(terms), None) = (self.terms, &out.spooled) {
            let mut text = String::new();
            if terms.redact(record.json, event, &mut text) {
                let record = Record { json: &text, raw: text.as_bytes(), ..*record };
                return self.redacted(&record, out);
            }
        }
        self.judged(event, record, out);
    }

    /// A record whose secrets were removed.
    fn redacted(&mut self, record: &Record<'_>, out: &mut Judged) {
        if let Ok(mut event) = Event::parse(record.json) {
            (event.salvaged, event.people) = (record.salvaged, Some(self.people));
            self.judged(&mut event, record, out);
        }
    }

    fn judged(&mut self, event: &mut Event<'_>, record: &Record<'_>, out: &mut Judged) {
        let stamp = event.time();
        self.lookup.fill(event, &mut self.places);
        let event = &*event;
        let time = stamp.map_or(i64::MIN, |t| t.micros());
        if !self.range.holds(stamp) || self.filter.is_some_and(|f| !f.matches(event)) {
            out.filtered += 1;
            return;
        }
        let bare = event.level >= Level::Request && event.request_object.text().is_none();
        if event.salvaged || (bare && event.truncated()) {
            out.salvaged += 1;
            if !matches!(event.text_of(Field::Verb), Some("get" | "list" | "watch")) {
                out.salvaged_writes.push(record.line);
            }
        }
        out.times.add(time);
        match out.formats.iter_mut().find(|(f, _)| *f == record.format.name()) {
            Some((_, n)) => *n += 1,
            None => out.formats.push((record.format.name(), 1)),
        }
        let content = keyed_content_hash(record.json, self.secret);
        let audit_id = event.audit_id.as_ref().map_or("", |s| s.0.as_ref());
        let id = if audit_id.is_empty() { content } else { xxh3_64(audit_id.as_bytes()) };
        let (kind, actor) = (event.user_kind(), actor(event));
        let mut seen = Seen {
            key: mix(id, 1 + event.stage as u64),
            content,
            session: session(event, kind, actor),
            actor,
            request: request_key(id, time),
            time,
            line: record.line,
            stranger: place_of(event, kind),
            issued: 0,
            user: self.user(event, out),
            ending: Ending::default(),
            text: (0, 0, 0),
            hits: (out.hits.len() as u32, 0),
            trace: u32::MAX,
            stage: event.stage,
            quiet: matches!(kind, UserKind::System | UserKind::Node),
            long: event.stage == Stage::ResponseStarted || is_long(event),
        };
        let mut verdicts: Vec<Verdict> = Vec::new();
        self.engine.judge(event, &mut self.bench, &mut |v| verdicts.push(v));
        if event.text_of(Field::Subresource) == Some("token") && event.code.is_some_and(|c| c < 300) {
            let issued = event.annotation("authentication.kubernetes.io/issued-credential-id");
            seen.issued = issued.map_or(0, |c| xxh3_64(c.as_bytes()));
        }
        if event.stage != Stage::RequestReceived
            && let Some(trace) = Trace::of(event)
        {
            seen.trace = out.traces.len() as u32;
            out.traces.push(trace);
        }
        let start = out.texts.len();
        out.texts.push_str(cut(audit_id, ID_CAP));
        let words = out.texts.len();
        if !verdicts.is_empty() || (!seen.quiet && event.stage != Stage::RequestReceived) {
            describe(event, &mut out.texts);
            let (all, kept) = (out.texts.len(), words + cut(&out.texts[words..], WORDS_CAP).len());
            out.texts.truncate(kept);
            seen.ending = Ending {
                code: event.code.and_then(|code| u16::try_from(code).ok()),
                is_dry: event.dry_run(),
                is_cut: kept < all,
            };
        }
        seen.text = (start as u32, (words - start) as u16, (out.texts.len() - words) as u16);
        if !verdicts.is_empty() {
            self.hits(event, record, &verdicts, out);
        }
        seen.hits.1 = out.hits.len() as u32;
        out.seen.push(seen);
        if let Some(terms) = self.terms {
            let rules = self.engine.rules();
            let worst = verdicts
                .iter()
                .filter(|v| !v.later)
                .map(|v| severity(rules[v.rule as usize].severity, v.proven))
                .max();
            let origin = out.spooled.as_ref().map(|(_, origin)| origin);
            terms.put(&mut out.shelf, event, &self.source, origin, worst);
        }
    }

    fn user(&mut self, event: &Event<'_>, out: &mut Judged) -> u32 {
        let name = event.text_of(Field::User).unwrap_or_default();
        if let Some(&index) = self.users.get(name) {
            return index;
        }
        let index = out.users.len() as u32;
        out.users.push(name.into());
        self.users.insert(name.into(), index);
        index
    }

    fn hits(&self, event: &Event<'_>, record: &Record<'_>, verdicts: &[Verdict], out: &mut Judged) {
        let content = content_hash(record.json) ^ self.salt;
        let start = out.kept.len();
        out.kept.push_str(event.json());
        let number = out.scenes.len() as u32;
        out.scenes.push(scene(event, (start as u32, out.kept.len() as u32)));
        for verdict in verdicts {
            let rule = &self.engine.rules()[verdict.rule as usize];
            let id = mix(self.ids[verdict.rule as usize], content);
            let allowed = if verdict.later { None } else { self.allow.excuses(verdict.rule, event) };
            if verdict.later || allowed.is_some() {
                out.hits.push(Hit {
                    rule: verdict.rule,
                    proven: verdict.proven,
                    later: verdict.later,
                    allowed: allowed.unwrap_or(u32::MAX),
                    scene: number,
                    id,
                    listed: (0, 0),
                    matched: None,
                });
                continue;
            }
            let file = out.file.clone();
            let yes = Yes { rule, proven: verdict.proven, id, file: &file, line: record.line };
            out.hits.push(self.maker.hit(&yes, verdict.rule, number, event, &mut out.listed));
        }
    }
}
