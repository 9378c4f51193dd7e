//! The chaos demo: a distributed rate limiter breaks, is caught, explained and healed, for real.
//!
//! This binary composes; what it composes lives in crates of its own. [`cli`] is the command line, [`run`] plays the story that
//! [`story`] tells, [`detector`] joins observer and monitor, [`inject`] and [`watch`] are for one's own systems.

mod cli;
mod detector;
mod engine;
mod exit;
mod headless;
mod inject;
mod run;
mod screen;
mod signals;
mod story;
mod subject;
mod watch;

fn main() -> std::process::ExitCode {
    cli::main()
}
