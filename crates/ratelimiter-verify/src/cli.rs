use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use hyper::Method;
use hyper::header::HeaderName;
use ratelimiter_api::{CountingMode, Endpoint};
use ratelimiter_cli::{Exit, StoreText, help_of};
use ratelimiter_invariants::ContractKind;
use ratelimiter_target::{Expectation, StatusSet, Template};
use ratelimiter_verify::Phase;

use crate::inject::{self, InjectVerb};
use crate::watch::{self, WatchArgs};
use crate::{commands, exits};

const PROGRAM: &str = "ratelimiter-verify";

/// A verdict on anyone's rate limiter, from what its callers saw
///
/// Sends bursts at one instant, checks around window edges, overload and steady load, each on keys of its own, records every check,
/// and judges the records by the limiter's contract. The verdict comes with the smallest witness and an exit code for CI.
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
  ratelimiter-verify http --url http://localhost:8080/check --url http://localhost:8081/check --limit 10 --window 60s \\
      --method POST --header 'X-Key: {key}' --body '{\"key\":\"{key}\"}' --denied 429,503 --json-path /allowed=true

Without {key} in URL, header or body all phases share one quota, and a window passes before each.";

const RESP_EXAMPLE: &str = "Example:
  ratelimiter-verify resp --url redis://localhost:6379 --command 'CL.THROTTLE {key} 9 10 60' --allowed-reply '/0=0' \\
      --limit 10 --window 60s --contract token-bucket";

const EXEC_EXAMPLE: &str = "The process reads lines such as {\"id\":1,\"key\":\"k\",\"cost\":1} and writes {\"id\":1,\"allowed\":true} for each.

Example:
  ratelimiter-verify exec --command 'python3 adapter.py' --limit 10 --window 60s";

#[cfg(feature = "grpc")]
const GRPC_EXAMPLE: &str = "Example:
  ratelimiter-verify grpc --url http://localhost:8081 --domain demo --entry 'user={key}' --limit 10 --window 60s --contract fixed";

const CHECK_EXAMPLE: &str = "Example:
  ratelimiter-verify check history.jsonl --limit 10 --window 60s --contract sliding --uncertainty 2ms";

fn with_exits(example: &str) -> String {
    format!("{example}\n\n{}", help_of(exits::VERIFY))
}

/// The contract, and how histories are read.
#[derive(Clone, Debug, Args)]
pub(crate) struct ContractArgs {
    /// Cost that a window, or a full bucket, may hold
    #[arg(long)]
    pub(crate) limit: u32,
    /// Length of the window, or the time in which an empty bucket fills: 60s, 500ms
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) window: Duration,
    /// Form of the contract: sliding, fixed or token-bucket
    #[arg(long, default_value_t)]
    pub(crate) contract: ContractKind,
    /// Largest difference in rate between the limiter's clock and this one, parts per million
    #[arg(long, value_name = "PPM", default_value_t = 100)]
    pub(crate) clock_tolerance: u32,
    /// Every time may be wrong by this much: the resolution of the limiter's clock, or of a history merged from several
    /// machines
    #[arg(long, default_value = "1ms", value_parser = humantime::parse_duration)]
    pub(crate) uncertainty: Duration,
}

/// How the limiter is tried, and where the results go.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) contract: ContractArgs,
    /// Size of a burst, in limits
    #[arg(long, default_value_t = 2)]
    pub(crate) multiplier: u32,
    /// Bursts, each on a key of its own
    #[arg(long, default_value_t = 5)]
    pub(crate) bursts: u32,
    /// At most about a minute, leaving out phases that take longer (the default)
    #[arg(long, conflicts_with = "thorough")]
    pub(crate) quick: bool,
    /// At most about fifteen minutes
    #[arg(long)]
    pub(crate) thorough: bool,
    /// Only this phase; repeat for more: burst, costs, two-keys, fields, return, overload, first-edge, edge, steady, fault
    #[arg(long = "phase", value_name = "PHASE")]
    pub(crate) phases: Vec<Phase>,
    /// Command of the shell that injects a fault and undoes it, such as 'docker pause store; sleep 5; docker unpause store'.
    /// Bursts are sent before, during and after it. It goes on to its end whatever happens to this run
    #[arg(long, value_name = "COMMAND")]
    pub(crate) during: Option<String>,
    /// Print the plan, its checks and its duration, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Directory for history.jsonl, verdict.json, junit.xml, journal.json and report.html
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Part of the keys' names, to tell runs apart; drawn from the clock unless given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Time for one check to be answered; a later answer is unknown
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Duration,
    /// The most checks that may be sent
    #[arg(long, default_value_t = 100_000)]
    pub(crate) max_requests: u64,
    /// Allow targets that are not on this machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HttpArgs {
    /// URL of a check; repeat for each node. {key} and {cost} are filled in
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    pub(crate) method: Method,
    /// Header field of the request; repeat for more
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, Template)>,
    /// Body of the request
    #[arg(long)]
    pub(crate) body: Option<Template>,
    /// Statuses of an allowed check
    #[arg(long, default_value = "200-399")]
    pub(crate) allowed: StatusSet,
    /// Statuses of a denied check
    #[arg(long, default_value = "429")]
    pub(crate) denied: StatusSet,
    /// Place in the JSON body, and its value when a check was allowed: /allowed=true
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) json_path: Option<Expectation>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Node of a cluster of this project; repeat for each
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<Endpoint>,
    /// How the nodes count: atomic, leased, cached or read-then-write [default: the nodes' own]
    #[arg(long)]
    pub(crate) counting: Option<CountingMode>,
    /// Admin token of the nodes, if they have one
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<Token>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// A token, which no output shows.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(...)")
    }
}

#[derive(Debug, Args)]
pub(crate) struct RespArgs {
    /// Store that runs the command; repeat for each node
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<StoreText>,
    /// Command of a check, split as a shell splits words. {key} and {cost} are filled in
    #[arg(long)]
    pub(crate) command: String,
    /// Place in the reply, and its value when a check was allowed: /0=0, or =1 for the reply itself
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) allowed_reply: Expectation,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Program and arguments, split as a shell splits words
    #[arg(long)]
    pub(crate) command: String,
    /// Processes of it, each a node
    #[arg(long, default_value_t = 3)]
    pub(crate) processes: usize,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[cfg(feature = "grpc")]
#[derive(Debug, Args)]
pub(crate) struct GrpcArgs {
    /// Address of the service; repeat for each node
    #[arg(long = "url", value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// Domain of the limits
    #[arg(long)]
    pub(crate) domain: String,
    /// Entry of the descriptor; repeat for more. {key} is filled in
    #[arg(long = "entry", value_name = "NAME=VALUE", required = true, value_parser = entry)]
    pub(crate) entries: Vec<(String, Template)>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[cfg(feature = "grpc")]
fn entry(text: &str) -> Result<(String, Template), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.parse().map_err(|e: ratelimiter_target::TemplateError| e.to_string())?))
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// History file; - for standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) contract: ContractArgs,
}

fn header(text: &str) -> Result<(HeaderName, Template), String> {
    // The text may hold a secret, so that an error does not repeat it.
    let (name, value) = text.split_once(':').ok_or("expected 'NAME: VALUE'")?;
    let name = name.trim().parse().map_err(|_| "the part before the colon is no header name")?;
    let value = value.trim().parse::<Template>().map_err(|e| e.to_string())?;
    Ok((name, value))
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
