//! A desk, an audit that remembers, and requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use klio_desk::{
    Action, By, Cost, Desk, ExposeSecret as _, Ledger, LedgerError, NewUser, Role, Secret, TokenOrder,
};
use klio_detect::About;
use klio_model::{Severity, Timestamp};
use klio_web::view::{AllowView, HuntView};
use klio_web::{Access, AccessStage, AuditError, Library, Limits, Options, OwnAudit, Peer, Rate, Web};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::memory::Memory;
use crate::world::PLACES;

pub const PASSWORD: &str = "a few words that do";
/// The time of all answers.
pub const NOW: Timestamp = Timestamp(1_795_100_000_000_000);

struct Deaf;

#[async_trait]
impl Ledger for Deaf {
    async fn keep(&self, _: &Action) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// Remembers all accesses, or refuses them.
#[derive(Default)]
pub struct Recorder {
    pub all: Mutex<Vec<Access>>,
    pub refuses: AtomicBool,
    /// Refuses what ends, and takes what begins.
    pub refuses_ends: AtomicBool,
}

#[async_trait]
impl OwnAudit for Recorder {
    async fn record(&self, access: &Access) -> Result<(), AuditError> {
        let ends = access.stage == AccessStage::Complete && self.refuses_ends.load(Ordering::Relaxed);
        if ends || self.refuses.load(Ordering::Relaxed) {
            return Err(AuditError("full".into()));
        }
        self.all.lock().unwrap().push(access.clone());
        Ok(())
    }
}

impl Recorder {
    pub fn complete(&self) -> Vec<Access> {
        let all = self.all.lock().unwrap();
        all.iter().filter(|access| access.stage == AccessStage::Complete).cloned().collect()
    }

    pub fn last(&self) -> Access {
        self.complete().pop().unwrap()
    }

    /// Waits for the end of a request that ends by itself.
    pub async fn until(&self, ended: usize) -> Access {
        for _ in 0..2000 {
            if self.complete().len() >= ended {
                return self.last();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only {} of {ended} requests ended", self.complete().len());
    }
}

pub struct Room {
    pub desk: Desk,
    pub audit: Arc<Recorder>,
    pub app: Router,
    /// Kept as long as the room is.
    dir: Arc<tempfile::TempDir>,
}

pub fn limits() -> Limits {
    let rate = Rate { per_second: 100_000.0, burst: 100_000.0 };
    Limits {
        address: rate,
        principal: rate,
        tail: Duration::from_millis(600),
        heartbeat: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// A library with one rule, an entry about a foreign place for most, and two hunts.
struct Shelf(About);

impl Library for Shelf {
    fn rules(&self) -> Vec<About> {
        vec![self.0.clone()]
    }

    fn allowed(&self) -> Vec<AllowView> {
        let place = PLACES[3];
        vec![AllowView {
            id: Some("kept".into()),
            rule: None,
            filter: format!("user:{}user", place.mark()),
            owner: "ops".into(),
            reason: "known".into(),
            until: None,
            wrong: Some("there is no rule `gone`".into()),
            findings: 0,
        }]
    }

    fn hunts(&self) -> Vec<HuntView> {
        let hunt = |name: &str, filter: Option<&str>, sql: Option<&str>| HuntView {
            name: name.into(),
            title: format!("What is asked {name}?"),
            tactic: None,
            technique: None,
            filter: filter.map(str::to_owned),
            sql: sql.map(str::to_owned),
            page: String::new(),
        };
        vec![hunt("by-filter", Some("verb:get"), None), hunt("in-sql", None, Some("SELECT 1"))]
    }
}

pub fn options() -> Options {
    let about = About {
        id: "rule-1".into(),
        name: None,
        title: "A rule".into(),
        description: "What it is about".into(),
        dialect: klio_detect::Dialect::Klio,
        severity: Severity::High,
        tactics: vec![],
        techniques: vec![],
        labels: vec![],
        reports: true,
        file: "/a/path.yml".into(),
        line: 1,
    };
    Options {
        limits: limits(),
        library: Arc::new(Shelf(about)),
        clock: Arc::new(|| NOW),
        ..Options::default()
    }
}

impl Room {
    pub async fn new(archive: Arc<Memory>) -> Self {
        Self::with(archive, options()).await
    }

    pub async fn with(archive: Arc<Memory>, options: Options) -> Self {
        Self::of(archive, options, klio_desk::Mapping::default()).await
    }

    pub async fn of(archive: Arc<Memory>, options: Options, mapping: klio_desk::Mapping) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let desk_options = klio_desk::Options {
            cost: Cost::for_tests(),
            clock: Arc::new(|| NOW),
            mapping,
            ..klio_desk::Options::default()
        };
        let place = klio_desk::Place::File(dir.path().join("desk.db"));
        let desk = Desk::open(&place, Arc::new(Deaf), desk_options).await.unwrap();
        desk.bootstrap("root").await.unwrap();
        let audit = Arc::new(Recorder::default());
        let app = klio_web::router(Web::new(archive, desk.clone(), audit.clone(), options));
        Self { desk, audit, app, dir }
    }

    /// The same people over another archive.
    pub fn beside(&self, archive: Arc<Memory>) -> Self {
        let audit = Arc::new(Recorder::default());
        let app = klio_web::router(Web::new(archive, self.desk.clone(), audit.clone(), options()));
        Self { desk: self.desk.clone(), audit, app, dir: self.dir.clone() }
    }

    pub async fn user(&self, name: &str, role: Role, scope: &str) {
        let password = Some(Secret::from(PASSWORD.to_owned()));
        let new = NewUser { name: name.into(), role, scope: scope.parse().unwrap(), password };
        self.desk.create_user(&By::console(), new).await.unwrap();
    }

    /// A user, and a token of his.
    pub async fn token(&self, name: &str, role: Role, scope: &str) -> String {
        self.user(name, role, scope).await;
        let order =
            TokenOrder { name: "t".into(), owner: Some(name.into()), role: None, scope: None, expires: None };
        let new = self.desk.create_token(&By::console(), order).await.unwrap();
        new.secret.expose_secret().to_owned()
    }

    pub async fn ask(&self, asked: Ask) -> Response {
        self.app.clone().oneshot(asked.request()).await.unwrap()
    }

    pub async fn told(&self, asked: Ask) -> Told {
        Told::of(self.ask(asked).await).await
    }

    pub async fn get(&self, token: &str, uri: &str) -> Told {
        self.told(Ask::get(uri).token(token)).await
    }
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub uri: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
    pub from: std::net::IpAddr,
    pub certificate: Option<Arc<[u8]>>,
}

impl Ask {
    pub fn new(method: &str, uri: &str) -> Self {
        Self {
            method: method.parse().unwrap(),
            uri: uri.into(),
            headers: vec![("host", "klio.example.org".into())],
            body: None,
            from: [192, 0, 2, 1].into(),
            certificate: None,
        }
    }

    pub fn get(uri: &str) -> Self {
        Self::new("GET", uri)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header("content-type", "application/json")
    }

    pub fn request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(self.body.map_or_else(Body::empty, Body::from)).unwrap();
        request.extensions_mut().insert(Peer { address: self.from, certificate: self.certificate });
        request
    }
}

/// A whole answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Told {
    pub async fn of(answer: Response) -> Self {
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: parts.status, headers: parts.headers, body }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}
