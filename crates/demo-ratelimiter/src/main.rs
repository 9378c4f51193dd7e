//! The chaos demo: a distributed rate limiter breaks, is caught, explained and healed, for real.
//!
//! This binary composes; the parts live in crates of their own. [`cli`] is the command line,
//! [`run`] plays the chapters of [`story`]; [`replay`] and [`pictures`] show the log of a run
//! again. The cluster as evidence is the library beside it, for tests and examples as well.
//! Imports go one way: `cli` uses the commands, and nothing below uses `cli`.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod burst;
mod cli;
mod cluster;
mod engine;
mod exits;
mod fault;
mod front_end;
mod given_cluster;
mod headless;
mod log_writer;
mod pictures;
mod poller;
mod replay;
mod run;
mod screen;
mod story;
mod topology;
mod traffic;

/// Deadline of one request to a node or to the store.
const REQUEST: std::time::Duration = std::time::Duration::from_secs(2);

fn main() -> std::process::ExitCode {
    cli::main()
}
