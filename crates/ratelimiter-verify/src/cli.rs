use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use cli_support::{Exit, exit_help};

#[cfg(feature = "grpc")]
use crate::args::GrpcArgs;
use crate::args::{CheckArgs, ExecArgs, HttpArgs, NodeArgs, RespArgs, WhatIfArgs};
use crate::commands;
use crate::inject::{InjectCommand, inject};
use crate::watch::{WatchArgs, watch};

const PROGRAM: &str = "ratelimiter-verify";

/// The exit codes of its own that a verification has.
const JUDGED: &[Exit] = &[Exit::Violated, Exit::Undecided];

/// A verdict on anyone's rate limiter, from what its callers saw
///
/// Sends bursts at one instant, checks around window edges, overload and steady load, each on keys
/// of its own, records every check, and judges the records by the limiter's contract. The verdict
/// comes with the smallest witness and an exit code for CI.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = exit_help(JUDGED))]
struct VerifyCli {
    #[command(subcommand)]
    command: VerifyCommand,
}

#[derive(Debug, Subcommand)]
enum VerifyCommand {
    /// Verify a limiter behind HTTP
    #[command(after_help = with_exits(HTTP_EXAMPLE))]
    Http(HttpArgs),
    /// Verify nodes of this project; sets the limits of the keys first
    #[command(after_help = exit_help(JUDGED))]
    Node(NodeArgs),
    /// Verify a limiter behind a RESP command, such as CL.THROTTLE or a script
    #[command(after_help = with_exits(RESP_EXAMPLE))]
    Resp(RespArgs),
    /// Verify a library behind a child process that answers a line of JSON a line of JSON
    #[command(after_help = with_exits(EXEC_EXAMPLE))]
    Exec(ExecArgs),
    /// Verify a service behind gRPC (Envoy's RLS v3)
    #[cfg(feature = "grpc")]
    #[command(after_help = with_exits(GRPC_EXAMPLE))]
    Grpc(GrpcArgs),
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
    /// Print a script that completes commands and flags in a shell
    #[command(after_help = COMPLETIONS_EXAMPLE)]
    Completions { shell: Shell },
}

const COMPLETIONS_EXAMPLE: &str = "Example:
  source <(ratelimiter-verify completions bash)";

const HTTP_EXAMPLE: &str = "Example:
  ratelimiter-verify http --url 'http://localhost:8080/?key={key}' --limit 10/1m
  ratelimiter-verify http --url http://localhost:8080/check --url http://localhost:8081/check \\
      --limit 10/1m --method POST --header 'X-Key: {key}' \\
      --body '{\"key\":\"{key}\"}' --denied 429,503 --json-path /allowed=true

Without {key} in URL, header or body all phases share one quota, and a window passes before each.";

const RESP_EXAMPLE: &str = "Example:
  ratelimiter-verify resp --url redis://localhost:6379 \\
      --command 'CL.THROTTLE {key} 9 10 60' --allowed-reply '/0=0' \\
      --limit '10/1m token-bucket'";

const EXEC_EXAMPLE: &str = "The process reads lines such as {\"id\":1,\"key\":\"k\",\"cost\":1} \
    and writes {\"id\":1,\"allowed\":true} for each.

Example:
  ratelimiter-verify exec --command 'python3 adapter.py' --limit 10/1m";

#[cfg(feature = "grpc")]
const GRPC_EXAMPLE: &str = "Example:
  ratelimiter-verify grpc --url http://localhost:8081 --domain demo --entry 'user={key}' \\
      --limit '10/1m fixed'";

const CHECK_EXAMPLE: &str = "Example:
  ratelimiter-verify check history.jsonl --limit 10/1m --uncertainty 2ms
  ratelimiter-verify check access-1.log access-2.log.gz --limit '10/1m fixed' \\
      --format 'nginx:$remote_addr [$time_local] \"$request\" $status $msec $request_time' \\
      --key remote_addr --hide-keys";

const WHAT_IF_EXAMPLE: &str = "Example:
  ratelimiter-verify what-if access.log --format caddy --key header:X-Api-Key \\
      --limit 100/1m --limit '100/1m token-bucket'";

fn with_exits(example: &str) -> String {
    format!("{example}\n\n{}", exit_help(JUDGED))
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    cli_support::run(PROGRAM, |cli: VerifyCli| {
        let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
        runtime.block_on(dispatch(cli.command))
    })
}

async fn dispatch(command: VerifyCommand) -> anyhow::Result<Exit> {
    match command {
        VerifyCommand::Http(args) => commands::http(args).await,
        VerifyCommand::Node(args) => commands::node(args).await,
        VerifyCommand::Resp(args) => commands::resp(args).await,
        VerifyCommand::Exec(args) => commands::exec(args).await,
        #[cfg(feature = "grpc")]
        VerifyCommand::Grpc(args) => commands::grpc(args).await,
        VerifyCommand::Check(args) => commands::check(&args),
        VerifyCommand::WhatIf(args) => commands::try_limits(args),
        VerifyCommand::Inject(command) => inject(command).await,
        VerifyCommand::Watch(args) => watch(args).await,
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
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        VerifyCli::command().debug_assert();
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
