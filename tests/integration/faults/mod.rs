//! What networks, brokers and power do, done for real, and counted: every frame carries a number, and a consumer
//! with a persistent session of its own counts the predictions of each.
//!
//! Here in a form of seconds; `tests/reliability/run.sh` runs the same at full size and prints a report.

mod connects;
mod freezes;
mod limits;
mod links;
mod reloads;
mod restarts;
mod soak;
