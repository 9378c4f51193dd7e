//! The chaos demo: a distributed rate limiter breaks, is caught, explained and healed, for real.
//!
//! This binary composes; the parts live in crates of their own. [`cli`] is the command line, [`run`] plays the chapters of
//! [`story`], [`detector`] joins observer and monitor, [`inject`] and [`watch`] work on a system of the user's.
//! Imports go one way: `cli` uses the commands, and nothing below uses `cli`.

mod args;
mod cli;
mod detector;
mod engine;
mod exits;
mod front_end;
mod headless;
mod inject;
mod run;
mod screen;
mod story;
mod subject;
mod traffic;
mod watch;

fn main() -> std::process::ExitCode {
    cli::main()
}
