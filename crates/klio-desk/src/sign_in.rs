//! Signing in with a name and a password.

use std::net::IpAddr;

use crate::attempt::{self, Key};
use crate::desk::micros;
use crate::principal::Account;
use crate::user::Row;
use crate::{Action, Deed, Desk, DeskError, Kind, Outcome, Principal, Secret, Via, name, secret};

/// An address from which somebody signed in counts as his for so many days.
const KNOWN_DAYS: u64 = 90;

impl Desk {
    /// Who a name and a password belong to. Wrong names and wrong passwords take the same time and get the same answer.
    ///
    /// # Errors
    /// [`DeskError::Denied`], [`DeskError::TooMany`] after failures, [`DeskError::Busy`], or what database and ledger say.
    pub async fn password(
        &self,
        name: &str,
        password: &Secret,
        from: Option<IpAddr>,
    ) -> Result<Principal, DeskError> {
        let (desk, name, password) = (self.clone(), name.to_owned(), password.clone());
        // A client that hangs up does not stop this: his failure is told all the same.
        let judged = tokio::spawn(async move { desk.judge(&name, &password, from).await });
        judged.await.map_err(|e| DeskError::Crypto(e.to_string()))?
    }

    async fn judge(
        &self,
        claimed: &str,
        password: &Secret,
        from: Option<IpAddr>,
    ) -> Result<Principal, DeskError> {
        let name = name::user(claimed).ok();
        let who = name.as_deref().map_or_else(|| "(not a name)".to_owned(), |name| format!("user:{name}"));
        let action = self.arrival(Deed::SignIn, who, from)?.with("via", "password");
        let place = attempt::place(from);

        let turn = self.inner.hasher.turn().await?;
        let mut tx = self.inner.database.change().await?;
        let user = Row::by_name(&mut *tx, name.as_deref().unwrap_or_default()).await?;
        let since = self.now().micros() - micros(std::time::Duration::from_secs(KNOWN_DAYS * 86_400));
        let owner = user.as_ref().map_or("", |u| u.id.as_str());
        let seen: Option<(i64,)> =
            sqlx::query_as("SELECT seen FROM desk_known WHERE owner = $1 AND address = $2 AND seen > $3")
                .bind(owner)
                .bind(&place)
                .bind(since)
                .fetch_optional(&mut *tx)
                .await?;
        let keys = match (&name, seen) {
            (Some(name), Some(_)) => vec![Key::Known(name.clone(), place.clone())],
            (Some(name), None) => vec![Key::Name(name.clone()), Key::From(place.clone())],
            (None, _) => vec![Key::From(place.clone())],
        };
        if let Err(error) = attempt::begin(&mut tx, self.now(), &keys).await {
            return self.end(tx, action, Err(error)).await;
        }
        tx.commit().await?;

        let kept = user.as_ref().filter(|u| !u.disabled).and_then(|u| u.password.as_deref());
        let right = self.inner.hasher.holds(turn, password, kept).await?;
        let Some(user) = user.as_ref().filter(|_| right) else {
            let why = match &user {
                None => "there is no such user",
                Some(u) if u.disabled => "the user is disabled",
                Some(u) if u.password.is_none() => "the user has no password",
                Some(_) => "wrong password",
            };
            self.record(action.refused(why)).await?;
            return Err(DeskError::Denied);
        };
        let fresh = match kept {
            Some(kept) if self.inner.hasher.is_dated(kept) => Some(self.inner.hasher.hash(password).await?),
            _ => None,
        };

        let mut tx = self.inner.database.change().await?;
        let result = self.enter(&mut tx, user, fresh, &place, &keys).await;
        self.end(tx, action, result).await
    }

    /// Notes that somebody came in, unless his password or state changed while it was compared.
    async fn enter(
        &self,
        tx: &mut crate::place::Tx,
        user: &Row,
        fresh: Option<String>,
        place: &str,
        keys: &[Key],
    ) -> Result<Principal, DeskError> {
        let now = self.now().micros();
        let same = sqlx::query(
            "UPDATE desk_user SET signed_in = $1, password = COALESCE($2, password)
             WHERE id = $3 AND generation = $4 AND disabled = 0",
        )
        .bind(now)
        .bind(fresh)
        .bind(&user.id)
        .bind(user.generation)
        .execute(&mut **tx)
        .await?;
        if same.rows_affected() == 0 {
            return Err(DeskError::Denied);
        }
        sqlx::query(
            "INSERT INTO desk_known (owner, address, seen) VALUES ($1, $2, $3)
             ON CONFLICT (owner, address) DO UPDATE SET seen = excluded.seen",
        )
        .bind(&user.id)
        .bind(place)
        .bind(now)
        .execute(&mut **tx)
        .await?;
        attempt::succeeded(tx, keys).await?;
        Ok(user.principal(Via::Password))
    }

    /// The action of somebody who is not yet let in.
    pub(crate) fn arrival(&self, deed: Deed, who: String, from: Option<IpAddr>) -> Result<Action, DeskError> {
        Ok(Action {
            id: secret::id()?,
            time: self.now(),
            who,
            deed,
            on: String::new(),
            from,
            outcome: Outcome::Done,
            detail: [].into(),
        })
    }
}

impl Row {
    /// The user, let in.
    pub(crate) fn principal(&self, via: Via) -> Principal {
        Principal {
            name: self.name.clone(),
            kind: Kind::User,
            role: self.role,
            scope: self.scope.clone(),
            via,
            account: Account::User { id: self.id.clone(), generation: self.generation },
        }
    }
}
