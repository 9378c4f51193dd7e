use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgAction, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use cli_support::{Exit, exit_help};

use crate::args::{CheckArgs, WhatIfArgs};
use crate::asked::{AskCommand, JUDGED, with_exits};
use crate::example::{ExampleArgs, example};
use crate::inject::{InjectCommand, inject};
use crate::system::{InitArgs, RunArgs};
use crate::trials::TortureArgs;
use crate::watch::{WatchArgs, watch};
use crate::{commands, system, trials};

const PROGRAM: &str = "ratelimiter-verify";

/// A verdict on anyone's rate limiter, from what its callers saw
///
/// Sends bursts at one instant, checks around window edges, overload and steady load, each on keys
/// of its own, records every check, and judges the records by the limiter's contract. The verdict
/// comes with the smallest witness and an exit code for CI.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, disable_help_flag = true, after_help = exit_help(JUDGED))]
struct VerifyCli {
    /// Print help; `ratelimiter-verify help COMMAND` explains more
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    #[command(subcommand)]
    command: VerifyCommand,
}

#[derive(Debug, Subcommand)]
enum VerifyCommand {
    #[command(flatten)]
    Ask(Box<AskCommand>),
    /// Start a system from its file, verify it, and end it
    #[command(after_help = with_exits(RUN_EXAMPLE))]
    Run(RunArgs),
    /// Play every fault against every property of a system
    #[command(after_help = with_exits(TORTURE_EXAMPLE))]
    Torture(TortureArgs),
    /// Write a commented system file to begin with
    Init(InitArgs),
    /// Judge records that exist: histories, access logs, results of load tests, traces
    #[command(after_help = with_exits(CHECK_EXAMPLE))]
    Check(CheckArgs),
    /// Try a limit on records that exist: what it would have denied; sends nothing
    #[command(after_help = WHAT_IF_EXAMPLE)]
    WhatIf(WhatIfArgs),
    /// Inject one fault into a running system
    #[command(subcommand)]
    Inject(InjectCommand),
    /// Print the observations and violations of a running cluster of this project as JSON lines
    #[command(after_help = exit_help(&[Exit::Violated]))]
    Watch(WatchArgs),
    /// Verify two limiters inside this program, one with a race: a first look, in a moment
    #[command(after_help = exit_help(&[Exit::Missed, Exit::Violated]))]
    Example(ExampleArgs),
    /// Print a script that completes commands and flags in a shell
    #[command(after_help = COMPLETIONS_EXAMPLE)]
    Completions { shell: Shell },
}

const COMPLETIONS_EXAMPLE: &str = "Example:
  source <(ratelimiter-verify completions bash)";

const RUN_EXAMPLE: &str = "Example:
  ratelimiter-verify init
  ratelimiter-verify run limiter.toml";

const TORTURE_EXAMPLE: &str = "Example:
  ratelimiter-verify torture limiter.toml --quick
  ratelimiter-verify torture limiter.toml --cell writes-held/excess --seed 7";

const CHECK_EXAMPLE: &str = "Example:
  ratelimiter-verify check history.jsonl --limit 10/1m --uncertainty 2ms
  ratelimiter-verify check access-1.log access-2.log.gz --limit '10/1m fixed' \\
      --format 'nginx:$remote_addr [$time_local] \"$request\" $status $msec $request_time' \\
      --key remote_addr --hide-keys";

const WHAT_IF_EXAMPLE: &str = "Example:
  ratelimiter-verify what-if access.log --format caddy --key header:X-Api-Key \\
      --limit 100/1m --limit '100/1m token-bucket'";

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    cli_support::run(PROGRAM, |cli: VerifyCli| {
        let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
        runtime.block_on(dispatch(cli.command))
    })
}

async fn dispatch(command: VerifyCommand) -> anyhow::Result<Exit> {
    match command {
        VerifyCommand::Ask(asked) => commands::ask(&asked).await,
        VerifyCommand::Run(args) => system::run(args).await,
        VerifyCommand::Torture(args) => trials::torture(args).await,
        VerifyCommand::Init(args) => system::init(&args),
        VerifyCommand::Check(args) => commands::check(&args),
        VerifyCommand::WhatIf(args) => commands::try_limits(args),
        VerifyCommand::Inject(command) => inject(command).await,
        VerifyCommand::Watch(args) => watch(args).await,
        VerifyCommand::Example(args) => example(args).await,
        VerifyCommand::Completions { shell } => complete(shell),
    }
}

fn complete(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut VerifyCli::command(), PROGRAM, &mut script);
    cli_support::print(String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        VerifyCli::command().debug_assert();
    }

    /// Two screens of forty lines.
    const SCREENS: usize = 80;

    fn fits(command: &mut Command, words: &str) {
        let words = format!("{words} {}", command.get_name());
        let help = command.render_help().to_string();
        let lines = help.lines().count();
        assert!(
            lines <= SCREENS,
            "{words} --help has {lines} lines:\n{help}"
        );
        for command in command.get_subcommands_mut() {
            fits(command, &words);
        }
    }

    #[test]
    fn every_help_fits_two_screens() {
        let mut program = VerifyCli::command().term_width(100);
        program.build();
        fits(&mut program, "");
    }

    #[test]
    fn readme_lists_every_exit_code() {
        let readme = include_str!("../README.md");
        for exit in cli_support::exits_with(JUDGED) {
            let row = format!("| {} | {} |", exit as u8, exit.meaning());
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
