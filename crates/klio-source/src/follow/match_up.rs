//! Matches the files that are there with what is known about them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::entry::{Entry, Fit, Key, Place, fit};
use super::mark::{GONE, Mark, TAIL};
use super::piece::Piece;
use super::sight::{Seen, beside, fitting, open, place};
use super::tape::Tape;
use super::{FollowedFile, Follower};
use crate::order::Rank;
use crate::{Item, Options, Reason};

/// How often a file without a name is looked at before it is closed.
const NAMELESS: u32 = 10;

/// What a file may be that has no place yet.
enum Verdict {
    /// This one, with these bytes before its offset.
    Known(usize, Tape, Vec<u8>),
    New(Tape),
    /// One that does not fit the patterns and is not known.
    Beside,
    /// A copy of one that is being read, or not to be told yet.
    Wait,
}

impl Follower {
    /// Looks what is there now.
    pub(super) fn scan(&mut self) {
        let (mut seen, mut troubles) = self.look();
        if self.settle(&seen) {
            // A copy was made before the original was truncated.
            (seen, troubles) = self.look();
            self.settle(&seen);
        }
        self.waiting = troubles.into_iter().map(|(path, trouble)| waits(path, None, Some(trouble))).collect();
        let held: HashSet<Key> = self.entries.iter().filter_map(|e| Some(e.place.as_ref()?.key)).collect();
        self.sights.retain(&seen.iter().map(|s| s.key).filter(|key| !held.contains(key)).collect());
        seen.retain(|s| !held.contains(&s.key));
        let there = self.match_up(seen);
        self.forget(&there);
        self.close_some();
        self.line_up();
    }

    fn look(&self) -> (Vec<Seen>, Vec<(String, Reason)>) {
        let (mut seen, troubles) = fitting(&self.patterns);
        let keys: HashSet<Key> = seen.iter().map(|s| s.key).collect();
        let is_away = |e: &Entry| e.place.as_ref().is_none_or(|place| !keys.contains(&place.key));
        let mut homes: Vec<&str> = self.patterns.iter().map(String::as_str).collect();
        homes.retain(|p| !p.contains(['*', '?', '[']) && !Path::new(p).is_dir());
        let away: HashSet<usize> = self.entries.iter().filter(|e| is_away(e)).map(|e| e.lane).collect();
        let there: HashSet<&Path> = seen.iter().map(|s| s.path.as_path()).collect();
        let homes: Vec<PathBuf> = away
            .iter()
            .filter_map(|lane| self.lanes.get(*lane))
            .filter(|lane| there.contains(Path::new(&*lane.path)) || self.fits(&lane.path, &homes))
            .map(|lane| PathBuf::from(&*lane.path))
            .collect();
        beside(homes.iter().map(PathBuf::as_path), &mut seen);
        (seen, troubles)
    }

    /// Whether a path is one that the patterns mean, also when nothing lies there.
    fn fits(&self, path: &str, named: &[&str]) -> bool {
        named.contains(&path)
            || self.patterns.iter().any(|pattern| {
                Path::new(path).starts_with(pattern)
                    || glob::Pattern::new(pattern).is_ok_and(|glob| glob.matches(path))
            })
    }

    /// Looks at the files that have a place. True if one lost it.
    fn settle(&mut self, seen: &[Seen]) -> bool {
        let by_key: HashMap<Key, &Seen> = seen.iter().map(|s| (s.key, s)).collect();
        let mut lost = false;
        let options = &self.following.reading;
        for entry in &mut self.entries {
            let offset = entry.mark.offset();
            let Some(place) = &mut entry.place else { continue };
            let now = by_key.get(&place.key);
            if let Some(now) = now {
                place.path.clone_from(&now.path);
            }
            // While it was closed, another file may have got its inode.
            if place.tape.is_none()
                && now.is_some_and(|now| now.len != place.len || now.changed != place.changed)
                && matches!(place.open(options, offset), Ok(false))
            {
                (entry.place, lost) = (None, true);
                continue;
            }
            let state = match &place.tape {
                Some(tape) => tape.file().metadata().ok().map(|m| (m.len(), m.modified().ok(), m.nlink())),
                None => now.map(|now| (now.len, now.changed, 1)),
            };
            let Some((len, changed, links)) = state.filter(|_| place.is_intact(offset, offset)) else {
                (entry.place, lost) = (None, true);
                continue;
            };
            if place.is_packed && len != place.len {
                (entry.place, lost) = (None, true);
                continue;
            }
            if len != place.len || changed != place.changed {
                (place.len, place.changed, place.is_dirty) = (len, changed, true);
            }
            // What took its place is read after it, and it must be at its end then.
            place.is_dirty |= now.is_none_or(|now| !now.fits) && !place.is_packed;
            place.nameless = if links == 0 { place.nameless + 1 } else { 0 };
            if place.nameless > NAMELESS {
                (entry.place, lost) = (None, true);
            }
        }
        lost
    }

