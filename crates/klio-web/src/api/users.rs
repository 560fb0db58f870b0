//! Who has an account.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use klio_desk::{NewUser, Role, Scope, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Answer;
use crate::input::Given;
use crate::view::{UserPage, UserView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// A role from its name.
pub(crate) fn role(text: &str) -> Result<Role, Problem> {
    text.parse().map_err(|e: klio_desk::UnknownRole| Problem::bad(e.to_string()))
}

/// A scope from its text.
pub(crate) fn scope(text: &str) -> Result<Scope, Problem> {
    text.parse().map_err(|e: klio_desk::BadScope| Problem::bad(e.to_string()))
}

/// The users that the asker may manage, by name.
#[utoipa::path(get, path = "/api/v1/users", tag = "people", responses((status = 200, description = "The users", body = UserPage)))]
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor) -> Answer<UserPage> {
    let users = web.desk().users(&visitor.by()).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(users.len());
    Ok(Json(UserPage { items: users.into_iter().map(Into::into).collect() }))
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    /// Letters, digits and `. _ @ + -`.
    name: String,
    /// viewer, analyst, responder or admin.
    role: String,
    /// What he sees, such as `prod/shop,test`; `*` for everything.
    scope: String,
    /// Nothing for a program, which gets tokens.
    password: Option<String>,
}

/// Makes a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "people", request_body = Create,
    responses((status = 201, description = "The user", body = UserView)))]
pub(crate) async fn create(
    State(web): State<Web>,
    visitor: Visitor,
    Given(asked): Given<Create>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let new = NewUser {
        name: asked.name,
        role: role(&asked.role)?,
        scope: scope(&asked.scope)?,
        password: asked.password.map(Secret::from),
    };
    let user = web.desk().create_user(&visitor.by(), new).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// One thing to be changed: exactly one member, so that it is done as a whole or not at all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// viewer, analyst, responder or admin.
    role: Option<String>,
    /// What he sees.
    scope: Option<String>,
    /// Whether he is locked out.
    disabled: Option<bool>,
    /// A new password; his sessions end.
    password: Option<String>,
}

/// Changes one thing about a user.
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "people", params(("name" = String, Path)), request_body = Change,
    responses((status = 204, description = "Changed")))]
pub(crate) async fn change(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
    Given(asked): Given<Change>,
) -> Result<StatusCode, Problem> {
    let (desk, by) = (web.desk(), visitor.by());
    let done = match asked {
        Change { role: Some(text), scope: None, disabled: None, password: None } => {
            desk.set_role(&by, &name, role(&text)?).await
        }
        Change { role: None, scope: Some(text), disabled: None, password: None } => {
            desk.set_scope(&by, &name, &scope(&text)?).await
        }
        Change { role: None, scope: None, disabled: Some(true), password: None } => {
            desk.disable_user(&by, &name).await
        }
        Change { role: None, scope: None, disabled: Some(false), password: None } => {
            desk.enable_user(&by, &name).await
        }
        Change { role: None, scope: None, disabled: None, password: Some(text) } => {
            desk.set_password(&by, &name, &Secret::from(text)).await
        }
        _ => return Err(Problem::bad("change exactly one of `role`, `scope`, `disabled` and `password`")),
    };
    done.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a user with his tokens and sessions.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "people", params(("name" = String, Path)),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn remove(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    web.desk().remove_user(&visitor.by(), &name).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the failed sign-ins with a user's name.
#[utoipa::path(post, path = "/api/v1/users/{name}/unlock", tag = "people", params(("name" = String, Path)),
    responses((status = 204, description = "He may try again")))]
pub(crate) async fn unlock(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    web.desk().unlock(&visitor.by(), &name).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}
