//! Tests of the library as a whole: the layers, the engine's scenarios, streaming against batch.

mod architecture;
mod bundles;
mod scenarios;
// streaming follows with the reference bundle