    /// Gives places to the files that have none. Returns what stands for them, and the place of the newest that it stands for.
    fn match_up(&mut self, mut seen: Vec<Seen>) -> HashMap<u64, Rank> {
        let options = self.following.reading.clone();
        let mut there = HashMap::new();
        // Oldest first, so that what is new is read in this order; those at their own place before, as a copy may lie beside.
        seen.sort_by_cached_key(|s| (s.rank(), s.path.clone()));
        let mut todo = Vec::new();
        for (number, one) in seen.into_iter().enumerate() {
            let sight = self.sights.look(&one, &options);
            let (id, is_packed, trouble) = (sight.id, sight.is_packed, sight.trouble.clone());
            let Some(id) = id else {
                if one.fits {
                    let path = one.path.to_string_lossy().into_owned();
                    self.waiting.push(waits(path, Some(&one), trouble));
                }
                continue;
            };
            there.insert(id, one.rank());
            let lane = self.by_path.get(&*one.path.to_string_lossy());
            let is_own = self.entries.iter().any(|e| Some(&e.lane) == lane && e.mark.id == id);
            todo.push(((!is_own, is_packed), number, id, one));
        }
        todo.sort_by_key(|(rank, number, ..)| (*rank, *number));
        let (mut met, mut others) = (Vec::new(), Vec::new());
        for (_, number, id, one) in todo {
            match self.judge(&one, id, &options) {
                Ok(Verdict::Known(of, tape, tail)) => {
                    let Ok(place) = Place::new(&one.path, one.key, tape, tail) else { continue };
                    self.settle_in(of, place);
                    met.push((number, of));
                }
                Ok(Verdict::New(tape)) => {
                    let lane = self.lane(&one.path.to_string_lossy());
                    met.extend(self.begin(lane, id, &one, tape).map(|of| (number, of)));
                }
                Ok(Verdict::Beside) => others.push((number, id, one)),
                Ok(Verdict::Wait) => {}
                Err(reason) if one.fits => {
                    let path = one.path.to_string_lossy().into_owned();
                    self.waiting.push(waits(path, Some(&one), Some(reason)));
                }
                Err(_) => {}
            }
        }
        others.retain(|(.., one)| self.missed(one, &there).is_some());
        for (number, id, one) in others {
            // It may be a copy of one that was met since.
            if let Some(lane) = self.missed(&one, &there)
                && let Ok(Verdict::Beside) = self.judge(&one, id, &options)
                && let Ok(tape) = open(&one, &options)
            {
                met.extend(self.begin(lane, id, &one, tape).map(|of| (number, of)));
            }
        }
        met.sort_unstable();
        for (_, of) in met {
            let order = self.order();
            if let Some(entry) = self.entries.get_mut(of).filter(|e| !e.was_met) {
                (entry.order, entry.was_met) = (order, true);
            }
        }
        there
    }

