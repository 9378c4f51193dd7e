//! A limiter to ask, in the words of the command line, which the system file shares.

use anyhow::Context as _;
use clap::Subcommand;
use cli_support::{Exit, WrongUsage};
use ratelimiter_api::{Endpoint, Key, Limit, LimitSpec, NodeClient};
use ratelimiter_chaos::setup_rate_limits;
use ratelimiter_target::{
    ExecSite, ExecTarget, GrpcTarget, HttpForm, HttpTarget, RespTarget, Target, Template,
};

use crate::args::{ExecArgs, GrpcArgs, HttpArgs, NodeArgs, RespArgs, VerifyArgs};

/// The exit codes of its own that a verification has.
pub(crate) const JUDGED: &[Exit] = &[Exit::Violated, Exit::Undecided];

/// A limiter, and the plan of its verification.
#[derive(Debug, Subcommand)]
pub(crate) enum AskCommand {
    /// Verify a limiter behind HTTP
    #[command(after_help = with_exits(HTTP_EXAMPLE))]
    Http(HttpArgs),
    /// Verify nodes of this project; sets the limits of the keys first
    #[command(after_help = EXITS)]
    Node(NodeArgs),
    /// Verify a limiter behind a RESP command, such as CL.THROTTLE or a script
    #[command(after_help = with_exits(RESP_EXAMPLE))]
    Resp(RespArgs),
    /// Verify a library behind a child process that answers a line of JSON a line of JSON
    #[command(after_help = with_exits(EXEC_EXAMPLE))]
    Exec(ExecArgs),
    /// Verify a service behind gRPC (Envoy's RLS v3)
    #[command(after_help = with_exits(GRPC_EXAMPLE))]
    Grpc(GrpcArgs),
}

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

const GRPC_EXAMPLE: &str = "Example:
  ratelimiter-verify grpc --url http://localhost:8081 --domain demo --entry 'user={key}' \\
      --limit '10/1m fixed'";

/// The place of the exit codes, which all judging commands share.
const EXITS: &str = "Exit codes: ratelimiter-verify --help";

/// An example, then the place of the exit codes.
pub(crate) fn with_exits(example: &str) -> String {
    format!("{example}\n\n{EXITS}")
}

impl AskCommand {
    /// The plan of the verification.
    pub(crate) fn run(&self) -> &VerifyArgs {
        match self {
            Self::Http(args) => &args.run,
            Self::Node(args) => &args.run,
            Self::Resp(args) => &args.run,
            Self::Exec(args) => &args.run,
            Self::Grpc(args) => &args.run,
        }
    }

    /// The limiter. `site` is for processes that it starts itself.
    pub(crate) fn target(&self, site: ExecSite) -> Result<Box<dyn Target>, WrongUsage> {
        let reach = self.run().reach();
        Ok(match self {
            Self::Http(args) => {
                let form = HttpForm {
                    headers: args.headers()?,
                    body: args.body()?,
                    method: args.method.clone(),
                    allowed: args.allowed.clone(),
                    denied: args.denied.clone(),
                    failed: args.failed.clone().unwrap_or_default(),
                    expectation: args.json_path.clone(),
                    socket: args.unix.clone(),
                    source: args.source,
                    proxy_protocol: args.proxy_protocol,
                    http2: args.http2,
                    connections: args.connections.into(),
                };
                let target = HttpTarget::new(&args.urls, form, reach, &args.tls.trust()?);
                Box::new(target.map_err(WrongUsage::of)?)
            }
            Self::Node(args) => {
                Box::new(HttpTarget::node(&args.nodes, reach).map_err(WrongUsage::of)?)
            }
            Self::Resp(args) => {
                let words = words(&args.command)?;
                let command: Result<Vec<Template>, _> = words.iter().map(|w| w.parse()).collect();
                let command = command.map_err(WrongUsage::of)?;
                let urls: Vec<String> = args.urls.iter().map(|u| u.expose().to_owned()).collect();
                let (reply, trust) = (args.allowed_reply.clone(), args.tls.trust()?);
                let target = RespTarget::new(&urls, command, reply, reach, &trust);
                Box::new(target.map_err(WrongUsage::of)?)
            }
            Self::Exec(args) => {
                let target = ExecTarget::new(words(&args.command)?, args.processes);
                let target = target.map_err(WrongUsage::of)?.at(site);
                Box::new(target.reading_cost(args.has_cost))
            }
            Self::Grpc(args) => {
                let (domain, trust) = (args.domain.clone(), args.tls.trust()?);
                let entries = args.entries()?;
                let target = GrpcTarget::new(&args.urls, domain, entries, reach, &trust);
                Box::new(target.map_err(WrongUsage::of)?)
            }
        })
    }
}

/// Gives each key its limit at nodes of this project; nothing for other limiters.
pub(crate) async fn set_limits<'a>(
    asked: &[AskCommand],
    keys: impl IntoIterator<Item = &'a Key>,
) -> anyhow::Result<()> {
    let of_nodes = asked.iter().filter_map(|asked| match asked {
        AskCommand::Node(args) => Some(args),
        _ => None,
    });
    let of_nodes: Vec<&NodeArgs> = of_nodes.collect();
    let Some(first) = of_nodes.first() else {
        return Ok(());
    };
    let promise = first.run.contract.promise();
    let (max, window) = (promise.first().max(), promise.first().window());
    let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
    let limit = Limit::new(max.into(), seconds).map_err(WrongUsage::of)?;
    if window.subsec_nanos() != 0 {
        return Err(WrongUsage("a node's window is whole seconds".into()).into());
    }
    let token = first.admin_token.clone().map(String::from);
    let client = |endpoint: &Endpoint| {
        NodeClient::new(endpoint.clone(), first.run.deadline).with_token(token.clone())
    };
    let nodes: Vec<_> = of_nodes
        .iter()
        .flat_map(|args| &args.nodes)
        .map(client)
        .collect();
    let specs = keys.into_iter().map(|key| LimitSpec {
        counting: first.counting,
        ..LimitSpec::new(key.clone(), limit)
    });
    setup_rate_limits(&nodes, &Vec::from_iter(specs))
        .await
        .context("set the limits of the keys")
}

/// The words of a command, split as a shell splits them.
pub(crate) fn words(command: &str) -> Result<Vec<String>, WrongUsage> {
    shlex::split(command)
        .ok_or_else(|| WrongUsage("--command has a quote that is not closed".into()))
}
