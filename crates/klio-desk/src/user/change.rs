//! What is changed about a user.

use super::{Row, managed};
use crate::place::Tx;
use crate::{By, Deed, Desk, DeskError, Kind, Right, Role, Scope, Secret, Via, attempt};

/// One thing to be changed.
enum Change {
    Password(String),
    Role(Role),
    Scope(Scope),
    Disabled(bool),
    Remove,
    Unlock,
}

impl Desk {
    /// Sets a user's password and ends his sessions. His tokens stay.
    ///
    /// # Errors
    /// As [`Desk::create_user`], and [`DeskError::Unknown`].
    pub async fn set_password(&self, by: &By, user: &str, password: &Secret) -> Result<(), DeskError> {
        let hash = self.hash_for(by, Right::ManageUsers, user, Some(password)).await;
        self.alter(by, Deed::SetPassword, user, hash.map(|hash| Change::Password(hash.unwrap_or_default())))
            .await
    }

    /// Sets one's own password, showing the current one, and ends all of one's sessions.
    ///
    /// # Errors
    /// [`DeskError::Denied`] and [`DeskError::TooMany`] as for signing in, [`DeskError::Weak`], [`DeskError::NotWithToken`].
    pub async fn change_password(&self, by: &By, current: &Secret, new: &Secret) -> Result<(), DeskError> {
        let name = by.principal.name();
        let action = self.action(by, Deed::ChangeOwnPassword, name)?;
        let result = async {
            if matches!(by.principal.via, Via::Token(_)) || by.principal.user_id().is_none() {
                return Err(DeskError::NotWithToken);
            }
            let hash = self.hash_for(by, Right::ManageOwnAccount, name, Some(new)).await?;
            let again = self.password(name, current, by.from).await?;
            if again.user_id() != by.principal.user_id() {
                return Err(DeskError::Denied);
            }
            Ok(hash.unwrap_or_default())
        }
        .await;
        let mut tx = self.inner.database.change().await?;
        let result = match (result, by.principal.user_id()) {
            (Ok(hash), Some(id)) => write(&mut tx, id, name, &Change::Password(hash)).await,
            (Ok(_), None) => Err(DeskError::NotWithToken),
            (Err(error), _) => Err(error),
        };
        self.end(tx, action, result).await
    }

    /// Trusts a user with more or less, from his next request on, also by the tokens and sessions he has.
    ///
    /// # Errors
    /// [`DeskError::Beyond`] and [`DeskError::LastAdmin`] among others.
    pub async fn set_role(&self, by: &By, user: &str, role: Role) -> Result<(), DeskError> {
        self.alter(by, Deed::SetRole, user, Ok(Change::Role(role))).await
    }

    /// Lets a user see more or less, from his next request on, also by the tokens and sessions he has.
    ///
    /// # Errors
    /// As [`Desk::set_role`].
    pub async fn set_scope(&self, by: &By, user: &str, scope: &Scope) -> Result<(), DeskError> {
        self.alter(by, Deed::SetScope, user, Ok(Change::Scope(scope.clone()))).await
    }

    /// Locks a user out: his sessions end, his tokens are refused until he is enabled again.
    ///
    /// # Errors
    /// As [`Desk::set_role`].
    pub async fn disable_user(&self, by: &By, user: &str) -> Result<(), DeskError> {
        self.alter(by, Deed::DisableUser, user, Ok(Change::Disabled(true))).await
    }

    /// Lets a user in again.
    ///
    /// # Errors
    /// As [`Desk::set_role`].
    pub async fn enable_user(&self, by: &By, user: &str) -> Result<(), DeskError> {
        self.alter(by, Deed::EnableUser, user, Ok(Change::Disabled(false))).await
    }

    /// Removes a user with his tokens, sessions and saved hunts. What he did stays in the ledger.
    ///
    /// # Errors
    /// As [`Desk::set_role`].
    pub async fn remove_user(&self, by: &By, user: &str) -> Result<(), DeskError> {
        self.alter(by, Deed::RemoveUser, user, Ok(Change::Remove)).await
    }

