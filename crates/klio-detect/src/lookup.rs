//! What lists and databases that the site gives say of events: country and network of an address, and indicators.
//!
//! Unlike what a [`memory`](crate::memory) knows, it depends on the event alone: a worker looks it up before it judges.
//! Why: `docs/decisions/0027-lookup.md`.

mod atlas;
mod image;
mod indicators;
mod kind;
mod lists;
mod stix;
mod wild;

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use klio_model::{Event, FieldRef, Filter, Matcher, Outside, Place};

pub use atlas::{Atlas, AtlasError};
pub use indicators::{Indicators, MOST};
pub use kind::Kind;
pub use lists::{Import, Imported, ListError, Refused};

/// Addresses whose places one thread remembers; then all are forgotten and looked up anew.
const PLACES: usize = 16_000;

/// All that events are looked up in.
#[derive(Debug, Default)]
pub struct Lookup {
    /// Where addresses lie; `None` if no database was given.
    pub atlas: Option<Atlas>,
    /// What is looked for; `None` if no list was given.
    pub indicators: Option<Indicators>,
}

/// What one thread remembers of earlier lookups.
#[derive(Debug, Default)]
pub struct Places {
    known: HashMap<Box<str>, Arc<Place>, foldhash::fast::RandomState>,
}

/// What was not given and is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// Databases of countries and networks.
    Atlas,
    /// Lists of indicators.
    Indicators,
}

impl Lack {
    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Atlas => {
                "no database of countries and networks was given: --geo FILE.mmdb, or `lookup.geo` in klio.yaml"
            }
            Self::Indicators => {
                "no indicators were given: --indicators FILE, or `lookup.indicators` in klio.yaml"
            }
        }
    }
}

impl Lookup {
    /// Sets [`Event::outside`], if there is anything to look up.
    pub fn fill(&self, event: &mut Event<'_>, places: &mut Places) {
        if self.atlas.is_none() && self.indicators.is_none() {
            return;
        }
        let place = self.atlas.as_ref().map(|atlas| places.of(atlas, event.source_ip()));
        let met = self.indicators.as_ref().map(|indicators| indicators.meet(event));
        event.outside = Some(Outside { place, met });
    }

    /// What a rule's filter needs to be true of anything, and is not here.
    pub fn lacks(&self, filter: &Filter) -> Option<Lack> {
        let atlas = self.atlas.is_none().then_some(Lack::Atlas);
        let indicators = self.indicators.is_none().then_some(Lack::Indicators);
        // What can be true of nothing anyhow lacks nothing.
        if !possible(filter, &|_| false).0 {
            return None;
        }
        [atlas, indicators].into_iter().flatten().find(|lack| {
            let missing = |field: &FieldRef| of_field(field) == Some(*lack);
            !possible(filter, &missing).0
        })
    }
}

impl Places {
    fn of(&mut self, atlas: &Atlas, address: Option<&str>) -> Arc<Place> {
        let address = address.unwrap_or_default();
        if let Some(known) = self.known.get(address) {
            return known.clone();
        }
        let place = Arc::new(match address.parse::<IpAddr>() {
            Ok(ip) => atlas.find(ip),
            Err(_) => Place { nowhere: address.is_empty(), ..Place::default() },
        });
        if self.known.len() >= PLACES {
            self.known.clear();
        }
        self.known.insert(address.into(), place.clone());
        place
    }
}

/// What a field comes from.
fn of_field(field: &FieldRef) -> Option<Lack> {
    use klio_model::Field;
    match field.field() {
        Field::NewCountry | Field::NewAsn | Field::SourceCountry | Field::SourceAsn | Field::SourceOrg => {
            Some(Lack::Atlas)
        }
        Field::IndicatorList | Field::IndicatorValue | Field::IndicatorNote => Some(Lack::Indicators),
        _ => None,
    }
}

/// Whether a filter can be true, and whether it can be false, if tests of missing fields are false.
fn possible(filter: &Filter, missing: &dyn Fn(&FieldRef) -> bool) -> (bool, bool) {
    match filter {
        Filter::All => (true, false),
        Filter::Nothing => (false, true),
        Filter::And(parts) => parts.iter().fold((true, false), |(yes, no), part| {
            let (may, may_not) = possible(part, missing);
            (yes && may, no || may_not)
        }),
        Filter::Or(parts) => parts.iter().fold((false, true), |(yes, no), part| {
            let (may, may_not) = possible(part, missing);
            (yes || may, no && may_not)
        }),
        Filter::Not(part) => {
            let (yes, no) = possible(part, missing);
            (no, yes)
        }
        Filter::Test(test) => {
            let other = matches!(&test.matcher, Matcher::Same(other) if missing(other));
            (!other && !missing(&test.field), true)
        }
        Filter::Keyword(_) => (true, true),
    }
}

/// Whether a filter reads what events are looked up for.
pub fn reads(filter: &Filter) -> bool {
    let mut any = false;
    filter.each_field(&mut |field| any |= field.needs_outside());
    any
}

/// A filter that is true wherever the given one could be, and reads nothing from outside: for whoever looks for events
/// without the lists, such as the lake.
pub fn wider(filter: &Filter) -> Filter {
    bound(filter, true)
}

fn bound(filter: &Filter, upper: bool) -> Filter {
    match filter {
        Filter::And(parts) => Filter::and(parts.iter().map(|part| bound(part, upper))),
        Filter::Or(parts) => Filter::or(parts.iter().map(|part| bound(part, upper))),
        Filter::Not(part) => Filter::not(bound(part, !upper)),
        Filter::Test(_) if reads(filter) => {
            if upper {
                Filter::All
            } else {
                Filter::Nothing
            }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
