//! Who works here, and what may he see?
//!
//! A [`Desk`] keeps users, API tokens and sessions in one SQL database: a file `desk.db` beside the lake, or a PostgreSQL
//! server. Whoever shows a password, a token, a session's id or an identity that others vouch for becomes a [`Principal`]: a
//! name, a [`Role`] and a [`Scope`]. The role says which [`Right`]s he has, the scope which clusters and namespaces he
//! sees, as a [`klio_model::Filter`] for every scan.
//!
//! Each change and each sign-in, also a failed one, is an [`Action`] that is told to the [`Ledger`] before it is acknowledged.
//! Actions wait in the database itself, written with the change, so that none is lost when the process dies in between.
//!
//! What does not exist here: HTTP, cookies, OIDC's network parts, a switch that turns the ledger off.

mod role;

mod scope;

mod principal;

mod ledger;

mod error;

mod name;

mod secret;

mod password;

mod place;

mod schema;

mod desk;

mod attempt;

mod sign_in;

mod user;

mod token;

mod session;

mod identity;

mod hunt;

pub use desk::{Clock, Desk, Options};
pub use error::DeskError;
pub use hunt::SavedHunt;
pub use identity::{BadMapping, Identity, Mapping, MappingRule};
pub use ledger::{Action, Deed, Ledger, LedgerError, Outcome};
pub use password::{Cost, WeakPassword};
pub use place::Place;
pub use principal::{By, Kind, Principal, Via};
pub use role::{Right, Role, UnknownRole};
pub use scope::{BadScope, Grant, Pattern, Reach, Scope};
pub use secrecy::{ExposeSecret, SecretString};
pub use session::{NewSession, Session};
pub use token::{NewToken, Token, TokenOrder};
pub use user::{NewUser, User};

/// What a server and a command line hand over as secrets, such as a password or the URL of a database: a text that cannot be printed
/// and is overwritten when it is dropped.
pub type Secret = SecretString;
