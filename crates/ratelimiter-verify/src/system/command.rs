//! The commands `init` and `run`.

use std::path::PathBuf;

use clap::Args;
use cli_support::{Exit, ExitSignals, ResultFile, print};

use super::{RunningSystem, SystemSource};
use crate::commands;

/// The commented file to begin with.
const TEMPLATE: &str = include_str!("template.toml");

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write
    #[arg(default_value = "limiter.toml")]
    file: PathBuf,
    /// Replace the file
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The system file
    #[arg(default_value = "limiter.toml")]
    file: PathBuf,
    /// More words of the command that asks, as --out results or --phase burst
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Writes a system file to begin with.
pub(crate) fn init(args: &InitArgs) -> anyhow::Result<Exit> {
    ResultFile::create(&args.file, args.force)?.write(TEMPLATE)?;
    print(format_args!(
        "{} is written: say in it how your limiter is started and asked, then\n  \
         ratelimiter-verify run {0}\n  ratelimiter-verify torture {0} --quick",
        args.file.display()
    ))?;
    Ok(Exit::Success)
}

/// Brings a system up, verifies it, and ends it.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<Exit> {
    let source = SystemSource::read(&args.file)?;
    let mut signals = ExitSignals::listen()?;
    let system = tokio::select! {
        exit = signals.next() => return Ok(exit),
        system = RunningSystem::start(&source, &args.more) => system?,
    };
    drop(signals);
    commands::verify(&system.asked, &*system.target).await
}
