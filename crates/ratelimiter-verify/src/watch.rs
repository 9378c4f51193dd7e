use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ratelimiter_api::{Endpoint, Key, Observation};
use ratelimiter_cli::{Exit, REQUEST, Reach, Signals, StoreCa, StoreText, Usage, help_of};
use ratelimiter_detector::Detector;
use ratelimiter_invariants::Change;
use ratelimiter_store::{Link, StoreVersion};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use crate::exits;

#[derive(Debug, Args)]
#[command(after_help = help_of(exits::JUDGE))]
pub(crate) struct WatchArgs {
    /// Node to observe; repeat the flag for every node of the cluster
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    endpoints: Vec<Endpoint>,
    /// Store to observe
    #[arg(
        long,
        value_name = "URL",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    redis_url: StoreText,
    #[command(flatten)]
    store_ca: StoreCa,
    /// Admin token of the nodes, if they have one
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Observe this key alone [default: all keys]
    #[arg(long)]
    key: Option<Key>,
    /// Stop after this time [default: on Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// End with exit code 3 when an invariant was violated
    #[arg(long)]
    fail_on_violation: bool,
    #[command(flatten)]
    reach: Reach,
}

/// One line of the output.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Observation(&'a Observation),
    Violation(&'a Change),
}

/// Prints observations and violations until a signal, or for the given time.
pub(crate) async fn watch(args: WatchArgs) -> anyhow::Result<Exit> {
    let scope = args.reach.scope();
    let store = args.redis_url.url(&args.store_ca)?;
    scope.permit_nodes(&args.endpoints).map_err(Usage::of)?;
    scope.permit_store(&store).map_err(Usage::of)?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    // A wrong URL would look like an outage without end.
    StoreVersion::check(&Link::new(store.clone())?, REQUEST).await?;
    let detector = Detector::start(
        &args.endpoints,
        store,
        args.admin_token.as_deref(),
        args.key,
    )?;
    let mut rounds = detector.rounds();
    let over = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let signalled = loop {
        let round = tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            () = &mut over => break None,
            round = rounds.recv() => round,
        };
        match round {
            Ok(round) => {
                print(&Line::Observation(&round.observation))?;
                for change in &round.changes {
                    print(&Line::Violation(change))?;
                }
            }
            Err(RecvError::Lagged(rounds)) => {
                eprintln!("{rounds} rounds are left out: the output is slow")
            }
            Err(RecvError::Closed) => anyhow::bail!("the detector has stopped"),
        }
    };
    let violated = !detector.log().found.is_empty();
    Ok(if violated && args.fail_on_violation {
        Exit::Violated
    } else {
        signalled.unwrap_or(Exit::Success)
    })
}

fn print(line: &Line<'_>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .context("standard output cannot be written to")
}