    /// Forgets the failed sign-ins with a user's name, so that he need not wait.
    ///
    /// # Errors
    /// As [`Desk::set_role`].
    pub async fn unlock(&self, by: &By, user: &str) -> Result<(), DeskError> {
        self.alter(by, Deed::UnlockUser, user, Ok(Change::Unlock)).await
    }

    async fn alter(
        &self,
        by: &By,
        deed: Deed,
        user: &str,
        change: Result<Change, DeskError>,
    ) -> Result<(), DeskError> {
        let mut action = self.action(by, deed, user)?;
        match &change {
            Ok(Change::Role(role)) => action = action.with("role", role),
            Ok(Change::Scope(scope)) => action = action.with("scope", scope),
            _ => {}
        }
        let mut tx = self.inner.database.change().await?;
        let result = async {
            let change = change?;
            let row = managed(&mut tx, by, Right::ManageUsers, user).await?;
            let (role, scope) = match &change {
                Change::Role(role) => (*role, &row.scope),
                Change::Scope(scope) => (row.role, scope),
                _ => (row.role, &row.scope),
            };
            if !by.principal.covers(role, scope) {
                return Err(DeskError::Beyond);
            }
            write(&mut tx, &row.id, &row.name, &change).await?;
            if row.can_repair() {
                somebody_can_repair(&mut tx, &row).await?;
            }
            Ok(row)
        }
        .await;
        if let Ok(row) = &result {
            match deed {
                Deed::SetRole => action = action.with("before", row.role),
                Deed::SetScope => action = action.with("before", &row.scope),
                _ => {}
            }
        }
        self.end(tx, action, result.map(|_| ())).await
    }
}

/// A password or a state that changed ends the sessions: those that exist, and by the generation those that are just being made.
async fn write(tx: &mut Tx, id: &str, name: &str, change: &Change) -> Result<(), DeskError> {
    let update = match change {
        Change::Password(hash) => {
            sqlx::query("UPDATE desk_user SET password = $2, generation = generation + 1 WHERE id = $1")
                .bind(id)
                .bind(hash)
        }
        Change::Role(role) => {
            sqlx::query("UPDATE desk_user SET role = $2 WHERE id = $1").bind(id).bind(role.name())
        }
        Change::Scope(scope) => {
            sqlx::query("UPDATE desk_user SET scope = $2 WHERE id = $1").bind(id).bind(scope.to_string())
        }
        Change::Disabled(disabled) => {
            sqlx::query("UPDATE desk_user SET disabled = $2, generation = generation + 1 WHERE id = $1")
                .bind(id)
                .bind(i64::from(*disabled))
        }
        Change::Remove => sqlx::query("DELETE FROM desk_user WHERE id = $1").bind(id),
        Change::Unlock => return attempt::forget(tx, name).await,
    };
    if update.execute(&mut **tx).await?.rows_affected() == 0 {
        return Err(DeskError::Unknown { what: "user", name: name.to_owned() });
    }
    if matches!(change, Change::Remove) {
        // Somebody else may get the name.
        let owner = format!("{}:{name}", Kind::User.name());
        sqlx::query("DELETE FROM desk_hunt WHERE owner = $1").bind(owner).execute(&mut **tx).await?;
    }
    if matches!(change, Change::Password(_) | Change::Disabled(_)) {
        sqlx::query("DELETE FROM desk_session WHERE owner = $1").bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn somebody_can_repair(tx: &mut Tx, row: &Row) -> Result<(), DeskError> {
    let left: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM desk_user
         WHERE role = 'admin' AND scope = '*' AND disabled = 0 AND password IS NOT NULL",
    )
    .fetch_one(&mut **tx)
    .await?;
    if left > 0 { Ok(()) } else { Err(DeskError::LastAdmin(row.name.clone())) }
}
