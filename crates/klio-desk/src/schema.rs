//! The tables, and how they grow. Forward only: a version that was handed out is never altered, a new one is added.
//!
//! Times are microseconds since 1970 (UTC), truth is 0 or 1, ids are random texts: the same words in both databases.

use crate::DeskError;
use crate::place::Database;

/// The statements that lead to each version from the one before; the first is version 1.
const VERSIONS: [&[&str]; 2] = [&[
    "CREATE TABLE desk_user (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT, role TEXT NOT NULL, scope TEXT NOT NULL,
        disabled BIGINT NOT NULL, generation BIGINT NOT NULL, created BIGINT NOT NULL, signed_in BIGINT)",
    "CREATE TABLE desk_token (
        id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        owner TEXT NOT NULL REFERENCES desk_user (id) ON DELETE CASCADE,
        role TEXT NOT NULL, scope TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT, used BIGINT, revoked BIGINT)",
    "CREATE INDEX desk_token_owner ON desk_token (owner)",
    "CREATE TABLE desk_session (
        id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE,
        owner TEXT REFERENCES desk_user (id) ON DELETE CASCADE, generation BIGINT NOT NULL, identity TEXT,
        account TEXT NOT NULL, created BIGINT NOT NULL, seen BIGINT NOT NULL, ends BIGINT NOT NULL, address TEXT NOT NULL)",
    "CREATE INDEX desk_session_account ON desk_session (account)",
    // How often signing in failed, by what was tried and from where.
    "CREATE TABLE desk_attempt (
        key TEXT PRIMARY KEY, failures BIGINT NOT NULL, last BIGINT NOT NULL, until BIGINT NOT NULL)",
    // From where somebody has signed in before.
    "CREATE TABLE desk_known (
        owner TEXT NOT NULL REFERENCES desk_user (id) ON DELETE CASCADE, address TEXT NOT NULL, seen BIGINT NOT NULL,
        PRIMARY KEY (owner, address))",
    // What the ledger has not yet confirmed.
    "CREATE TABLE desk_action (id TEXT PRIMARY KEY, time BIGINT NOT NULL, body TEXT NOT NULL)",
], &[
    "CREATE TABLE desk_hunt (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, filter TEXT NOT NULL, owner TEXT NOT NULL, scope TEXT NOT NULL,
        created BIGINT NOT NULL)",
    "CREATE INDEX desk_hunt_owner ON desk_hunt (owner)",
]];

/// Brings the tables to the version that this Klio knows. Processes that do so at once wait for each other.
pub(crate) async fn migrate(database: &Database) -> Result<(), DeskError> {
    let known = VERSIONS.len() as i64;
    let mut tx = database.change().await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS desk_schema (version BIGINT PRIMARY KEY)")
        .execute(&mut *tx)
        .await?;
    let found: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM desk_schema").fetch_one(&mut *tx).await?;
    if found > known {
        return Err(DeskError::Newer { found, known });
    }
    for (i, statements) in VERSIONS.iter().enumerate().skip(found.max(0) as usize) {
        for statement in *statements {
            sqlx::query(*statement).execute(&mut *tx).await?;
        }
        sqlx::query("INSERT INTO desk_schema (version) VALUES ($1)")
            .bind(i as i64 + 1)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
