//! API tokens: what programs sign in with.
//!
//! A token never does more than its owner does now: at each use the lesser of both roles and what both scopes let see count. Only
//! its SHA-256 is kept.

use std::net::IpAddr;
use std::time::Duration;

use klio_model::Timestamp;
use secrecy::ExposeSecret as _;

use crate::attempt::{self, Key};
use crate::desk::{allowed, micros};
use crate::place::Tx;
use crate::principal::Account;
use crate::secret::{self, Use, digest};
use crate::user::{managed, trust};
use crate::{By, Deed, Desk, DeskError, Kind, Principal, Right, Role, Scope, Secret, Via, name};

/// When a token was last used is written down so often at most.
const USED: Duration = Duration::from_mins(1);
/// A token that was quiet for so long is told to the ledger when it is used again.
const QUIET: Duration = Duration::from_hours(1);

/// A token, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Random.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The name of the user it acts for.
    pub owner: String,
    /// The most it is trusted with.
    pub role: Role,
    /// The most it sees.
    pub scope: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct TokenOrder {
    /// What it is for: up to 100 characters.
    pub name: String,
    /// Whose it is; `None` for one's own.
    pub owner: Option<String>,
    /// The most it is trusted with; `None` for as much as the owner.
    pub role: Option<Role>,
    /// The most it sees; `None` for as much as the owner.
    pub scope: Option<Scope>,
    /// From when on it is refused; `None` for never.
    pub expires: Option<Timestamp>,
}

/// A token that was made. The secret is not kept and cannot be asked for again.
#[derive(Debug)]
pub struct NewToken {
    /// `klio_` and 49 letters and digits.
    pub secret: Secret,
    /// The rest.
    pub token: Token,
}

type Columns = (String, String, String, String, String, i64, Option<i64>, Option<i64>, Option<i64>);

/// A token, and then its owner.
type Found =
    (String, String, String, Option<i64>, Option<i64>, Option<i64>, String, String, String, String, i64, i64);

impl Token {
    fn of(columns: Columns) -> Result<Self, DeskError> {
        let (id, name, owner, role, scope, created, expires, used, revoked) = columns;
        let (role, scope) = trust(&role, &scope)?;
        let [expires, used, revoked] = [expires, used, revoked].map(|t| t.map(Timestamp));
        Ok(Self { id, name, owner, role, scope, created: Timestamp(created), expires, used, revoked })
    }
}

impl Desk {
    /// Who a token acts for, and with how much.
    ///
    /// # Errors
    /// [`DeskError::Denied`] if it is not one, expired or revoked, or its owner is disabled.
    pub async fn token(&self, token: &Secret, from: Option<IpAddr>) -> Result<Principal, DeskError> {
        if !secret::is_token(token.expose_secret()) {
            return self.token_refused("(unknown)", "", from, "not a token").await;
        }
        let found: Option<Found> = sqlx::query_as(
            "SELECT t.id, t.role, t.scope, t.expires, t.used, t.revoked,
                    u.id, u.name, u.role, u.scope, u.disabled, u.generation
             FROM desk_token t JOIN desk_user u ON u.id = t.owner WHERE t.hash = $1",
        )
        .bind(digest(Use::Token, token.expose_secret()))
        .fetch_optional(self.inner.database.pool())
        .await?;
        let Some((
            id,
            own_role,
            own_scope,
            expires,
            used,
            revoked,
            user,
            name,
            role,
            scope,
            disabled,
            generation,
        )) = found
        else {
            return self.token_refused("(unknown)", "", from, "there is no such token").await;
        };
        let now = self.now().micros();
        let why = if revoked.is_some() {
            "revoked"
        } else if expires.is_some_and(|at| at <= now) {
            "expired"
        } else if disabled != 0 {
            "the owner is disabled"
        } else {
            ""
        };
        if !why.is_empty() {
            return self.token_refused(&name, &id, from, why).await;
        }
        if used.is_none_or(|at| now - at >= micros(USED)) {
            sqlx::query("UPDATE desk_token SET used = $1 WHERE id = $2 AND (used IS NULL OR used <= $3)")
                .bind(now)
                .bind(&id)
                .bind(now - micros(USED))
                .execute(self.inner.database.pool())
                .await?;
        }
        if used.is_none_or(|at| now - at >= micros(QUIET)) {
            let mut action = self.arrival(Deed::UseToken, format!("user:{name}"), from)?;
            action.on.clone_from(&id);
            self.record(action).await?;
        }
        let ((own_role, own_scope), (role, scope)) = (trust(&own_role, &own_scope)?, trust(&role, &scope)?);
        Ok(Principal {
            name,
            kind: Kind::User,
            role: role.min(own_role),
            scope: scope.both(&own_scope),
            via: Via::Token(id),
            account: Account::User { id: user, generation },
        })
    }

