//! Sessions: what a browser holds after signing in.
//!
//! A session is 256 random bits in the browser and their SHA-256 here. Role and scope are not part of it: they are looked up at
//! each use, of identities from outside by mapping them anew. It ends when it was not used for 12 hours, after 7 days in any case, when
//! the password changes, and when the user is disabled or removed.

use std::net::IpAddr;
use std::time::Duration;

use klio_model::Timestamp;
use secrecy::ExposeSecret as _;

use crate::desk::micros;
use crate::principal::Account;
use crate::secret::{self, Use, digest};
use crate::user::trust;
use crate::{By, Deed, Desk, DeskError, Identity, Kind, Principal, Right, Secret, Via, attempt};

/// When a session was last used is written down so often at most.
const SEEN: Duration = Duration::from_mins(1);

/// A session, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Random.
    pub id: String,
    /// Whose, as `kind:name`.
    pub who: String,
    /// When he signed in.
    pub created: Timestamp,
    /// When it was last used, to the minute.
    pub seen: Timestamp,
    /// When it ends in any case.
    pub ends: Timestamp,
    /// From where he signed in; a /64 for IPv6, `-` if unknown.
    pub address: String,
}

/// A session that was begun or renewed.
#[derive(Debug)]
pub struct NewSession {
    /// Its public id.
    pub id: String,
    /// For the browser's cookie: `Secure`, `HttpOnly`, `SameSite=Lax`.
    pub secret: Secret,
    /// What each request that changes something must bring in its form or header; see [`Desk::is_csrf`].
    pub csrf: Secret,
    /// When it ends in any case.
    pub ends: Timestamp,
}

struct Row {
    id: String,
    created: i64,
    seen: i64,
    ends: i64,
    address: String,
    /// Name, kind and what he is now; `None` if he is nobody any more.
    principal: Option<Principal>,
}

type Columns = (
    (String, Option<String>, i64, i64, i64, String, i64),
    (Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>, Option<i64>),
);

impl Desk {
    /// Begins a session for somebody who has just signed in.
    ///
    /// # Errors
    /// [`DeskError::NotWithToken`] if he showed no password or identity, [`DeskError::Denied`] if he was locked out meanwhile.
    pub async fn begin_session(
        &self,
        principal: &Principal,
        from: Option<IpAddr>,
    ) -> Result<NewSession, DeskError> {
        let by = By { principal: principal.clone(), from };
        let action = self.action(&by, Deed::BeginSession, "")?;
        let (id, secret, now) = (secret::id()?, secret::strong()?, self.now());
        let ends = Timestamp(now.micros() + micros(self.inner.options.session_most));
        let action = action.with("session", &id);
        let mut tx = self.inner.database.change().await?;
        let result = async {
            let (owner, generation, identity) = match (&principal.account, &principal.via) {
                (Account::User { id, generation }, Via::Password) => (Some(id.as_str()), *generation, None),
                (Account::Outside(identity), Via::Identity) => {
                    let json = serde_json::to_string(identity).map_err(|e| DeskError::Damaged(e.to_string()))?;
                    (None, 0, Some(json))
                }
                _ => return Err(DeskError::NotWithToken),
            };
            if let Some(owner) = owner {
                let same: Option<(i64,)> =
                    sqlx::query_as("SELECT generation FROM desk_user WHERE id = $1 AND generation = $2 AND disabled = 0")
                        .bind(owner)
                        .bind(generation)
                        .fetch_optional(&mut *tx)
                        .await?;
                same.ok_or(DeskError::Denied)?;
            }
            sqlx::query(
                "INSERT INTO desk_session (id, hash, owner, generation, identity, account, created, seen, ends, address)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)",
            )
            .bind(&id)
            .bind(digest(Use::Session, secret.expose_secret()))
            .bind(owner)
            .bind(generation)
            .bind(identity)
            .bind(principal.to_string())
            .bind(now.micros())
            .bind(ends.micros())
            .bind(attempt::place(from))
            .execute(&mut *tx)
            .await?;
            Ok(())
        }
        .await;
        self.end(tx, action, result).await?;
        Ok(NewSession { id, csrf: csrf(&secret), secret, ends })
    }

