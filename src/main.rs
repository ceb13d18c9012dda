//! The `cooltwin` binary: arguments in, exit code out.

fn main() {}
