//! The proxy as a program: one store, one address, rules from the command line.

use std::process::ExitCode;

use clap::Parser;
use resp_proxy::program::{self, ProxyArgs};

/// Put faults between an application and its Redis or Valkey, command by command
///
/// Point the application at --listen instead of its store. Everything passes untouched but for the
/// commands that a rule names. The faults end with this process: clients then reconnect directly or
/// fail fast.
#[derive(Debug, Parser)]
#[command(version, after_help = program::help("resp-proxy"))]
struct ProxyCli {
    #[command(flatten)]
    proxy: ProxyArgs,
}

fn main() -> ExitCode {
    cli_support::run("resp-proxy", |cli: ProxyCli| {
        // One thread: a proxy moves bytes, and a wake-up on another core costs more than the move.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(cli.proxy.serve())
    })
}