    /// Decides which file it is that was seen.
    fn judge(&mut self, one: &Seen, id: u64, options: &Options) -> Result<Verdict, Reason> {
        let sight = self.sights.look(one, options);
        let (is_settled, is_packed, twin) = (sight.is_settled, sight.is_packed, sight.twin);
        if twin
            .is_some_and(|twin| self.entries.iter().any(|e| e.place.as_ref().is_some_and(|p| p.key == twin)))
        {
            return Ok(Verdict::Wait);
        }
        let mut tape = open(one, options)?;
        let own = self.by_path.get(&*one.path.to_string_lossy()).copied();
        let mut same: Vec<usize> = (0..self.entries.len())
            .filter(|of| self.entries.get(*of).is_some_and(|e| e.mark.id == id))
            .collect();
        // Those that can be told surely first, of them the one that was read furthest; else its own.
        same.sort_by_key(|of| {
            let entry = self.entries.get(*of);
            let mark = entry.map(|e| e.mark.clone()).unwrap_or_default();
            Reverse((mark.end.is_some(), mark.offset(), entry.map(|e| e.lane) == own, mark.events))
        });
        let mut is_short = false;
        for of in same {
            let Some(entry) = self.entries.get_mut(of) else { continue };
            let Some(place) = &mut entry.place else {
                match fit(&entry.mark, &mut tape, one.len)? {
                    Fit::Yes(tail) => return Ok(Verdict::Known(of, tape, tail)),
                    // It is being written.
                    Fit::Short if tape.flaw().is_some() => return Ok(Verdict::Wait),
                    Fit::Short => is_short |= Some(entry.lane) != own || is_packed,
                    Fit::No => {}
                }
                continue;
            };
            let offset = entry.mark.offset();
            // What is not whole yet may become a copy.
            let Some(len) = tape.content() else { return Ok(Verdict::Wait) };
            let is_twin = place.open(options, offset)? && is_begin(&mut tape, len, place)?;
            if is_twin {
                let key = place.key;
                self.sights.look(one, options).twin = Some(key);
                return Ok(Verdict::Wait);
            }
            if !place.is_intact(offset, offset) {
                return Ok(Verdict::Wait);
            }
        }
        let is_early = (is_short || is_packed) && !is_settled;
        Ok(match one.fits {
            _ if is_early => Verdict::Wait,
            true => Verdict::New(tape),
            false => Verdict::Beside,
        })
    }

    /// The lane of a log of which this file was written and rotated out behind what is known of it.
    fn missed(&self, one: &Seen, there: &HashMap<u64, Rank>) -> Option<usize> {
        let rank = one.rank();
        let is_set = |e: &&Entry| self.lanes.get(e.lane).is_some_and(|lane| lane.set == rank.set);
        let latest =
            self.entries.iter().filter(is_set).filter(|e| e.mark.is_begun()).max_by_key(|e| e.order)?;
        let copy = there.get(&latest.mark.id).filter(|copy| copy.set == rank.set);
        let is_behind = match (&latest.place, copy) {
            (Some(at), _) if at.nameless == 0 => place(&at.path).age < rank.age,
            (_, Some(copy)) => copy.age < rank.age,
            // What has its name now is newer.
            (Some(at), None) => place(&at.path).age <= rank.age,
            // It was deleted while nobody looked, and with it all that was older.
            (None, None) => !latest.was_met,
        };
        is_behind.then_some(latest.lane)
    }

    /// A file that is not known is read from its begin.
    fn begin(&mut self, lane: usize, id: u64, one: &Seen, tape: Tape) -> Option<usize> {
        let place = Place::new(&one.path, one.key, tape, Vec::new()).ok()?;
        let mark = Mark { id, bytes: Some(0), ..Mark::default() };
        self.entries.push(Entry { lane, order: 0, mark, place: None, was_met: false, trouble: None });
        let of = self.entries.len() - 1;
        self.settle_in(of, place);
        Some(of)
    }

    /// The file lies there.
    fn settle_in(&mut self, of: usize, place: Place) {
        let sizes = self.sizes();
        let options = self.following.reading.clone();
        if let Some(entry) = self.entries.get_mut(of) {
            entry.place = Some(place);
            if entry.mark.bytes.is_none() {
                pass_events(entry, &options, sizes);
            }
        }
        self.close_some();
    }

