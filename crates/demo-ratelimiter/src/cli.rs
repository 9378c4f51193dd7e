use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use cli_support::{Exit, LogLines};
use tracing_subscriber::filter::LevelFilter;

use crate::pictures::{self, PicturesArgs};
use crate::replay::{self, ReplayArgs};
use crate::run::{self, StoryArgs};

/// Break a distributed rate limiter for real: counter drift while the store takes no writes, ghost
/// allowing under a burst. Every number is measured.
#[derive(Debug, Parser)]
#[command(
    name = "demo-ratelimiter",
    version,
    after_help = cli_support::exit_help(crate::exits::RUN)
)]
struct DemoCli {
    #[command(subcommand)]
    verb: DemoCommand,
}

#[derive(Debug, Subcommand)]
enum DemoCommand {
    /// Play the eleven chapters, on a local cluster unless --node is given
    Run(StoryArgs),
    /// Play the log of a run on the screen: pause, faster, slower, from chapter to chapter
    Replay(ReplayArgs),
    /// Make pictures, a moving picture and an asciicast of the log of a run
    Pictures(PicturesArgs),
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    cli_support::run("demo-ratelimiter", |cli: DemoCli| {
        let level = std::env::var("RATELIMITER_LOG")
            .ok()
            .and_then(|l| l.parse().ok())
            .unwrap_or(LevelFilter::ERROR);
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(|| LogLines)
            .init();
        dispatch(cli.verb)
    })
}

fn dispatch(verb: DemoCommand) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    let result = runtime.block_on(async {
        match verb {
            DemoCommand::Run(args) => run::run(args).await,
            DemoCommand::Replay(args) => replay::replay(args).await,
            DemoCommand::Pictures(args) => pictures::pictures(&args),
        }
    });
    // A search for a store runs on a thread that cannot be stopped.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        DemoCli::command().debug_assert();
    }
}
