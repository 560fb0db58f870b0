//! Who works here.

use klio_desk::{Principal, Session, Token, User, Via};
use klio_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Who the server takes the asker for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoView {
    /// His name.
    pub name: String,
    /// user, oidc, certificate or kubernetes.
    pub kind: &'static str,
    /// viewer, analyst, responder or admin.
    pub role: &'static str,
    /// What he sees.
    pub scope: String,
    /// What he showed: token, session, identity or password.
    pub via: &'static str,
    /// What he may do.
    pub rights: Vec<String>,
    /// What requests that change something must bring in the header `X-CSRF-Token`; of sessions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

impl WhoView {
    pub(crate) fn of(principal: &Principal, csrf: Option<String>) -> Self {
        let name = |right| {
            let mut name = format!("{right:?}");
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            name
        };
        Self {
            name: principal.name().to_owned(),
            kind: principal.kind().name(),
            role: principal.role().name(),
            scope: principal.scope().to_string(),
            via: via(principal.via()),
            rights: principal.role().rights().map(name).collect(),
            csrf,
        }
    }
}

/// The word for what somebody showed.
pub(crate) fn via(via: &Via) -> &'static str {
    match via {
        Via::Password => "password",
        Via::Token(_) => "token",
        Via::Session(_) => "session",
        Via::Identity => "identity",
        Via::Console => "console",
    }
}

/// A way to sign in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WayView {
    /// password or oidc.
    pub kind: &'static str,
    /// The provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where name and password are sent, or the browser goes.
    pub url: String,
}

/// The ways to sign in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaysView {
    /// Password first.
    pub items: Vec<WayView>,
}

/// A session that was begun; its secret is in the cookie.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entered {
    /// Who.
    pub who: WhoView,
    /// When the session ends in any case.
    #[schema(value_type = String, format = DateTime)]
    pub ends: Timestamp,
}

/// Somebody with an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// In lower case.
    pub name: String,
    /// viewer, analyst, responder or admin.
    pub role: &'static str,
    /// What he sees.
    pub scope: String,
    /// Whether he is locked out by an admin.
    pub disabled: bool,
    /// Whether he can sign in himself; without a password he has tokens only.
    pub has_password: bool,
    /// When the account was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When he last signed in with his password.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub signed_in: Option<Timestamp>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            role: user.role.name(),
            scope: user.scope.to_string(),
            disabled: user.disabled,
            has_password: user.has_password,
            created: user.created,
            signed_in: user.signed_in,
        }
    }
}

/// The users that the asker may manage, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct UserPage {
    /// The users.
    pub items: Vec<UserView>,
}

/// An API token, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Random.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The user it acts for.
    pub owner: String,
    /// The most it is trusted with.
    pub role: &'static str,
    /// The most it sees.
    pub scope: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// From when on it is refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            owner: token.owner,
            role: token.role.name(),
            scope: token.scope.to_string(),
            created: token.created,
            expires: token.expires,
            used: token.used,
            revoked: token.revoked,
        }
    }
}

/// A token that was made. The secret cannot be asked for again.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewTokenView {
    /// For the header `Authorization: Bearer`.
    pub secret: String,
    /// The rest.
    pub token: TokenView,
}

/// One's own tokens, or those that one may manage; the newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TokenPage {
    /// The tokens.
    pub items: Vec<TokenView>,
}

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its public id.
    pub id: String,
    /// Whose, as `kind:name`.
    pub who: String,
    /// When he signed in.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub seen: Timestamp,
    /// When it ends in any case.
    #[schema(value_type = String, format = DateTime)]
    pub ends: Timestamp,
    /// From where he signed in.
    pub address: String,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        let Session { id, who, created, seen, ends, address } = session;
        Self { id, who, created, seen, ends, address }
    }
}

/// One's own sessions, or those that one may end; the newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct SessionPage {
    /// The sessions.
    pub items: Vec<SessionView>,
}