    /// Tells the ledger, but of one address that shows one bad token after the other only now and then.
    async fn token_refused<T>(
        &self,
        owner: &str,
        id: &str,
        from: Option<IpAddr>,
        why: &str,
    ) -> Result<T, DeskError> {
        let mut action = self.arrival(Deed::UseToken, format!("user:{owner}"), from)?.refused(why);
        action.on = id.to_owned();
        let mut tx = self.inner.database.change().await?;
        match attempt::begin(&mut tx, self.now(), &[Key::TokenFrom(attempt::place(from))]).await {
            Ok(()) => self.end(tx, action, Ok(())).await?,
            Err(DeskError::TooMany(_)) => {}
            Err(error) => return Err(error),
        }
        Err(DeskError::Denied)
    }

    /// Makes a token: for oneself, or with [`Right::ManageTokens`] for somebody who is not trusted with more than oneself.
    ///
    /// # Errors
    /// [`DeskError::Beyond`] if it is to do more than its owner, [`DeskError::NotWithToken`], [`DeskError::Expired`],
    /// [`DeskError::BadName`].
    pub async fn create_token(&self, by: &By, order: TokenOrder) -> Result<NewToken, DeskError> {
        let mut action = self.action(by, Deed::CreateToken, &order.name)?;
        let mut tx = self.inner.database.change().await?;
        let result = self.make(&mut tx, by, &order).await;
        if let Ok(new) = &result {
            let token = &new.token;
            action = action
                .with("token", &token.id)
                .with("owner", &token.owner)
                .with("role", token.role)
                .with("scope", &token.scope);
        }
        self.end(tx, action, result).await
    }

    async fn make(&self, tx: &mut Tx, by: &By, order: &TokenOrder) -> Result<NewToken, DeskError> {
        if matches!(by.principal.via, Via::Token(_)) {
            return Err(DeskError::NotWithToken);
        }
        let own = by.principal.user_id().is_some()
            && order
                .owner
                .as_ref()
                .is_none_or(|owner| name::user(owner).is_ok_and(|o| o == by.principal.name()));
        let right = if own { Right::ManageOwnTokens } else { Right::ManageTokens };
        let owner = managed(tx, by, right, order.owner.as_deref().unwrap_or(by.principal.name())).await?;
        if own && by.principal.user_id() != Some(owner.id.as_str()) {
            return Err(DeskError::Denied);
        }
        let (role, scope) =
            (order.role.unwrap_or(owner.role), order.scope.clone().unwrap_or_else(|| owner.scope.clone()));
        if role > owner.role || !scope.is_within(&owner.scope) {
            return Err(DeskError::Beyond);
        }
        let created = self.now();
        if order.expires.is_some_and(|at| at <= created) {
            return Err(DeskError::Expired);
        }
        let secret = secret::token()?;
        let token = Token {
            id: secret::id()?,
            name: name::label(&order.name)?.to_owned(),
            owner: owner.name,
            role,
            scope,
            created,
            expires: order.expires,
            used: None,
            revoked: None,
        };
        sqlx::query(
            "INSERT INTO desk_token (id, hash, name, owner, role, scope, created, expires)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&token.id)
        .bind(digest(Use::Token, secret.expose_secret()))
        .bind(&token.name)
        .bind(&owner.id)
        .bind(role.name())
        .bind(token.scope.to_string())
        .bind(created.micros())
        .bind(order.expires.map(Timestamp::micros))
        .execute(&mut **tx)
        .await?;
        Ok(NewToken { secret, token })
    }

    /// One's own tokens, or with [`Right::ManageTokens`] those of everybody who is not trusted with more; the newest first. Revoked and
    /// expired ones stay in the list.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tokens(&self, by: &By) -> Result<Vec<Token>, DeskError> {
        let found: Vec<Columns> = sqlx::query_as(
            "SELECT t.id, t.name, u.name, t.role, t.scope, t.created, t.expires, t.used, t.revoked
             FROM desk_token t JOIN desk_user u ON u.id = t.owner",
        )
        .fetch_all(self.inner.database.pool())
        .await?;
        let mut tokens = found.into_iter().map(Token::of).collect::<Result<Vec<_>, _>>()?;
        let own = |t: &Token| by.principal.kind == Kind::User && t.owner == by.principal.name;
        let others = by.principal.may(Right::ManageTokens);
        tokens.retain(|t| own(t) || (others && by.principal.covers(t.role, &t.scope)));
        tokens.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(tokens)
    }

    /// Revokes a token, from its next use on. Whoever sees it in [`Desk::tokens`] may.
    ///
    /// # Errors
    /// [`DeskError::Unknown`].
    pub async fn revoke_token(&self, by: &By, id: &str) -> Result<(), DeskError> {
        let action = self.action(by, Deed::RevokeToken, id)?;
        let seen = match allowed(by, Right::ManageOwnTokens) {
            Ok(()) => self.tokens(by).await?.into_iter().any(|token| token.id == id),
            Err(_) => false,
        };
        let mut tx = self.inner.database.change().await?;
        let result = if seen {
            let revoke = sqlx::query("UPDATE desk_token SET revoked = $1 WHERE id = $2 AND revoked IS NULL");
            revoke
                .bind(self.now().micros())
                .bind(id)
                .execute(&mut *tx)
                .await
                .map(|_| ())
                .map_err(DeskError::from)
        } else {
            Err(DeskError::Unknown { what: "token", name: id.chars().take(40).collect() })
        };
        self.end(tx, action, result).await
    }
}
