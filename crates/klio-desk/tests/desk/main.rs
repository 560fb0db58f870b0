//! The desk on both databases: each case runs on SQLite and on a PostgreSQL server that the tests start themselves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::unnecessary_wraps, clippy::print_stdout)] // helpers of tests are not tests to the lint

/// Runs each case of a module on both.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::room::Room::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(room) = crate::room::Room::postgres().await {
                    super::$case(room).await;
                }
            })*
        }
    };
}

mod room;

mod server;

mod hunts;

mod opening;

mod people;

mod lockout;

mod tokens;

mod sessions;

mod audit;
