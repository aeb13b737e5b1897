//! The thin binary: hands over to [`dogwatch::cli`], owns nothing.

fn main() -> std::process::ExitCode {
    dogwatch::cli::main()
}
