//! (being built)

use clap::Parser;

/// Minimal dispatch; replaced by the real command line.
#[derive(Parser)]
enum Verb {
    Porter(crate::environment::porter::PorterArgs),
}

/// Entry of the binary.
pub fn main() -> std::process::ExitCode {
    match Verb::parse() {
        Verb::Porter(args) => crate::environment::porter::main(&args),
    }
}
