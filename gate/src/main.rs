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
use tokio::signal::unix::{SignalKind, signal};

/// Deadline of one request to a node or to the store.
const REQUEST: Duration = Duration::from_secs(5);
/// As sysexits.h has it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), None) = (arguments.next(), arguments.next()) else {
        eprintln!("gate: expected one check: dashboard or containers");
        return ExitCode::from(USAGE);
    };
    let done = tokio::runtime::Runtime::new()
        .context("start the runtime")
        .and_then(|runtime| {
            let done = runtime.block_on(async {
                match name.as_str() {
                    "dashboard" => unless_ended(dashboard::check()).await,
                    "containers" => containers::check(ended()).await,
                    _ => anyhow::bail!("there is no check {name:?}: dashboard or containers"),
                }
            });
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(code)) => ExitCode::from(code),
        Err(error) => {
            eprintln!("gate {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a check until its end or a signal, whose exit code is returned. Either way the check's
/// values are dropped, and with them all that it started.
async fn unless_ended(
    check: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Option<u8>> {
    tokio::select! {
        code = ended() => code.map(Some),
        done = check => done.map(|()| None),
    }
}

/// The exit code of the next signal that ends a program.
async fn ended() -> anyhow::Result<u8> {
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let (mut hangup, mut interrupt, mut terminate) = (
        listen(SignalKind::hangup())?,
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = hangup.recv() => Ok(129),
        _ = interrupt.recv() => Ok(130),
        _ = terminate.recv() => Ok(143),
    }
}
