//! Users: their database answers, and somebody is there who may do everything.

use std::path::Path;

use klio_desk::{By, Place, Role};
use tokio::runtime::Runtime;

use super::chart::Chart;
use crate::command::user;
use crate::config::Config;

/// Looks at them.
pub fn look(runtime: &Runtime, dir: &Path, config: &Config, chart: &mut Chart) {
    let advice = "`klio user add NAME --role admin` makes one";
    // A reference that cannot be read was told before.
    let Ok(place) = config.desk(dir) else { return };
    let (check, is_here) = match &place {
        Place::File(file) if !file.exists() => return chart.warn("users", "there are none yet", advice),
        Place::File(_) => ("users", true),
        Place::Postgres(_) => ("PostgreSQL", false),
    };
    let users = runtime.block_on(async { user::open(&place).await?.users(&By::console()).await });
    match users {
        Err(e) => {
            let advice = if is_here {
                "it is a SQLite database of mode 0600"
            } else {
                "desk.postgres names its URL; is it there, and does it let this user in?"
            };
            chart.fail(check, e.to_string(), advice);
        }
        Ok(users) => {
            if !is_here {
                chart.ok(check, "answers");
            }
            let admins = users.iter().filter(|user| user.role == Role::Admin && !user.disabled).count();
            if admins == 0 {
                chart.warn("users", format!("none of {} is an admin", users.len()), advice);
            } else {
                chart.ok("users", format!("{}, of whom {admins} are admins", users.len()));
            }
        }
    }
}