    /// Whose session it is. An ended one is no more than an everyday event: the ledger is not told.
    ///
    /// # Errors
    /// [`DeskError::Denied`].
    pub async fn session(&self, secret: &Secret) -> Result<Principal, DeskError> {
        let row = self.find_session(secret).await?;
        let now = self.now().micros();
        if now - row.seen >= micros(SEEN) {
            sqlx::query("UPDATE desk_session SET seen = $1 WHERE id = $2 AND seen < $1")
                .bind(now)
                .bind(&row.id)
                .execute(self.inner.database.pool())
                .await?;
        }
        row.principal.ok_or(DeskError::Denied)
    }

    /// Gives a session a new secret; the old one is refused from then on. When it ends in any case stays.
    ///
    /// # Errors
    /// [`DeskError::Denied`].
    pub async fn renew_session(
        &self,
        secret: &Secret,
        from: Option<IpAddr>,
    ) -> Result<NewSession, DeskError> {
        let row = self.find_session(secret).await?;
        let principal = row.principal.ok_or(DeskError::Denied)?;
        let action = self.action(&By { principal, from }, Deed::RenewSession, &row.id)?;
        let fresh = secret::strong()?;
        let mut tx = self.inner.database.change().await?;
        let renewed = sqlx::query("UPDATE desk_session SET hash = $1, seen = $2 WHERE hash = $3")
            .bind(digest(Use::Session, fresh.expose_secret()))
            .bind(self.now().micros())
            .bind(digest(Use::Session, secret.expose_secret()))
            .execute(&mut *tx)
            .await?;
        let result = if renewed.rows_affected() == 1 { Ok(()) } else { Err(DeskError::Denied) };
        self.end(tx, action, result).await?;
        Ok(NewSession { id: row.id, csrf: csrf(&fresh), secret: fresh, ends: Timestamp(row.ends) })
    }

    /// What a form of a session must bring.
    pub fn csrf(&self, session: &Secret) -> Secret {
        csrf(session)
    }

    /// Whether a form brought what its session's forms bring. The time it takes does not tell how much of it was right.
    pub fn is_csrf(&self, session: &Secret, shown: &str) -> bool {
        let expected = csrf(session);
        let (expected, shown) = (expected.expose_secret().as_bytes(), shown.as_bytes());
        expected.len() == shown.len() && expected.iter().zip(shown).fold(0, |odd, (a, b)| odd | (a ^ b)) == 0
    }

