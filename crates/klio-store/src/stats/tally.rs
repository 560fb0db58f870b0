//! Combinations of values and how often each occurs.

use arrow::array::{Array as _, StringArray};
use arrow::buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use klio_model::{Event, FieldRef};

use super::codes::{Codes, codes};
use crate::error::StoreError;
use crate::group::{Group, Run};
use crate::rows::Words;

/// Combinations that are counted in a list and not in a table.
const DENSE: u64 = 1 << 20;

/// Longer texts are counted by their beginning, bytes.
const LONGEST: usize = 1024;
/// What a counted combination takes beyond its numbers, bytes: about so much.
const ENTRY: usize = 48;

/// How much a count may hold: beyond it, what is rare is let go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Combinations, or steps of values.
    pub values: usize,
    /// Bytes in memory, about.
    pub bytes: usize,
    /// Bytes of the texts of one group of rows, before the rarer ones go.
    pub once: usize,
}

impl Room {
    /// Of one question: more values are no picture and no list.
    pub(super) const ALL: Self = Self { values: 1_000_000, bytes: 256 << 20, once: 256 << 20 };

    /// The same for each of several counts of one question.
    pub(super) fn shared(self, counts: usize) -> Self {
        Self { bytes: self.bytes / counts.max(1), ..self }
    }

    /// Whether all these texts have a place at once, as far as each is counted.
    pub(super) fn holds(self, texts: &StringArray) -> bool {
        let own = |at: usize| texts.value_length(at).unsigned_abs() as usize;
        texts.value_data().len() <= self.once
            || (0..texts.len()).map(|at| own(at).min(LONGEST)).sum::<usize>() <= self.once
    }

    /// Whether so much has no place. What has just been cleared needs a quarter less, so that it is not cleared at once again.
    pub(super) fn lacks(self, values: usize, bytes: usize, cleared: bool) -> bool {
        let spare = |most: usize| if cleared { most - most / 4 } else { most };
        values > spare(self.values) || bytes > spare(self.bytes)
    }
}

/// Texts, each kept once.
#[derive(Default)]
pub(super) struct Names(Words);

impl Names {
    /// No value.
    pub(super) const NONE: u32 = 0;

    /// The number of a text; of one that is too long, that of its beginning with an ellipsis.
    pub(super) fn of(&mut self, text: &str) -> u32 {
        if text.len() <= LONGEST {
            return self.0.index(text) + 1;
        }
        let begin = text.get(..text.floor_char_boundary(LONGEST - '…'.len_utf8())).unwrap_or_default();
        self.0.index(&format!("{begin}…")) + 1
    }

    pub(super) fn text(&self, number: u32) -> Option<String> {
        number.checked_sub(1).map(|index| self.0.word(index).to_owned())
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes() + self.0.distinct() as usize * size_of::<(u64, usize)>()
    }

    /// Forgets the texts that are not used any more, and gives the others new numbers.
    pub(super) fn keep<'n>(&mut self, used: impl Iterator<Item = &'n mut u32>) {
        let mut kept = Words::default();
        for number in used {
            if let Some(index) = number.checked_sub(1) {
                *number = kept.index(self.0.word(index)) + 1;
            }
        }
        self.0 = kept;
    }
}

/// The middle of some numbers; 0 of none.
pub(super) fn middle(mut counts: Vec<u64>) -> u64 {
    let at = counts.len() / 2;
    if counts.is_empty() { 0 } else { *counts.select_nth_unstable(at).1 }
}

/// Counts of combinations. If there are too many, the rarer half is let go and its events are only counted: what is frequent stays,
/// wherever it begins, and its counts are too low by what was let go of it before it was frequent.
pub(super) struct Tally {
    fields: Vec<FieldRef>,
    names: Names,
    counts: HashMap<Box<[u32]>, u64, FixedState>,
    room: Room,
    let_go: LetGo,
}

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LetGo {
    /// Combinations; one that came again and was let go again counts twice.
    pub values: u64,
    /// Their events.
    pub events: u64,
}

impl Tally {
    pub(super) fn new(fields: &[FieldRef], room: Room) -> Self {
        let counts = HashMap::with_hasher(FixedState::with_seed(7));
        Self { fields: fields.to_vec(), names: Names::default(), counts, room, let_go: LetGo::default() }
    }

    /// What was let go so far.
    pub(super) fn let_go(&self) -> LetGo {
        self.let_go
    }

