//! The checks of the gate that need a running cluster. `cargo xtask ci` runs them as steps; each
//! can be run alone:
//!
//! ```sh
//! cargo run --package gate -- dashboard
//! cargo run --package gate -- containers
//! ```
//!
//! A check that fails, or is ended by a signal, first ends all that it started.

mod containers;
mod dashboard;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use cli_support::{Exit, ExitSignals};

/// Deadline of one request to a node or to the store.
const REQUEST: Duration = Duration::from_secs(5);

/// Check a part of the project that needs a running cluster
#[derive(Debug, Parser)]
struct GateCli {
    /// The check to run
    check: GateCheck,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GateCheck {
    /// The queries of the dashboard, on a local cluster
    Dashboard,
    /// The whole demo against containers
    Containers,
}

fn main() -> ExitCode {
    cli_support::run("gate", |cli: GateCli| {
        let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
        let result = runtime.block_on(async {
            let mut signals = ExitSignals::listen()?;
            match cli.check {
                // Either way the check's values are dropped, and with them all that it started.
                GateCheck::Dashboard => tokio::select! {
                    exit = signals.next() => Ok(exit),
                    done = dashboard::check() => done.map(|()| Exit::Success),
                },
                GateCheck::Containers => containers::check(signals).await,
            }
        });
        runtime.shutdown_background();
        result
    })
}
