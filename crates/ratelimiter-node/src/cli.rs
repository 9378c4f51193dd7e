use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use cli_support::{
    Exit, ExitSignals, Hidden, LogLines, WrongUsage, exit_help, print, raise_open_files,
};
use ratelimiter_api::{CountingMode, Endpoint, NodeClient, StoreFailurePolicy};
use ratelimiter_store::StoreUrl;
use tokio_util::sync::CancellationToken;

use crate::{Config, NodeServer, NodeSettings, read_limits};

const PROGRAM: &str = "ratelimiter-node";

/// One node of a distributed rate limiter: HTTP in front, Redis or Valkey behind.
#[derive(Debug, Parser)]
#[command(
    name = PROGRAM,
    version,
    after_help = exit_help(&[]),
    args_conflicts_with_subcommands = true
)]
struct NodeCli {
    #[command(subcommand)]
    command: Option<NodeCommand>,
    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Ask a running node whether it answers and its store is connected, for a container's health
    /// check.
    Healthcheck {
        /// The node to ask.
        #[arg(
            long,
            env = "RATELIMITER_ENDPOINT",
            default_value = "http://127.0.0.1:8001"
        )]
        node: Endpoint,
    },
}

#[derive(Debug, Args)]
struct ServeOptions {
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
    #[arg(
        long,
        env = "RATELIMITER_STORE",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    store: Hidden,
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
    #[arg(
        long,
        env = "RATELIMITER_SYNC_INTERVAL",
        default_value = "200ms",
        value_parser = humantime::parse_duration
    )]
    sync_interval: Duration,
    /// How long a check waits for the store.
    #[arg(
        long,
        env = "RATELIMITER_STORE_TIMEOUT",
        default_value = "200ms",
        value_parser = humantime::parse_duration
    )]
    store_timeout: Duration,
    /// Token that changes of limits and counters, and lists of keys, need. Prefer the variable:
    /// arguments are visible to other users of the machine.
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<Hidden>,
    /// JSON file of limits, a list of objects as POST /limit takes them: they hold while the store
    /// cannot be reached, and are added to it where it has none for their keys.
    #[arg(long, env = "RATELIMITER_LIMITS", value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Run id of a store that was made for this cluster (run_id in INFO server); repeated, or
    /// separated by commas. Without it, an empty store is taken for one that lost its state: leased
    /// keys then wait for a lease and their window. It is void for a store with another run id.
    #[arg(
        long,
        env = "RATELIMITER_NEW_STORE",
        value_name = "RUNID",
        value_delimiter = ','
    )]
    new_store: Vec<String>,
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

impl ServeOptions {
    /// The configuration that the options add up to.
    fn config(self) -> Result<Config, WrongUsage> {
        let store = StoreUrl::parse(self.store.expose(), self.store_ca.as_deref())
            .map_err(WrongUsage::of)?;
        let settings = NodeSettings {
            advertise: self.advertise,
            counting: self.counting,
            on_store_failure: self.on_store_failure,
            sync_interval: self.sync_interval,
            store_timeout: self.store_timeout,
            admin_token: self.admin_token.map(String::from),
            limits: self
                .limits
                .as_deref()
                .map(read_limits)
                .transpose()
                .map_err(WrongUsage::of)?
                .unwrap_or_default(),
            // An empty variable names none.
            new_store: self
                .new_store
                .into_iter()
                .filter(|id| !id.is_empty())
                .collect(),
            without_token: self.without_token,
            max_connections: self.max_connections,
            max_connections_per_peer: self.max_connections_per_peer,
            ..NodeSettings::new(self.id, self.listen, store)
        };
        Config::new(settings).map_err(WrongUsage::of)
    }
}

/// Runs the command line of the node.
pub fn main() -> ExitCode {
    cli_support::run(PROGRAM, |cli: NodeCli| {
        let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
        let result = match cli.command {
            Some(NodeCommand::Healthcheck { node }) => runtime.block_on(healthcheck(node)),
            None => runtime.block_on(serve(cli.serve)),
        };
        // A look-up of a name runs on a thread that cannot be stopped; its answer is not needed.
        runtime.shutdown_background();
        result
    })
}

async fn healthcheck(endpoint: Endpoint) -> anyhow::Result<Exit> {
    let health = NodeClient::new(endpoint, Duration::from_secs(2))
        .health()
        .await?;
    anyhow::ensure!(
        health.redis_connected,
        "{}: the store is not connected",
        health.node
    );
    print(format_args!("{}: healthy", health.node))?;
    Ok(Exit::Success)
}

async fn serve(options: ServeOptions) -> anyhow::Result<Exit> {
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(|| LogLines)
        .init();
    let config = options.config()?;
    // A node serves as many connections as it can.
    raise_open_files(0)?;
    let mut signals = ExitSignals::listen()?;
    let id = config.id.clone();
    let node = NodeServer::bind(config).await?;
    tracing::info!(%id, address = %node.address(), "listening");
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    let signal = tokio::spawn(async move {
        let signal = signals.next().await;
        asked.cancel();
        signal
    });
    node.run(shutdown).await;
    // An orchestrator that asks a node to stop gets what it expects; a closed terminal is no
    // success.
    Ok(match signal.await? {
        Exit::HungUp => Exit::HungUp,
        _ => Exit::Success,
    })
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
        let error = match NodeCli::try_parse_from(arguments) {
            Err(error) => error.to_string(),
            Ok(cli) => match cli.serve.config() {
                Err(error) => error.to_string(),
                Ok(config) => {
                    assert!(
                        (1..=10_000).contains(&config.settings.store_timeout.as_millis()),
                        "{option} {value}"
                    );
                    assert!(
                        (10..=60_000).contains(&config.settings.sync_interval.as_millis()),
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
        let places = any::<prop::sample::Index>();
        proptest!(|((option, value) in values, at in places, other in ".{0,3}")| {
            let cut: Vec<_> = value.chars().collect();
            let at = at.index(cut.len() + 1);
            let start: String = cut[..at].iter().collect();
            let end: String = cut[(at + 1).min(cut.len())..].iter().collect();
            understood(&option, &(start + &other + &end));
        });
    }
}
