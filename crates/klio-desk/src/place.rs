//! Where the database is, and how it is spoken to: the same statements to both kinds.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, ConnectOptions as _, Connection as _, Executor as _, Transaction};

use crate::{DeskError, Secret};

/// Connections at once.
const CONNECTIONS: u32 = 8;
/// How long somebody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// `klio` in ASCII: whoever takes this advisory lock changes users or tables.
const LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(1802266991) AS TEXT)";

/// Where users, tokens and sessions are kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// A SQLite database in this file, which is made with mode 0600 if there is none. Usually `desk.db` in the data directory.
    File(PathBuf),
    /// A PostgreSQL server: `postgres://user:password@host/database`. Unless the URL names an `sslmode`, a server on another
    /// machine must prove who it is (`verify-full`).
    Postgres(Secret),
}

/// An open database.
pub(crate) struct Database {
    pool: AnyPool,
    postgres: bool,
}

/// What is done as a whole or not at all.
pub(crate) type Tx = Transaction<'static, Any>;

impl Database {
    pub(crate) async fn open(place: &Place) -> Result<Self, DeskError> {
        sqlx::any::install_default_drivers();
        let (url, postgres) = match place {
            Place::File(path) => (file(path)?, false),
            Place::Postgres(url) => (server(url)?, true),
        };
        // What the parser says of a URL it cannot read might contain a part of it.
        let options: AnyConnectOptions = url.expose_secret().parse().map_err(|_| {
            DeskError::Place("the URL cannot be read: postgres://user:password@host/database".to_owned())
        })?;
        let options = options.disable_statement_logging();
        if postgres {
            // The pool goes on trying where nobody listens; whoever starts Klio wants to know at once.
            let first = tokio::time::timeout(PATIENCE, options.connect()).await;
            first.map_err(|_| DeskError::Place("the server does not answer".to_owned()))??.close().await?;
        }
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if !postgres {
                        // Each change survives a power cut; readers do not wait for writers.
                        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                                       PRAGMA busy_timeout = 10000; PRAGMA secure_delete = ON;";
                        connection.execute(pragmas).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self { pool, postgres })
    }

    /// For reading, and for statements that stand alone.
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a change. Only one is made at a time, by all processes together: what it reads stays so until it is done.
    pub(crate) async fn change(&self) -> Result<Tx, DeskError> {
        if !self.postgres {
            return Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?);
        }
        let mut tx = self.pool.begin().await?;
        sqlx::query(LOCK).execute(&mut *tx).await?;
        Ok(tx)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The file, which nobody else may read, as a URL. SQLite gives its companions (`-wal`, `-shm`) the same mode.
fn file(path: &Path) -> Result<Secret, DeskError> {
    let refuse = |why: String| DeskError::Place(format!("{}: {why}", path.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| refuse(e.to_string()))?;
    let meta = file.metadata().map_err(|e| refuse(e.to_string()))?;
    if !meta.is_file() {
        return Err(refuse("not a file".to_owned()));
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(refuse(format!("others may read it (mode {mode:o}); it must be 0600")));
    }
    let text = path.to_str().ok_or_else(|| refuse("the path is not UTF-8".to_owned()))?;
    let mut url = String::from("sqlite://");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(url.into())
}

/// The URL, with TLS asked for if nothing is said about it and the server is elsewhere.
fn server(url: &Secret) -> Result<Secret, DeskError> {
    let text = url.expose_secret();
    let parsed = url::Url::parse(text).map_err(|_| {
        DeskError::Place("the URL cannot be read: postgres://user:password@host/database".to_owned())
    })?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(DeskError::Place("the URL begins with neither postgres:// nor postgresql://".to_owned()));
    }
    let says = |name: &str| parsed.query_pairs().any(|(key, _)| key == name);
    let here = match parsed.host_str() {
        None | Some("") => true,
        // A path with its slashes escaped is the directory of a socket.
        Some(host) => {
            host == "localhost" || host.starts_with("%2F") || host.starts_with("%2f") || is_loopback(host)
        }
    };
    if here || says("host") || says("hostaddr") || says("sslmode") || says("ssl-mode") {
        return Ok(url.clone());
    }
    let mut with = parsed.clone();
    with.query_pairs_mut().append_pair("sslmode", "verify-full");
    Ok(String::from(with).into())
}

fn is_loopback(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expect: &str) {
        assert_eq!(server(&url.into()).unwrap().expose_secret(), expect);
    }

    #[test]
    fn a_server_elsewhere_must_prove_who_it_is() {
        check("postgres://u:p@db.example/klio", "postgres://u:p@db.example/klio?sslmode=verify-full");
        check("postgres://u@db.example/klio?sslmode=disable", "postgres://u@db.example/klio?sslmode=disable");
        check("postgres://u@localhost:5433/klio", "postgres://u@localhost:5433/klio");
        check("postgres://u@[::1]/klio", "postgres://u@[::1]/klio");
        check("postgres:///klio?host=/run/postgresql", "postgres:///klio?host=/run/postgresql");
    }

    #[test]
    fn an_error_does_not_tell_the_password() {
        for url in ["mysql://u:hunter2hunter2@h/d", "postgres://u:hunter2hunter2@h:port/d", "hunter2hunter2"]
        {
            let error = server(&url.into()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(
            !format!("{:?}", Place::Postgres("postgres://u:hunter2hunter2@h/d".into())).contains("hunter2")
        );
    }
}
