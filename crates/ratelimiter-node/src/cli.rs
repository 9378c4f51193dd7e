use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode as ProcessExit;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use ratelimiter_api::{CountingMode, Endpoint, NodeClient, StoreFailurePolicy};
use ratelimiter_store::{StoreError, StoreUrl};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Config, ConfigError, Node, read_limits};

/// Exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The node stopped on request, or it is healthy.
    Success = 0,
    /// The node could not start, or it is not healthy.
    Failure = 1,
    /// A wrong command line.
    Usage = 64,
}

const EXIT_CODES: &str = "Exit codes: 0 stopped on request; 1 could not start; 64 wrong usage.";

/// One node of a distributed rate limiter: HTTP in front, Redis or Valkey behind.
#[derive(Debug, Parser)]
#[command(name = "ratelimiter-node", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ask a running node whether it answers and its store is connected, for a container's health
    /// check.
    Healthcheck {
        /// The node to ask.
        #[arg(
            long,
            env = "RATELIMITER_ENDPOINT",
            default_value = "http://127.0.0.1:8001"
        )]
        endpoint: Endpoint,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Name of the node, unique in its cluster.
    #[arg(long, env = "RATELIMITER_ID", default_value = "node-1")]
    id: String,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "RATELIMITER_LISTEN", default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    /// Address at which others reach this node, if not the one it listens on.
    #[arg(long, env = "RATELIMITER_ADVERTISE", value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Store that all nodes of the cluster share. Prefer the variable when the URL has a password:
    /// arguments are visible to other users of the machine.
    // Text here: an error of the parser would print it, and there may be a password in it.
    #[arg(
        long,
        env = "RATELIMITER_STORE",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    store: String,
    /// File of certificates in PEM form to trust beside the system's, for a rediss:// store with a
    /// private authority.
    #[arg(long, env = "RATELIMITER_STORE_CA", value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// How keys without a mode of their own are counted: atomic, cached, leased or read-then-write.
    #[arg(long, env = "RATELIMITER_COUNTING", default_value = "cached")]
    counting: CountingMode,
    /// Answer without the store: allow, deny or local [default: deny for leased keys, local for
    /// others]
    #[arg(long, env = "RATELIMITER_ON_STORE_FAILURE")]
    on_store_failure: Option<StoreFailurePolicy>,
    /// Time between two syncs with the store, and between two heartbeats.
    #[arg(long, env = "RATELIMITER_SYNC_INTERVAL", default_value = "200ms", value_parser = humantime::parse_duration)]
    sync_interval: Duration,
    /// How long a check waits for the store.
    #[arg(long, env = "RATELIMITER_STORE_TIMEOUT", default_value = "200ms", value_parser = humantime::parse_duration)]
    store_timeout: Duration,
    /// Token that changes of limits and counters, and lists of keys, need. Prefer the variable:
    /// arguments are visible to other users of the machine.
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// JSON file of limits, a list of objects as POST /limit takes them: they hold while the store
    /// cannot be reached, and are added to it where it has none for their keys.
    #[arg(long, env = "RATELIMITER_LIMITS", value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Listen beyond loopback although there is no admin token.
    #[arg(long, env = "RATELIMITER_WITHOUT_TOKEN")]
    without_token: bool,
    /// Client connections served at once; further ones are answered with 503, except on /health.
    #[arg(long, env = "RATELIMITER_MAX_CONNECTIONS", default_value_t = 4096)]
    max_connections: usize,
    /// Client connections served at once of one peer address.
    #[arg(
        long,
        env = "RATELIMITER_MAX_CONNECTIONS_PER_PEER",
        default_value_t = 1024
    )]
    max_connections_per_peer: usize,
    /// Log level: error, warn, info, debug or trace.
    #[arg(long, env = "RATELIMITER_LOG", default_value = "info")]
    log: tracing::Level,
}

impl Serve {
    /// The configuration that the options add up to.
    fn config(self) -> anyhow::Result<Config> {
        let mut store: StoreUrl = self.store.parse()?;
        if let Some(file) = &self.store_ca {
            store = store.trusting(file)?;
        }
        let config = Config {
            advertise: self.advertise,
            counting: self.counting,
            on_store_failure: self.on_store_failure,
            sync_interval: self.sync_interval,
            store_timeout: self.store_timeout,
            admin_token: self.admin_token,
            limits: self
                .limits
                .as_deref()
                .map(read_limits)
                .transpose()?
                .unwrap_or_default(),
            without_token: self.without_token,
            max_connections: self.max_connections,
            max_connections_per_peer: self.max_connections_per_peer,
            ..Config::new(&self.id, self.listen, store)?
        };
        config.validate()?;
        Ok(config)
    }
}