    fn lacks_room(&self, cleared: bool) -> bool {
        let entry = ENTRY + self.fields.len() * size_of::<u32>();
        let bytes = self.names.bytes() + self.counts.capacity() * size_of::<(usize, usize, u64)>();
        self.room.lacks(self.counts.len(), bytes + self.counts.len() * entry, cleared)
    }

    /// Makes room if there is none.
    fn make_room(&mut self) {
        if !self.lacks_room(false) {
            return;
        }
        // Groups name texts that no row has which is asked for.
        self.rename();
        while self.lacks_room(true) && !self.counts.is_empty() {
            let is_value = |key: &[u32]| key.iter().any(|number| *number != Names::NONE);
            let least = middle(self.counts.iter().filter(|(k, _)| is_value(k)).map(|(_, n)| *n).collect());
            let before = self.counts.len();
            let let_go = &mut self.let_go;
            self.counts.retain(|key, count| {
                let stays = *count > least || !is_value(key);
                if !stays {
                    let_go.values += 1;
                    let_go.events += *count;
                }
                stays
            });
            if self.counts.len() == before {
                break;
            }
            self.rename();
        }
    }

    fn rename(&mut self) {
        let mut all: Vec<(Box<[u32]>, u64)> = self.counts.drain().collect();
        self.names.keep(all.iter_mut().flat_map(|(key, _)| key.iter_mut()));
        self.counts = HashMap::with_capacity_and_hasher(all.len(), FixedState::with_seed(7));
        self.counts.extend(all);
    }

    /// Counts an event.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let mut of_field = Vec::new();
            event.visit(field, &mut |value| {
                of_field.push(self.names.of(&value.to_text()));
                false
            });
            if of_field.is_empty() {
                of_field.push(Names::NONE);
            }
            values.push(of_field);
        }
        let lists: Vec<&[u32]> = values.iter().map(Vec::as_slice).collect();
        self.combine(&lists, 1);
        self.make_room();
    }

    /// Counts rows of a group from its columns; false if they do not tell, and nothing was counted.
    pub(super) fn columns(&mut self, group: &Group<'_>, rows: &BooleanBuffer) -> Result<bool, StoreError> {
        let mut each = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let Some(codes) = codes(field.field(), group, &mut self.names, self.room)? else {
                return Ok(false);
            };
            each.push(codes);
        }
        let sizes: Vec<u64> = each.iter().map(|codes| codes.values.len() as u64).collect();
        let Some(total) = sizes.iter().try_fold(1_u64, |all, size| all.checked_mul(*size)) else {
            return Ok(false);
        };
        for (mut key, count) in count(&each, &sizes, rows, total) {
            let mut lists: Vec<&[u32]> = Vec::with_capacity(each.len());
            for (codes, size) in each.iter().zip(&sizes).rev() {
                lists.push(codes.values.get((key % size) as usize).map_or(&[], Vec::as_slice));
                key /= size;
            }
            lists.reverse();
            self.combine(&lists, count);
        }
        self.make_room();
        Ok(true)
    }

    /// Counts each combination of one value from each list.
    fn combine(&mut self, lists: &[&[u32]], count: u64) {
        let combinations = lists.iter().map(|list| list.len()).product::<usize>();
        for number in 0..combinations {
            let mut left = number;
            let one = |list: &&[u32]| {
                let value = list.get(left % list.len().max(1)).copied().unwrap_or(Names::NONE);
                left /= list.len().max(1);
                value
            };
            let combination: Vec<u32> = lists.iter().map(one).collect();
            match self.counts.get_mut(combination.as_slice()) {
                Some(known) => *known += count,
                None => drop(self.counts.insert(combination.into(), count)),
            }
        }
    }

    /// Values and counts, the most frequent first, equals in the order of their texts.
    pub(super) fn sorted(self) -> Vec<(Vec<Option<String>>, u64)> {
        let texts = |key: &[u32]| key.iter().map(|number| self.names.text(*number)).collect();
        let mut rows: Vec<(Vec<Option<String>>, u64)> =
            self.counts.iter().map(|(key, count)| (texts(key), *count)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }
}

