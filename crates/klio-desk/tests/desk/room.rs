//! A database, a clock that stands still until it is moved, and a ledger that remembers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use klio_desk::{
    Action, By, Cost, Deed, Desk, ExposeSecret as _, Ledger, LedgerError, Mapping, NewUser, Options, Outcome,
    Place, Principal, Role, Secret, User,
};
use klio_model::Timestamp;
use tempfile::TempDir;

use crate::server::Server;

/// The password of everybody in the tests.
pub const PASSWORD: &str = "correct battery staple";

/// Remembers what it was told.
#[derive(Default)]
pub struct Notes {
    actions: Mutex<Vec<Action>>,
    pub refuses: AtomicBool,
}

#[async_trait]
impl Ledger for Notes {
    async fn keep(&self, action: &Action) -> Result<(), LedgerError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(LedgerError("the disk is full".to_owned()));
        }
        self.actions.lock().unwrap().push(action.clone());
        Ok(())
    }
}

impl Notes {
    pub fn all(&self) -> Vec<Action> {
        self.actions.lock().unwrap().clone()
    }

    pub fn last(&self) -> Action {
        self.all().pop().unwrap()
    }

    pub fn count(&self, deed: Deed, outcome: Outcome) -> usize {
        self.all().iter().filter(|a| a.deed == deed && a.outcome == outcome).count()
    }

    /// Why the last thing was refused.
    pub fn why(&self) -> String {
        let last = self.last();
        assert_eq!(last.outcome, Outcome::Refused, "{last:?}");
        last.detail["why"].clone()
    }
}

pub struct Room {
    pub place: Place,
    pub notes: Arc<Notes>,
    pub now: Arc<AtomicI64>,
    pub dir: TempDir,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Room {
    fn of(place: impl FnOnce(&TempDir) -> Place) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(Timestamp::parse("2026-11-22T08:00:00Z").unwrap().micros()));
        Self { place: place(&dir), notes: Arc::default(), now, dir }
    }

    pub fn sqlite() -> Self {
        Self::of(|dir| Place::File(dir.path().join("a desk?.db")))
    }

    pub async fn postgres() -> Option<Self> {
        let server = tokio::task::spawn_blocking(Server::get).await.unwrap()?;
        let name = format!("desk{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        sqlx::any::install_default_drivers();
        let admin = sqlx::AnyPool::connect(&server.url("postgres")).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&admin).await.unwrap();
        admin.close().await;
        let url: Secret = server.url(&name).into();
        Some(Self::of(|_| Place::Postgres(url)))
    }

    pub fn options(&self) -> Options {
        let now = Arc::clone(&self.now);
        Options {
            cost: Cost::for_tests(),
            hashes_at_once: 4,
            clock: Arc::new(move || Timestamp(now.load(Ordering::SeqCst))),
            ..Options::default()
        }
    }

    pub async fn try_open(&self, options: Options) -> Result<Desk, klio_desk::DeskError> {
        Desk::open(&self.place, Arc::clone(&self.notes) as Arc<dyn Ledger>, options).await
    }

    pub async fn desk(&self) -> Desk {
        self.try_open(self.options()).await.unwrap()
    }

    pub async fn desk_with(&self, mapping: Mapping) -> Desk {
        self.try_open(Options { mapping, ..self.options() }).await.unwrap()
    }

    /// A connection past the desk, to look at the tables or to break them.
    pub async fn raw(&self) -> sqlx::AnyPool {
        sqlx::any::install_default_drivers();
        let url = match &self.place {
            Place::File(path) => {
                format!("sqlite://{}", path.display().to_string().replace(' ', "%20").replace('?', "%3F"))
            }
            Place::Postgres(url) => url.expose_secret().to_owned(),
        };
        sqlx::AnyPool::connect(&url).await.unwrap()
    }

    pub fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

/// Makes a user with the tests' password, at the console.
pub async fn hire(desk: &Desk, name: &str, role: Role, scope: &str) -> User {
    let new = NewUser {
        name: name.to_owned(),
        role,
        scope: scope.parse().unwrap(),
        password: Some(PASSWORD.into()),
    };
    desk.create_user(&By::console(), new).await.unwrap()
}

pub fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// Signs in from the office.
pub async fn enter(desk: &Desk, name: &str) -> Principal {
    desk.password(name, &PASSWORD.into(), ip("192.0.2.1")).await.unwrap()
}

pub fn by(principal: &Principal) -> By {
    By { principal: principal.clone(), from: ip("192.0.2.1") }
}
