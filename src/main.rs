//! The `cooltwin` binary: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    cooltwin::cli::main()
}
