//! The proxy as a program: one store, one address, rules from the command line.

use std::process::ExitCode;

use clap::Parser;
use resp_proxy::program::{self, Plan, ProxyArgs};
use tokio::signal::unix::{SignalKind, signal};

/// Wrong usage, as sysexits.h has it.
const USAGE: u8 = 64;

/// Put faults between an application and its Redis or Valkey, command by command
///
/// Point the application at --listen instead of its store. Everything passes untouched but for the
/// commands that a rule names. The faults end with this process: clients then reconnect directly or
/// fail fast.
#[derive(Debug, Parser)]
#[command(version, after_help = program::help("resp-proxy"))]
struct Cli {
    #[command(flatten)]
    proxy: ProxyArgs,
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // Help and version go to standard output, and are no error.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { USAGE.into() } else { 0 })
    });
    let plan = match cli.proxy.plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("resp-proxy: {error}");
            return USAGE.into();
        }
    };
    // One thread: a proxy moves bytes, and a wake-up on another core costs more than the move.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(serve(plan))) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("resp-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes; returns the exit code that belongs to it.
async fn serve(plan: Plan) -> std::io::Result<u8> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    plan.serve(async {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    })
    .await
}