    /// Forgets files that are gone, but for the latest of each place.
    fn forget(&mut self, there: &HashMap<u64, Rank>) {
        // A place of which nothing is there may come back as a whole.
        let lanes: HashSet<usize> =
            self.entries.iter().filter(|e| e.place.is_some()).map(|e| e.lane).collect();
        let is_gone =
            |e: &Entry| e.place.is_none() && lanes.contains(&e.lane) && !there.contains_key(&e.mark.id);
        let mut gone: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|e| is_gone(e) && e.mark.is_begun()) {
            gone.entry(entry.lane).or_default().push(entry.order);
        }
        for orders in gone.values_mut() {
            orders.sort_unstable_by_key(|order| Reverse(*order));
        }
        let oldest = |lane: usize| gone.get(&lane).and_then(|orders| orders.get(GONE - 1)).copied();
        self.entries.retain(|e| {
            !is_gone(e) || (e.mark.is_begun() && oldest(e.lane).is_none_or(|order| e.order >= order))
        });
    }

    /// Closes files that were read to their end and did not change for the longest time, if too many are open.
    fn close_some(&mut self) {
        let is_open = |e: &&mut Entry| e.place.as_ref().is_some_and(|p| p.tape.is_some());
        let mut open: Vec<&mut Entry> = self.entries.iter_mut().filter(is_open).collect();
        let Some(many) = open.len().checked_sub(self.following.open.max(1)).filter(|n| *n > 0) else {
            return;
        };
        open.sort_by_key(|e| e.place.as_ref().and_then(|p| p.changed));
        for entry in open.into_iter().take(many) {
            if let Some(place) = entry.place.as_mut().filter(|p| p.nameless == 0) {
                place.tape = None;
            }
        }
    }

    /// Puts the files of one log in a row.
    fn line_up(&mut self) {
        let mut sets: BTreeMap<&Path, Vec<(u64, usize)>> = BTreeMap::new();
        for (of, entry) in self.entries.iter().enumerate() {
            if let Some(lane) = self.lanes.get(entry.lane)
                && entry.place.is_some()
            {
                sets.entry(&lane.set).or_default().push((entry.order, of));
            }
        }
        let row = |mut set: Vec<(u64, usize)>| {
            set.sort_unstable();
            set.into_iter().map(|(_, of)| of).collect()
        };
        self.sets = sets.into_values().map(row).collect();
    }
}

/// Whether the content, so many bytes, is how the other file begins.
fn is_begin(tape: &mut Tape, len: u64, other: &mut Place) -> Result<bool, Reason> {
    let Some(other) = &mut other.tape else { return Ok(true) };
    let n = len.min(TAIL as u64);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    tape.read(len - n, n as usize, &mut a)?;
    other.read(len - n, n as usize, &mut b)?;
    Ok(a == b)
}

/// Goes on behind as many events as were read by someone who counts nothing else.
fn pass_events(entry: &mut Entry, options: &Options, sizes: super::Sizes) {
    let events = entry.mark.events;
    entry.mark = Mark { id: entry.mark.id, bytes: Some(0), ..Mark::default() };
    while entry.mark.events < events {
        let Some(mut next) = entry.next(options, sizes) else { return };
        let left = (events - entry.mark.events) as usize;
        let piece = Piece {
            path: "".into(),
            file: "".into(),
            bytes: std::mem::take(&mut next.cut.bytes).into(),
            line: 1,
            rejected: Vec::new(),
            of: 0,
            mark: next.mark,
            others: (Vec::new(), Vec::new()),
            options: options.clone(),
        };
        let mut lines = Vec::new();
        piece.decode(&mut |item| {
            if let Item::Record(record) = item {
                lines.push(record.line);
            }
        });
        if lines.len() <= left {
            entry.advance(piece.after(lines.len() as u64), next.tail);
            continue;
        }
        // The first event that is new begins in this line.
        let before = lines.get(left).map_or(0, |line| line.saturating_sub(1));
        let feeds = memchr::memchr_iter(b'\n', &piece.bytes);
        let end = before.checked_sub(1).and_then(|n| feeds.clone().nth(n as usize)).map_or(0, |at| at + 1);
        let to = next.cut.from + end as u64;
        let mut tail = Vec::new();
        let n = to.min(TAIL as u64);
        let tape = entry.place.as_mut().and_then(|place| place.tape.as_mut());
        if tape.is_none_or(|tape| tape.read(to - n, n as usize, &mut tail).is_err()) {
            return;
        }
        let lines = entry.mark.lines + before;
        let end = Some(xxh3_64(&tail));
        let mark = Mark { events, lines, bytes: Some(to), end, packed: None, ..entry.mark };
        entry.advance(mark, tail);
    }
}

fn waits(path: String, seen: Option<&Seen>, trouble: Option<Reason>) -> FollowedFile {
    let size = seen.map_or(0, |s| s.len);
    FollowedFile { path, size, offset: 0, lag: size, changed: seen.and_then(|s| s.changed), trouble }
}
