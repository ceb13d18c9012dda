//! From ONNX bytes to something that can be evaluated.

mod arguments;
mod attributes;
mod guard;
mod interface;
mod load;
mod operators;
mod prescan;
#[cfg(test)]
mod tests;
mod trees;

pub(super) use load::{Loaded, Runnable, load, panic_text};
