//! Users: who has an account here.

use klio_model::Timestamp;
use sqlx::{Any, Executor};

use crate::desk::allowed;
use crate::place::Tx;
use crate::{By, Deed, Desk, DeskError, Right, Role, Scope, Secret, attempt, name, password, secret};

mod change;

/// Somebody with an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Random; another one if the user is removed and made again.
    pub id: String,
    /// In lower case.
    pub name: String,
    /// What he is trusted with.
    pub role: Role,
    /// What he sees.
    pub scope: Scope,
    /// Whether he is locked out by an admin.
    pub disabled: bool,
    /// Whether he can sign in himself; without one he has tokens only.
    pub has_password: bool,
    /// When the account was made.
    pub created: Timestamp,
    /// When he last signed in with his password.
    pub signed_in: Option<Timestamp>,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Letters, digits and `. _ @ + -`; case does not count.
    pub name: String,
    /// What he is trusted with.
    pub role: Role,
    /// What he sees.
    pub scope: Scope,
    /// `None` for a program, which gets tokens.
    pub password: Option<Secret>,
}

/// A user as he stands in the table.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) disabled: bool,
    pub(crate) generation: i64,
    created: i64,
    signed_in: Option<i64>,
}

type Columns = (String, String, Option<String>, String, String, i64, i64, i64, Option<i64>);

impl Row {
    fn of(columns: Columns) -> Result<Self, DeskError> {
        let (id, name, password, role, scope, disabled, generation, created, signed_in) = columns;
        let (role, scope) = trust(&role, &scope)?;
        Ok(Self { id, name, password, role, scope, disabled: disabled != 0, generation, created, signed_in })
    }

    pub(crate) async fn by_name<'e>(
        at: impl Executor<'e, Database = Any>,
        name: &str,
    ) -> Result<Option<Self>, DeskError> {
        let found = sqlx::query_as(
            "SELECT id, name, password, role, scope, disabled, generation, created, signed_in
             FROM desk_user WHERE name = $1",
        );
        found.bind(name).fetch_optional(at).await?.map(Self::of).transpose()
    }

    fn shown(self) -> User {
        User {
            id: self.id,
            name: self.name,
            role: self.role,
            scope: self.scope,
            disabled: self.disabled,
            has_password: self.password.is_some(),
            created: Timestamp(self.created),
            signed_in: self.signed_in.map(Timestamp),
        }
    }

    /// The same check as [`Desk`]'s for the last admin.
    fn can_repair(&self) -> bool {
        self.role == Role::Admin && self.scope.is_all() && !self.disabled && self.password.is_some()
    }
}

/// Role and scope as they stand in a table. A word that cannot be read is no role at all, never a lesser or greater one.
pub(crate) fn trust(role: &str, scope: &str) -> Result<(Role, Scope), DeskError> {
    let role = role.parse().map_err(|e| DeskError::Damaged(format!("a role: {e}")))?;
    let scope = scope.parse().map_err(|e| DeskError::Damaged(format!("a scope: {e}")))?;
    Ok((role, scope))
}

/// The user of a name, if somebody may manage him: he has the right, and the other is not trusted with more than he is.
pub(crate) async fn managed(tx: &mut Tx, by: &By, right: Right, text: &str) -> Result<Row, DeskError> {
    allowed(by, right)?;
    let unknown = || DeskError::Unknown { what: "user", name: text.chars().take(128).collect() };
    let name = name::user(text).map_err(|_| unknown())?;
    let user = Row::by_name(&mut **tx, &name).await?.ok_or_else(unknown)?;
    if by.principal.covers(user.role, &user.scope) { Ok(user) } else { Err(DeskError::Beyond) }
}

