//! The real program against a real mosquitto.
//!
//! Each test has a broker of its own on a free port, a folder of its own and as many daemons as it needs, so they
//! run side by side. Nothing here measures time: what is expected is waited for, with a patience that a loaded
//! machine does not exhaust. A missing mosquitto, openssl or minisign fails the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say where"
)]

mod configuration;
#[path = "../documents.rs"]
mod documents;
mod faults;
mod health;
mod home_assistant;
mod http;
mod http_limits;
mod journal;
mod lifecycle;
mod link;
mod predictions;
mod reconnecting;
mod robustness;
mod schemas;
mod secrets;
mod security;
mod seed;
mod signatures;
mod sparkplug;
mod status_flags;
mod support;
mod warm;
mod watch;