    /// One's own sessions, or with [`Right::ManageUsers`] those of everybody who is not trusted with more; the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn sessions(&self, by: &By) -> Result<Vec<Session>, DeskError> {
        let rows = self.read_sessions(None).await?;
        let mut sessions = Vec::new();
        for row in rows {
            let Some(who) = row.principal.filter(|who| may_end(by, who)) else { continue };
            sessions.push(Session {
                id: row.id,
                who: who.to_string(),
                created: Timestamp(row.created),
                seen: Timestamp(row.seen),
                ends: Timestamp(row.ends),
                address: row.address,
            });
        }
        sessions.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(sessions)
    }

    /// Ends a session by its public id. Whoever sees it in [`Desk::sessions`] may.
    ///
    /// # Errors
    /// [`DeskError::Unknown`].
    pub async fn end_session(&self, by: &By, id: &str) -> Result<(), DeskError> {
        let ended = self.end_those(by, Deed::EndSession, id, |session| session.id == id).await?;
        if ended > 0 {
            Ok(())
        } else {
            Err(DeskError::Unknown { what: "session", name: id.chars().take(40).collect() })
        }
    }

    /// Ends all sessions of somebody, named as [`Session::who`] does; returns how many.
    ///
    /// # Errors
    /// What database and ledger say.
    pub async fn end_sessions(&self, by: &By, who: &str) -> Result<usize, DeskError> {
        self.end_those(by, Deed::EndSessions, who, |session| session.who == who).await
    }

    async fn end_those(
        &self,
        by: &By,
        deed: Deed,
        on: &str,
        which: impl Fn(&Session) -> bool,
    ) -> Result<usize, DeskError> {
        let those: Vec<Session> = self.sessions(by).await?.into_iter().filter(which).collect();
        let action = self.action(by, deed, on)?.with("ended", those.len());
        let mut tx = self.inner.database.change().await?;
        for session in &those {
            sqlx::query("DELETE FROM desk_session WHERE id = $1").bind(&session.id).execute(&mut *tx).await?;
        }
        self.end(tx, action, Ok(those.len())).await
    }

    async fn find_session(&self, secret: &Secret) -> Result<Row, DeskError> {
        let hash = digest(Use::Session, secret.expose_secret());
        self.read_sessions(Some(hash))
            .await?
            .pop()
            .filter(|row| row.principal.is_some())
            .ok_or(DeskError::Denied)
    }

    /// The sessions that have not ended, of this hash or all.
    async fn read_sessions(&self, hash: Option<String>) -> Result<Vec<Row>, DeskError> {
        let now = self.now().micros();
        let statement = if hash.is_some() {
            "SELECT s.id, s.identity, s.created, s.seen, s.ends, s.address, s.generation,
                    u.id, u.name, u.role, u.scope, u.disabled, u.generation
             FROM desk_session s LEFT JOIN desk_user u ON u.id = s.owner
             WHERE s.ends > $1 AND s.seen > $2 AND s.hash = $3"
        } else {
            "SELECT s.id, s.identity, s.created, s.seen, s.ends, s.address, s.generation,
                    u.id, u.name, u.role, u.scope, u.disabled, u.generation
             FROM desk_session s LEFT JOIN desk_user u ON u.id = s.owner
             WHERE s.ends > $1 AND s.seen > $2 AND s.hash <> $3"
        };
        let found = sqlx::query(statement)
            .bind(now)
            .bind(now - micros(self.inner.options.session_idle))
            .bind(hash.unwrap_or_default())
            .fetch_all(self.inner.database.pool())
            .await?;
        found.iter().map(|row| self.session_of(columns(row)?)).collect()
    }

    fn session_of(&self, columns: Columns) -> Result<Row, DeskError> {
        let ((id, identity, created, seen, ends, address, generation), user) = columns;
        let identity: Option<Identity> = identity
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|e| DeskError::Damaged(format!("the identity of a session: {e}")))?;
        let via = Via::Session(id.clone());
        let principal = match (&identity, user) {
            (Some(identity), _) => self.mapping().principal(identity, via),
            (None, (Some(user), Some(name), Some(role), Some(scope), Some(0), Some(now)))
                if now == generation =>
            {
                let (role, scope) = trust(&role, &scope)?;
                let account = Account::User { id: user, generation };
                Some(Principal { name, kind: Kind::User, role, scope, via, account })
            }
            _ => None,
        };
        Ok(Row { id, created, seen, ends, address, principal })
    }
}

fn columns(row: &sqlx::any::AnyRow) -> Result<Columns, DeskError> {
    use sqlx::Row as _;
    Ok((
        (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(6)?,
        ),
        (
            row.try_get(7)?,
            row.try_get(8)?,
            row.try_get(9)?,
            row.try_get(10)?,
            row.try_get(11)?,
            row.try_get(12)?,
        ),
    ))
}

fn may_end(by: &By, who: &Principal) -> bool {
    let own = match (&by.principal.account, &who.account) {
        (Account::User { id: mine, .. }, Account::User { id, .. }) => mine == id,
        (Account::Outside(mine), Account::Outside(other)) => mine.is_same(other),
        _ => false,
    };
    own || (by.principal.may(Right::ManageUsers) && by.principal.covers(who.role, &who.scope))
}

fn csrf(session: &Secret) -> Secret {
    digest(Use::Csrf, session.expose_secret()).into()
}
