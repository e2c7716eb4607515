//! The binary: the one place that knows both the library and the strategies.

fn main() -> std::process::ExitCode {
    magellan_shell::cli::main(deployable_strategies::ALL)
}
