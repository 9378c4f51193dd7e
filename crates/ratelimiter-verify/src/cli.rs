use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ratelimiter_cli::{Exit, help_of};

#[cfg(feature = "grpc")]
use crate::args::GrpcArgs;
use crate::args::{CheckArgs, ExecArgs, HttpArgs, NodeArgs, RespArgs};
use crate::inject::{self, InjectVerb};
use crate::watch::{self, WatchArgs};
use crate::{commands, exits};

const PROGRAM: &str = "ratelimiter-verify";

/// A verdict on anyone's rate limiter, from what its callers saw
///
/// Sends bursts at one instant, checks around window edges, overload and steady load, each on keys
/// of its own, records every check, and judges the records by the limiter's contract. The verdict
/// comes with the smallest witness and an exit code for CI.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = help_of(exits::VERIFY))]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Verify a limiter behind HTTP
    #[command(after_help = with_exits(HTTP_EXAMPLE))]
    Http(HttpArgs),
    /// Verify nodes of this project; sets the limits of the keys first
    #[command(after_help = help_of(exits::VERIFY))]
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
    /// Judge a recorded history: one JSON object a line
    #[command(after_help = with_exits(CHECK_EXAMPLE))]
    Check(CheckArgs),
    /// Inject one fault into a running system
    #[command(subcommand)]
    Inject(InjectVerb),
    /// Print the observations and violations of a running cluster of this project as JSON lines
    Watch(WatchArgs),
}

const HTTP_EXAMPLE: &str = "Example:
  ratelimiter-verify http --url 'http://localhost:8080/?key={key}' --limit 10 --window 60s
  ratelimiter-verify http --url http://localhost:8080/check --url http://localhost:8081/check \\
      --limit 10 --window 60s --method POST --header 'X-Key: {key}' \\
      --body '{\"key\":\"{key}\"}' --denied 429,503 --json-path /allowed=true

Without {key} in URL, header or body all phases share one quota, and a window passes before each.";

const RESP_EXAMPLE: &str = "Example:
  ratelimiter-verify resp --url redis://localhost:6379 \\
      --command 'CL.THROTTLE {key} 9 10 60' --allowed-reply '/0=0' --limit 10 --window 60s --contract token-bucket";

const EXEC_EXAMPLE: &str = "The process reads lines such as {\"id\":1,\"key\":\"k\",\"cost\":1} \
    and writes {\"id\":1,\"allowed\":true} for each.

Example:
  ratelimiter-verify exec --command 'python3 adapter.py' --limit 10 --window 60s";

#[cfg(feature = "grpc")]
const GRPC_EXAMPLE: &str = "Example:
  ratelimiter-verify grpc --url http://localhost:8081 --domain demo --entry 'user={key}' \\
      --limit 10 --window 60s --contract fixed";

const CHECK_EXAMPLE: &str = "Example:
  ratelimiter-verify check history.jsonl --limit 10 --window 60s --contract sliding \\
      --uncertainty 2ms";

fn with_exits(example: &str) -> String {
    format!("{example}\n\n{}", help_of(exits::VERIFY))
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    match ratelimiter_cli::parse::<Cli>(PROGRAM) {
        Ok(cli) => ratelimiter_cli::end(PROGRAM, dispatch(cli.verb)),
        Err(code) => code,
    }
}

fn dispatch(verb: Verb) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    runtime.block_on(async {
        match verb {
            Verb::Http(args) => commands::http(args).await,
            Verb::Node(args) => commands::node(args).await,
            Verb::Resp(args) => commands::resp(args).await,
            Verb::Exec(args) => commands::exec(args).await,
            #[cfg(feature = "grpc")]
            Verb::Grpc(args) => commands::grpc(args).await,
            Verb::Check(args) => commands::check(&args),
            Verb::Inject(InjectVerb::RedisPause(args)) => inject::redis_pause(args).await,
            Verb::Inject(InjectVerb::Failover(args)) => inject::failover(args).await,
            Verb::Inject(InjectVerb::Resp(args)) => inject::resp(args).await,
            Verb::Inject(InjectVerb::Burst(args)) => inject::burst(args).await,
            Verb::Watch(args) => watch::watch(args).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