/// How often each combination of codes occurs in the rows, as one number each. Neighbours are alike: rows are added up
/// from one end of a run to the next.
fn count(each: &[Codes], sizes: &[u64], rows: &BooleanBuffer, total: u64) -> Vec<(u64, u64)> {
    let dense = total <= DENSE;
    let mut list = vec![0_u64; if dense { total as usize } else { 0 }];
    let mut table: HashMap<u64, u64, FixedState> = HashMap::with_hasher(FixedState::with_seed(7));
    let all = rows.count_set_bits() == rows.len();
    let mut left: Vec<&[Run]> = each.iter().map(|codes| codes.rows.runs.as_slice()).collect();
    let mut from = 0;
    // Until a column ends: all end together.
    while let Some(to) = left.iter().map(|runs| runs.first().map_or(0, |run| run.end as usize)).min() {
        if to <= from {
            break;
        }
        let mut key = 0;
        for (runs, size) in left.iter_mut().zip(sizes) {
            let Some((run, rest)) = runs.split_first() else { continue };
            key = key * size + u64::from(run.code);
            if run.end as usize == to {
                *runs = rest;
            }
        }
        let inside = to.min(rows.len()) - from.min(rows.len());
        let count =
            if all { inside } else { rows.slice(from.min(rows.len()), inside).count_set_bits() } as u64;
        from = to;
        if count > 0 {
            match list.get_mut(key as usize) {
                Some(slot) if dense => *slot += count,
                _ => *table.entry(key).or_default() += count,
            }
        }
    }
    let mut found: Vec<(u64, u64)> = (0..).zip(list).filter(|(_, count)| *count > 0).collect();
    found.extend(table);
    found
}

#[cfg(test)]
mod tests {
    use klio_model::Field;

    use super::*;

    fn agent(text: &str) -> Event<'static> {
        Event::blank().with(Field::UserAgent, text)
    }

    #[test]
    fn strangers_who_invent_values_do_not_hide_the_frequent_ones() {
        let fields = [FieldRef::of(Field::UserAgent), FieldRef::of(Field::Verb)];
        for (most, bytes) in [(64, usize::MAX), (usize::MAX, 16 << 10)] {
            let mut tally = Tally::new(&fields[..1], Room { values: most, bytes, ..Room::ALL });
            let mut pairs = Tally::new(&fields, Room { values: most, bytes, ..Room::ALL });
            for number in 0..20_000 {
                let stranger = agent(&format!("invented {number}"));
                tally.event(&stranger);
                pairs.event(&stranger);
                assert!(tally.counts.len() <= most && pairs.counts.len() <= most);
                // Those who come long after it is full, and who say nothing.
                let kubectl = (number % 4 == 0).then(|| agent("kubectl"));
                for event in kubectl.into_iter().chain((number > 10_000).then(Event::blank)) {
                    tally.event(&event);
                    pairs.event(&event);
                }
            }
            let let_go = tally.let_go();
            assert!(let_go.values > 10_000 && let_go.events >= let_go.values);
            assert!(tally.names.bytes() < 16 << 10, "texts that are not counted are forgotten");
            let rows = tally.sorted();
            assert_eq!(rows[0], (vec![None], 9_999));
            assert_eq!(rows[1], (vec![Some("kubectl".into())], 5_000));
            assert_eq!(
                rows.iter().map(|row| row.1).sum::<u64>() + let_go.events,
                34_999,
                "each is counted once"
            );
            assert_eq!(pairs.sorted()[1], (vec![Some("kubectl".into()), None], 5_000));
        }
    }

    #[test]
    fn texts_that_have_no_room_at_once_are_told_one_by_one() {
        let room = Room { once: 3 * LONGEST, ..Room::ALL };
        let long = "x".repeat(100 * LONGEST);
        let texts = |count: usize| StringArray::from(vec![long.as_str(); count]);
        assert!(room.holds(&texts(3)) && !room.holds(&texts(4)));
        assert!(room.holds(&StringArray::new_null(0)));
    }

    #[test]
    fn what_has_room_is_counted_as_it_is() {
        let mut tally = Tally::new(&[FieldRef::of(Field::UserAgent)], Room::ALL.shared(12));
        for number in 0..5_000 {
            tally.event(&agent(&format!("agent {}", number % 1_000)));
        }
        assert_eq!(tally.let_go(), LetGo::default());
        let rows = tally.sorted();
        assert!(rows.len() == 1_000 && rows.iter().all(|row| row.1 == 5));
    }

    #[test]
    fn long_texts_are_counted_by_their_beginning() {
        let mut names = Names::default();
        let long = "ä".repeat(700);
        let number = names.of(&long);
        assert_eq!(names.of(&format!("{long}x")), number);
        let cut = names.text(number).unwrap();
        assert!(cut.len() <= LONGEST && cut.ends_with("ä…") && long.starts_with(cut.trim_end_matches('…')));
        let whole = "x".repeat(LONGEST);
        let number = names.of(&whole);
        assert_eq!(names.text(number), Some(whole));
    }
}
