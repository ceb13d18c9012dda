//! What the targets share: valid models to start from, and changes of a model that keep it a model.

// Nothing here is input: a slip of the fuzzer's own may stop it.
pub mod build;
pub mod judge;
pub mod mutate;
pub mod random;
pub mod seeds;
pub mod tiny;
pub mod watchdog;