impl Desk {
    /// Makes the first user, an admin of everything, and returns his password, which nobody can ask for again.
    ///
    /// # Errors
    /// [`DeskError::NotEmpty`] if there is any user already.
    pub async fn bootstrap(&self, name: &str) -> Result<(User, Secret), DeskError> {
        let by = By::console();
        let action = self.action(&by, Deed::Bootstrap, name)?;
        let first = secret::first_password()?;
        let hash = self.inner.hasher.hash(&first).await?;
        let new = NewUser { name: name.to_owned(), role: Role::Admin, scope: Scope::all(), password: None };
        let mut tx = self.inner.database.change().await?;
        let result = async {
            let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM desk_user").fetch_one(&mut *tx).await?;
            if users > 0 {
                return Err(DeskError::NotEmpty);
            }
            self.insert(&mut tx, &by, &new, Some(hash)).await
        }
        .await;
        Ok((self.end(tx, action, result).await?, first))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`DeskError::NotAllowed`], [`DeskError::Beyond`], [`DeskError::BadName`], [`DeskError::Weak`], [`DeskError::Taken`].
    pub async fn create_user(&self, by: &By, new: NewUser) -> Result<User, DeskError> {
        let action =
            self.action(by, Deed::CreateUser, &new.name)?.with("role", new.role).with("scope", &new.scope);
        let hash = self.hash_for(by, Right::ManageUsers, &new.name, new.password.as_ref()).await;
        let mut tx = self.inner.database.change().await?;
        let result = match hash {
            Ok(hash) => self.insert(&mut tx, by, &new, hash).await,
            Err(error) => Err(error),
        };
        self.end(tx, action, result).await
    }

    /// The users that somebody may manage, by name.
    ///
    /// # Errors
    /// [`DeskError::NotAllowed`].
    pub async fn users(&self, by: &By) -> Result<Vec<User>, DeskError> {
        allowed(by, Right::ManageUsers)?;
        let all = sqlx::query_as(
            "SELECT id, name, password, role, scope, disabled, generation, created, signed_in FROM desk_user",
        );
        let all: Vec<Columns> = all.fetch_all(self.inner.database.pool()).await?;
        let rows: Vec<Row> = all.into_iter().map(Row::of).collect::<Result<_, _>>()?;
        let mut users: Vec<User> =
            rows.into_iter().filter(|u| by.principal.covers(u.role, &u.scope)).map(Row::shown).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    async fn insert(
        &self,
        tx: &mut Tx,
        by: &By,
        new: &NewUser,
        hash: Option<String>,
    ) -> Result<User, DeskError> {
        allowed(by, Right::ManageUsers)?;
        if !by.principal.covers(new.role, &new.scope) {
            return Err(DeskError::Beyond);
        }
        let name = name::user(&new.name)?;
        if Row::by_name(&mut **tx, &name).await?.is_some() {
            return Err(DeskError::Taken(name));
        }
        let row = Row {
            id: secret::id()?,
            name,
            password: hash,
            role: new.role,
            scope: new.scope.clone(),
            disabled: false,
            generation: 1,
            created: self.now().micros(),
            signed_in: None,
        };
        sqlx::query(
            "INSERT INTO desk_user (id, name, password, role, scope, disabled, generation, created)
             VALUES ($1, $2, $3, $4, $5, 0, 1, $6)",
        )
        .bind(&row.id)
        .bind(&row.name)
        .bind(&row.password)
        .bind(row.role.name())
        .bind(row.scope.to_string())
        .bind(row.created)
        .execute(&mut **tx)
        .await?;
        // Who tried this name before it existed is not held against its owner.
        attempt::forget(tx, &row.name).await?;
        Ok(row.shown())
    }

    /// The hash of a password that is good enough. Those who may not set it do not get it computed.
    pub(crate) async fn hash_for(
        &self,
        by: &By,
        right: Right,
        user: &str,
        password: Option<&Secret>,
    ) -> Result<Option<String>, DeskError> {
        let Some(password) = password else { return Ok(None) };
        allowed(by, right)?;
        password::accept(password, &name::user(user)?)?;
        Ok(Some(self.inner.hasher.hash(password).await?))
    }
}
