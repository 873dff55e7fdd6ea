//! What tests need to talk to a real server through its front door.

pub(crate) mod app;
pub(crate) mod checkout;
pub(crate) mod client;
pub(crate) mod database;
pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod stream;
pub(crate) mod tool;
pub(crate) mod wait;

pub(crate) use app::{App, Plan, Workers};
pub(crate) use client::{Client, order, sha256, text};
pub(crate) use stream::Said;
pub(crate) use wait::until;

/// Runs each of these tests with workers that have the database, and with workers that ask the server.
macro_rules! with_both_kinds_of_workers {
    ($($test:ident,)+) => {
        mod with_the_database {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::harness::Workers::Direct).await;
            })+
        }
        mod without_the_database {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::harness::Workers::Remote).await;
            })+
        }
    };
}
pub(crate) use with_both_kinds_of_workers;
