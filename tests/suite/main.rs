#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

//! Tests of the library as a whole: the layers, the engine's scenarios, streaming against batch.

mod architecture;
mod bounds;
mod bundles;
mod clocks;
#[cfg(feature = "daemon")]
mod command_line;
#[path = "../documents.rs"]
mod documents;
#[cfg(feature = "daemon")]
mod guides;
mod home_assistant;
#[cfg(feature = "daemon")]
mod journal;
#[cfg(feature = "daemon")]
mod points;
mod reload;
mod scenarios;
mod schemas;
#[cfg(feature = "daemon")]
mod sources;
mod streaming;
mod warm;
