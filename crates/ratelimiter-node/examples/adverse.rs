//! Seeded runs under adversities of the store: eviction by another tenant under four policies,
//! clock steps of both signs, store and node restarted together. Each admission is judged by the
//! history checker from its caller's times.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example adverse -- --runs 60
//! # one run again
//! cargo run --release -p ratelimiter-node --example adverse -- --runs 1 --seed 17
//! ```
//!
//! Ends with an error when a run breaks a promise: `leased` its limit, `atomic` its limit, or where
//! the store loses counts, its limit for each process that lived within the window.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot set up its subject has failed"
)]

#[path = "../tests/matrix/clock.rs"]
mod clock;
#[path = "../tests/matrix/load.rs"]
mod load;
#[path = "../tests/adverse/run.rs"]
mod run;
#[path = "../tests/adverse/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use run::{Adversity, play};
use tokio::time::Instant;

/// Plays seeded runs under adversities of the store, and judges each admission.
#[derive(Debug, Parser)]
struct Options {
    /// Number of runs; the kinds take turns.
    #[arg(long, default_value_t = 60)]
    runs: u64,
    /// Seed of the first run; each further run has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Length of the adversity of a run, seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Options {
        runs,
        seed,
        seconds,
    } = Options::parse();
    let started = Instant::now();
    let mut broken = 0;
    for seed in seed..seed + runs {
        let adversity = Adversity::ALL[(seed % Adversity::ALL.len() as u64) as usize];
        let report = play(adversity, seed, Duration::from_secs(seconds)).await;
        println!("{report}");
        broken += u64::from(!report.holds());
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    println!("{runs} runs in {minutes:.1} min, {broken} beyond their promise");
    if broken > 0 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
