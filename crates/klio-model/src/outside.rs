//! What lists and databases that the site gives say of an event: where its address lies, and which indicators it
//! meets. Fields like any other.
//!
//! An event is read without it, and its fields are *unknown* then. Whoever has the lists (`klio-detect`'s `lookup`)
//! sets [`Event::outside`](crate::Event::outside).

use std::sync::Arc;

use crate::event::Recorded;
use crate::field::{Field, Value};

/// What is known of one event from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outside {
    /// Where its address lies; `None` if no database was asked.
    pub place: Option<Arc<Place>>,
    /// Which indicators it meets; `None` if there are no indicators.
    pub met: Option<Met>,
}

/// Where an address lies. What is `None` is unknown, unless it lies nowhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The address is private or the machine's own, or there is none: it has no country and no network.
    pub nowhere: bool,
    /// Two letters of ISO 3166.
    pub country: Option<Arc<str>>,
    /// The number of the autonomous system.
    pub asn: Option<i64>,
    /// Who runs it.
    pub org: Option<Arc<str>>,
}

/// The indicators that an event meets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Met {
    /// Each once.
    pub all: Vec<Indicator>,
    /// It may meet more: a body that would tell was not recorded.
    pub open: bool,
}

/// An indicator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Indicator {
    /// The list that it comes from.
    pub list: Arc<str>,
    /// The address, network, name … as the list gives it.
    pub value: String,
    /// What the list says of it; empty if nothing.
    pub note: Arc<str>,
}

impl Outside {
    /// Calls `f` with each value of an outside field; `f` returns true to stop. Whether that is all of it.
    pub(crate) fn values(&self, field: Field, f: &mut dyn FnMut(Value<'_>) -> bool) -> Recorded {
        let known = |yes: bool| if yes { Recorded::Yes } else { Recorded::No };
        if let Some(of) = text_of(field) {
            let Some(met) = &self.met else { return Recorded::No };
            met.all.iter().map(of).filter(|text| !text.is_empty()).any(|text| f(Value::Text(text)));
            return known(!met.open);
        }
        let Some(place) = &self.place else { return Recorded::No };
        let value = match field {
            Field::SourceCountry => place.country.as_deref().map(Value::Text),
            Field::SourceAsn => place.asn.map(Value::Int),
            Field::SourceOrg => place.org.as_deref().map(Value::Text),
            _ => None,
        };
        if let Some(value) = value {
            f(value);
        }
        known(value.is_some() || place.nowhere)
    }
}

/// What a field of indicators says of one.
fn text_of(field: Field) -> Option<fn(&Indicator) -> &str> {
    match field {
        Field::IndicatorList => Some(|met| &met.list),
        Field::IndicatorValue => Some(|met| &met.value),
        Field::IndicatorNote => Some(|met| &met.note),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{FIELDS, FieldRef};
    use crate::{Event, Filter, Missing, Tri, explain};

    const EVENT: &str = r#"{"verb":"get","user":{"username":"ana"},"sourceIPs":["203.0.113.7"],"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}"#;

    fn check(outside: Option<Outside>, filter: &str, want: Tri) {
        let mut event = Event::parse(EVENT).unwrap();
        event.outside = outside;
        let filter = Filter::parse(filter).unwrap();
        assert_eq!(filter.eval(&event, Missing::Unknown), want, "{filter} of {:?}", event.outside);
    }

    #[test]
    fn nothing_is_known_until_somebody_was_asked() {
        let outside: Vec<_> = FIELDS.iter().filter(|info| info.needs_outside).collect();
        assert_eq!(outside.len(), 6);
        for info in outside {
            let at = FieldRef::of(info.field);
            assert!(at.needs_outside() && !at.needs_memory() && !at.needs_body());
            for outside in [None, Some(Outside::default())] {
                check(outside, &format!("{}:*", info.name), Tri::Unknown);
            }
        }
    }

    #[test]
    fn a_private_address_lies_nowhere_and_one_that_no_database_holds_somewhere() {
        let place = |place: Place| Some(Outside { place: Some(Arc::new(place)), met: None });
        let known = || place(Place { country: Some("DE".into()), asn: Some(64496), ..Place::default() });
        check(known(), "source.country:DE and source.asn:64496", Tri::True);
        check(known(), "source.country:(RU or KP)", Tri::False);
        check(known(), "source.org:*", Tri::Unknown);
        check(place(Place::default()), "source.country:*", Tri::Unknown);
        check(place(Place { nowhere: true, ..Place::default() }), "source.country:*", Tri::False);
        check(place(Place { nowhere: true, ..Place::default() }), "not source.country:DE", Tri::True);
    }

    #[test]
    fn no_indicator_was_met_only_if_all_was_recorded() {
        let one = Indicator { list: "feed".into(), value: "203.0.113.0/24".into(), note: "".into() };
        let met = |all: &[&Indicator], open| {
            let all = all.iter().map(|met| (*met).clone()).collect();
            Some(Outside { place: None, met: Some(Met { all, open }) })
        };
        check(met(&[&one], false), "indicator.list:feed and indicator.value:203.0.113.0\\/24", Tri::True);
        check(met(&[&one], true), "indicator.list:*", Tri::True);
        check(met(&[&one], false), "indicator.note:*", Tri::False);
        check(met(&[], false), "indicator.list:*", Tri::False);
        check(met(&[], true), "indicator.list:*", Tri::Unknown);
    }

    #[test]
    fn the_sentence_says_where_the_address_lies() {
        let mut event = Event::parse(EVENT).unwrap();
        let place = Place { country: Some("DE".into()), asn: Some(64496), ..Place::default() };
        event.outside = Some(Outside { place: Some(Arc::new(place)), met: None });
        assert!(explain(&event).contains("ana (from 203.0.113.7 [DE, AS64496])"), "{}", explain(&event));
    }
}
