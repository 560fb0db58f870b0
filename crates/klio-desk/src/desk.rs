//! The desk: the open database, and how what is done at it gets to the ledger.

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klio_model::Timestamp;

use crate::password::Hasher;
use crate::place::{Database, Tx};
use crate::{Action, By, Cost, Deed, DeskError, Ledger, LedgerError, Mapping, Outcome, Place, Right, schema};

/// An action that is younger may still be on its way to the ledger, told by whoever did it.
const UNDERWAY: Duration = Duration::from_secs(30);
/// So many waiting actions are read at once.
const AT_ONCE: i64 = 1000;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a desk works.
#[derive(Clone)]
pub struct Options {
    /// What a hash of a password costs.
    pub cost: Cost,
    /// How many passwords are compared at once; each takes a core and the cost's memory.
    pub hashes_at_once: usize,
    /// A session ends when it was not used for so long.
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    pub session_most: Duration,
    /// What identities from outside become, until [`Desk::set_mapping`].
    pub mapping: Mapping,
    /// The time of day.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        let now = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(since.as_micros() as i64)
        };
        Self {
            cost: Cost::default(),
            hashes_at_once: std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 4)),
            session_idle: Duration::from_hours(12),
            session_most: Duration::from_hours(7 * 24),
            mapping: Mapping::default(),
            clock: Arc::new(now),
        }
    }
}

/// Who works here. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Desk {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) database: Database,
    pub(crate) hasher: Hasher,
    pub(crate) options: Options,
    /// What holds now; the options' were the first.
    pub(crate) mapping: RwLock<Arc<Mapping>>,
    ledger: Arc<dyn Ledger>,
}

impl Desk {
    /// Opens the database, makes or grows its tables, and tells the ledger what an earlier process could not tell.
    ///
    /// # Errors
    /// When the place cannot be used, the tables are newer than this Klio, or the ledger refuses.
    pub async fn open(place: &Place, ledger: Arc<dyn Ledger>, options: Options) -> Result<Self, DeskError> {
        let hasher = Hasher::new(options.cost, options.hashes_at_once)?;
        let database = Database::open(place).await?;
        schema::migrate(&database).await?;
        let mapping = RwLock::new(Arc::new(options.mapping.clone()));
        let desk = Self { inner: Arc::new(Inner { database, hasher, options, mapping, ledger }) };
        desk.tell_waiting().await?;
        desk.tidy().await?;
        Ok(desk)
    }

    /// Tells the ledger what waits longer than half a minute: what a process did that died, or that the ledger did not take. To be called
    /// once a minute; returns how many actions were told.
    ///
    /// # Errors
    /// When the ledger still does not take them; they go on waiting.
    pub async fn tell_waiting(&self) -> Result<usize, DeskError> {
        let before = self.now().micros() - micros(UNDERWAY);
        let waiting: Vec<(String,)> =
            sqlx::query_as("SELECT body FROM desk_action WHERE time <= $1 ORDER BY time LIMIT $2")
                .bind(before)
                .bind(AT_ONCE)
                .fetch_all(self.inner.database.pool())
                .await?;
        for (body,) in &waiting {
            let action: Action = serde_json::from_str(body)
                .map_err(|e| DeskError::Damaged(format!("a waiting action: {e}")))?;
            self.tell(&action).await?;
        }
        Ok(waiting.len())
    }

    /// Removes what has ended: sessions, old failures, addresses nobody came from for 90 days. To be called now and then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tidy(&self) -> Result<(), DeskError> {
        let (now, day) = (self.now().micros(), micros(Duration::from_hours(24)));
        let idle = now - micros(self.inner.options.session_idle);
        let pool = self.inner.database.pool();
        sqlx::query("DELETE FROM desk_session WHERE ends <= $1 OR seen <= $2")
            .bind(now)
            .bind(idle)
            .execute(pool)
            .await?;
        let attempts = "DELETE FROM desk_attempt WHERE last <= $1 AND until <= $1";
        sqlx::query(attempts).bind(now - day).execute(pool).await?;
        sqlx::query("DELETE FROM desk_known WHERE seen <= $1").bind(now - 90 * day).execute(pool).await?;
        Ok(())
    }

    /// Closes the connections. What is asked afterwards fails.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.options.clock)()
    }

    /// An action, so far done, by somebody.
    pub(crate) fn action(&self, by: &By, deed: Deed, on: &str) -> Result<Action, DeskError> {
        Ok(Action {
            id: crate::secret::id()?,
            time: self.now(),
            who: by.principal.to_string(),
            deed,
            on: on.chars().take(200).collect(),
            from: by.from,
            outcome: Outcome::Done,
            detail: [("via".to_owned(), via(by))].into(),
        })
    }

    /// Ends a change: keeps it together with its action, and tells the ledger. If it was refused, undoes it and tells that.
    pub(crate) async fn end<T>(
        &self,
        mut tx: Tx,
        action: Action,
        result: Result<T, DeskError>,
    ) -> Result<T, DeskError> {
        match result {
            Ok(value) => {
                wait(&mut tx, &action).await?;
                tx.commit().await?;
                self.tell(&action).await?;
                Ok(value)
            }
            Err(error) => {
                tx.rollback().await?;
                if error.is_refusal() {
                    self.record(action.refused(&error)).await?;
                }
                Err(error)
            }
        }
    }

    /// Keeps an action for which nothing else changes, and tells the ledger.
    pub(crate) async fn record(&self, action: Action) -> Result<(), DeskError> {
        let mut tx = self.inner.database.change().await?;
        wait(&mut tx, &action).await?;
        tx.commit().await?;
        self.tell(&action).await
    }

    async fn tell(&self, action: &Action) -> Result<(), DeskError> {
        if self.inner.ledger.is_elsewhere() {
            return Ok(());
        }
        self.inner.ledger.keep(action).await?;
        let told = sqlx::query("DELETE FROM desk_action WHERE id = $1").bind(&action.id);
        // It stands in the ledger. If it cannot be removed here it is told again, which the ledger knows by its id.
        let _ = told.execute(self.inner.database.pool()).await;
        Ok(())
    }
}

async fn wait(tx: &mut Tx, action: &Action) -> Result<(), DeskError> {
    let body = serde_json::to_string(action).map_err(|e| LedgerError(e.to_string()))?;
    sqlx::query("INSERT INTO desk_action (id, time, body) VALUES ($1, $2, $3)")
        .bind(&action.id)
        .bind(action.time.micros())
        .bind(body)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn via(by: &By) -> String {
    match by.principal.via() {
        crate::Via::Password => "password".to_owned(),
        crate::Via::Identity => "identity".to_owned(),
        crate::Via::Console => "console".to_owned(),
        crate::Via::Token(id) => format!("token {id}"),
        crate::Via::Session(id) => format!("session {id}"),
    }
}

/// Whether somebody has a right.
pub(crate) fn allowed(by: &By, right: Right) -> Result<(), DeskError> {
    let role = by.principal.role();
    if role.may(right) { Ok(()) } else { Err(DeskError::NotAllowed { role, right }) }
}

/// Microseconds of a duration.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
