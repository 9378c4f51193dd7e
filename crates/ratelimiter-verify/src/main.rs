//! One command, a verdict on anyone's rate limiter. The library has all but the command line.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod args;
mod asked;
mod cli;
mod command_line;
mod commands;
mod example;
mod inject;
mod progress;
mod system;
mod trials;
mod watch;

fn main() -> std::process::ExitCode {
    cli::main()
}
