//! From ONNX bytes to something that can be evaluated.

mod arguments;
mod attributes;
mod guard;
mod inputs;
mod lists;
mod load;
mod operators;
mod outputs;
mod prescan;
mod shapes;
#[cfg(test)]
mod tests;
mod trees;
mod vocabulary;
mod wire;

pub(super) use load::{Loaded, Runnable, load, panic_text};