/// Runs the command line of the node.
pub fn main() -> ProcessExit {
    let code = match Cli::try_parse() {
        Ok(cli) => match run(cli) {
            Ok(()) => ExitCode::Success,
            Err(error) => {
                eprintln!("ratelimiter-node: {error:#}");
                exit_code(&error)
            }
        },
        Err(error) if error.use_stderr() => {
            let text = error.to_string();
            // One line, as for every other error; `--help` has the usage.
            let what: Vec<_> = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.is_empty())
                .collect();
            let line = what.join(" ");
            eprintln!(
                "ratelimiter-node: {} (--help explains)",
                line.trim_start_matches("error: ")
            );
            ExitCode::Usage
        }
        Err(help) => {
            // A closed output has no reader.
            let _ = help.print();
            ExitCode::Success
        }
    };
    ProcessExit::from(code as u8)
}

/// A value that parses and is out of its range is wrong usage too.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let store = matches!(
        error.downcast_ref(),
        Some(StoreError::Url { .. } | StoreError::Authorities { .. })
    );
    if store || error.is::<ConfigError>() {
        ExitCode::Usage
    } else {
        ExitCode::Failure
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    let result = match cli.verb {
        Some(Verb::Healthcheck { endpoint }) => runtime.block_on(healthcheck(endpoint)),
        None => runtime.block_on(serve(cli.serve)),
    };
    // Looking up a name runs on a thread that cannot be stopped; its answer is not needed any more.
    runtime.shutdown_background();
    result
}

async fn healthcheck(endpoint: Endpoint) -> anyhow::Result<()> {
    let health = NodeClient::new(endpoint, Duration::from_secs(2))
        .health()
        .await?;
    anyhow::ensure!(
        health.redis_connected,
        "{}: the store is not connected",
        health.node
    );
    println!("{}: healthy", health.node);
    Ok(())
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .init();
    let config = options.config()?;
    raise_open_files();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let id = config.id.clone();
    let node = Node::bind(config).await?;
    tracing::info!(%id, address = %node.address(), "listening");
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        asked.cancel();
    });
    node.run(shutdown).await;
    Ok(())
}

/// Every connection is an open file, and a shell's default is far below the number of connections
/// that a node serves.
fn raise_open_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // Where that is not allowed the node serves as many as it can.
    let _ = setrlimit(Resource::Nofile, files);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Options and values of any shape: a configuration within its bounds, or an error without the
    /// password.
    fn understood(option: &str, value: &str) {
        let arguments = ["ratelimiter-node".to_owned(), format!("{option}={value}")];
        let error = match Cli::try_parse_from(arguments) {
            Err(error) => error.to_string(),
            Ok(cli) => match cli.serve.config() {
                Err(error) => format!("{error:#}"),
                Ok(config) => {
                    assert!(
                        (1..=10_000).contains(&config.store_timeout.as_millis()),
                        "{option} {value}"
                    );
                    assert!(
                        (10..=60_000).contains(&config.sync_interval.as_millis()),
                        "{option} {value}"
                    );
                    return;
                }
            },
        };
        assert!(
            !error.is_empty() && !error.contains("hunter2"),
            "{option} {value}: {error}"
        );
    }

    fn corpus() -> Vec<(String, String)> {
        let text = include_str!("../tests/corpus/arguments.txt");
        let case = |line: &str| {
            line.split_once(' ')
                .map(|(o, v)| (o.to_owned(), v.to_owned()))
        };
        text.lines()
            .map(|line| case(line).expect("an option and a value"))
            .collect()
    }

    #[test]
    fn odd_arguments_are_understood_or_refused() {
        for (option, value) in corpus() {
            understood(&option, &value);
        }
        // Passwords are kept whole: a mutation may well produce one that is no password any more.
        let values =
            select(corpus()).prop_filter("no password", |(_, value)| !value.contains("hunter2"));
        proptest!(|((option, value) in values, at in any::<prop::sample::Index>(), other in ".{0,3}")| {
            let cut: Vec<_> = value.chars().collect();
            let at = at.index(cut.len() + 1);
            let start: String = cut[..at].iter().collect();
            let end: String = cut[(at + 1).min(cut.len())..].iter().collect();
            understood(&option, &(start + &other + &end));
        });
    }
}
