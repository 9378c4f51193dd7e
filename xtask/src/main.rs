//! The project's own commands. `cargo xtask` lists them.

fn main() -> std::process::ExitCode {
    xtask::main()
}
