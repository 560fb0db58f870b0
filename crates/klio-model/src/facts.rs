//! What is known of the past when an event comes: fields like any other, filled in by a memory.
//!
//! An event is read without them, and its memory fields are *unknown* then. Whoever remembers (`klio-detect`'s
//! `memory`) sets [`Event::facts`](crate::Event::facts) and has the rules that read them asked again. `None` stands
//! for *unknown* here too: the memory cannot say.

use std::sync::Arc;

use crate::field::{Field, Value};

/// The past of one event. See the registry for what each of them means.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Facts {
    pub history_days: Option<i64>,
    pub new_actor: Option<bool>,
    pub new_agent: Option<bool>,
    pub agent_age: Option<i64>,
    pub new_address: Option<bool>,
    pub new_country: Option<bool>,
    pub new_asn: Option<bool>,
    pub address_age: Option<i64>,
    pub new_namespace: Option<bool>,
    pub new_action: Option<bool>,
    pub new_secret: Option<bool>,
    pub peers_action: Option<bool>,
    pub actor_age: Option<i64>,
    pub actor_hour_unusual: Option<bool>,
    pub actor_rate: Option<i64>,
    pub secrets_day: Option<i64>,
    pub secrets_week: Option<i64>,
    pub credential_age: Option<i64>,
    pub credential_addresses: Option<i64>,
    pub credential_moved: Option<bool>,
    pub credential_elsewhere: Option<bool>,
    pub credential_depth: Option<i64>,
    pub credential_issuer: Option<Arc<str>>,
    pub credential_root: Option<Arc<str>>,
    pub author: Option<Arc<str>>,
    pub author_sure: Option<bool>,
    pub workload: Option<Arc<str>>,
}

impl Facts {
    /// The value of a memory field; `None` if it is unknown, or no field of the memory.
    pub fn value(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::HistoryDays => self.history_days.map(Value::Int),
            Field::NewActor => self.new_actor.map(Value::Bool),
            Field::NewAgent => self.new_agent.map(Value::Bool),
            Field::AgentAge => self.agent_age.map(Value::Int),
            Field::NewAddress => self.new_address.map(Value::Bool),
            Field::NewCountry => self.new_country.map(Value::Bool),
            Field::NewAsn => self.new_asn.map(Value::Bool),
            Field::AddressAge => self.address_age.map(Value::Int),
            Field::NewNamespace => self.new_namespace.map(Value::Bool),
            Field::NewAction => self.new_action.map(Value::Bool),
            Field::NewSecret => self.new_secret.map(Value::Bool),
            Field::PeersAction => self.peers_action.map(Value::Bool),
            Field::ActorAge => self.actor_age.map(Value::Int),
            Field::ActorHourUnusual => self.actor_hour_unusual.map(Value::Bool),
            Field::ActorRate => self.actor_rate.map(Value::Int),
            Field::SecretsDay => self.secrets_day.map(Value::Int),
            Field::SecretsWeek => self.secrets_week.map(Value::Int),
            Field::CredentialAge => self.credential_age.map(Value::Int),
            Field::CredentialAddresses => self.credential_addresses.map(Value::Int),
            Field::CredentialMoved => self.credential_moved.map(Value::Bool),
            Field::CredentialElsewhere => self.credential_elsewhere.map(Value::Bool),
            Field::CredentialDepth => self.credential_depth.map(Value::Int),
            Field::CredentialIssuer => self.credential_issuer.as_deref().map(Value::Text),
            Field::CredentialRoot => self.credential_root.as_deref().map(Value::Text),
            Field::Author => self.author.as_deref().map(Value::Text),
            Field::AuthorSure => self.author_sure.map(Value::Bool),
            Field::Workload => self.workload.as_deref().map(Value::Text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{FIELDS, FieldRef, Holds, Seen};
    use crate::{Event, Filter, Missing, Tri};

    fn all() -> Facts {
        let (yes, n, text) = (Some(true), Some(7), || Some(Arc::from("x")));
        Facts {
            history_days: n,
            new_actor: yes,
            new_agent: yes,
            agent_age: n,
            new_address: yes,
            new_country: yes,
            new_asn: yes,
            address_age: n,
            new_namespace: yes,
            new_action: yes,
            new_secret: yes,
            peers_action: yes,
            actor_age: n,
            actor_hour_unusual: yes,
            actor_rate: n,
            secrets_day: n,
            secrets_week: n,
            credential_age: n,
            credential_addresses: n,
            credential_moved: yes,
            credential_elsewhere: yes,
            credential_depth: n,
            credential_issuer: text(),
            credential_root: text(),
            author: text(),
            author_sure: yes,
            workload: text(),
        }
    }

    #[test]
    fn each_memory_field_is_unknown_until_there_are_facts_that_say_it() {
        let mut event = Event::parse(r#"{"verb":"get"}"#).unwrap();
        let memory: Vec<_> = FIELDS.iter().filter(|i| i.needs_memory).collect();
        assert_eq!(memory.len(), 27);
        for facts in [None, Some(Facts::default()), Some(all())] {
            event.facts = facts;
            for info in &memory {
                let at = FieldRef::of(info.field);
                assert!(at.needs_memory() && !at.needs_body());
                let mut value = None;
                let seen = event.visit(&at, &mut |v| {
                    value = Some(match v {
                        Value::Int(_) => Holds::Number,
                        Value::Bool(_) => Holds::Bool,
                        _ => Holds::Text,
                    });
                    false
                });
                let known = event.facts.as_ref().is_some_and(|f| *f != Facts::default());
                assert_eq!(seen, if known { Seen::Present } else { Seen::Unknown }, "{}", info.name);
                assert_eq!(value, known.then_some(info.holds), "{}", info.name);
            }
        }
    }

    #[test]
    fn filters_read_facts_with_three_values() {
        let filter = Filter::parse("verb:get and new.secret:true and secrets.day >= 5").unwrap();
        let mut event = Event::parse(r#"{"verb":"get"}"#).unwrap();
        assert_eq!(filter.eval(&event, Missing::Unknown), Tri::Unknown);
        let facts = |new, n| Some(Facts { new_secret: new, secrets_day: Some(n), ..Facts::default() });
        event.facts = facts(Some(true), 5);
        assert_eq!(filter.eval(&event, Missing::Unknown), Tri::True);
        event.facts = facts(None, 5);
        assert_eq!(filter.eval(&event, Missing::Unknown), Tri::Unknown);
        event.facts = facts(None, 4);
        assert_eq!(filter.eval(&event, Missing::Unknown), Tri::False);
    }
}
