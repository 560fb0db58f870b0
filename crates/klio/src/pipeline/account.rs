//! Whether everything that API servers audited has come: their own counters against what was made durable.
//!
//! An API server counts each event that it hands to its backends, also those that it loses later
//! (`apiserver_audit_event_total`, kubernetes `staging/src/k8s.io/apiserver/pkg/audit/metrics.go`). Between two readings of the
//! counter it wrote so many; as many must be durable whose stage was reached between the two, by the API server's own clock.

use std::collections::{BTreeMap, VecDeque};

/// Seconds that an event may take to come: five tries of the webhook.
const PATIENCE: i64 = 120;
/// Seconds that are compared at most.
const WINDOW: i64 = 3600;

/// A reading of the counters of all API servers of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When, in seconds since 1970 by the API servers' clock.
    pub at: i64,
    /// Events that they handed to their backends.
    pub events: u64,
    /// Events that they say to have lost.
    pub errors: u64,
}

/// How complete a cluster's stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// From when to when was compared, in seconds since 1970.
    pub from: i64,
    /// To when.
    pub to: i64,
    /// Events that the API servers counted in that time.
    pub counted: u64,
    /// Events of that time that are durable here.
    pub durable: u64,
    /// Events that the API servers say to have lost in that time.
    pub lost: u64,
}

impl Balance {
    /// The part that has come, 0 to 1.
    pub fn ratio(&self) -> f64 {
        if self.counted == 0 { 1.0 } else { (self.durable as f64 / self.counted as f64).min(1.0) }
    }
}

/// The account of one cluster.
#[derive(Default, Debug)]
pub struct Account {
    readings: VecDeque<Reading>,
    /// Durable events by the second of their stage.
    seconds: BTreeMap<i64, u64>,
}

impl Account {
    /// An event is durable whose stage was reached in this second.
    pub fn durable(&mut self, second: i64, count: u64) {
        *self.seconds.entry(second).or_default() += count;
        let newest = self.seconds.keys().next_back().copied().unwrap_or(second);
        let old = newest - WINDOW - 2 * PATIENCE;
        if self.seconds.first_key_value().is_some_and(|(first, _)| *first < old) {
            self.seconds = self.seconds.split_off(&old);
        }
    }

    /// The counters were read.
    pub fn read(&mut self, reading: Reading) {
        // An API server that was started anew counts from nothing.
        if self.readings.back().is_some_and(|last| last.events > reading.events || last.at > reading.at) {
            self.readings.clear();
        }
        self.readings.push_back(reading);
        while self.readings.front().is_some_and(|first| first.at < reading.at - WINDOW - PATIENCE) {
            self.readings.pop_front();
        }
    }

    /// What is known now; nothing until two readings are old enough.
    pub fn balance(&self, now: i64) -> Option<Balance> {
        let ripe = self.readings.iter().rev().find(|reading| reading.at <= now - PATIENCE)?;
        let first = self.readings.front().filter(|first| first.at < ripe.at)?;
        let durable = self.seconds.range(first.at..ripe.at).map(|(_, count)| count).sum();
        Some(Balance {
            from: first.at,
            to: ripe.at,
            counted: ripe.events.saturating_sub(first.events),
            durable,
            lost: ripe.errors.saturating_sub(first.errors),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lose: bool) -> Account {
        let mut account = Account::default();
        let mut events = 5000;
        for second in 0..600 {
            if second % 30 == 0 {
                account.read(Reading { at: second, events, errors: 0 });
            }
            events += 10;
            account.durable(second, if lose && second == 200 { 4 } else { 10 });
        }
        account
    }

    #[test]
    fn what_is_missing_is_seen_and_what_is_on_its_way_is_not_missing() {
        let whole = account(false).balance(600).unwrap();
        assert_eq!((whole.counted, whole.durable, whole.to), (4800, 4800, 480));
        let less = account(true).balance(600).unwrap();
        assert_eq!(less.counted - less.durable, 6);
        assert!(less.ratio() < 1.0);
        assert_eq!(account(false).balance(100), None);
    }

    #[test]
    fn an_api_server_that_was_started_anew_begins_anew() {
        let mut account = account(false);
        account.read(Reading { at: 610, events: 3, errors: 0 });
        assert_eq!(account.balance(700), None);
        assert_eq!(account.readings.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut account = Account::default();
        for second in 0..100_000 {
            account.durable(second, 1);
            account.read(Reading { at: second, events: second as u64, errors: 0 });
        }
        assert!(account.seconds.len() < 5000 && account.readings.len() < 5000);
    }
}
