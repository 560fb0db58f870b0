//! `klio user`

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use klio_desk::{
    Action, By, Desk, DeskError, ExposeSecret, Ledger, LedgerError, NewUser, Options, Place, Role, Scope,
    Secret, TokenOrder,
};
use klio_model::Timestamp;

use crate::data::Data;
use crate::failure::Failure;
use crate::output::Grid;

/// Say who may use the server, and what each may see.
///
/// These commands work on the database itself, as who has it in hand; a running server sees the change with the next request, and
/// audits it within a minute. A scope is a list such as `prod/shop,prod/web` (namespaces), `prod` (a cluster), `prod-*` or `*`.
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:
  klio user add ana --role admin
  klio user add shop-team --role analyst --scope prod/shop,prod/web
  klio user token ana --name ci --role viewer --days 30
  klio user list")]
pub enum Users {
    /// Add a user; prints a password unless one is given.
    Add {
        /// His name.
        name: String,
        #[command(flatten)]
        data: Data,
        /// viewer, analyst, responder or admin.
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// What he sees.
        #[arg(long, default_value = "*", value_parser = scope)]
        scope: Scope,
        /// File with the password, without a line break at its end.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List them.
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Give a user another role.
    Role {
        /// His name.
        name: String,
        /// viewer, analyst, responder or admin.
        role: Role,
        #[command(flatten)]
        data: Data,
    },
    /// Let a user see more or less.
    Scope {
        /// His name.
        name: String,
        /// What he sees.
        #[arg(value_parser = scope)]
        scope: Scope,
        #[command(flatten)]
        data: Data,
    },
    /// Give a user a new password; prints it unless it is given. His sessions end.
    Password {
        /// His name.
        name: String,
        /// File with the password.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Lock a user out, with his sessions and tokens.
    Disable {
        /// His name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Let a user in again.
    Enable {
        /// His name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Forget the failed sign-ins with a name.
    Unlock {
        /// The name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Remove a user with his sessions and tokens.
    Remove {
        /// His name.
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Make an API token of a user, and print it once.
    Token {
        /// His name.
        user: String,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// The most it is trusted with; as much as the user unless given.
        #[arg(long)]
        role: Option<Role>,
        /// The most it sees.
        #[arg(long, value_parser = scope)]
        scope: Option<Scope>,
        /// Days until it is refused.
        #[arg(long, value_name = "N", default_value_t = 90)]
        days: u32,
        #[command(flatten)]
        data: Data,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|e: klio_desk::BadScope| e.to_string())
}

/// A running server tells what was done here.
struct Elsewhere;

#[async_trait]
impl Ledger for Elsewhere {
    async fn keep(&self, _: &Action) -> Result<(), LedgerError> {
        Ok(())
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

impl Users {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Failure::world)?.block_on(self.work())
    }

    async fn work(self) -> Result<(), Failure> {
        let by = By::console();
        match self {
            Self::Add { name, data, role, scope, password_file } => {
                let (password, told) = password(password_file)?;
                let new = NewUser { name, role, scope, password: Some(password.clone()) };
                let user = desk(&data).await?.create_user(&by, new).await.map_err(wrong)?;
                eprintln!(
                    "klio: {} may use the server as {} and sees `{}`",
                    user.name, user.role, user.scope
                );
                show(&password, told)
            }
            Self::List { data } => {
                let mut grid = Grid::new(&["name", "role", "scope", "signed in", ""]);
                for user in desk(&data).await?.users(&by).await.map_err(wrong)? {
                    let state = if user.disabled { "disabled" } else { "" };
                    let signed_in = user.signed_in.map_or_else(|| "never".to_owned(), |t| t.to_string());
                    grid.row(vec![
                        user.name,
                        user.role.to_string(),
                        user.scope.to_string(),
                        signed_in,
                        state.into(),
                    ]);
                }
                write!(std::io::stdout(), "{grid}")?;
                Ok(())
            }
            Self::Role { name, role, data } => {
                desk(&data).await?.set_role(&by, &name, role).await.map_err(wrong)
            }
            Self::Scope { name, scope, data } => {
                desk(&data).await?.set_scope(&by, &name, &scope).await.map_err(wrong)
            }
            Self::Password { name, password_file, data } => {
                let (password, told) = password(password_file)?;
                desk(&data).await?.set_password(&by, &name, &password).await.map_err(wrong)?;
                show(&password, told)
            }
            Self::Disable { name, data } => desk(&data).await?.disable_user(&by, &name).await.map_err(wrong),
            Self::Enable { name, data } => desk(&data).await?.enable_user(&by, &name).await.map_err(wrong),
            Self::Unlock { name, data } => desk(&data).await?.unlock(&by, &name).await.map_err(wrong),
            Self::Remove { name, data } => desk(&data).await?.remove_user(&by, &name).await.map_err(wrong),
            Self::Token { user, name, role, scope, days, data } => {
                let until = jiff::Timestamp::now() + Duration::from_hours(24 * u64::from(days));
                let expires = Some(Timestamp(until.as_microsecond()));
                let order = TokenOrder { name, owner: Some(user), role, scope, expires };
                let made = desk(&data).await?.create_token(&by, order).await.map_err(wrong)?;
                eprintln!("klio: it cannot be shown again; it ends at {}", until.strftime("%Y-%m-%d"));
                writeln!(std::io::stdout(), "{}", made.secret.expose_secret())?;
                Ok(())
            }
        }
    }
}

async fn desk(data: &Data) -> Result<Desk, Failure> {
    let dir = data.own()?;
    klio_store::own_place(&dir).map_err(crate::data::refused)?;
    std::fs::create_dir_all(&dir).map_err(|e| Failure::world(format!("{}: {e}", dir.display())))?;
    open(&data.config()?.desk(&dir)?).await.map_err(wrong)
}

/// The desk, for a command beside the server.
pub async fn open(place: &Place) -> Result<Desk, DeskError> {
    Desk::open(place, Arc::new(Elsewhere), Options::default()).await
}

/// The password in a file, or a new one, and whether it is to be told.
fn password(file: Option<PathBuf>) -> Result<(Secret, bool), Failure> {
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(&path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        return Ok((text.trim_end_matches(['\r', '\n']).to_owned().into(), false));
    }
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(Failure::world)?;
    use base64::Engine as _;
    Ok((base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(random).into(), true))
}

fn show(password: &Secret, told: bool) -> Result<(), Failure> {
    if told {
        eprintln!("klio: the password cannot be shown again");
        writeln!(std::io::stdout(), "{}", password.expose_secret())?;
    }
    Ok(())
}

fn wrong(error: DeskError) -> Failure {
    if error.is_transient() { Failure::world(error) } else { Failure::usage(error) }
}
