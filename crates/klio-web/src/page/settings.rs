//! Settings: one's own account, and who else has one.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use klio_desk::{Role, Via};
use klio_model::Timestamp;
use serde::Serialize;

use super::frame::{About, Asked, Frame, Nothing, Screen};
use super::{address, draw, words};
use crate::api::{sessions, tokens, users, ways_of};
use crate::route;
use crate::view::{SessionView, TokenView, UserPage, UserView, WayView, WhoView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Days after which a token may end.
const LIVES: [i64; 4] = [7, 30, 90, 365];

/// One's own account.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountView {
    who: WhoView,
    /// The id of the session that asks.
    session: Option<String>,
    sessions: Vec<SessionView>,
    tokens: Vec<TokenView>,
    server: ServerView,
}

/// What the server is set up to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerView {
    version: &'static str,
    /// Where browsers find it, as it was told.
    origins: Vec<String>,
    /// How one may sign in.
    ways: Vec<WayView>,
    /// How long a question may take, seconds.
    question_seconds: u64,
    /// After how long a live tail is begun anew, seconds.
    tail_seconds: u64,
}

impl ServerView {
    fn of(web: &Web) -> Self {
        let options = &web.inner.options;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            origins: options.origins.clone(),
            ways: ways_of(web),
            question_seconds: options.limits.question.as_secs(),
            tail_seconds: options.limits.tail.as_secs(),
        }
    }
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Account {
    frame: Frame,
    view: AccountView,
    now: Timestamp,
    /// Days and the time after them.
    lives: Vec<(i64, Timestamp)>,
    /// Roles that one's tokens may have.
    roles: Vec<&'static str>,
    /// Why one does not see the users.
    no_users: Option<String>,
}

impl Account {
    /// Why one has no password and no tokens here.
    fn elsewhere(&self) -> Option<&'static str> {
        match self.view.who.kind {
            "user" => None,
            "oidc" => Some("your account is at your provider, and so is your password"),
            _ => Some("you have no account here: who you are is vouched for elsewhere"),
        }
    }
}

/// `readOwnAudit` as `read own audit`.
fn right_words(right: &str) -> String {
    let mut out = String::new();
    for letter in right.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out.replace("sql", "SQL")
}

/// The roles, the least first, each with what it may that those before it may not.
fn ladder() -> Vec<(&'static str, Vec<String>)> {
    let mut known = 0;
    let mut ladder = Vec::new();
    for role in Role::ALL {
        // Rights stand in the order of the least role that has them.
        let rights = role.rights().skip(known).map(|right| right_words(&format!("{right:?}")));
        ladder.push((role.name(), rights.collect()));
        known = role.rights().count();
    }
    ladder
}

/// How a token is: a class and a word.
#[allow(clippy::trivially_copy_pass_by_ref)] // templates hand over references
fn state(token: &TokenView, now: &Timestamp) -> (&'static str, &'static str) {
    match token {
        TokenView { revoked: Some(_), .. } => ("idle", "revoked"),
        TokenView { expires: Some(at), .. } if at <= now => ("idle", "ended"),
        _ => ("good", "good"),
    }
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let who = WhoView::of(&visitor.principal, None);
    let mut sessions = sessions::list(State(web.clone()), visitor.clone()).await?.0.items;
    let own = visitor.principal.to_string();
    sessions.retain(|session| session.who == own);
    let mut tokens = tokens::list(State(web.clone()), visitor.clone()).await?.0.items;
    tokens.retain(|token| who.kind == "user" && token.owner == who.name);
    let session = if let Via::Session(id) = visitor.principal.via() { Some(id.clone()) } else { None };
    let view = AccountView { who, session, sessions, tokens, server: ServerView::of(&web) };
    let now = web.now();
    let lives = LIVES.map(|days| (days, Timestamp(now.micros() + days * DAY))).to_vec();
    let roles = roles(&visitor);
    let no_users = route::why_not(&visitor, "GET", "/settings/users");
    let about = About { title: "Settings".to_owned(), place: "/settings", command: None };
    screen.show(&web, &visitor, about, view, |frame, view| Account {
        frame,
        view,
        now,
        lives,
        roles,
        no_users,
    })
}

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    frame: Frame,
    view: UserPage,
    now: Timestamp,
    roles: Vec<&'static str>,
    /// Roles and what each may more.
    ladder: Vec<(&'static str, Vec<String>)>,
}

/// Roles that somebody may give: no higher ones than his own.
fn roles(visitor: &Visitor) -> Vec<&'static str> {
    let own = visitor.principal.role();
    Role::ALL.into_iter().filter(|role| *role <= own).map(Role::name).collect()
}

/// Who has an account.
pub(crate) async fn people(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let view = users::list(State(web.clone()), visitor.clone()).await?.0;
    let about =
        About { title: "Users".to_owned(), place: "/settings", command: Some("klio user list".to_owned()) };
    let (now, roles) = (web.now(), roles(&visitor));
    screen.show(&web, &visitor, about, view, |frame, view| Users {
        frame,
        view,
        now,
        roles,
        ladder: ladder(),
    })
}

/// Somebody with an account, and what he signs in with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonView {
    #[serde(flatten)]
    user: UserView,
    sessions: Vec<SessionView>,
    tokens: Vec<TokenView>,
}

#[derive(Template)]
#[template(path = "user.html")]
struct Person {
    frame: Frame,
    view: PersonView,
    now: Timestamp,
    roles: Vec<&'static str>,
    /// The path of what is changed.
    api: String,
    /// What confirms his removal.
    pattern: String,
    is_self: bool,
    /// What he did with Klio.
    audit: String,
}

/// One of them.
pub(crate) async fn person(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(name): Path<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let found = users::list(State(web.clone()), visitor.clone()).await?.0.items;
    let user = found.into_iter().find(|user| user.name == name).ok_or_else(Problem::not_found)?;
    let who = format!("user:{name}");
    let mut sessions = sessions::list(State(web.clone()), visitor.clone()).await?.0.items;
    sessions.retain(|session| session.who == who);
    let mut tokens = tokens::list(State(web.clone()), visitor.clone()).await?.0.items;
    tokens.retain(|token| token.owner == name);
    let about = About {
        title: name.clone(),
        place: "/settings",
        command: Some(format!("klio user role {} {}", draw::shell(&name), user.role)),
    };
    let now = web.now();
    let roles = roles(&visitor);
    let api = address::path("/api/v1/users", &name);
    let audit = address::Address::new("/own-audit").with("user", &who).to_string();
    let (pattern, is_self) = (words::pattern(&name), visitor.principal.to_string() == who);
    let view = PersonView { user, sessions, tokens };
    screen.show(&web, &visitor, about, view, |frame, view| Person {
        frame,
        view,
        now,
        roles,
        api,
        pattern,
        is_self,
        audit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_told_once_with_the_least_role_that_has_it() {
        let ladder = ladder();
        assert_eq!(ladder.iter().map(|(role, _)| *role).collect::<Vec<_>>(), Role::ALL.map(Role::name));
        let told: Vec<&String> = ladder.iter().flat_map(|(_, rights)| rights).collect();
        assert_eq!(told.len(), Role::Admin.rights().count());
        for (role, right) in [
            ("viewer", "read own audit"),
            ("analyst", "save hunts"),
            ("analyst", "run SQL"),
            ("responder", "replay dead letters"),
            ("admin", "read audit"),
        ] {
            let rights = ladder.iter().find(|(name, _)| *name == role).map(|(_, rights)| rights);
            assert!(rights.unwrap().iter().any(|own| own == right), "{role}: {right}");
        }
    }
}
