use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode as ProcessExit;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use ratelimiter_api::{CountingMode, Endpoint, NodeClient, StoreFailurePolicy};
use ratelimiter_store::StoreError;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Config, ConfigError, Node};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It was told to stop, or the node is healthy.
    Success = 0,
    /// It could not start, or the node is not healthy.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 64,
}

const EXIT_CODES: &str = "Exit codes: 0 stopped when told to; 1 could not start; 64 wrong usage.";

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
    /// Ask a running node whether it answers and its store is connected, for a container's health check.
    Healthcheck {
        /// The node to ask.
        #[arg(long, env = "RATELIMITER_ENDPOINT", default_value = "http://127.0.0.1:8001")]
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
    /// Store that all nodes of the cluster share.
    // Text here: an error of the parser would print it, and there may be a password in it.
    #[arg(long, env = "RATELIMITER_STORE", default_value = "redis://127.0.0.1:6379", hide_env_values = true)]
    store: String,
    /// How keys without a mode of their own are counted: atomic, cached or read-then-write.
    #[arg(long, env = "RATELIMITER_COUNTING", default_value = "cached")]
    counting: CountingMode,
    /// What to answer when the store does not: allow, deny or local.
    #[arg(long, env = "RATELIMITER_ON_STORE_FAILURE", default_value = "local")]
    on_store_failure: StoreFailurePolicy,
    /// Time between two syncs with the store, and between two heartbeats.
    #[arg(long, env = "RATELIMITER_SYNC_INTERVAL", default_value = "200ms", value_parser = humantime::parse_duration)]
    sync_interval: Duration,
    /// How long a check waits for the store.
    #[arg(long, env = "RATELIMITER_STORE_TIMEOUT", default_value = "200ms", value_parser = humantime::parse_duration)]
    store_timeout: Duration,
    /// Token that changes of limits and counters must present.
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Log level: error, warn, info, debug or trace.
    #[arg(long, env = "RATELIMITER_LOG", default_value = "info")]
    log: tracing::Level,
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
            // Up to the usage, which --help tells better: on one line, as every other error is.
            let what: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let line = what.join(" ");
            eprintln!("ratelimiter-node: {} (--help explains)", line.trim_start_matches("error: "));
            ExitCode::Usage
        }
        Err(help) => {
            // What cannot be printed has nobody to read it.
            let _ = help.print();
            ExitCode::Success
        }
    };
    ProcessExit::from(code as u8)
}

/// A value that parses and makes no sense is wrong usage all the same.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let url = matches!(error.downcast_ref(), Some(StoreError::Url { .. }));
    if url || error.is::<ConfigError>() { ExitCode::Usage } else { ExitCode::Failure }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    let result = match cli.verb {
        Some(Verb::Healthcheck { endpoint }) => runtime.block_on(healthcheck(endpoint)),
        None => runtime.block_on(serve(cli.serve)),
    };
    // Looking up a name runs on a thread that cannot be told to stop; nobody waits for its answer any more.
    runtime.shutdown_background();
    result
}

async fn healthcheck(endpoint: Endpoint) -> anyhow::Result<()> {
    let health = NodeClient::new(endpoint, Duration::from_secs(2)).health().await?;
    anyhow::ensure!(health.redis_connected, "{}: the store is not connected", health.node);
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
    let config = Config {
        advertise: options.advertise,
        counting: options.counting,
        on_store_failure: options.on_store_failure,
        sync_interval: options.sync_interval,
        store_timeout: options.store_timeout,
        admin_token: options.admin_token,
        ..Config::new(&options.id, options.listen, options.store.parse()?)?
    };
    config.validate()?;
    raise_open_files();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let node = Node::bind(config).await?;
    tracing::info!(id = %options.id, address = %node.address(), "listening");
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        told.cancel();
    });
    node.run(shutdown).await;
    Ok(())
}

/// Every connection is an open file, and what a shell allows by default is far below what a node serves.
fn raise_open_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // Where that is not allowed the node serves as many as it can.
    let _ = setrlimit(Resource::Nofile, files);
}
