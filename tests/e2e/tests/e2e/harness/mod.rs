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

pub(crate) use app::{App, Plan};
pub(crate) use client::{Client, order, sha256, text};
pub(crate) use stream::Said;
pub(crate) use wait::until;
