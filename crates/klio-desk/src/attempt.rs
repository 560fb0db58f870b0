//! Failed sign-ins cost time.
//!
//! Failures are counted for each user name, whether it exists or not, and for each client address (an IPv6 client has a /64). From
//! the tenth on, without a pause of a quarter of an hour between them, the next attempt is judged only after 30 seconds, then
//! 60, and so on up to a quarter of an hour. What comes earlier is refused unjudged and does not lengthen the wait.
//!
//! So that strangers cannot lock somebody out: from an address from which a user has signed in during the last 90 days, only
//! failures for that name *from that address* count, not what others do elsewhere with his name or his address with other names.
//! Sessions and tokens are not touched by any of this, the wait always ends, and [`crate::Desk::unlock`] ends it at once, at the
//! machine itself if need be. What remains: while strangers go on guessing, a user who comes from a new address may find each
//! attempt taken by theirs.
//!
//! An attempt counts as failed before its password is compared and is taken back if it was right. Attempts at the same time are thus
//! counted exactly, by all processes on one database together.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use klio_model::Timestamp;

use crate::DeskError;
use crate::desk::micros;
use crate::place::Tx;

/// Failures before the first wait.
const FREE: i64 = 10;
/// The first wait, seconds; each further one is twice as long.
const FIRST: i64 = 30;
/// The longest wait, seconds; and the pause after which all is forgotten.
const LONGEST: i64 = 15 * 60;

/// What an attempt is counted under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    /// This name, from wherever.
    Name(String),
    /// This address, with whatever name.
    From(String),
    /// This name from this address, which it has come from before.
    Known(String, String),
    /// Tokens from this address.
    TokenFrom(String),
}

impl Key {
    fn text(&self) -> String {
        match self {
            Self::Name(name) => format!("name {name}"),
            Self::From(address) => format!("from {address}"),
            Self::Known(name, address) => format!("known {name} {address}"),
            Self::TokenFrom(address) => format!("token {address}"),
        }
    }
}

/// The address under which a client is counted; `-` without one.
pub(crate) fn place(from: Option<IpAddr>) -> String {
    match from.map(|ip| ip.to_canonical()) {
        None => "-".to_owned(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        // Whoever has one address of a /64 has all of them (RFC 4291, 2.5.4).
        Some(IpAddr::V6(ip)) => format!("{}/64", Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
    }
}

/// Counts an attempt as failed.
///
/// # Errors
/// [`DeskError::TooMany`] if one of the keys must wait; nothing is counted then.
pub(crate) async fn begin(tx: &mut Tx, now: Timestamp, keys: &[Key]) -> Result<(), DeskError> {
    let mut counts = Vec::new();
    for key in keys {
        let (failures, last, until) = read(tx, key).await?.unwrap_or_default();
        if now.micros() < until {
            return Err(DeskError::TooMany(Timestamp(until)));
        }
        let forgotten = now.micros() - last.max(until) > LONGEST * 1_000_000;
        counts.push((key, if forgotten { 1 } else { failures + 1 }));
    }
    for (key, failures) in counts {
        let until = if failures < FREE { 0 } else { now.micros() + micros(wait(failures)) };
        sqlx::query(
            "INSERT INTO desk_attempt (key, failures, last, until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, last = excluded.last, until = excluded.until",
        )
        .bind(key.text())
        .bind(failures)
        .bind(now.micros())
        .bind(until)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Takes an attempt back that was right. The user's own counts begin anew; that of an address is lowered by one, else an
/// attacker would sign in with an account of his own between his guesses.
pub(crate) async fn succeeded(tx: &mut Tx, keys: &[Key]) -> Result<(), DeskError> {
    for key in keys {
        let statement = match key {
            Key::Name(_) | Key::Known(..) => "DELETE FROM desk_attempt WHERE key = $1",
            Key::From(_) | Key::TokenFrom(_) => {
                "UPDATE desk_attempt SET failures = failures - 1, until = 0 WHERE key = $1 AND failures > 0"
            }
        };
        sqlx::query(statement).bind(key.text()).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Forgets the failures of a name, from wherever.
pub(crate) async fn forget(tx: &mut Tx, name: &str) -> Result<(), DeskError> {
    sqlx::query("DELETE FROM desk_attempt WHERE key = $1 OR substr(key, 1, CAST($2 AS INTEGER)) = $3")
        .bind(Key::Name(name.to_owned()).text())
        .bind(name.len() as i64 + 7)
        .bind(format!("known {name} "))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn read(tx: &mut Tx, key: &Key) -> Result<Option<(i64, i64, i64)>, DeskError> {
    let found = sqlx::query_as("SELECT failures, last, until FROM desk_attempt WHERE key = $1");
    Ok(found.bind(key.text()).fetch_optional(&mut **tx).await?)
}

fn wait(failures: i64) -> Duration {
    let doublings = u32::try_from(failures - FREE).unwrap_or(0).min(16);
    Duration::from_secs((FIRST << doublings).min(LONGEST) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let seconds = [10, 11, 12, 15, 99, 9_999].map(|n| wait(n).as_secs());
        assert_eq!(seconds, [30, 60, 120, 900, 900, 900]);
    }

    #[test]
    fn a_network_that_one_client_owns_is_one_place() {
        let of = |text: &str| place(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(place(None), "-");
    }
}
