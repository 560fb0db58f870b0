//! Saved hunts: questions that people keep for themselves and for others.
//!
//! A question tells names: of people, namespaces, secrets. Others are shown it only if they see at least what its owner saw when he
//! saved it. It goes with its owner's account.

use klio_model::Timestamp;

use crate::desk::allowed;
use crate::{By, Deed, Desk, DeskError, Right, Scope, name, secret};

/// Hunts of one owner.
const MOST: i64 = 500;
/// Characters of a question.
const LONGEST: usize = 8_192;

/// A question that somebody saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedHunt {
    /// Random.
    pub id: String,
    /// What is asked, in words.
    pub title: String,
    /// The filter that asks it.
    pub filter: String,
    /// Who saved it, as `kind:name`.
    pub owner: String,
    /// What he saw then.
    pub scope: Scope,
    /// When.
    pub created: Timestamp,
}

type Columns = (String, String, String, String, String, i64);

impl SavedHunt {
    fn of((id, title, filter, owner, scope, created): Columns) -> Result<Self, DeskError> {
        let scope = scope.parse().map_err(|e| DeskError::Damaged(format!("a scope: {e}")))?;
        Ok(Self { id, title, filter, owner, scope, created: Timestamp(created) })
    }

    /// Whether somebody is shown it.
    fn is_for(&self, by: &By) -> bool {
        self.owner == by.principal.to_string() || self.scope.is_within(by.principal.scope())
    }
}

impl Desk {
    /// Saves a question.
    ///
    /// # Errors
    /// [`DeskError::NotAllowed`] without [`Right::SaveHunts`], [`DeskError::BadName`] if title or filter is empty or too long,
    /// [`DeskError::Full`] if the owner has too many.
    pub async fn save_hunt(&self, by: &By, title: &str, filter: &str) -> Result<SavedHunt, DeskError> {
        allowed(by, Right::SaveHunts)?;
        let action = self
            .action(by, Deed::SaveHunt, title)?
            .with("filter", filter.chars().take(500).collect::<String>());
        let title = name::label(title)?.to_owned();
        let filter = filter.trim();
        if filter.is_empty() || filter.chars().count() > LONGEST {
            return Err(DeskError::BadName(title, "its filter has 1 to 8192 characters"));
        }
        let hunt = SavedHunt {
            id: secret::id()?,
            title,
            filter: filter.to_owned(),
            owner: by.principal.to_string(),
            scope: by.principal.scope().clone(),
            created: self.now(),
        };
        let mut tx = self.inner.database.change().await?;
        let own: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM desk_hunt WHERE owner = $1")
            .bind(&hunt.owner)
            .fetch_one(&mut *tx)
            .await?;
        let result = if own >= MOST {
            Err(DeskError::Full("saved hunts"))
        } else {
            let insert = sqlx::query(
                "INSERT INTO desk_hunt (id, title, filter, owner, scope, created) VALUES ($1, $2, $3, $4, $5, $6)",
            );
            insert
                .bind(&hunt.id)
                .bind(&hunt.title)
                .bind(&hunt.filter)
                .bind(&hunt.owner)
                .bind(hunt.scope.to_string())
                .bind(hunt.created.micros())
                .execute(&mut *tx)
                .await
                .map(|_| hunt)
                .map_err(DeskError::from)
        };
        self.end(tx, action, result).await
    }

    /// One's own, and those of others who saw no more; the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn hunts(&self, by: &By) -> Result<Vec<SavedHunt>, DeskError> {
        allowed(by, Right::ReadEvents)?;
        let found: Vec<Columns> =
            sqlx::query_as("SELECT id, title, filter, owner, scope, created FROM desk_hunt")
                .fetch_all(self.inner.database.pool())
                .await?;
        let mut hunts = found.into_iter().map(SavedHunt::of).collect::<Result<Vec<_>, _>>()?;
        hunts.retain(|hunt| hunt.is_for(by));
        hunts.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(hunts)
    }

    /// Removes one: one's own, or with [`Right::ManageUsers`] each that one is shown.
    ///
    /// # Errors
    /// [`DeskError::NotAllowed`] without [`Right::SaveHunts`], [`DeskError::Unknown`].
    pub async fn remove_hunt(&self, by: &By, id: &str) -> Result<(), DeskError> {
        allowed(by, Right::SaveHunts)?;
        let action = self.action(by, Deed::RemoveHunt, id)?;
        let others = by.principal.may(Right::ManageUsers);
        let own = |hunt: &SavedHunt| hunt.id == id && (others || hunt.owner == by.principal.to_string());
        let is_his = self.hunts(by).await?.iter().any(own);
        let mut tx = self.inner.database.change().await?;
        let result = if is_his {
            let delete = sqlx::query("DELETE FROM desk_hunt WHERE id = $1").bind(id).execute(&mut *tx).await;
            delete.map(|_| ()).map_err(DeskError::from)
        } else {
            Err(DeskError::Unknown { what: "hunt", name: id.chars().take(40).collect() })
        };
        self.end(tx, action, result).await
    }
}
