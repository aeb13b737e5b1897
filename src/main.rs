//! The thin binary: hands over to [`dogwatch::cli`], owns nothing.

use std::process::ExitCode;

use clap::Parser;

/// `dogwatch keep`, started by an environment.
#[derive(Parser)]
struct Keep {
    #[command(flatten)]
    args: dogwatch::keep::KeepArgs,
}

/// `dogwatch porter`, started by the engine.
#[derive(Parser)]
struct Porter {
    #[command(flatten)]
    args: dogwatch::environment::porter::PorterArgs,
}

/// `dogwatch view`, what a pane of tmux runs.
#[derive(Parser)]
struct View {
    #[command(flatten)]
    args: dogwatch::shim::view::ViewArgs,
}

/// `dogwatch peek`, started by a keeper.
#[derive(Parser)]
struct Peek {
    #[command(flatten)]
    args: dogwatch::peek::PeekArgs,
}

fn main() -> ExitCode {
    // The programs that dogwatch starts of itself come first: they must start fast and are no verbs for people.
    let mut words = std::env::args_os();
    match words.nth(1).as_ref().and_then(|word| word.to_str()) {
        Some("shim") => dogwatch::shim::main(),
        Some("keep") => dogwatch::keep::main(Keep::parse_from(std::env::args_os().skip(1)).args),
        Some("porter") => dogwatch::environment::porter::main(&Porter::parse_from(std::env::args_os().skip(1)).args),
        Some("view") => dogwatch::shim::view::main(&View::parse_from(std::env::args_os().skip(1)).args),
        Some("peek") => dogwatch::peek::main(&Peek::parse_from(std::env::args_os().skip(1)).args),
        _ => dogwatch::cli::main(),
    }
}
